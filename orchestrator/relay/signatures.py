"""Who sent a request: the signatures of Twilio and Telnyx, and the seal on our own URLs.

Every comparison takes the same time whatever is wrong.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs, urlsplit, urlunsplit

from orchestrator.errors import EnvironmentFailure, UserError

__all__ = [
    "TOLERANCE",
    "Request",
    "Seal",
    "TelnyxSignatures",
    "TwilioSignatures",
    "Unsigned",
    "Verifier",
    "twilio_signature",
]

#: Seconds that a Telnyx timestamp may differ from our clock.
TOLERANCE = 300.0

Form = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in.

    Attributes:
        url: the public address that the carrier asked, query included.
        headers: names in lower case.
        form: the fields of a form post.
        is_handshake: it opens a WebSocket.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    form: Form = field(default=(), repr=False)
    is_handshake: bool = False


class Verifier(Protocol):
    """Tells requests of the carrier from others."""

    def why_not(self, request: Request) -> str:
        """Why a request is not to be trusted, without anything secret; empty when it is."""
        ...


# --- Twilio


def twilio_signature(token: str, url: str, form: Form = ()) -> str:
    """The signature of a request: base64 of HMAC-SHA1 over URL and sorted fields."""
    values: dict[str, set[str]] = {}
    for name, value in form:
        values.setdefault(name, set()).add(value)
    signed = url + "".join(name + v for name in sorted(values) for v in sorted(values[name]))
    digest = hmac.digest(token.encode(), signed.encode(errors="surrogatepass"), hashlib.sha1)
    return base64.b64encode(digest).decode()


class TwilioSignatures:
    """`X-Twilio-Signature`, by one of the account's auth tokens (two while they rotate).

    Whether a port is in the signed URL, and whether a handshake's is `wss` or `https`, is reported
    both ways: either is taken.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        if not tokens or not all(tokens):
            raise UserError("an auth token is empty")
        self._tokens = tuple(tokens)

    def why_not(self, request: Request) -> str:
        """See `Verifier`."""
        given = request.headers.get("x-twilio-signature", "")
        if not given:
            return "no signature"
        form, problem = self._form(request)
        if problem:
            return problem
        good = [
            twilio_signature(token, url, form).encode()
            for token in self._tokens
            for url in _addresses(request)
        ]
        seen = given.encode(errors="replace")
        fits = [hmac.compare_digest(seen, signature) for signature in good]
        return "" if any(fits) else "the signature does not fit"

    @staticmethod
    def _form(request: Request) -> tuple[Form, str]:
        """The signed fields; of a body that is no form, its hash is in the signed URL."""
        if request.form or not request.body:
            return request.form, ""
        wanted = parse_qs(urlsplit(request.url).query).get("bodySHA256", [""])[0]
        found = hashlib.sha256(request.body).hexdigest()
        if not hmac.compare_digest(wanted.encode(errors="replace"), found.encode()):
            return (), "the body's hash does not fit"
        return (), ""


def _addresses(request: Request) -> list[str]:
    """Every way in which the carrier may have written the address."""
    parts = urlsplit(request.url)
    default = 443 if parts.scheme == "https" else 80
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    hosts = dict.fromkeys((parts.netloc, host, f"{host}:{parts.port or default}"))
    schemes = [parts.scheme]
    if request.is_handshake:
        schemes.append("wss" if parts.scheme == "https" else "ws")
    return [urlunsplit(parts._replace(scheme=s, netloc=h)) for s in schemes for h in hosts]


# --- Telnyx


class TelnyxSignatures:
    """`telnyx-signature-ed25519` over `telnyx-timestamp` and the body, by the account's public key.

    A timestamp may be `TOLERANCE` seconds old: what was recorded earlier is refused. The handshake
    of a WebSocket is not known to be signed; where it is, the signature must fit.

    Raises:
        UserError: the key is no Ed25519 public key in base64.
        EnvironmentFailure: the package `pynacl` is missing.
    """

    def __init__(self, public_key: str, now: Callable[[], float]) -> None:
        try:
            from nacl.exceptions import BadSignatureError
            from nacl.signing import VerifyKey
        except ImportError as error:
            raise EnvironmentFailure(
                "Telnyx signatures need more packages: pip install 'hook-orchestrator[serve]'"
            ) from error
        self._bad = BadSignatureError
        try:
            self._key = VerifyKey(base64.b64decode(public_key, validate=True))
        except (ValueError, TypeError):
            raise UserError("the public key is no Ed25519 key in base64") from None
        self._now = now

    def why_not(self, request: Request) -> str:
        """See `Verifier`."""
        signature = request.headers.get("telnyx-signature-ed25519", "")
        timestamp = request.headers.get("telnyx-timestamp", "")
        if not signature or not timestamp:
            return "" if request.is_handshake and not signature else "no signature"
        if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
            return "the timestamp is no number"
        if abs(self._now() - int(timestamp)) > TOLERANCE:
            return "it was signed too long ago, or ahead"
        try:
            raw = base64.b64decode(signature, validate=True)
            self._key.verify(timestamp.encode() + b"|" + request.body, raw)
        except (self._bad, binascii.Error, ValueError, TypeError):
            return "the signature does not fit"
        return ""


class Unsigned:
    """Takes everything: for trials on one's own machine."""

    def why_not(self, request: Request) -> str:
        """See `Verifier`."""
        return ""


# --- our own URLs


class Seal:
    """Binds the URLs that we hand out for a call to that call: nobody can make one for another."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"orchestrator relay urls", hashlib.sha256)

    def of(self, call_id: str) -> str:
        """The mark that goes into a URL of this call."""
        return hmac.digest(self._key, call_id.encode(errors="replace"), hashlib.sha256).hex()[:32]

    def fits(self, call_id: str, mark: str) -> bool:
        """Whether a mark is this call's."""
        return hmac.compare_digest(self.of(call_id).encode(), mark.encode(errors="replace"))
