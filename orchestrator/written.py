"""How a text looks inside of others: in URLs, forms, JSON, headers, and in Python's own words."""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

__all__ = ["KEPT_IN_PATHS", "anywhere", "in_header", "packed", "printable", "telling", "written"]

#: What a path may hold as it is, beside letters and digits.
KEPT_IN_PATHS = "/%:@!$&'()*+,;=~-._"
#: Characters from which on a text is known again in hex or base64.
_LONG = 6
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))) + "\t"


def written(text: str) -> Mapping[str, str]:
    """The text by the form in which it may stand somewhere; `""` is the text as it is."""
    as_json, as_ascii = json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]
    # With a quote of each kind in a text, the single ones are escaped.
    shown, shown_ascii = repr(f'"{text}')[2:-1], ascii(f'"{text}')[2:-1]
    return {
        "": text,
        "url": quote(text, safe="", errors="replace"),
        "url/": quote(text, errors="replace"),
        "path": quote(text, safe=KEPT_IN_PATHS, errors="replace"),
        "form": quote_plus(text, errors="replace"),
        "json": as_json,
        "ascii": as_ascii,
        "json/": as_json.replace("/", "\\/"),  # as PHP writes it
        "ascii/": as_ascii.replace("/", "\\/"),
        "header": in_header(text),
        "repr": shown,
        "repr'": shown.replace("\\'", "'"),
        "repr ascii": shown_ascii,
        "repr' ascii": shown_ascii.replace("\\'", "'"),
        "bytes": repr(b'"' + text.encode(errors="replace"))[3:-1],
        "base64": base64.b64encode(text.encode(errors="replace")).decode().rstrip("="),
        "hex": text.encode(errors="replace").hex(),
        "html": html.escape(text),
        "html'": html.escape(text, quote=False),
    }


def telling(text: str) -> Mapping[str, str]:
    """The forms by which a text is known: a short one in hex or base64 looks like anything."""
    hides = () if len(text) >= _LONG else ("base64", "hex")
    return {form: shown for form, shown in written(text).items() if form not in hides}


def in_header(text: str) -> str:
    """A text as the value of a header: other characters than ASCII's are percent-encoded."""
    return quote(text.strip(), safe=_PRINTABLE, errors="replace")


def printable(text: str) -> str:
    """The text on one line, escaped where it would steer a terminal or pretend to be a line."""
    if text.isprintable():
        return text
    return "".join(c if _is_shown(c) else c.encode("unicode_escape").decode() for c in text)


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


# --- known again, whoever wrote it

#: What XML calls some characters.
_NAMES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
#: Backslashes before an escaped character, in JSON or in JSON that is in it.
_SLASHES = r"\\{1,7}"
_SHORT = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f"}


def anywhere(text: str) -> str:
    """A pattern for the text as others write it: each character in any encoding, or in several.

    What is in a URL, in JSON or in HTML differs by who wrote it, and one may stand in another. No
    part repeats without a bound: whoever sends a million backslashes holds up no call.
    """
    return "".join(_in_any_way(part[0], len(part)) for part in re.findall(r"\\+|[^\\]", text))


def _in_any_way(letter: str, count: int) -> str:
    if letter.isascii() and letter.isalnum():
        return letter
    if letter == "\\":  # each JSON around it doubles them
        escaped = "|".join(_ways(letter))
        return rf"(?:\\{{{count},{8 * count}}}|(?i:(?:{escaped}){{{count}}}))"
    return f"(?:{re.escape(letter)}|(?i:{'|'.join(_ways(letter))}))"


def _ways(letter: str) -> Iterator[str]:
    code, data = ord(letter), letter.encode(errors="replace")
    units = letter.encode("utf-16-be", errors="replace")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    yield "".join(f"%(?:25){{0,4}}{byte:02x}" for byte in data)
    yield "".join(rf"{_SLASHES}u{pair}" for pair in pairs)
    yield "".join(rf"{_SLASHES}x{byte:02x}" for byte in data)
    if data != bytes([code % 256]):
        yield rf"{_SLASHES}(?:x{code:02x}|u\{{{code:x}\}})"
    if letter != "\\":
        yield rf"{_SLASHES}{_SHORT.get(letter) or re.escape(letter)}"
    named = f"|{_NAMES[letter]}" if letter in _NAMES else ""
    yield f"&(?:amp;){{0,4}}(?:#0{{0,7}}{code}|#x0{{0,7}}{code:x}{named});"
    if letter == " ":
        yield r"\+"


def packed(text: str) -> Iterator[str]:
    """Patterns for the text in hex and base64, alone or between others."""
    data = text.encode(errors="replace")
    if len(text) < _LONG:
        return  # in these it looks like anything
    yield f"(?i:{data.hex()})"
    yield _either_alphabet(base64.b64encode(data).decode().rstrip("="))
    for before, first in ((0, 0), (1, 2), (2, 3)):
        # Characters in which bits of what stands beside it have a part are left out.
        whole = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        is_shared = (before + len(data)) % 3 > 0
        yield _either_alphabet(whole[first : len(whole) - is_shared])


def _either_alphabet(text: str) -> str:
    return text.replace("+", "[+-]").replace("/", "[/_]")
