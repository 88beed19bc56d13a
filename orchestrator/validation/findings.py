"""Report what is wrong with a value of a document: its place, the near miss, the safe fix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from orchestrator.document import Document
from orchestrator.errors import Fix, Position, ProblemList, Related
from orchestrator.events import near_miss
from orchestrator.values import Place

__all__ = ["ANYTHING", "Findings", "Severity", "related", "word_fix"]

Severity = Literal["error", "warning"]


class _Anything(frozenset[str]):
    """The names of a file that is missing: any may be among them."""

    def __contains__(self, name: object) -> bool:
        return True


#: Names that broken parts would have given, when a whole file is missing.
ANYTHING: frozenset[str] = _Anything()


class Findings(ProblemList):
    """The findings of one check."""

    def at(  # noqa: PLR0913 - a finding has these parts, all but three by name
        self,
        place: Place,
        code: str,
        message: str,
        *,
        on: Position | Literal["key", "value"] = "value",
        severity: Severity = "error",
        help: str | None = None,
        related: Iterable[Related] = (),
        fix: Fix | None = None,
    ) -> None:
        """Add a finding about a value, its key, or a position inside of it."""
        if not isinstance(on, Position):
            on = place.key_position if on == "key" else place.value_position
        self.add(
            place.document.problem(
                code, message, on, severity=severity, help=help, related=related, fix=fix
            )
        )

    def is_faulty(self, place: Place) -> bool:
        """Whether there is an error in the lines of a value."""
        if not self.errors:
            return False
        first, last = place.key_position.line, place.document.value_span(*place[1:])[2] + 1
        return any(
            problem.is_error
            and problem.position.file == place.document.file
            and first <= problem.position.line <= last
            for problem in self._found.values()
        )

    def unknown(
        self, place: Place, code: str, message: str, names: Iterable[str], otherwise: str
    ) -> None:
        """Add a finding about a name that is none of `names`, with the near miss if there is one.

        `otherwise` is the advice without a near miss.
        """
        word, position = str(place.container[place.key]), place.value_position
        near = near_miss(word, names)
        fix = word_fix(place.document, position, word, near) if near else None
        self.at(
            place, code, message, fix=fix, help=f"did you mean `{near}`?" if near else otherwise
        )


def related(place: Place, words: str, *, on: Literal["key", "value"] = "key") -> Related:
    """A second place that explains a finding."""
    position = place.key_position if on == "key" else place.value_position
    return place.document.related(position, words)


def word_fix(document: Document, position: Position, old: str, new: str) -> Fix | None:
    """The fix that replaces a word of the source, between its quotes if it has any."""
    line = document.lines[position.line - 1]
    start = line.find(old, position.column - 1, position.end_column - 1)
    if start < 0:
        return None
    return Fix(Position(position.file, position.line, start + 1, start + 1 + len(old)), old, new)
