"""`# hooks: ignore[CODE]`: findings that the author accepts, and comments that ignore nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from orchestrator.document import Document
from orchestrator.errors import Position, Problem

__all__ = ["apply_ignores"]

#: How the comment may be written; the last of a line is the comment, text before it is in quotes.
_COMMENT = re.compile(r"#[ \t]*hooks:[ \t]*ignore\b")


def apply_ignores(
    problems: Iterable[Problem], documents: Sequence[Document], known: frozenset[str]
) -> list[Problem]:
    """The problems that no comment ignores, and one for each code that a comment names in vain.

    While there are errors, a code that exists may have its reason behind one of them.
    """
    wanted = {document.file: document for document in documents}
    kept: list[Problem] = []
    used: set[tuple[str, int, str]] = set()
    for problem in problems:
        line = _ignored_at(problem, wanted.get(problem.position.file))
        if line is None:
            kept.append(problem)
        else:
            used.add((problem.position.file, line, problem.code))
    is_hidden = any(problem.is_error for problem in kept)  # what is broken was not looked into
    for document in documents:
        for line, codes in document.ignores.items():
            idle = [code for code in sorted(codes) if (document.file, line, code) not in used]
            idle = [code for code in idle if code not in known or not is_hidden]
            kept.extend(_unused(document, line, code, known) for code in idle)
    return kept


def _ignored_at(problem: Problem, document: Document | None) -> int | None:
    """The line whose comment ignores a problem: its own, or the header of the text around it."""
    if document is None:
        return None
    line = problem.position.line
    lines = (line, document.headers.get(line, line))
    return next((n for n in lines if problem.code in document.ignores.get(n, ())), None)


def _unused(document: Document, line: int, code: str, known: frozenset[str]) -> Problem:
    if not code:
        message, position = (
            "this comment names no code, and ignores nothing",
            _find(document, line, ""),
        )
        hint = "name what is ignored: `# hooks: ignore[HK401]`"
        return document.problem("HK121", message, position, severity="warning", help=hint)
    message = f"nothing on this line is {code}" if code in known else f"there is no code {code!r}"
    position = _find(document, line, code)
    return document.problem(
        "HK121", message, position, severity="warning", help="remove it from the comment"
    )


def _find(document: Document, line: int, code: str) -> Position:
    """Where the comment names the code: on the line, or in the comments right above it."""
    for number in range(line, 0, -1):
        text = document.lines[number - 1]
        start = max((match.start() for match in _COMMENT.finditer(text)), default=-1)
        column = text.find(code, start) if start >= 0 else -1
        if column >= 0 and not code:
            return Position(document.file, number, column + 1, len(text.rstrip()) + 1)
        if column >= 0:
            return Position(document.file, number, column + 1, column + 1 + len(code))
        if number < line and text.strip() and not text.lstrip().startswith("#"):
            break
    return Position(document.file, line, 1, 2)
