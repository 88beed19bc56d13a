"""What a call test expects, and the first difference between that and what happened."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.replay import Played
from orchestrator.review.story import shown
from orchestrator.testing.matchers import Between, Fields, Matcher, deviations
from orchestrator.testing.timeline import MAIN_FIELDS, Happening, describe, happenings

__all__ = ["Difference", "Expectation", "Expected", "Match", "first_difference", "match_in_order"]

#: Seconds by which an exact time may be missed.
TOLERANCE = 0.001
#: Fields of one happening that are named because they differ.
MOST_UNLIKE = 5


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing expected, or forbidden, on the timeline. `place` is `file:line:col`."""

    word: str
    matcher: Matcher
    text: str
    place: str
    at: Between | None = None

    def accepts(self, happening: Happening) -> bool:
        """Whether this is it, at the right time."""
        return self.is_like(happening) and (self.at is None or self.at.matches(happening.t))

    def is_like(self, happening: Happening) -> bool:
        """Whether this is it, at whatever time."""
        return happening.word == self.word and self.matcher.matches(happening.value)

    @property
    def latest(self) -> float | None:
        """The time, in seconds, after which it is too late; None when it has no time."""
        if self.at is None:
            return None
        limit = self.at.high if math.isfinite(self.at.high) else self.at.low + 2 * TOLERANCE
        return round(limit - TOLERANCE, 6)


@dataclass(frozen=True, slots=True)
class Expected:
    """Everything that a call test expects of a call."""

    timeline: tuple[Expectation, ...] = ()
    never: tuple[Expectation, ...] = ()
    only: frozenset[str] = frozenset()
    data: Mapping[str, tuple[Matcher, str]] = field(default_factory=dict)
    state: tuple[Matcher, str] | None = None
    journal: tuple[tuple[Fields, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """An expectation with the happening that met it, or without."""

    expectation: Expectation
    happening: Happening | None


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference: what it is, where it was expected, and both timelines.

    `at` is the index among `matches` of the expectation that failed, `culprit` the happening that
    should not have been there, `early` one that would have met it, had it come later.
    """

    message: str
    place: str
    matches: tuple[Match, ...] = ()
    actual: tuple[Happening, ...] = ()
    at: int | None = None
    culprit: Happening | None = None
    early: Happening | None = None


def match_in_order(
    expected: Sequence[Expectation], actual: Sequence[Happening]
) -> tuple[Match, ...]:
    """Meet each expectation with the first fitting happening after the one before it."""
    matches: list[Match] = []
    start = 0
    for expectation in expected:
        found = next((i for i in range(start, len(actual)) if expectation.accepts(actual[i])), None)
        matches.append(Match(expectation, None if found is None else actual[found]))
        start = start if found is None else found + 1
    return tuple(matches)


def first_difference(expected: Expected, played: Played) -> Difference | None:
    """The first difference between what was expected and what happened, or None."""
    actual = happenings(played.clear)
    matches = match_in_order(expected.timeline, actual)
    found = [
        _missing(matches, actual, played),
        _forbidden(expected.never, matches, actual),
        _unexpected(expected.only, matches, actual),
    ]
    differences = [difference for difference in found if difference is not None]
    if differences:
        return min(differences, key=_time_of)
    at_end = _state(expected, played) or _data(expected, played) or _journal(expected, played)
    return replace(at_end, matches=matches, actual=tuple(actual)) if at_end is not None else None


def _time_of(difference: Difference) -> float:
    if difference.culprit is not None:
        return difference.culprit.t
    assert difference.at is not None  # noqa: S101 - a difference on the timeline has one of them
    expectation = difference.matches[difference.at].expectation
    return expectation.latest if expectation.latest is not None else math.inf


def _missing(
    matches: tuple[Match, ...], actual: list[Happening], played: Played
) -> Difference | None:
    at = next((i for i, match in enumerate(matches) if match.happening is None), None)
    if at is None:
        return None
    expectation = matches[at].expectation
    before = matches[at - 1].happening if at else None
    start = _index(actual, before) + 1 if before is not None else 0
    met = {id(match.happening) for match in matches}
    earlier = [h for h in actual[:start] if expectation.is_like(h) and id(h) not in met]
    is_late = any(expectation.is_like(h) for h in actual[start:])
    early = earlier[-1] if earlier and not is_late else None
    if early is not None:
        instead = f"but it came before, at {early.t:g} s: the order is another"
    else:
        instead = _instead(expectation, actual[start:])
    message = f"expected {expectation.text}{_time(expectation)}, {instead}"
    reason = _why_skipped(expectation, played) if early is None else ""
    if reason:
        message += f"\n{reason}"
    return Difference(message, expectation.place, matches, tuple(actual), at=at, early=early)


def _index(actual: list[Happening], happening: Happening) -> int:
    return next(i for i, item in enumerate(actual) if item is happening)


def _time(expectation: Expectation) -> str:
    at = expectation.at
    if at is None:
        return ""
    if at.high - at.low <= 3 * TOLERANCE:
        return f" at {expectation.latest:g} s"
    wide = Between(round(at.low + TOLERANCE, 6), round(at.high - TOLERANCE, 6))
    return f" {wide} s"


def _instead(expectation: Expectation, rest: Sequence[Happening]) -> str:
    """What came instead: the right thing at another time, or another thing at the time."""
    late = next((h for h in rest if expectation.is_like(h)), None)
    if late is not None:
        return f"but it came at {late.t:g} s"
    same = [h for h in rest if h.word == expectation.word]
    near = next((h for h in same if expectation.at and expectation.at.matches(h.t)), None)
    other = near or (same[0] if same else None)
    if other is None:
        return f"but no {expectation.word} came"
    unlike = [
        f"\n  its {path} {how}"
        for path, how in deviations(expectation.matcher, other.value)
        if path not in ("", MAIN_FIELDS.get(other.word))  # that one is shown anyway
    ]
    return f"but what came at {other.t:g} s is {describe(other)}" + "".join(unlike[:MOST_UNLIKE])


def _why_skipped(expectation: Expectation, played: Played) -> str:
    """Hooks that did not run, since one of them may have been meant to do it."""
    skips = [line for line in played.clear if line.get("ran") is False]
    if expectation.latest is not None:
        skips = [line for line in skips if line["t"] <= expectation.latest + TOLERANCE]
    texts = []
    for line in skips[-2:]:
        saw = f" (saw {shown(line['saw'])})" if line.get("saw") else ""
        texts.append(f"hook {line['hook']!r} did not run at {line['t']:g} s: {line['why']}{saw}")
    return "\n".join(texts)


def _forbidden(
    never: Sequence[Expectation], matches: tuple[Match, ...], actual: list[Happening]
) -> Difference | None:
    for happening in actual:
        for rule in never:
            if rule.accepts(happening):
                message = f"{rule.text} must never happen, but it did at {happening.t:g} s"
                return Difference(message, rule.place, matches, tuple(actual), culprit=happening)
    return None


def _unexpected(
    only: frozenset[str], matches: tuple[Match, ...], actual: list[Happening]
) -> Difference | None:
    expected = {id(match.happening) for match in matches if match.happening is not None}
    for happening in actual:
        if happening.word in only and id(happening) not in expected:
            message = f"{describe(happening)} came at {happening.t:g} s, which was not expected"
            return Difference(message, "", matches, tuple(actual), culprit=happening)
    return None


def _state(expected: Expected, played: Played) -> Difference | None:
    if expected.state is None or expected.state[0].matches(played.state):
        return None
    matcher, place = expected.state
    return Difference(f"the call was to end as {matcher}, but it is {shown(played.state)}", place)


def _data(expected: Expected, played: Played) -> Difference | None:
    for key, (matcher, place) in expected.data.items():
        value: Any = played.data.get(key)
        if not matcher.matches(value):
            return Difference(f"data.{key} was to be {matcher}, but it is {shown(value)}", place)
    return None


def _nearest(fields: Fields, played: Played) -> str:
    """The lines that come closest: those of the same kind, by the first key that is asked for."""
    key = next(iter(fields.fields), "")
    near = [line for line in played.clear if key in line][-3:]
    shown_lines = [f"{line.get('t', 0):g} s: {shown(line)}" for line in near]
    return "".join(f"\n  there is, at {text}" for text in shown_lines)


def _journal(expected: Expected, played: Played) -> Difference | None:
    start = 0
    for fields, place in expected.journal:
        lines = played.clear[start:]
        found = next((i for i, line in enumerate(lines) if fields.matches(line)), None)
        if found is None:
            message = f"no line of the journal is {fields}, in this order"
            return Difference(f"{message}{_nearest(fields, played)}", place)
        start += found + 1
    return None
