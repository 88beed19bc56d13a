"""What may stand in the header of a request, asked when a config is read and when one is sent."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["OURS", "in_one_line", "name_fault", "value_fault", "written_fault"]

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: Headers that decide where a message ends or who reads it.
_FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer",
     "expect", "keep-alive", "proxy-connection", "accept-encoding"}
)  # fmt: skip

#: Headers by which a receiver tells a repetition and knows us: of the delivery, never a step's.
OURS = frozenset({"idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature"})

#: What is wrong, and what to do about it.
Fault = tuple[str, str]


def name_fault(name: str) -> Fault | None:
    """Why a name cannot be that of a header (RFC 9110, 5.1), or None."""
    if name.lower() in _FRAMING:
        return f"header {name!r} is set by the connection itself", "remove it"
    if _NAME.fullmatch(name):
        return None
    return (f"{name[:40]!r} cannot be the name of a header",
            "a name has letters, digits and `-`, such as `X-Api-Key`")  # fmt: skip


def written_fault(name: str) -> Fault | None:
    """Why a config may not give a header of this name, or None."""
    if name.lower() in OURS:
        return f"header {name!r} is set by the delivery itself", "remove it"
    return name_fault(name)


def value_fault(name: str, value: str) -> Fault | None:
    """Why a value cannot be that of a header (RFC 9110, 5.5), or None."""
    if _CONTROL.search(value):
        words = f"header {name!r}: its value holds a line end or control character"
        return words, "write it on one line"
    return None


def in_one_line(value: Any) -> Any:
    """A value of a call for a header: line ends and control characters are percent-encoded.

    What a caller says, or a model, has them every day; what an author writes with them is refused.
    """
    if not isinstance(value, str):
        return value
    return _CONTROL.sub(lambda found: f"%{ord(found[0]):02X}", value)
