"""Values as they go over the wire: JSON bodies and query strings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from orchestrator.errors import ActionFailed
from orchestrator.plain import plain

__all__ = ["encode_query", "json_bytes", "path_value"]


def json_bytes(value: Any) -> bytes:
    """A value as JSON, made once: what is signed must be, byte for byte, what is sent.

    Raises:
        ActionFailed: it is not plain data.
    """
    try:
        text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise ActionFailed("JSON has no infinity and no NaN") from None
    return text.encode(errors="replace")  # half of a surrogate pair is no character


def encode_query(query: Mapping[str, Any]) -> str:
    """A query string; null values are left out, lists repeat their name.

    Raises:
        ActionFailed: a value is a mapping.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        items = value if isinstance(value, (list, tuple)) else [value]
        pairs += [(name, _query_text(name, item)) for item in items if item is not None]
    return urlencode(pairs, errors="replace")


def path_value(value: Any) -> str:
    """A value as one part of a path or query, whatever it holds.

    Raises:
        ActionFailed: it is null or empty, so that the path would name another thing; or it is no
            single value.
    """
    if value is None or value == "":
        raise ActionFailed("a value in the path is empty")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (Mapping, list, tuple)):
        raise ActionFailed("a value in the path is a list or a mapping")
    return quote(str(value), safe="", errors="replace")


def _query_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        raise ActionFailed(f"`query`: {name!r} is a mapping; give text, numbers or lists")
    return str(value)
