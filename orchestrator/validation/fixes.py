"""Mend a text with the safe fixes of its findings; comments and layout stay as they are.

A fix is kept only if no finding appears that was not there before: a misspelt option may have
hidden a bad value. What a fix brings to light and another fix mends is fine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from orchestrator.document.text import split_lines
from orchestrator.errors import Fix, Position, Problem

__all__ = ["Mended", "apply_fixes", "mend"]

Check = Callable[[str], Sequence[Problem]]

_ROUNDS = 5


class Mended(NamedTuple):
    """The text, in how many places it was mended, and in how many a fix brings new findings."""

    text: str
    places: int = 0
    refused: int = 0


def mend(text: str, file: str, check: Check) -> Mended:
    """Mend a text as far as `check` finds nothing new in it."""
    before = check(text)
    return _mend_all(text, file, before, check) or _mend_singly(text, file, before, check)


def _mend_all(text: str, file: str, before: Sequence[Problem], check: Check) -> Mended | None:
    """Round after round, since a fix may uncover the next; None if it ends with new findings."""
    problems, total = before, 0
    for _ in range(_ROUNDS):
        text, count = apply_fixes(text, _fixes(file, problems))
        if not count:
            break
        problems, total = check(text), total + count
    return Mended(text, total) if _adds_nothing(before, problems) else None


def _mend_singly(text: str, file: str, before: Sequence[Problem], check: Check) -> Mended:
    total, refused = 0, set[Position]()
    for fix in sorted(_fixes(file, before), key=lambda fix: fix.position, reverse=True):
        mended, count = apply_fixes(text, [fix])
        if count and _adds_nothing(before, check(mended)):
            text, total = mended, total + 1
        elif count:
            refused.add(fix.position)
    return Mended(text, total, len(refused))


def _fixes(file: str, problems: Iterable[Problem]) -> set[Fix]:
    return {p.fix for p in problems if p.fix is not None and p.fix.position.file == file}


def _adds_nothing(before: Sequence[Problem], after: Sequence[Problem]) -> bool:
    return not Counter((p.code, p.message) for p in after) - Counter(
        (p.code, p.message) for p in before
    )


def apply_fixes(text: str, fixes: Iterable[Fix]) -> tuple[str, int]:
    """The text with the fixes applied, and how many were; of two at one place, only one is."""
    starts = _line_starts(text)
    count, behind = 0, len(text) + 1
    for fix in sorted(fixes, key=lambda fix: fix.position, reverse=True):
        start = starts[fix.position.line - 1] + fix.position.column - 1
        end = start + len(fix.old)
        if end <= behind and text[start:end] == fix.old:
            text, behind, count = text[:start] + fix.new + text[end:], start, count + 1
    return text, count


def _line_starts(text: str) -> list[int]:
    """Where each line begins, as the document counts lines."""
    starts, offset = [0], 0
    for line in split_lines(text)[:-1]:
        offset += len(line)
        offset += 2 if text[offset : offset + 2] == "\r\n" else 1
        starts.append(offset)
    return starts
