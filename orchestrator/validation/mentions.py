"""What is said of names that nothing gives or uses, in a config with other mistakes too.

A part that could not be read may be what gives or uses a name; but not one that the files mention
nowhere else, and that no line with a mistake has in another spelling.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.document import Document
from orchestrator.events import near_miss
from orchestrator.validation.findings import Findings

__all__ = ["Mentions"]

#: Mistakes that may stand where a var, chain or connection belonged.
_INSTEAD = {
    "var": ("HK2", "HK3", "HK42", "HK5"),
    "chain": ("HK22",),
    "connection": ("HK22", "HK234", "HK5"),
}
_OF_NAMES = frozenset({"HK237"})
_WORD = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True, slots=True)
class Mentions:
    """The texts of a config's files, and the words in lines with mistakes.

    `is_complete` says that all was read, `is_lost` that nobody knows what was not.
    """

    texts: tuple[str, ...] = ()
    doubtful: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    is_complete: bool = True
    is_lost: bool = False

    @classmethod
    def of(cls, documents: Sequence[Document], findings: Findings, *, is_whole: bool) -> Mentions:
        """The mentions in these files."""
        if not is_whole or not findings.errors:
            return cls(is_complete=is_whole, is_lost=not is_whole)
        lines = {document.file: document.lines for document in documents}
        codes = frozenset(problem.code for problem in findings.sorted() if problem.is_error)
        doubtful = {
            word
            for problem in findings.sorted()
            if problem.is_error
            for line in lines[problem.position.file][problem.position.line - 1 :][:1]
            for part in _WORD.findall(line)
            for word in (part, *part.split("."))
        }
        return cls(tuple(d.text for d in documents), frozenset(doubtful), codes, is_complete=False)

    def is_alone(self, name: str) -> bool:
        """Whether nothing that was not read can be about this name."""
        if self.is_complete or self.is_lost:
            return self.is_complete
        word = re.compile(
            rf"(?<![\w-])(?<![\w]\.){re.escape(name)}(?![\w-])|\bvars\.{re.escape(name)}\b"
        )
        if sum(len(word.findall(text)) for text in self.texts) > 1:
            return False
        return near_miss(name, self.doubtful - {name}) is None

    def is_unused(self, what: str, name: str) -> bool:
        """Whether nothing uses a var, chain or connection, nor was meant to where a mistake is."""
        is_doubtful = any(code.startswith(_INSTEAD[what]) for code in self.codes - _OF_NAMES)
        return not is_doubtful and self.is_alone(name)
