"""The reports of `orchestrator replay`: text, JSON and markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.cli.tables import table
from orchestrator.review.comparison import KINDS, Change, Comparison, differences
from orchestrator.review.effects import Effect
from orchestrator.review.story import shown

__all__ = ["FORMS"]

Broken = Mapping[str, int]

_NAMES = {
    "transfers": "transfers", "ends": "calls ended by us", "words": "words said",
    "requests": "requests sent", "controls": "other commands", "memory": "changes of the memory",
    "waits": "seconds of waiting", "failures": "failed steps",
}  # fmt: skip
_KINDS = {"words": "say", "transfers": "transfer", "ends": "end", "requests": "send",
          "controls": "do", "memory": "memory"}  # fmt: skip


_COLUMNS = ("before", "after", "change", "others than before")


def _number(value: float) -> str:
    return f"{value:g}" if value == int(value) else f"{value:.2f}"


def _signed(value: float) -> str:
    return f"+{_number(value)}" if value > 0 else _number(value) if value else ""


def _headline(comparison: Comparison, new: str, old: str) -> str:
    count, changed = len(comparison.changes), len(comparison.changed)
    calls = f"{count} call{'s' if count != 1 else ''}"
    what = "nothing changes for callers" if not changed else f"{changed} change for their callers"
    return f"{calls} under {new}, against {old}: {what}"


def _totals(comparison: Comparison) -> Iterator[list[str]]:
    for name, (before, after) in comparison.totals().items():
        delta = _signed(round(after - before, 3))
        others = comparison.changed_of(name) if name in KINDS else 0
        yield [_NAMES[name], _number(before), _number(after), delta, str(others or "")]


def _notes(comparison: Comparison) -> Iterator[str]:
    if comparison.unanswered:
        yield (
            f"{comparison.unanswered} step{'s' if comparison.unanswered != 1 else ''} asked an "
            "outside system of which the recordings have no answer; they count as done"
        )
    if comparison.paused:
        is_one = comparison.paused == 1
        yield (
            f"{comparison.paused} call{' was' if is_one else 's were'} not recorded all the time: "
            f"digits of {'its' if is_one else 'their'} pauses are not known, and played as zeros; "
            "--against compares what is said then with the digits in it"
        )


def _broken(broken: Broken) -> Iterator[str]:
    for rule, count in broken.items():
        yield f"rule {rule} is broken by {count} call{'s' if count != 1 else ''}"


# --- text


def _text(comparison: Comparison, new: str, old: str, limit: int, broken: Broken) -> str:
    parts = [_headline(comparison, new, old), ""]
    parts.append(table(("", *_COLUMNS), list(_totals(comparison))))
    for change in comparison.changed[:limit]:
        parts += ["", *_call(change)]
    if (left := len(comparison.changed) - limit) > 0:
        parts += ["", f"and {left} more; --limit tells more of them"]
    notes = [*_notes(comparison), *_broken(broken)]
    return "\n".join([*parts, *([""] if notes else []), *notes])


def _call(change: Change) -> Iterator[str]:
    yield f"call {change.call}  ({change.source})"
    if change.is_other_state:
        yield f"    {_states(change)}"
    for name, delta in change.deltas.items():
        yield f"    {_signed(delta)} {_NAMES[name]}"
    for mark, effect in _effects(change):
        yield f"  {mark} {effect.t:8.2f}  {_name(effect, 100)}"
    for before, after in change.altered:
        yield f"  ~ {after.t:8.2f}  {_name(after, 60)}: {_how(before, after)}"
    for before, after in change.moved:
        yield f"  > {before.t:8.2f}  now at {after.t:g}: {_name(after, 80)}"


def _name(effect: Effect, limit: int) -> str:
    return f"{_KINDS[effect.kind]} {shown(effect.what, limit)}"


def _how(before: Effect, after: Effect) -> str:
    """What is done in another way: `mode "warm" -> "cold"`."""
    found = differences(before.details, after.details)
    told = [f"{path} {_one(old)} -> {_one(new)}" for path, old, new in found[:_MOST_DIFFERENCES]]
    more = len(found) - len(told)
    return "; ".join([*told, *([f"{more} more"] if more else [])])


def _one(value: Any) -> str:
    return "not set" if value is None else shown(value, 40)


#: Differences of one effect that a report tells.
_MOST_DIFFERENCES = 4


def _states(change: Change) -> str:
    return f"ends as {change.after.state or 'unknown'}, not {change.before.state or 'unknown'}"


def _effects(change: Change) -> list[tuple[str, Effect]]:
    rows = [("-", effect) for effect in change.gone] + [("+", effect) for effect in change.new]
    return sorted(rows, key=lambda row: (row[1].t, row[0]))


# --- JSON


def _json(comparison: Comparison, new: str, old: str, limit: int, broken: Broken) -> str:
    totals: dict[str, dict[str, float]] = {
        name: {"before": before, "after": after}
        for name, (before, after) in comparison.totals().items()
    }
    for kind in KINDS:
        totals[kind]["others"] = comparison.changed_of(kind)
    report = {
        "new": new,
        "old": old,
        "calls": len(comparison.changes),
        "changed": len(comparison.changed),
        "totals": totals,
        "unanswered": comparison.unanswered,
        "paused": comparison.paused,
        "broken": dict(broken),
        "changes": [_row(change) for change in comparison.changed],
    }
    return json.dumps(report, indent=2, ensure_ascii=False)


def _row(change: Change) -> dict[str, Any]:
    return {
        "call": change.call,
        "source": change.source,
        "deltas": dict(change.deltas),
        "state": {"before": change.before.state, "after": change.after.state},
        "gone": [_plain(effect) for effect in change.gone],
        "new": [_plain(effect) for effect in change.new],
        "moved": [{**_plain(before), "now": after.t} for before, after in change.moved],
        "altered": [_altered(before, after) for before, after in change.altered],
    }


def _plain(effect: Effect) -> dict[str, Any]:
    return {"t": effect.t, "kind": effect.kind, "what": effect.what}


def _altered(before: Effect, after: Effect) -> dict[str, Any]:
    found = differences(before.details, after.details)
    fields = [{"field": path, "before": old, "after": new} for path, old, new in found]
    return {**_plain(after), "fields": fields}


# --- markdown


def _markdown(comparison: Comparison, new: str, old: str, limit: int, broken: Broken) -> str:
    parts = [f"### {_escape(_headline(comparison, new, old))}", ""]
    parts += [f"- {_escape(note)}" for note in _notes(comparison)]
    parts += [f"- :x: {_escape(note)}" for note in _broken(broken)]
    parts += ["", f"| | {' | '.join(_COLUMNS)} |", "|---|---:|---:|---:|---:|"]
    for name, before, after, delta, others in _totals(comparison):
        bold = f"**{delta}**" if delta else ""
        parts.append(f"| {name} | {before} | {after} | {bold} | {others} |")
    shown_calls = comparison.changed[:limit]
    if shown_calls:
        parts += ["", "<details><summary>Calls that change, worst first</summary>", ""]
        for change in shown_calls:
            parts += list(_markdown_call(change))
        if (left := len(comparison.changed) - limit) > 0:
            parts.append(f"and {left} more")
        parts += ["", "</details>"]
    return "\n".join(parts)


def _markdown_call(change: Change) -> Iterator[str]:
    deltas = ", ".join(f"{_signed(delta)} {_NAMES[n]}" for n, delta in change.deltas.items())
    states = _states(change) if change.is_other_state else ""
    heads = [text for text in (states, deltas) if text]
    yield f"- **{_escape(change.call)}** {_escape('; '.join(heads))}"
    for mark, effect in _effects(change):
        yield f"  - {'new' if mark == '+' else 'gone'} at {effect.t:g} s: {_told(effect)}"
    for before, after in change.altered:
        yield f"  - other at {after.t:g} s: {_told(after)}: {_escape(_how(before, after))}"
    for before, after in change.moved:
        yield f"  - {before.t:g} s -> {after.t:g} s: {_told(after)}"


def _told(effect: Effect) -> str:
    return _escape(_name(effect, 100))


#: Characters that mean something in markdown or HTML; `@` would call people by name.
_SPECIAL = {c: f"\\{c}" for c in "\\`*_[]|~#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;",
                                                  "@": "&#64;"}  # fmt: skip


def _escape(text: str) -> str:
    """Text as itself, on one line: callers and configs say what they like."""
    return "".join(_SPECIAL.get(c, c) for c in " ".join(text.split()))


FORMS: Mapping[str, Callable[[Comparison, str, str, int, Broken], str]] = {
    "text": _text,
    "json": _json,
    "markdown": _markdown,
}
