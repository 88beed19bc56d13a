"""Words about written values: what they are, and how they were probably meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "BOOLEANS",
    "FALSE_WORDS",
    "TRUE_WORDS",
    "duration_hint",
    "kind_of",
    "listed",
    "with_one_more",
]

#: Words that other languages, and YAML 1.1, read as true or false.
BOOLEANS: Mapping[str, str] = {"yes": "true", "on": "true", "no": "false", "off": "false"}
#: Texts that are written where nothing is meant to be true, and how that is written.
FALSE_WORDS: Mapping[str, str] = {
    "no": "false", "n": "false", "off": "false", "false": "false", "f": "false", "0": "0",
    "~": "null", "null": "null", "none": "null", "nil": "null",
}  # fmt: skip

TRUE_WORDS = frozenset({"yes", "y", "on", "true", "t", "1"})

_UNITS: Mapping[str, tuple[str, ...]] = {
    "ms": ("ms", "msec", "millis", "millisecond", "milliseconds"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def kind_of(value: Any) -> str:
    """What a value of a document is, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"text {value[:40]!r}" if value else "an empty text"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "a mapping"


def duration_hint(text: str) -> str:
    """How a text that is no duration should be written."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return "write 500ms, 8s, 2m or 1h"
    unit = _UNIT_OF.get(match[2].lower())
    return f"write {match[1]}{unit}" if unit else f"write {match[1]}s or {match[1]}ms"


def listed(names: Any) -> str:
    """Names one after another, in code quotes."""
    quoted = [f"`{name}`" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def with_one_more(key: str, names: list[str]) -> str | None:
    """The name of three letters of which a key of two leaves one out."""
    if len(key) != 2:
        return None
    short = [n for n in names if len(n) == 3 and key in (n[1:], n[0] + n[2], n[:2])]
    return short[0] if len(short) == 1 else None
