"""Apply safe fixes to the text of a file; comments and layout stay as they are."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.document.text import split_lines
from orchestrator.errors import Problem

__all__ = ["apply_fixes"]


def apply_fixes(text: str, file: str, problems: Iterable[Problem]) -> tuple[str, int]:
    """The text with the fixes of this file's problems applied, and how many were.

    Where two fixes touch the same place, only the first is applied.
    """
    fixes = {p.fix for p in problems if p.fix is not None and p.fix.position.file == file}
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
