"""Two plays of the same calls, compared: what changes for callers, per call and in total."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.errors import UserError
from orchestrator.events import near_miss
from orchestrator.review.effects import Effect, Effects

__all__ = [
    "KINDS",
    "MEASURES",
    "RULES",
    "Change",
    "Comparison",
    "broken_rules",
    "check_rules",
    "compare",
    "differences",
]

#: What is measured of a call, in the order of reports.
MEASURES: Mapping[str, Callable[[Effects], float]] = {
    "transfers": lambda e: len(e.of("transfers")),
    "ends": lambda e: len(e.of("ends")),
    "words": lambda e: sum(len(effect.what.split()) for effect in e.of("words")),
    "requests": lambda e: len(e.of("requests")),
    "controls": lambda e: len(e.of("controls")),
    "memory": lambda e: len(e.of("memory")),
    "waits": lambda e: e.waits,
    "failures": lambda e: e.failures,
}

#: Kinds of effects, each a measure too.
KINDS = ("transfers", "ends", "words", "requests", "controls", "memory")

#: What a changed measure weighs against others when calls are put in order, worst first.
_WEIGHTS = {"transfers": 100.0, "ends": 100.0, "words": 1.0, "requests": 10.0, "controls": 20.0,
            "memory": 5.0, "waits": 20.0, "failures": 50.0}  # fmt: skip
_STATE_WEIGHT = 100.0
#: The same for each effect that is gone, new or another than it was.
_EFFECT_WEIGHTS = {"transfers": 50.0, "ends": 50.0, "words": 5.0, "requests": 5.0,
                   "controls": 10.0, "memory": 2.0}  # fmt: skip

#: Seconds below which a difference in waiting is none: clocks are not that exact.
TOLERANCE = 0.05
#: Seconds by which times that were measured during a call may differ.
MEASURED = 2.0

Pairs = tuple[tuple[Effect, Effect], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One call before and after.

    What is gone, what is new, what happens at another time (`moved`) or in another way (`altered`).
    `has_pause`: its recording was paused, and the digits of that time are not known.
    """

    call: str
    source: str
    before: Effects
    after: Effects
    gone: tuple[Effect, ...]
    new: tuple[Effect, ...]
    moved: Pairs
    altered: Pairs = ()
    has_pause: bool = False

    def changed(self, kind: str) -> int:
        """How many effects of a kind are others than before: one gone and one new are one."""
        gone = sum(effect.kind == kind for effect in self.gone)
        new = sum(effect.kind == kind for effect in self.new)
        return max(gone, new) + sum(effect.kind == kind for effect, _ in self.altered)

    @property
    def deltas(self) -> Mapping[str, float]:
        """How much more of each measure, where it differs."""
        found = {}
        for name, measure in MEASURES.items():
            delta = round(measure(self.after) - measure(self.before), 3)
            if abs(delta) > (TOLERANCE if name == "waits" else 0):
                found[name] = delta
        return found

    @property
    def is_other_state(self) -> bool:
        """Whether the call ends in another way."""
        return self.before.state != self.after.state

    @property
    def is_change(self) -> bool:
        """Whether anything differs."""
        listed = self.gone or self.new or self.moved or self.altered
        return bool(listed or self.deltas or self.is_other_state)

    @property
    def weight(self) -> float:
        """How bad it is, to put the worst first."""
        measured = sum(abs(delta) * _WEIGHTS[name] for name, delta in self.deltas.items())
        listed = sum(_EFFECT_WEIGHTS[kind] * self.changed(kind) for kind in KINDS)
        return measured + listed + len(self.moved) + _STATE_WEIGHT * self.is_other_state


@dataclass(frozen=True, slots=True)
class Comparison:
    """All calls, in the order played."""

    changes: tuple[Change, ...]

    @property
    def changed(self) -> list[Change]:
        """The calls that change, worst first."""
        found = [change for change in self.changes if change.is_change]
        return sorted(found, key=lambda change: (-change.weight, change.call, change.source))

    def totals(self) -> Mapping[str, tuple[float, float]]:
        """Each measure over all calls, before and after."""
        return {
            name: (
                round(sum(measure(c.before) for c in self.changes), 3),
                round(sum(measure(c.after) for c in self.changes), 3),
            )
            for name, measure in MEASURES.items()
        }

    def changed_of(self, kind: str) -> int:
        """How many effects of a kind are others than before, over all calls."""
        return sum(change.changed(kind) for change in self.changes)

    @property
    def unanswered(self) -> int:
        """Steps that asked an outside system of which the recordings have no answer."""
        return sum(change.after.unanswered for change in self.changes)

    @property
    def paused(self) -> int:
        """Calls whose recording was paused."""
        return sum(change.has_pause for change in self.changes)


def compare(call: str, source: str, before: Effects, after: Effects) -> Change:
    """What changes for the caller of one call."""
    was: dict[tuple[str, str], list[Effect]] = {}
    for effect in before.happened:
        was.setdefault((effect.kind, effect.what), []).append(effect)
    new: list[Effect] = []
    pairs: list[tuple[Effect, Effect]] = []
    odd: list[Effect] = []
    for effect in after.happened:
        partner = _take(was.get((effect.kind, effect.what), []), effect)
        if partner is None:
            odd.append(effect)
        else:
            pairs.append((partner, effect))
    altered: list[tuple[Effect, Effect]] = []
    for effect in odd:  # the same thing, done in another way
        left = was.get((effect.kind, effect.what))
        if left:
            altered.append((left.pop(0), effect))
        else:
            new.append(effect)
    gone = sorted((effect for effects in was.values() for effect in effects), key=lambda e: e.t)
    moved = tuple((a, b) for a, b in pairs if abs(a.t - b.t) > TOLERANCE)
    return Change(call, source, before, after, tuple(gone), tuple(new), moved, tuple(altered))


def _take(waiting: list[Effect], effect: Effect) -> Effect | None:
    """Take the first that was done in the same way."""
    for number, other in enumerate(waiting):
        if not differences(other.details, effect.details):
            return waiting.pop(number)
    return None


def differences(before: Any, after: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two details differ: `(path, before, after)`, None for what is not there.

    Times measured during a call (fractions of seconds, timestamps) are never quite the same when
    it is played again; those that lie within `MEASURED` seconds of each other are equal.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = dict.fromkeys([*before, *after])
        inner = [(f"{path}.{n}" if path else str(n), before.get(n), after.get(n)) for n in names]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        inner = [(f"{path}[{n}]", *pair) for n, pair in enumerate(zip(before, after, strict=True))]
    elif before == after or _is_close(before, after):
        return []
    else:
        return [(path, before, after)]
    return [found for name, one, other in inner for found in differences(one, other, name)]


def _is_close(before: Any, after: Any) -> bool:
    one, other = _measured(before), _measured(after)
    return one is not None and other is not None and abs(one - other) <= MEASURED


def _measured(value: Any) -> float | None:
    """Seconds that a measured value stands for; None for values that somebody chose."""
    if isinstance(value, float) and not value.is_integer():
        return value
    if isinstance(value, str) and len(value) >= len("2026-01-05T12:00:00"):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(value).timestamp()
    return None


# --- rules


def _rules() -> Mapping[str, Callable[[Change], bool]]:
    rules: dict[str, Callable[[Change], bool]] = {
        "any": lambda change: change.is_change,
        "other-state": lambda change: change.is_other_state,
    }
    for kind in KINDS:
        rules[f"other-{kind}"] = lambda change, kind=kind: change.changed(kind) > 0  # type: ignore[misc]
    for name in MEASURES:
        rules[f"more-{name}"] = lambda change, name=name: change.deltas.get(name, 0) > 0  # type: ignore[misc]
        rules[f"fewer-{name}"] = lambda change, name=name: change.deltas.get(name, 0) < 0  # type: ignore[misc]
    return rules


#: Rule for CI -> whether a changed call breaks it.
RULES: Mapping[str, Callable[[Change], bool]] = _rules()


def check_rules(text: str) -> tuple[str, ...]:
    """The rules of a list such as `more-transfers,any`.

    Raises:
        UserError: there is no such rule; names the near miss and all of them.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in RULES:
            near = near_miss(name, RULES)
            hint = f"did you mean {near!r}? " if near else ""
            raise UserError(f"no rule {name!r}; {hint}rules: {', '.join(RULES)}")
    return names


def broken_rules(comparison: Comparison, names: Sequence[str]) -> Mapping[str, int]:
    """How many calls break each rule, for those that are broken."""
    counts: Counter[str] = Counter()
    for change in comparison.changes:
        counts.update(name for name in names if RULES[name](change))
    return {name: counts[name] for name in names if counts[name]}
