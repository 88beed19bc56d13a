"""`# hooks: ignore[CODE]`: findings that the author accepts, and comments that ignore nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.document import Document
from orchestrator.errors import Position, Problem

__all__ = ["apply_ignores"]


def apply_ignores(
    problems: Iterable[Problem], documents: Sequence[Document], known: frozenset[str]
) -> list[Problem]:
    """The problems that no comment ignores, and one for each code that a comment names in vain."""
    wanted = {document.file: document.ignores for document in documents}
    kept: list[Problem] = []
    used: set[tuple[str, int, str]] = set()
    for problem in problems:
        position = problem.position
        if problem.code in wanted.get(position.file, {}).get(position.line, ()):
            used.add((position.file, position.line, problem.code))
        else:
            kept.append(problem)
    for document in documents:
        for line, codes in document.ignores.items():
            idle = [code for code in sorted(codes) if (document.file, line, code) not in used]
            kept.extend(_unused(document, line, code, known) for code in idle)
    return kept


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
        start = text.find("# hooks: ignore")
        column = text.find(code, start) if start >= 0 else -1
        if column >= 0 and not code:
            return Position(document.file, number, column + 1, len(text.rstrip()) + 1)
        if column >= 0:
            return Position(document.file, number, column + 1, column + 1 + len(code))
        if number < line and text.strip() and not text.lstrip().startswith("#"):
            break
    return Position(document.file, line, 1, 2)
