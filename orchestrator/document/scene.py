"""What the checks of a syntax error look at: the text around the place where the parser gave up."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.document.tree import Failure, Span

__all__ = ["COMMENT", "Lines", "at", "character_of", "line_of", "opening_of"]

Lines = Sequence[str]

COMMENT = re.compile(r"\s+#.*")


def at(line: int, column: int, length: int = 1) -> Span:
    """A span on one line."""
    return Span(line, column, line, column + length)


def line_of(lines: Lines, number: int) -> str:
    """The line of this number, empty outside of the file."""
    return lines[number] if 0 <= number < len(lines) else ""


def character_of(failure: Failure, lines: Lines) -> str:
    """The character the parser stumbled over; nothing at the end of a line or of the file."""
    return line_of(lines, failure.line)[failure.column : failure.column + 1]


def opening_of(failure: Failure, lines: Lines) -> str:
    """The first character of what the parser was reading."""
    if failure.context is None:
        return ""
    line, column = failure.context
    return line_of(lines, line)[column : column + 1]
