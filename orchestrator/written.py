"""How a text looks inside of others: in a URL, in a form, in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

__all__ = ["KEPT_IN_PATHS", "written"]

#: What a path may hold as it is, beside letters and digits.
KEPT_IN_PATHS = "/%:@!$&'()*+,;=~-._"


def written(text: str) -> Mapping[str, str]:
    """The text by the form in which it may stand somewhere; `""` is the text as it is."""
    return {
        "": text,
        "url": quote(text, safe="", errors="replace"),
        "path": quote(text, safe=KEPT_IN_PATHS, errors="replace"),
        "form": quote_plus(text, errors="replace"),
        "json": json.dumps(text, ensure_ascii=False)[1:-1],
        "ascii": json.dumps(text)[1:-1],
    }
