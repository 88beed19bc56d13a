"""Signatures of webhooks as in Standard Webhooks: https://www.standardwebhooks.com

A secret is `whsec_` and base64. Two secrets may be given while one replaces the other: every
message then carries a signature by each, and a receiver needs to know only one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from orchestrator.errors import UserError

__all__ = ["TOLERANCE", "key_of", "sign", "verify"]

#: Seconds that a signature's time may differ from the receiver's clock.
TOLERANCE = 300
_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key in a secret: base64 behind `whsec_`; any other text is the key itself.

    Raises:
        UserError: it is empty, or no base64 follows `whsec_`.
    """
    if not secret.startswith(_PREFIX):
        key = secret.encode()
    else:
        text = secret.removeprefix(_PREFIX)
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise UserError("a signing secret has no base64 behind `whsec_`") from None
    if not key:
        raise UserError("a signing secret is empty")
    return key


def sign(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that identify and sign a message; without keys they only identify it.

    `timestamp` is in seconds since 1970.
    """
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if keys:
        signatures = [_signature(key, message_id, timestamp, body) for key in keys]
        headers["webhook-signature"] = " ".join(signatures)
    return headers


def _signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def verify(
    keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, *, now: float
) -> str | None:
    """Why a message is not to be trusted; None when one of the keys signed it just now."""
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, signatures = given["webhook-id"], given["webhook-signature"].split()
        timestamp = int(given["webhook-timestamp"])
    except (KeyError, ValueError):
        return "its webhook headers are missing or malformed"
    if abs(now - timestamp) > TOLERANCE:
        return f"it was signed more than {TOLERANCE} seconds ago or ahead"
    expected = [_signature(key, message_id, timestamp, body).encode() for key in keys]
    matches = [
        hmac.compare_digest(signature.encode(errors="replace"), good)
        for signature in signatures
        for good in expected
    ]
    return None if any(matches) else "no signature fits"
