"""What a plain scalar means: YAML 1.2, without the words and numbers that surprise people.

Only `true`, `false`, `null`, nothing at all and decimal numbers are typed. `NO`, `on`, `12:30`,
`0123`, `+15550100`, `0x1f`, `1_000`, `.inf`, dates and versions stay the text that was written.
"""

from __future__ import annotations

import math
import re

__all__ = [
    "CURLY",
    "SURROGATE",
    "WORDS",
    "TooLarge",
    "is_curly_quoted",
    "missing_space",
    "resolve",
]

#: The plain scalars that are no text.
WORDS = {"true": True, "false": False, "null": None, "": None}
_INTEGER = re.compile("-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")

#: The smallest limit that a Python can be started with; `int()` of more digits may raise.
_MAX_DIGITS = 640

#: A key and its value without the space between them. `//` follows in addresses, a digit in times.
_MISSING_SPACE = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*):((?!//)\S.*)", re.DOTALL)

#: Curly quotes that open, each with those that close it. The languages of Europe differ.
CURLY = {
    "\u201c": "\u201d\u201c", "\u201d": "\u201d", "\u201e": "\u201c\u201d",
    "\u2018": "\u2019\u2018", "\u2019": "\u2019", "\u201a": "\u2018\u2019",
    "\u00ab": "\u00bb", "\u00bb": "\u00ab",
}  # fmt: skip


#: Half of a character, which no encoding can write. The parser in Python lets `"\\ud83d"` pass.
SURROGATE = re.compile("[\ud800-\udfff]")


class TooLarge(ValueError):
    """A number that no float holds, or with more digits than every Python reads."""


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar.

    Raises:
        TooLarge: it is a number out of range.
    """
    if text in WORDS:
        return WORDS[text]
    if _FLOAT.fullmatch(text) is None:
        return text
    if len(text) > _MAX_DIGITS:
        raise TooLarge(text)
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text)
    if math.isinf(number):
        raise TooLarge(text)
    return number


def is_curly_quoted(text: str) -> bool:
    """Whether curly quotes stand around the text where straight ones would delimit it."""
    return len(text) > 1 and text[-1] in CURLY.get(text[0], "")


def missing_space(value: object) -> tuple[str, str] | None:
    """The key and value of text such as `say:hello`, or None when it does not look like that."""
    match = _MISSING_SPACE.fullmatch(value) if isinstance(value, str) else None
    return (match[1], match[2].strip()) if match else None
