"""What stands before the body of a request: headers that cannot break out of their lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.connections.answers import failed
from orchestrator.encoding import json_bytes
from orchestrator.headers import OURS, name_fault, value_fault
from orchestrator.written import in_header

__all__ = ["content_of", "foreign", "safe_headers"]


def content_of(body: Any) -> tuple[dict[str, str], bytes | None]:
    """The header and bytes of a body: bytes and text as they are, else JSON."""
    if body is None:
        return {}, None
    if isinstance(body, bytes):
        return {"content-type": "application/octet-stream"}, body
    if isinstance(body, str):
        return {"content-type": "text/plain; charset=utf-8"}, body.encode(errors="replace")
    return {"content-type": "application/json"}, json_bytes(body)


def foreign(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that a config gives: those of the delivery are ours alone."""
    return {name: value for name, value in headers.items() if name.lower() not in OURS}


def safe_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that cannot break out of their line; other than ASCII is percent-encoded.

    Raises:
        ActionFailed: a name is no header's, or a value holds a line end or control character.
    """
    safe = {}
    for name, value in headers.items():
        if fault := name_fault(name) or value_fault(name, value):
            raise failed(fault[0])
        safe[name.lower()] = in_header(value)
    return safe
