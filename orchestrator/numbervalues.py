"""The values of numbers said with hundreds and thousands: `four hundred and twelve` is 412.

Whoever says so may mean the digits 4, 1, 2 as well as 400 and 12: both readings count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.numberwords import Token

__all__ = ["valued"]


def valued(run: Sequence[Token]) -> Iterator[Token]:
    """The tokens of a run, with those that are one number in one, which has its value's digits."""
    numbers = list(_whole(run))
    at = 0
    while at < len(numbers):
        count, value = _number(numbers, at)
        last = numbers[at + count - 1]
        yield numbers[at] if value is None else Token(numbers[at].start, last.end, str(value))
        at += count


def _whole(run: Sequence[Token]) -> Iterator[Token]:
    """Numerals that nothing separates, as one."""
    held: Token | None = None
    for token in run:
        is_numeral = token.end - token.start == 1
        if held is not None and is_numeral and held.end == token.start:
            held = Token(held.start, token.end, held.digits + token.digits)
            continue
        if held is not None:
            yield held
        held = token if is_numeral else None
        if held is None:
            yield token
    if held is not None:
        yield held


def _number(numbers: Sequence[Token], at: int) -> tuple[int, int | None]:
    """How many tokens from here are one number, and its value; None where it has no scale."""
    thousands, below, end = 0, 0, at
    while end < len(numbers):
        token = numbers[end]
        if token.scale == 1000 and not thousands and below < 1000:
            thousands, below = (below or 1) * 1000, 0
        elif token.scale == 100 and below < 100:
            below = (below or 1) * 100
        elif not token.scale and _fits(numbers, end, thousands, below):
            below += int(token.digits)
        else:
            break
        end += 1
    is_one = any(token.scale for token in numbers[at:end]) or end - at > 1
    return max(end - at, 1), thousands + below if is_one else None


def _fits(numbers: Sequence[Token], at: int, thousands: int, below: int) -> bool:
    """Whether a number goes on with this one: below a hundred behind hundreds, as its beginning."""
    digits = numbers[at].digits
    if not digits or digits[0] == "0" or len(digits) > 3:
        return False
    if below == 0:
        return True
    begins_another = at + 1 < len(numbers) and numbers[at + 1].scale == 100
    return below % 100 == 0 and len(digits) < 3 and not begins_another
