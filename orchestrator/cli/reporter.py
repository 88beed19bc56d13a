"""The one place that words findings for people: a frame with the source line, and a summary.

::

    error[HK105]: unknown key `timout` in step `crm_lookup`
     --> support.yaml:14:9
       |
    14 |         timout: 800ms
       |         ^^^^^^
       = help: did you mean `timeout`?
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from orchestrator.errors import Position, Problem

__all__ = ["Painter", "frame", "plural", "summary", "wants_color"]

_CODES = {"error": "31;1", "warning": "33;1", "note": "36", "dim": "34;1", "bold": "1"}
#: Characters of a source line around the mark; the rest is cut off.
_WIDTH = 110


class Painter:
    """Paints words, or leaves them plain."""

    def __init__(self, *, is_on: bool = False) -> None:
        self.is_on = is_on

    def __call__(self, style: str, text: str) -> str:
        """The text in a style."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.is_on and text else text


def wants_color(stream: TextIO | None = None) -> bool:
    """Whether colours are for a person at a terminal, who has not said no (`NO_COLOR`)."""
    stream = sys.stdout if stream is None else stream
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def frame(problem: Problem, painter: Painter | None = None) -> str:
    """One finding with its source line, its related places and its help."""
    paint = painter or Painter()
    places = [problem.position, *(other.position for other in problem.related)]
    margin = max(len(str(place.line)) for place in places)
    head = paint(problem.severity, f"{problem.severity}[{problem.code}]")
    lines = [f"{head}: {paint('bold', problem.message)}"]
    lines += _source(problem.position, problem.source_line, margin, (paint, problem.severity, "^"))
    for other in problem.related:
        lines.append(f"{' ' * margin} {paint('dim', '=')} note: {other.message}")
        lines += _source(other.position, other.source_line, margin, (paint, "note", "-"))
    if problem.help:
        lines.append(f"{' ' * margin} {paint('dim', '=')} help: {problem.help}")
    return "\n".join(lines)


def _source(
    position: Position, line: str, margin: int, style: tuple[Painter, str, str]
) -> list[str]:
    paint, color, mark = style
    column, width = position.column, max(1, position.end_column - position.column)
    text, column = _cut(line.replace("\t", " "), column)
    bar, space = paint("dim", "|"), " " * margin
    marks = paint(color, mark * max(1, min(width, len(text) - column + 1)))
    number = paint("dim", str(position.line).rjust(margin))
    return [
        f"{space}{paint('dim', '-->')} {position}",
        f"{space} {bar}",
        f"{number} {bar} {text}".rstrip(),
        f"{space} {bar} {' ' * (column - 1)}{marks}",
    ]


def _cut(line: str, column: int) -> tuple[str, int]:
    """A part of a long line around the column, and the column in that part."""
    if len(line) <= _WIDTH:
        return line, column
    start = max(0, column - _WIDTH // 2)
    head = "..." if start else ""
    tail = "..." if start + _WIDTH < len(line) else ""
    return f"{head}{line[start : start + _WIDTH]}{tail}", column - start + len(head)


def summary(problems: Sequence[Problem], files: int, skipped: Iterable[str] = ()) -> str:
    """One line: how many findings in how many files, and what was passed over."""
    errors = sum(problem.is_error for problem in problems)
    warnings = len(problems) - errors
    found = [plural(errors, "error")] if errors else []
    found += [plural(warnings, "warning")] if warnings else []
    line = f"{plural(files, 'file')} checked: {' and '.join(found) or 'no problems'}"
    passed = list(skipped)
    if len(passed) > 3:
        return f"{line}; {plural(len(passed), 'other file')} passed over"
    return f"{line}; passed over: {', '.join(passed)}" if passed else line


def plural(number: int, word: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
