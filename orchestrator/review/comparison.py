"""Two plays of the same calls, compared: what changes for callers, per call and in total."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import UserError
from orchestrator.events import near_miss
from orchestrator.review.effects import Effect, Effects

__all__ = ["MEASURES", "RULES", "Change", "Comparison", "broken_rules", "check_rules", "compare"]

#: What is measured of a call, in the order of reports.
MEASURES: Mapping[str, Callable[[Effects], float]] = {
    "transfers": lambda e: len(e.of("transfers")),
    "ends": lambda e: len(e.of("ends")),
    "words": lambda e: sum(len(effect.what.split()) for effect in e.of("words")),
    "requests": lambda e: len(e.of("requests")),
    "controls": lambda e: len(e.of("controls")),
    "waits": lambda e: e.waits,
    "failures": lambda e: e.failures,
}

#: What a changed measure weighs against others when calls are put in order, worst first.
_WEIGHTS = {"transfers": 100.0, "ends": 100.0, "words": 1.0, "requests": 10.0, "controls": 20.0,
            "waits": 20.0, "failures": 50.0}  # fmt: skip
_STATE_WEIGHT = 100.0
_EFFECT_WEIGHT = 5.0

#: Seconds below which a difference in waiting is none: clocks are not that exact.
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """One call before and after: what is gone, what is new, and what is as it was."""

    call: str
    source: str
    before: Effects
    after: Effects
    gone: tuple[Effect, ...]
    new: tuple[Effect, ...]
    moved: tuple[tuple[Effect, Effect], ...]

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
        return bool(self.gone or self.new or self.moved or self.deltas or self.is_other_state)

    @property
    def weight(self) -> float:
        """How bad it is, to put the worst first."""
        measured = sum(abs(delta) * _WEIGHTS[name] for name, delta in self.deltas.items())
        listed = _EFFECT_WEIGHT * (len(self.gone) + len(self.new)) + len(self.moved)
        return measured + listed + _STATE_WEIGHT * self.is_other_state


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

    @property
    def unanswered(self) -> int:
        """Steps that asked an outside system of which the recordings have no answer."""
        return sum(change.after.unanswered for change in self.changes)


def compare(call: str, source: str, before: Effects, after: Effects) -> Change:
    """What changes for the caller of one call."""
    gone, new, moved = _match(before.happened, after.happened)
    return Change(call, source, before, after, gone, new, moved)


_Pairs = tuple[tuple[Effect, Effect], ...]


def _match(
    before: Iterable[Effect], after: Iterable[Effect]
) -> tuple[tuple[Effect, ...], tuple[Effect, ...], _Pairs]:
    """Pair equal effects in order of time; what has no partner is gone or new."""
    waiting: dict[tuple[str, str], list[Effect]] = {}
    for effect in before:
        waiting.setdefault((effect.kind, effect.what), []).append(effect)
    new: list[Effect] = []
    moved: list[tuple[Effect, Effect]] = []
    for effect in after:
        partners = waiting.get((effect.kind, effect.what))
        if not partners:
            new.append(effect)
            continue
        partner = partners.pop(0)
        if abs(partner.t - effect.t) > TOLERANCE:
            moved.append((partner, effect))
    gone = [effect for effects in waiting.values() for effect in effects]
    return tuple(sorted(gone, key=lambda e: e.t)), tuple(new), tuple(moved)


# --- rules


def _rules() -> Mapping[str, Callable[[Change], bool]]:
    rules: dict[str, Callable[[Change], bool]] = {
        "any": lambda change: change.is_change,
        "other-state": lambda change: change.is_other_state,
        "other-words": lambda change: any(e.kind == "words" for e in (*change.gone, *change.new)),
    }
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
