"""Whatever an action returns -> plain data: text, numbers, booleans, null, lists and mappings.

Templates reach into plain data only, so nothing that an action returns can be called or reached
into by a config. Size is bounded: an answer of an outside system must not eat the call's memory.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, TypeGuard
from uuid import UUID

from orchestrator.errors import ActionFailed

__all__ = [
    "MAX_BITS",
    "MAX_DEPTH",
    "MAX_TEXT",
    "MAX_VALUES",
    "is_measurement",
    "json_text",
    "plain",
    "whole_start",
    "whole_text",
]

MAX_VALUES = 20_000
MAX_TEXT = 1_000_000
MAX_DEPTH = 32
#: Some 1,200 digits: Python itself writes no whole number of more than 4,300.
MAX_BITS = 4096

_NUMBERS = frozenset({bool, int, float})


def whole_text(text: str) -> str:
    """A text that every wire can carry: half of a surrogate pair becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_start(text: str) -> tuple[str, str]:
    """A text that goes on, as whole characters, and the half of one that the rest may complete."""
    end = len(text) - 1 if text and "\ud800" <= text[-1] <= "\udbff" else len(text)
    return whole_text(text[:end]), text[end:]


def json_text(value: Any) -> str:
    """Plain data as JSON that every wire can carry; see `whole_text`."""
    return whole_text(json.dumps(value, ensure_ascii=False))


def is_measurement(value: Any) -> TypeGuard[int | float]:
    """Whether a value is a number that says something: neither true nor false, nor endless."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return value.bit_length() <= MAX_BITS if isinstance(value, int) else isfinite(value)


def plain(value: Any) -> Any:
    """The value as plain data of its own, sharing nothing that the action could change later.

    Raises:
        ActionFailed: it is something else than data, or too large.
    """
    kind = value.__class__
    if kind in _NUMBERS:
        return _number(value)
    if value is None or (kind is str and len(value) <= MAX_TEXT):
        return value
    return _convert(value, 0, [MAX_VALUES])


def _number(value: int | float) -> int | float:
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise ActionFailed("the output holds a whole number of more than 1,200 digits")
    elif not isfinite(value):
        raise ActionFailed(f"the output holds {value}, for which JSON has no word")
    return value


def _convert(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise ActionFailed(f"the output is too large: over {MAX_VALUES:,} values or too deep")
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ActionFailed(f"the output holds a text of {len(value):,} characters")
        return str(value)
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, Mapping):
        return {str(k): _convert(v, depth + 1, left) for k, v in value.items()}
    if isinstance(value, (Sequence, Set)) and not isinstance(value, (bytes, bytearray)):
        return [_convert(item, depth + 1, left) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: _convert(getattr(value, f.name), depth + 1, left) for f in fields}
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return _number(int(value) if value == value.to_integral_value() else float(value))
    if isinstance(value, UUID):
        return str(value)
    raise ActionFailed(f"the output holds a {type(value).__name__}, which is not plain data")
