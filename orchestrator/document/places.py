"""Where each character of a scalar's value stands in the source.

A value differs from its source by quotes, escapes, indentation and folded lines. The rules are read
backwards here: the source is walked as a parser does, and the value tells when to stop.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.document.tree import Span

__all__ = ["Place", "places"]

_DOUBLE = re.compile(r"\\(?:x..|u.{4}|U.{8}|.?)|.")
_SINGLE = re.compile("''|.")
_PLAIN = re.compile(".")
_CHARACTERS = {'"': _DOUBLE, "'": _SINGLE, "": _PLAIN}
_BLANKS = " \t"


class Place(NamedTuple):
    """A character of a value: line and column from 0, and its width in the source."""

    line: int
    column: int
    width: int = 1


def places(lines: Sequence[str], span: Span, value: str) -> list[Place] | None:
    """The place of every character, or None if `value` is not what the source at `span` says."""
    if span.style == "|":
        found = _literal(lines, span, value)
    elif span.style == ">":
        found = _folded(lines, span, value)
    else:
        found = _flow(lines, span)
    return found if found is not None and len(found) == len(value) else None


def _flow(lines: Sequence[str], span: Span) -> list[Place]:
    """Plain and quoted text: lines are stripped and joined by a space, blank lines break."""
    found: list[Place] = []
    width = 1 if span.style else 0
    line, column = span.line, span.column + width
    while True:
        is_last = line >= span.end_line
        end = span.end_column - width if is_last else len(lines[line])
        row = _row(lines[line], line, (column, end), span.style)
        is_escaped = not is_last and span.style == '"' and _ends_in_backslash(row, lines[line])
        if is_escaped:
            row.pop()
        elif not is_last:
            row = _strip_end(row, lines[line])
        found += row
        if is_last:
            return found
        break_place = Place(line, row[-1].column + row[-1].width if row else column)
        line += 1
        blank_from = line
        while line < span.end_line and not lines[line].strip(_BLANKS):
            line += 1
        blanks = [Place(n, len(lines[n])) for n in range(blank_from, line)]
        found += blanks or ([] if is_escaped else [break_place])
        column = len(lines[line]) - len(lines[line].lstrip(_BLANKS))


def _row(text: str, line: int, columns: tuple[int, int], style: str) -> list[Place]:
    """The characters of one line, an escape being one."""
    matches = _CHARACTERS[style].finditer(text, *columns)
    return [Place(line, m.start(), m.end() - m.start()) for m in matches]


def _ends_in_backslash(row: list[Place], text: str) -> bool:
    """Whether the row ends in a backslash that escapes the line break."""
    return bool(row) and text[row[-1].column :] == "\\"


def _strip_end(row: list[Place], text: str) -> list[Place]:
    """The row without the blanks at its end; an escaped blank stays."""
    while row and row[-1].width == 1 and text[row[-1].column] in _BLANKS:
        row.pop()
    return row


def _literal(lines: Sequence[str], span: Span, value: str) -> list[Place] | None:
    """Literal blocks: each line of the value is a line of the source behind the indentation."""
    found: list[Place] = []
    for line, text in enumerate(value.split("\n"), span.line + 1):
        source = lines[line] if line < len(lines) else ""
        if not source.endswith(text):
            return None
        indent = len(source) - len(text)
        found += [Place(line, indent + n) for n in range(len(text))]
        found.append(Place(line, len(source)))
    return found[: len(value)]


def _folded(lines: Sequence[str], span: Span, value: str) -> list[Place] | None:
    """Folded blocks: the indentation is that of the first text, or less if the header says so."""
    first = next((n for n in range(span.line + 1, len(lines)) if lines[n].strip(" ")), None)
    if first is None:
        return [Place(min(span.line + 1 + n, len(lines) - 1), 0) for n in range(len(value))]
    widest = len(lines[first]) - len(lines[first].lstrip(" "))
    for indent in range(widest, -1, -1):
        found = _unfold(lines, span.line + 1, indent, value)
        if found is not None:
            return found
    return None


def _unfold(lines: Sequence[str], line: int, indent: int, value: str) -> list[Place] | None:
    """The places if the block is indented by `indent`; None if the value contradicts that."""
    found, line = _skip_blanks(lines, line, indent)
    while len(found) < len(value):
        text = lines[line][indent:] if line < len(lines) else ""
        if not text or not value.startswith(text, len(found)):
            return None
        found += [Place(line, indent + n) for n in range(len(text))]
        breaks, after = _skip_blanks(lines, line + 1, indent)
        is_end = not value[len(found) :].strip("\n")
        following = "" if is_end or after >= len(lines) else lines[after][indent:]
        is_kept = is_end or text[0] in _BLANKS or following[:1] in (" ", "\t")
        if is_kept or not breaks:
            breaks = [Place(line, len(lines[line])), *breaks]
        found += breaks
        line = after
    return found[: len(value)]


def _skip_blanks(lines: Sequence[str], line: int, indent: int) -> tuple[list[Place], int]:
    """The breaks of the blank lines from here, and the next line that has text."""
    breaks: list[Place] = []
    while line < len(lines) and len(lines[line]) <= indent and not lines[line].strip(" "):
        breaks.append(Place(line, len(lines[line])))
        line += 1
    return breaks, line
