"""What a call over ConversationRelay is made of and bounded by."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.relay.twiml import Directions

__all__ = ["Limits", "Phase", "Recorder", "Socket", "Surroundings"]


class Phase(enum.Enum):
    """Where a call is; see `orchestrator.relay.call`."""

    LIVE = "live"
    LOST = "lost"
    LEAVING = "leaving"
    AWAY = "away"
    RESUMING = "resuming"
    LAST_WORDS = "last words"
    OVER = "over"


class Socket(Protocol):
    """The WebSocket of a call, as far as this module cares."""

    @property
    def why_closed(self) -> str:
        """What is to be said of how it closed; empty for nothing."""
        ...

    async def receive(self) -> str | bytes | None:
        """The next message; None once it is closed."""
        ...

    async def send(self, text: str) -> None:
        """Send a message. Raises `OSError` when it is closed."""
        ...

    async def close(self) -> None:
        """Close it; never raises."""
        ...


class Recorder(Protocol):
    """What pauses and resumes a recording, through the carrier's REST API."""

    account_sid: str

    async def record(self, call_id: str, change: str) -> None:
        """Change the recording of a call; `change` is pause or resume.

        Raises:
            ActionFailed: it did not work.
        """
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a call waits, at most.

    Attributes:
        callback: for the carrier's callback once a socket is gone.
        resume: for a caller to come back after a transfer.
        last_words: for hooks to say something once the session has failed.
        goodbye: for what was said to be heard before the line is given back.
        shutdown: the same, when the process ends.
        send: for one frame to leave.
        dialled: beside a transfer's own `answer_within`, for a carrier to say that nobody answered.
        queued: likewise, for one to say that the caller left the queue.
        whispered: beside an announcement's own time, for one to say that whoever heard it left.
    """

    callback: float = 5.0
    resume: float = 10.0
    last_words: float = 4.0
    goodbye: float = 60.0
    shutdown: float = 3.0
    send: float = 5.0
    dialled: float = 12.0
    queued: float = 3.0
    whispered: float = 3.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a call is given by its switchboard.

    Attributes:
        carrier: who brings the call: the kind of the connections to its API.
        on_over: called with the call's id, once.
        account: of the carrier's, whose call it is; empty when it did not say.
    """

    directions: Directions
    carrier: str
    on_over: Callable[[str], None]
    limits: Limits = field(default_factory=Limits)
    account: str = ""
