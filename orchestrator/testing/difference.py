"""The words for a failed call test: the first difference as a small timeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.testing.expectations import Difference, Match
from orchestrator.testing.timeline import Happening, describe

__all__ = ["describe_difference"]

#: Rows shown before and after the difference.
BEFORE, AFTER = 4, 4
WIDTH = 46


@dataclass(frozen=True, slots=True)
class _Row:
    t: float | None
    expected: str
    actual: str
    mark: str = " "


def describe_difference(difference: Difference) -> str:
    """What differs, where it is written, and expected beside actual around it."""
    head = difference.message
    if difference.place:
        head += f"\n  written at {difference.place}"
    rows = list(_rows(difference))
    if not rows:
        return head
    width = min(max([len(row.expected) for row in rows] + [len("expected")]), WIDTH)
    lines = [f"  {'time':>8}    {'expected':{width}}    actual"]
    lines += [_line(row, width) for row in _window(rows)]
    return head + "\n\n" + "\n".join(line.rstrip() for line in lines)


def _line(row: _Row, width: int) -> str:
    time = f"{row.t:g} s" if row.t is not None else ""
    return f"{row.mark} {time:>8}    {_cut(row.expected, width):{width}}    {_cut(row.actual, 70)}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _window(rows: list[_Row]) -> list[_Row]:
    """The rows around the difference, and what came too early before them."""
    at = next((i for i, row in enumerate(rows) if row.mark == ">"), len(rows))
    start = max(0, at - BEFORE)
    early = [row for row in rows[:start] if row.mark == "<"]
    return [*early, *rows[start : at + AFTER + 1]]


def _rows(difference: Difference) -> Iterator[_Row]:
    """Both timelines joined: met expectations beside what met them, the failed one in its time."""
    met = {id(m.happening): m for m in difference.matches if m.happening is not None}
    words = {m.expectation.word for m in difference.matches} | {"event"}
    left = [m for m in difference.matches if m.happening is None]
    failed = difference.matches[difference.at] if difference.at is not None else None
    for happening in difference.actual:
        match = met.pop(id(happening), None)
        is_culprit = happening is difference.culprit
        is_early = happening is difference.early
        if not (match or is_culprit or is_early or happening.is_outward or happening.word in words):
            continue
        while left and _is_due(left[0], happening):
            yield _left_row(left.pop(0), failed)
        if failed is not None and left and left[0] is failed and _is_instead(failed, happening):
            yield _Row(happening.t, left.pop(0).expectation.text, describe(happening), ">")
            continue
        text = match.expectation.text if match else ""
        mark = ">" if is_culprit else "<" if is_early else " "
        yield _Row(happening.t, text, describe(happening), mark)
    for rest in left:
        yield _left_row(rest, failed)


def _is_due(match: Match, happening: Happening) -> bool:
    latest = match.expectation.latest
    return latest is not None and latest < happening.t


def _is_instead(failed: Match, happening: Happening) -> bool:
    """Whether this came at the very time and under the word of the expectation that failed."""
    expectation = failed.expectation
    is_then = expectation.at is not None and expectation.at.matches(happening.t)
    return is_then and happening.word == expectation.word


def _left_row(match: Match, failed: Match | None) -> _Row:
    is_failed = match is failed
    return _Row(match.expectation.latest, match.expectation.text, "-" if is_failed else "",
                ">" if is_failed else " ")  # fmt: skip
