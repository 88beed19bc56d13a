"""How values behave at run time: their text, their kinds, and operations with bounded results.

Nothing here reads an attribute of a value; messages name kinds and never quote a value, since it
may be what a caller said.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from orchestrator.templates.model import MAX_TEXT

__all__ = [
    "MISSING",
    "Refusal",
    "bounded",
    "find",
    "has",
    "is_list",
    "is_number",
    "join_texts",
    "joined",
    "kind_of",
    "modulo",
    "number",
    "plus",
    "text",
    "times",
]

#: What `look` answers for a path that leads nowhere.
MISSING: Any = object()


class Refusal(ValueError):
    """A value that an operation does not take; the message completes "`<expression>`: ..."."""


def is_number(value: object) -> bool:
    """Whether a value is a number; true and false are not."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def is_list(value: object) -> bool:
    """Whether a value is a list; text is not."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "null"),
    (bool, "true or false"),
    (str, "text"),
    (int, "a whole number"),
    ((float, Decimal), "a number"),
    (Mapping, "a mapping"),
    ((list, tuple), "a list"),
)


def kind_of(value: object) -> str:
    """What a value is, in the words of the documents."""
    for types, words in _KINDS:
        if isinstance(value, types):
            return words
    return "not plain data"


def bounded(value: str) -> str:
    """The same text, unless it is too long."""
    if len(value) > MAX_TEXT:
        raise Refusal(f"the text is longer than {MAX_TEXT:,} characters")
    return value


def text(value: Any) -> str:
    """The text of a value: true and false in lower case, lists and mappings as JSON."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    if value is None:
        raise Refusal("null has no text; give one with `| default('...')`")
    return str(_plain(value))


def _float_text(value: float) -> str:
    # Fifteen digits are all that a double holds for sure: 0.1 + 0.2 is said as 0.3.
    if not math.isfinite(value):
        raise Refusal("the number is not finite")
    return repr(float(f"{value:.15g}"))


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise Refusal("the value is not plain data")


def find(value: Any, parts: Iterable[Any]) -> Any:
    """What a path leads to, or None when any part of it is missing or null."""
    try:
        for part in parts:
            value = value[part]
    except (LookupError, TypeError):
        return None
    return value


def has(value: Any, parts: Iterable[Any]) -> bool:
    """Whether every part of a path is there; null at its end counts as there."""
    try:
        for part in parts:
            value = value[part]
    except (LookupError, TypeError):
        return False
    return True


def number(value: Any) -> Any:
    """The same number."""
    if not is_number(value):
        raise Refusal(f"needs a number, not {kind_of(value)}")
    return value


def plus(left: Any, right: Any) -> Any:
    """The sum of two numbers, two texts or two lists."""
    if is_number(left) and is_number(right):
        return left + right
    if isinstance(left, str) and isinstance(right, str):
        return bounded(left + right)
    if isinstance(left, list) and isinstance(right, list) and len(left) + len(right) <= MAX_TEXT:
        return left + right
    raise Refusal(f"cannot add {kind_of(left)} and {kind_of(right)}")


def times(left: Any, right: Any) -> Any:
    """The product of two numbers, and never a text repeated."""
    product = number(left), number(right)
    if all(isinstance(side, int) for side in product):
        if left.bit_length() + right.bit_length() > 4096:
            raise Refusal("the number is too large")
        return left * right
    result = left * right
    if not math.isfinite(result):
        raise Refusal("the number is not finite")
    return result


def modulo(left: Any, right: Any) -> Any:
    """The remainder of two numbers, and never text formatting."""
    return number(left) % number(right)


def join_texts(*values: Any) -> str:
    """The texts of all values, one after the other."""
    return joined("", [text(value) for value in values])


def joined(separator: str, texts: Sequence[str]) -> str:
    """Texts joined, unless the result would be too long."""
    if sum(map(len, texts)) + len(separator) * len(texts) > MAX_TEXT + len(separator):
        raise Refusal(f"the text is longer than {MAX_TEXT:,} characters")
    return separator.join(texts)
