"""A delivery as bytes, for stores outside the process: a line of JSON, then the body as it is."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.action import Cut, Delivery
from orchestrator.errors import StoreFailed

__all__ = ["FORM", "OURS", "is_foreign", "pack", "unpack"]

#: How every packed delivery begins, and how one does that this version can read.
FORM, OURS = b'{"v":', b'{"v":1,'

_FIELDS = ("id", "connection", "url", "method", "content_type", "call_id", "order", "config")


def pack(delivery: Delivery) -> bytes:
    """The bytes of a delivery; the number of the attempt is not kept in them."""
    head: dict[str, object] = {"v": 1, "headers": dict(delivery.headers)}
    if delivery.cuts:
        head["cuts"] = [(c.part, c.offset, c.variable, c.form) for c in delivery.cuts]
    if delivery.address:
        head["address"] = delivery.address
    head |= {name: getattr(delivery, name) for name in _FIELDS}
    return json.dumps(head, separators=(",", ":")).encode() + b"\n" + delivery.body


def is_foreign(packed: bytes) -> bool:
    """Whether another version of this program has packed it, which is left to that version."""
    return packed.startswith(FORM) and not packed.startswith(OURS)


def unpack(packed: bytes) -> Delivery:
    """The delivery in these bytes.

    Raises:
        StoreFailed: they are damaged, or of a later version of this program.
    """
    line, _, body = packed.partition(b"\n")
    try:
        head = json.loads(line)
        if head["v"] != 1:
            raise StoreFailed(f"a stored delivery has the unknown version {head['v']!r}")
        fields: dict[str, Any] = {name: str(head[name]) for name in _FIELDS}
        fields["address"] = str(head.get("address", ""))
        fields["cuts"] = tuple(Cut(*cut) for cut in head.get("cuts", ()))
        headers = {str(name): str(value) for name, value in head["headers"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreFailed("a stored delivery is damaged") from error
    return Delivery(body=body, headers=headers, **fields)
