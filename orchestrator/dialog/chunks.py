"""What chunks of an OpenAI-compatible answer say, whoever writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ActionFailed

__all__ = ["Chunk", "chunk_of", "whole_of"]

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the reply, and why it ended, if it did."""

    text: str = ""
    ending: str = ""


def chunk_of(data: str, *, is_error: bool = False) -> Chunk:
    """One chunk of a stream; an empty one for what is none.

    Raises:
        ActionFailed: it says that the model failed.
    """
    return _read(_object(data), "delta", is_error=is_error)


def whole_of(data: bytes) -> Chunk:
    """An answer that came at once.

    Raises:
        ActionFailed: it says that the model failed, or is none.
    """
    found = _object(data)
    if not found:
        raise ActionFailed("the model's answer is neither an event stream nor JSON")
    chunk = _read(found, "message", is_error=False)
    return Chunk(chunk.text, chunk.ending or "stop")


def _object(data: str | bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(found: Mapping[str, Any], key: str, *, is_error: bool) -> Chunk:
    _check_error(found, is_error=is_error)
    choices = found.get("choices")
    first = next((c for c in _list(choices) if isinstance(c, dict) and not c.get("index")), {})
    said = first.get(key)
    ending = first.get("finish_reason")
    text = _text(said) if isinstance(said, dict) else ""
    return Chunk(text, str(ending)[:_SHOWN] if ending else "")


def _check_error(found: Mapping[str, Any], *, is_error: bool) -> None:
    """A failure comes as `error`, as an object that is one, or as an event of that name."""
    error = found.get("error")
    if not error and (is_error or found.get("object") == "error"):
        error = found
    if error or is_error:
        about = error if isinstance(error, dict) else {}
        name = about.get("code") or about.get("type") or "no code"  # its message may hold a key
        raise ActionFailed(f"the model's endpoint reported an error: {str(name)[:_SHOWN]}")


def _text(said: Mapping[str, Any]) -> str:
    """What it says: its content, as text or in parts, or why it does not want to."""
    content = said.get("content")
    parts = [content] if isinstance(content, str) else [_part(part) for part in _list(content)]
    refusal = said.get("refusal")
    return "".join(parts) or (refusal if isinstance(refusal, str) else "")


def _part(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
