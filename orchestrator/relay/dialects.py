"""Where the carriers that speak ConversationRelay differ, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["DIALECTS", "RELAY_CAPABILITIES", "Dialect"]

#: What a call over ConversationRelay can do by itself. `interrupt` is not among it: the wire has no
#: word that stops speech, only the caller's own voice does. `playback` is not either: the reports
#: of who speaks are not documented, so the silence clock keeps its estimate until one comes.
#: `recording` needs the carrier's REST API, and with it a connection.
RELAY_CAPABILITIES = frozenset(
    {"say", "say.protected", "end", "transfer.number", "transfer.queue", "transfer.warm",
     "transfer.outcome", "digits", "inject", "state", "dtmf", "error", "language", "play"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    """One carrier.

    Attributes:
        name: as in `--carrier`, and the kind of its connections.
        title: for people.
        variable: of the environment, with what requests are checked with.
        holds: what is in it, in words.
        attributes: of `<ConversationRelay>`, unless an operator sets others.
    """

    name: str
    title: str
    variable: str
    holds: str
    attributes: Mapping[str, str] = field(default_factory=dict)


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "twilio": Dialect(
            name="twilio",
            title="Twilio",
            variable="TWILIO_AUTH_TOKEN",
            holds="the account's auth token",
            attributes=MappingProxyType(
                {"dtmfDetection": "true", "interruptible": "any",
                 "events": "speaker-events tokens-played"}
            ),
        ),
        "telnyx": Dialect(
            name="telnyx",
            title="Telnyx",
            variable="TELNYX_PUBLIC_KEY",
            holds="the account's public key",
            attributes=MappingProxyType({"dtmfDetection": "true", "interruptible": "any"}),
        ),
    }
)  # fmt: skip
