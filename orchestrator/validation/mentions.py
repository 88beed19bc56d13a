"""What is said of names that nothing gives or uses, in a config with other mistakes too.

A part that could not be read may be what gives or uses a name; but not one that the files mention
nowhere else, and that no line with a mistake has in another spelling.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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
#: Words that names are compared with in all.
_MAX_TRIES = 100_000
_WORD = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True, slots=True)
class Mentions:
    """How often each word stands in a config's files, and the words in lines with mistakes.

    `is_complete` says that all was read, `is_lost` that nobody knows what was not.
    """

    counts: Counter[str] = field(default_factory=Counter)
    doubtful: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    is_complete: bool = True
    is_lost: bool = False
    tries: list[int] = field(default_factory=lambda: [_MAX_TRIES])

    @classmethod
    def of(cls, documents: Sequence[Document], findings: Findings, *, is_whole: bool) -> Mentions:
        """The mentions in these files."""
        if not is_whole or not findings.errors:
            return cls(is_complete=is_whole, is_lost=not is_whole)
        lines = {document.file: document.lines for document in documents}
        errors = [problem for problem in findings.sorted() if problem.is_error]
        places = {(problem.position.file, problem.position.line) for problem in errors}
        doubtful = {
            word
            for file, number in places
            for line in lines[file][number - 1 : number]
            for word in _words(line)
        }
        counts = Counter(word for document in documents for word in _words(document.text))
        codes = frozenset(problem.code for problem in errors)
        return cls(counts, frozenset(doubtful), codes, is_complete=False)

    def is_alone(self, name: str) -> bool:
        """Whether nothing that was not read can be about this name."""
        if self.is_complete or self.is_lost:
            return self.is_complete
        if _WORD.fullmatch(name) is None or self.counts[name] > 1:
            return False
        self.tries[0] -= len(self.doubtful)
        return self.tries[0] > 0 and near_miss(name, self.doubtful - {name}) is None

    def is_unused(self, what: str, name: str) -> bool:
        """Whether nothing uses a var, chain or connection, nor was meant to where a mistake is."""
        is_doubtful = any(code.startswith(_INSTEAD[what]) for code in self.codes - _OF_NAMES)
        return not is_doubtful and self.is_alone(name)


def _words(text: str) -> Iterator[str]:
    """The words of a text, and the parts of those with dots."""
    for word in _WORD.findall(text):
        yield word
        if "." in word:
            yield from word.split(".")
