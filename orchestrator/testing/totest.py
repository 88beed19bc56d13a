"""A recorded call as a call test: its events, the answers it got, and the commands it led to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.durations import format_duration
from orchestrator.errors import UserError
from orchestrator.journal import kind_of_line
from orchestrator.review.journals import JournalFile, is_session_end
from orchestrator.testing.recorded import LOCAL_ACTIONS, answers_of, remembered_in
from orchestrator.testing.timeline import COMMANDS, MAIN_FIELDS
from orchestrator.written import printable

__all__ = ["call_test_of"]

_HEADER = ("id", "session_id", "agent_id", "user_number", "called_number", "direction",
           "instructions", "data")  # fmt: skip


def call_test_of(journal: JournalFile, config: str) -> str:
    """The text of a file with one call test.

    It passes under the config that the call was recorded under, as long as hooks see the same
    environment.

    Raises:
        UserError: the journal is masked.
    """
    if journal.is_redacted:
        raise UserError(
            f"{journal.file} was recorded under `privacy: redact`: its words and numbers are "
            "masked, so that it cannot be played as it was"
        )
    call = _call(journal)
    lines = [
        f"# Made from {_comment(journal.file)}; trim it to what matters.",
        *(_PAUSED if journal.has_pause else ()),
        f"config: {_flow(config)}",
        "tests:",
        f"  - name: {_flow('the recorded call ' + str(call.get('id', '')))}",
        f"    call: {_flow(call)}",
        *_section("given", _given(journal)),
        *_memory(journal),
        *_items("events", _events(journal)),
        *_items("expect", _expected(journal)),
        f"    only: {_flow(_only(journal))}",
        *_state(journal),
    ]
    return "\n".join(lines) + "\n"


_PAUSED = (
    "# Digits of its pauses were not recorded: zeros are said and keyed instead; `.+` stands for",
    "# them in what is expected. What depends on the true ones is to be mended by hand.",
)


def _comment(text: str) -> str:
    return printable(" ".join(text.split()))


def _call(journal: JournalFile) -> dict[str, Any]:
    header = journal.call
    call = {key: header[key] for key in _HEADER if header.get(key)}
    if call.get("session_id") == call.get("id"):
        call.pop("session_id", None)
    if journal.script.started is not None:
        call["at"] = journal.script.started.isoformat()
    is_hung_up = any(event.event.name == "hangup" for event in journal.script.events)
    if not is_hung_up and journal.end is not None and _end_state(journal) not in _BY_US:
        call["ends"] = journal.end
    return call


#: How a call ends that a hook has ended: nobody need hang up, and at that moment nobody may.
_BY_US = ("ended", "transferred")


def _given(journal: JournalFile) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for key, answers in answers_of(journal.lines).items():
        written = [_written(answer) for answer in answers]
        given[key] = written[0] if len(written) == 1 else {"each": written}
    return given


def _memory(journal: JournalFile) -> Iterator[str]:
    found = remembered_in(journal.lines)
    yield from _section("memory", {k: r.value for k, r in found.items() if r.value is not None})
    counts = {
        key: {format_duration(seconds): count for seconds, count in left.counts.items()}
        for key, left in found.items()
    }
    yield from _section("remembered", {key: one for key, one in counts.items() if one})


def _written(answer: Mapping[str, Any]) -> dict[str, Any]:
    after = answer["after"]
    rest = {key: value for key, value in answer.items() if key != "after"}
    return (
        {**rest, "after": f"{round(after * 1000, 1):.1f}ms".replace(".0ms", "ms")}
        if after
        else rest
    )


def _events(journal: JournalFile) -> Iterator[dict[str, Any]]:
    for timed in journal.script.events:
        name, fields = timed.event.name, dict(timed.event.fields)
        bare = next(iter(fields.values())) if len(fields) == 1 else fields
        yield {"t": timed.t, name: bare if fields else True}


def _expected(journal: JournalFile) -> Iterator[dict[str, Any]]:
    is_masked = journal.has_pause
    for line in journal.lines:
        kind = kind_of_line(line)
        if kind == "do":
            main = MAIN_FIELDS.get(line["do"], "")
            told = _literal(line[main], is_masked=is_masked) if main in line else "any"
            yield {"t": line["t"], line["do"]: told}
        elif kind == "act" and line["act"] not in LOCAL_ACTIONS:
            told = _told(line.get("with") or {}, is_masked=is_masked)
            yield {"t": line["t"], line["act"]: told}


def _only(journal: JournalFile) -> list[str]:
    """What may come as often as it was recorded and no more: commands, and what was asked."""
    acts = {line["act"] for line in journal.lines if kind_of_line(line) == "act"}
    return [*COMMANDS, *sorted(acts - LOCAL_ACTIONS)]


def _literal(value: Any, *, is_masked: bool) -> Any:
    """A value that stands for itself, but for stars that stand for digits."""
    if is_masked and isinstance(value, str) and "*" in value:
        return {"matching": f"^{'.+'.join(map(re.escape, re.split(_STARS, value)))}$"}
    return {"exactly": value} if value == "any" else value


_STARS = re.compile(r"\*[*\s]*\*|\*")


def _told(options: Mapping[str, Any], *, is_masked: bool) -> Any:
    """The short options of an act; long ones and answers would make the test hard to read."""
    short = {
        k: _literal(v, is_masked=is_masked)
        for k, v in options.items()
        if isinstance(v, str) and len(v) < 80
    }
    return short or "any"


def _state(journal: JournalFile) -> list[str]:
    state = _end_state(journal)
    return [f"    state: {_flow(state)}"] if isinstance(state, str) else []


def _end_state(journal: JournalFile) -> Any:
    ends = (line.get("state") for line in journal.lines if is_session_end(line))
    return next(ends, None)


# --- YAML


def _section(name: str, value: Mapping[str, Any]) -> Iterator[str]:
    if value:
        yield f"    {name}:"
        yield from (f"      {_flow(key)}: {_flow(item)}" for key, item in value.items())


def _items(name: str, items: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    rows = [f"      - {_flow(item)}" for item in items]
    if rows:
        yield f"    {name}:"
        yield from rows


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_TYPED = frozenset({"true", "false", "null"})


def _flow(value: Any) -> str:
    """A value in YAML's flow style; texts in quotes unless they are plain words."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(str(k))}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and value.lower() not in _TYPED
        return value if is_plain else printable(json.dumps(value, ensure_ascii=False))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)
