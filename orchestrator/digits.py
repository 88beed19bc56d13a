"""Digits that a caller gives while the recording is paused: card numbers, PINs.

They are hidden in all that is written while the pause lasts, and what was heard stays hidden for
the rest of the call, wherever it turns up again: put together from keys, read back, saved, as a
number. Digits may be said in words; see `numberwords`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.numbervalues import valued
from orchestrator.numberwords import Token, tokens

__all__ = ["digits_in", "hide_digits", "hide_heard"]

#: Digits in a row that must have been heard, to be hidden later: fewer are in every text.
_FEWEST = 3
#: What may stand between the digits of one number.
_GAP = re.compile(r"[\s.,:;/()_+*#-]{0,8}(?:(?:and|und|y|et)[\s.,-]{0,4})?", re.IGNORECASE)


def hide_digits(text: str, digit: str = "*", word: str = "*") -> str:
    """The text with a star for every digit, of whatever script, and for every word of one.

    `digit` and `word` stand for them instead of the star.
    """
    text = _put(text, list(tokens(text)), digit, word)
    return "".join(digit if _is_digit(c) else c for c in text)


def _put(text: str, hidden: list[Token], digit: str, word: str) -> str:
    """The text with something else in the places of tokens."""
    for token in reversed(hidden):
        is_word = not any(map(_is_digit, text[token.start : token.end]))
        text = f"{text[: token.start]}{word if is_word else digit}{text[token.end :]}"
    return text


def _is_digit(letter: str) -> bool:
    return letter.isdigit() or letter.isnumeric()


def digits_in(value: Any) -> str:
    """All digits in a value, in the order in which they stand there, words read as digits.

    Where numbers are said with hundreds there are two readings, 40012 and 412 of `four hundred and
    twelve`. They stand side by side, the digits as they were said at both ends: what was given
    before, and what comes next, goes on with them.
    """
    said, meant = "", ""
    for text in _texts(value):
        for run in _runs(text, list(tokens(text))):
            said += _digits(run)
            meant += _digits(list(valued(run)))
    return said if said == meant else f"{said} {meant} {said}"


def hide_heard(text: str, heard: str, digit: str = "*", word: str = "*") -> str:
    """The text with stars for the digits in it that were heard in this order.

    Groups of digits that were heard count in any order, if there are several side by side: a number
    is given, and read back, in groups.
    """
    hidden: list[Token] = []
    for run in _runs(text, list(tokens(text))):
        is_whole = run[0].start == 0 and run[-1].end == len(text)
        known = {token.start for token in _known(run, heard, is_whole=is_whole)}
        meant = list(valued(run))
        if _digits(meant) != _digits(run):
            numbers = list(_known(meant, heard, is_whole=is_whole))
            known |= {token.start for token in _within(run, numbers)}
        hidden += [token for token in run if token.start in known]
    return _put(text, hidden, digit, word)


def _within(run: list[Token], numbers: list[Token]) -> Iterator[Token]:
    """Those of a run that are parts of these numbers."""
    at = 0
    for token in run:
        while at < len(numbers) and numbers[at].end <= token.start:
            at += 1
        if at < len(numbers) and numbers[at].start <= token.start:
            yield token


def _digits(run: list[Token]) -> str:
    return "".join(token.digits for token in run)


def _known(run: list[Token], heard: str, *, is_whole: bool) -> Iterator[Token]:
    """Those of a run that have digits which were heard in this order."""
    digits = _digits(run)
    fewest = 1 if is_whole and len(digits) < _FEWEST else _FEWEST
    covered = _covered(digits, heard, fewest)
    groups = [place for place in _groups(run) if digits[place] in heard]
    for place in groups if len(groups) > 1 else ():
        covered[place] = [True] * len(covered[place])
    at = 0
    for token in run:
        if any(covered[at : at + len(token.digits)]):
            yield token
        at += len(token.digits)


def _covered(digits: str, heard: str, fewest: int) -> list[bool]:
    """For each digit, whether it is in a row of digits that was heard."""
    covered = [False] * len(digits)
    for at in range(len(digits) - fewest + 1):
        if digits[at : at + fewest] in heard:
            covered[at : at + fewest] = [True] * fewest
    return covered


def _groups(run: list[Token]) -> Iterator[slice]:
    """Where in the digits of a run those of two or more stand that nothing separates."""
    first = end = 0
    for token, after in zip(run, [*run[1:], None], strict=True):
        end += len(token.digits)
        if after is None or after.start > token.end:
            if end - first > 1:
                yield slice(first, end)
            first = end


def _runs(text: str, found: list[Token]) -> Iterator[list[Token]]:
    """Digits that belong to one number."""
    run: list[Token] = []
    for token in found:
        if run and not _GAP.fullmatch(text[run[-1].end : token.start]):
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
