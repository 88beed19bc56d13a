"""Values as they go over the wire: JSON bodies and query strings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from orchestrator.errors import ActionFailed
from orchestrator.plain import MAX_DEPTH, MAX_VALUES, plain

__all__ = ["MOST_BYTES", "encode_query", "json_bytes", "json_within", "path_value", "text_within"]

#: Bytes that a delivery's body may have: a receiver refuses more, and the outbox should not carry
#: it. One that would be larger is shortened: what ends a call must arrive, however much was said.
MOST_BYTES = 256 * 1024

#: How far a value is shortened that is too large, step by step: characters that a text keeps, and
#: items that a list does.
_CUTS = (
    (65_536, None), (16_384, None), (4_096, None), (4_096, 1_000), (1_024, 1_000), (1_024, 200),
    (256, 200), (64, 20),
)  # fmt: skip
#: Values in a value from which on lists are shortened too: going through them takes its time.
_MANY = 5_000


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


def json_within(value: Any, most: int = MOST_BYTES) -> tuple[bytes, bool]:
    """A value as JSON of at most `most` bytes, and whether it had to be shortened for that.

    The longest texts are cut first, each with a note of how long it was; of lists that are still
    too long the beginning and the end stay, with a note in between.

    Raises:
        ActionFailed: it is not plain data, or nothing in it can be shortened.
    """
    count, size = _measure(value)
    if count <= MAX_VALUES and size <= most and len(body := json_bytes(value)) <= most:
        return body, False
    for texts, items in _CUTS:
        if items is None and count > _MANY:
            continue
        shown = _shorter(value, texts, items)
        count, size = _measure(shown)
        if count <= MAX_VALUES and size <= most and len(body := json_bytes(shown)) <= most:
            return body, True
    raise ActionFailed(f"the body has more than {most:,} bytes", is_plain=True)


def text_within(text: str, most: int = MOST_BYTES) -> tuple[bytes, bool]:
    """A text of at most `most` bytes, and whether it had to be cut, with a note, for that."""
    body = text.encode(errors="replace")
    if len(body) <= most:
        return body, False
    note = _note(text).encode()
    return body[: most - len(note)].decode(errors="ignore").encode() + note, True


def _note(text: str) -> str:
    return f"… (cut: it had {len(text):,} characters)"


def _measure(value: Any, depth: int = 0) -> tuple[int, int]:
    """How many values are in a value, and the least of bytes that they take as JSON."""
    if isinstance(value, str):
        return 1, len(value) + 2
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if not isinstance(value, (list, tuple)) or depth > MAX_DEPTH:  # `plain` refuses deeper ones
        return 1, 1
    inner = [_measure(item, depth + 1) for item in value]
    return sum(n for n, _ in inner) + 1, sum(size + 1 for _, size in inner) + 1


def _shorter(value: Any, texts: int, items: int | None, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        return value
    depth += 1
    if isinstance(value, str):
        return value if len(value) <= texts else value[:texts] + _note(value)
    if isinstance(value, Mapping):
        return {key: _shorter(item, texts, items, depth) for key, item in value.items()}
    if not isinstance(value, (list, tuple)):
        return value
    if items is None or len(value) <= items:
        return [_shorter(item, texts, items, depth) for item in value]
    first, last = value[: items // 2], value[-items // 2 :]
    note: Any = f"… (cut: there were {len(value):,} items)"
    if isinstance(value[0], Mapping):  # whoever reads mappings finds one
        note = dict.fromkeys(value[0], note)
    kept = [*first, note, *last]
    return [_shorter(item, texts, items, depth) for item in kept]


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
