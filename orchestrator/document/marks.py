"""What the marks of the parser's events mean, where that is not what one would think.

A node with an anchor or a tag starts at these for the parser, and at its own text for a reader.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import yaml

from orchestrator.document.text import split_lines
from orchestrator.document.tree import Failure, Span

__all__ = ["Mark", "behind_properties", "failure_of", "start_span", "tag_of"]

_TAG = re.compile(r"(?:&[^ \t\r\n]+[ \t\r\n]+)?(![^ \t\r\n]*)")
_PROPERTIES = re.compile(r"(?:[&!][^ \t\r\n]*(?:[ \t]+#[^\r\n]*|[ \t\r\n])+)+")


class Mark(Protocol):
    """A place as the parser gives it; a span is one too."""

    @property
    def line(self) -> int:
        """The line, from 0."""

    @property
    def column(self) -> int:
        """The column, from 0."""


def start_span(event: Any) -> Span:
    """Where a mapping or list starts; for the block form that is its first key or dash."""
    start, end = event.start_mark, event.end_mark
    return Span(start.line, start.column, end.line, end.column)


def tag_of(text: str, event: Any) -> tuple[str, int, int]:
    """The tag of a node as it is written, with its line and column."""
    mark = event.start_mark
    match = _TAG.match(text, mark.index)
    if match is None:
        return event.tag, mark.line, mark.column
    return match[1], mark.line, mark.column + match.start(1) - match.start()


def behind_properties(text: str, event: Any, span: Span) -> Span:
    """The span of a node without its anchor and tag, which may stand on lines of their own."""
    match = _PROPERTIES.match(text, event.start_mark.index, event.end_mark.index)
    if match is None:
        return span._replace(line=span.end_line, column=span.end_column)
    before = split_lines(match[0])
    column = len(before[-1]) + (span.column if len(before) == 1 else 0)
    return span._replace(line=span.line + len(before) - 1, column=column)


def failure_of(error: yaml.MarkedYAMLError, last: Any) -> Failure:
    """What is known about a syntax error; `last` is the event of the last scalar before it."""
    mark, context = error.problem_mark or error.context_mark, error.context_mark
    return Failure(
        problem=f"{error.context or ''} {error.problem or ''}".strip(),
        line=mark.line if mark else 0,
        column=mark.column if mark else 0,
        context=(context.line, context.column) if context else None,
        last=start_span(last)._replace(style=last.style or "") if last is not None else None,
        last_value=last.value if last is not None else "",
    )
