"""Which values of options are secret, and where what a secret is made of may leave."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from orchestrator.action import Options
from orchestrator.options import Option, field_name

__all__ = ["carries", "secrets_of"]

_IN_URL = re.compile(r"[a-z+0-9]+://[^/\s:@]*:(.+)@")


def secrets_of(given: Mapping[str, Any], table: Mapping[str, Option]) -> set[str]:
    """The secrets among the options that are given."""
    found: set[str] = set()
    for name, option in table.items():
        value = given.get(field_name(name))
        if option.accepts("secret") and isinstance(value, str) and value:
            found |= {value, *_passwords(value)}
        elif isinstance(value, list) and option.accepts_item("secret"):
            found.update(v for v in value if v)
        elif isinstance(value, Options):
            found |= secrets_of(vars(value), option.fields)
    return found


def carries(option: Option) -> bool:
    """Whether its value leaves where credentials are put: in a URL, a header, an `auth`."""
    is_target = option.accepts("url") or option.accepts("path")
    return is_target or option.name in ("headers", "auth", "query", "base_url")


def _passwords(text: str) -> set[str]:
    """The password in a URL, as it is written and as it is meant: errors may show it alone."""
    match = _IN_URL.match(text)
    return {match[1], unquote(match[1])} if match else set()
