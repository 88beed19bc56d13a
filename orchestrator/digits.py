"""Digits that a caller gives while the recording is paused: card numbers, PINs.

They are hidden in all that is written while the pause lasts, and what was heard stays hidden for
the rest of the call, wherever it turns up again: put together from keys, read back, saved, as a
number. Digits may be said in words; those of a few languages are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["digits_in", "hide_digits", "hide_heard"]

#: Digits in a row that must have been heard, to be hidden later: fewer are in every text.
_FEWEST = 3
#: Words for digits: English, then German, Spanish and French.
_WORDS = {
    "zero": "0", "oh": "0", "nought": "0", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "niner": "9", "ten": "10",
    "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14", "fifteen": "15",
    "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19", "twenty": "2",
    "thirty": "3", "forty": "4", "fifty": "5", "sixty": "6", "seventy": "7", "eighty": "8",
    "ninety": "9", "hundred": "00", "thousand": "000",
    "null": "0", "eins": "1", "zwei": "2", "zwo": "2", "drei": "3", "vier": "4", "fünf": "5",
    "sechs": "6", "sieben": "7", "acht": "8", "neun": "9",
    "cero": "0", "uno": "1", "dos": "2", "tres": "3", "cuatro": "4", "cinco": "5", "seis": "6",
    "siete": "7", "ocho": "8", "nueve": "9",
    "zéro": "0", "un": "1", "deux": "2", "trois": "3", "quatre": "4", "cinq": "5", "sept": "7",
    "huit": "8", "neuf": "9",
}  # fmt: skip
#: `twice` the digit that follows.
_TIMES = {"double": 2, "triple": 3, "treble": 3}
_TOKEN = re.compile(
    rf"\b(?:{'|'.join(sorted(_TIMES | _WORDS, key=len, reverse=True))})\b|\d", re.IGNORECASE
)
#: What may stand between the digits of one number.
_GAP = re.compile(r"[\s.,:;/()_+*#-]{0,8}")


def hide_digits(text: str) -> str:
    """The text with a star for every digit, of whatever script, and for every word of one."""
    text = _TOKEN.sub("*", text)
    return "".join("*" if c.isdigit() or c.isnumeric() else c for c in text)


def digits_in(value: Any) -> str:
    """All digits in a value, in the order in which they stand there, words read as digits."""
    return "".join(digits for text in _texts(value) for _, _, digits in _tokens(text))


def hide_heard(text: str, heard: str) -> str:
    """The text with stars for the digits in it that were heard in this order."""
    found = list(_tokens(text))
    hidden: list[tuple[int, int]] = []
    for run in _runs(text, found):
        digits = "".join(token[2] for token in run)
        is_whole = run[0][0] == 0 and run[-1][1] == len(text)
        fewest = 1 if is_whole and len(digits) < _FEWEST else _FEWEST
        covered = _covered(digits, heard, fewest)
        at = 0
        for start, end, part in run:
            if any(covered[at : at + len(part)]):
                hidden.append((start, end))
            at += len(part)
    for start, end in reversed(hidden):
        text = f"{text[:start]}*{text[end:]}"
    return text


def _covered(digits: str, heard: str, fewest: int) -> list[bool]:
    """For each digit, whether it is in a row of digits that was heard."""
    covered, at = [False] * len(digits), 0
    while at < len(digits):
        length = 0
        while at + length < len(digits) and digits[at : at + length + 1] in heard:
            length += 1
        if length >= fewest:
            covered[at : at + length] = [True] * length
        at += length if length >= fewest else 1
    return covered


Token = tuple[int, int, str]


def _tokens(text: str) -> Iterator[Token]:
    """Each digit and each word of one, with its place."""
    times = 1
    for match in _TOKEN.finditer(text):
        word = match[0].lower()
        if word in _TIMES:
            times = _TIMES[word]
            continue
        digits = _WORDS[word] if word in _WORDS else str(int(word))
        yield match.start(), match.end(), digits * times
        times = 1


def _runs(text: str, tokens: list[Token]) -> Iterator[list[Token]]:
    """Digits that belong to one number."""
    run: list[Token] = []
    for token in tokens:
        if run and not _GAP.fullmatch(text[run[-1][1] : token[0]]):
            yield run
            run = []
        run.append(token)
    if run:
        yield run


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)
