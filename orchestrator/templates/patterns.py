"""Patterns for `is matching` and `is containing_any`: RE2, so no speech can stall a call.

Both ignore upper and lower case, since they are about speech. A list of plain words needs no
regular expression at all on ASCII text, where lower-casing is exactly what RE2 would do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

from orchestrator.templates.values import Refusal, kind_of

__all__ = ["BadPattern", "compile_pattern", "compile_phrases"]

_MAX_MEMORY = 2 << 20
_PLAIN = re.compile(r"[a-z0-9 ',_@-]+(?:\|[a-z0-9 ',_@-]+)*", re.ASCII)


class BadPattern(ValueError):
    """A pattern that RE2 refuses; `fragment` is the part that it names."""

    def __init__(self, message: str, fragment: str = "") -> None:
        super().__init__(message)
        self.fragment = fragment


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Callable[[object], bool]:
    """A function that says whether the pattern occurs in a text.

    Raises:
        BadPattern: the pattern is no regular expression of RE2.
    """
    if _PLAIN.fullmatch(pattern.lower()) and pattern.isascii():
        # Plain words need RE2 only for texts beyond ASCII, and are certainly a pattern of it.
        return _search_words(
            tuple(pattern.lower().split("|")), cache(lambda: _compile_re2(pattern))
        )
    return _compile_re2(pattern)


@lru_cache(maxsize=512)
def compile_phrases(phrases: Sequence[str]) -> Callable[[object], bool]:
    """A function that says whether one of the phrases occurs in a text as whole words."""
    body = "|".join(r"\s+".join(map(_escape, phrase.split())) for phrase in phrases)
    return _compile_re2(rf"(?:^|[^\pL\pN_])(?:{body})(?:$|[^\pL\pN_])")


def _escape(word: str) -> str:
    return re.sub(r"([^\w])", r"\\\1", word, flags=re.ASCII) if word.isascii() else re.escape(word)


def _compile_re2(pattern: str) -> Callable[[object], bool]:
    import re2

    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        find = re2.compile(pattern.encode("utf-8", "replace"), options).search
    except re2.error as error:
        raise _explain(error) from None

    def search(value: object) -> bool:
        if not isinstance(value, str):
            raise Refusal(f"a pattern needs text, not {kind_of(value)}")
        return find(value.encode("utf-8", "replace")) is not None

    return search


def _explain(error: Exception) -> BadPattern:
    reason = error.args[0] if error.args else ""
    words = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    if "perl operator" in words:
        words = words.replace("invalid perl operator", "no look-around or back-reference in RE2")
    return BadPattern(words, words.rpartition(": ")[2] if ": " in words else "")


def _search_words(
    words: tuple[str, ...], search: Callable[[], Callable[[object], bool]]
) -> Callable[[object], bool]:
    def search_words(value: object) -> bool:
        if type(value) is not str or not value.isascii():
            return search()(value)
        lowered = value.lower()
        for word in words:  # noqa: SIM110 - `any` with a generator takes twice as long
            if word in lowered:
                return True
        return False

    return search_words
