"""How a text looks inside of others: in URLs, forms, JSON, headers, and in Python's own words."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

__all__ = ["KEPT_IN_PATHS", "in_header", "telling", "written"]

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
