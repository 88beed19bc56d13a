"""Credentials in source lines are covered: a report must not leak what it warns of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from orchestrator.errors import Position, Problem, Related

__all__ = ["mask_secrets"]

#: Findings that mark a credential.
_MARKS = frozenset({"HK502"})


def mask_secrets(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems, with each marked credential starred out of every source line."""
    found = tuple(problems)
    spans: dict[tuple[str, int], list[Position]] = defaultdict(list)
    for problem in found:
        if problem.code in _MARKS:
            spans[problem.position.file, problem.position.line].append(problem.position)
    return tuple(_masked(problem, spans) for problem in found) if spans else found


def _masked(problem: Problem, spans: dict[tuple[str, int], list[Position]]) -> Problem:
    related = tuple(
        Related(r.position, r.message, _cover(r.source_line, r.position, spans))
        for r in problem.related
    )
    line = _cover(problem.source_line, problem.position, spans)
    return replace(problem, source_line=line, related=related)


def _cover(line: str, at: Position, spans: dict[tuple[str, int], list[Position]]) -> str:
    for span in spans.get((at.file, at.line), ()):
        start, end = span.column - 1, span.end_column - 1
        line = line[:start] + "*" * len(line[start:end]) + line[end:]
    return line
