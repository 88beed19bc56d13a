"""The contract for runtimes: what carries calls, and what we may ask of it.

Two doors lead in here. A **bridge** is one call's connection for our own runner: events in,
commands out, capabilities declared (`runtimes/native.py` drives it). A foreign runtime that has
its own runner is reached through `RunnerLike`, `SessionLike` and `ContextLike`, which its adapter
provides; our own runner has the same shape, so hooks see no difference.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

from orchestrator.capabilities import ALL_CAPABILITIES, CAPABILITIES

__all__ = [
    "ALL_CAPABILITIES",
    "CAPABILITIES",
    "OUTCOME_SLACK",
    "Bridge",
    "CallEvent",
    "CallOffer",
    "Command",
    "ContextLike",
    "DialogMachine",
    "End",
    "Exchange",
    "Filler",
    "Inject",
    "Interrupt",
    "Play",
    "Recording",
    "RecordingLike",
    "ReplyDelta",
    "ReplyEnd",
    "RunnerLike",
    "Say",
    "SendDigits",
    "SessionLike",
    "SetLanguage",
    "Transfer",
]

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])


#: Seconds that an outcome may be late before a transfer counts as not answered, on a wire that does
#: not say otherwise.
OUTCOME_SLACK = 1.0


@dataclass(frozen=True, slots=True)
class Command:
    """Something we ask of the runtime. `name` is its word in journals and call tests."""

    name: ClassVar[str] = ""
    needs: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Say(Command):
    """Speak a text, after what is already queued."""

    text: str
    interruptible: bool = True
    name: ClassVar[str] = "say"
    needs: ClassVar[str] = "say"


@dataclass(frozen=True, slots=True)
class Interrupt(Command):
    """Stop the agent's speech at once and drop what is queued."""

    name: ClassVar[str] = "interrupt"
    needs: ClassVar[str] = "interrupt"


@dataclass(frozen=True, slots=True)
class Transfer(Command):
    """Hand the caller over. `answer_within` is in seconds; a warm transfer announces first."""

    kind: Literal["number", "queue", "agent"]
    target: str
    mode: Literal["cold", "warm"] = "cold"
    announcement: str = ""
    answer_within: float = 25.0
    name: ClassVar[str] = "transfer"
    needs: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class End(Command):
    """End the call once queued speech was heard."""

    reason: str = "completed"
    name: ClassVar[str] = "end_call"
    needs: ClassVar[str] = "end"


@dataclass(frozen=True, slots=True)
class Recording(Command):
    """Pause or resume the recording."""

    change: Literal["pause", "resume"]
    reason: str = ""
    name: ClassVar[str] = "recording"
    needs: ClassVar[str] = "recording"


@dataclass(frozen=True, slots=True)
class Filler(Command):
    """What to say while the agent thinks; an empty text turns it off."""

    text: str
    name: ClassVar[str] = "set_filler"
    needs: ClassVar[str] = "filler"


@dataclass(frozen=True, slots=True)
class SendDigits(Command):
    """Send key tones."""

    digits: str
    name: ClassVar[str] = "send_dtmf"
    needs: ClassVar[str] = "digits"


@dataclass(frozen=True, slots=True)
class SetLanguage(Command):
    """Speak, and listen, in another language from now on; an empty one stays as it is."""

    speech: str = ""
    transcription: str = ""
    name: ClassVar[str] = "set_language"
    needs: ClassVar[str] = "language"


@dataclass(frozen=True, slots=True)
class Play(Command):
    """Play a sound from an https address, after what is queued, `loop` times.

    `lasts` is how many seconds it takes once; None when nobody said so.
    """

    source: str
    loop: int = 1
    interruptible: bool = True
    lasts: float | None = None
    name: ClassVar[str] = "play"
    needs: ClassVar[str] = "play"

    @property
    def seconds(self) -> float | None:
        """How long it plays in all; None when that is not known."""
        return None if self.lasts is None else self.lasts * self.loop


@dataclass(frozen=True, slots=True)
class Inject(Command):
    """A note to the dialog machine, from its next reply on."""

    note: str
    name: ClassVar[str] = "inject"
    needs: ClassVar[str] = "inject"


@dataclass(frozen=True, slots=True)
class ReplyDelta(Command):
    """The next piece of the reply that the dialog machine is writing."""

    text: str
    name: ClassVar[str] = "reply_delta"


@dataclass(frozen=True, slots=True)
class ReplyEnd(Command):
    """The reply is complete, or was cut short."""

    text: str
    was_interrupted: bool = False
    name: ClassVar[str] = "reply"


@dataclass(frozen=True, slots=True)
class CallOffer:
    """What a bridge knows of its call when it connects.

    `user_number` is the other side's, None when it is withheld; `called_number` is ours: the one
    that was called, or that an outbound call was placed from; empty when the runtime does not say.
    """

    call_id: str
    session_id: str = ""
    agent_id: str = ""
    direction: Literal["inbound", "outbound"] = "inbound"
    user_number: str | None = None
    instructions: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    called_number: str = ""


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One event of a call, named as in `orchestrator.events`.

    A bridge also reports `hangup` (fields: `reason`, and `state` where it was not the caller who
    left: `ended`, `shutdown`, `transferred`), which ends the session loop; so does the end of its
    event stream.
    """

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


class Bridge(Protocol):
    """One call's connection: events in, commands out.

    `send` raises `LineGone` when the call is over, `CommandRefused` when the far side says no.
    A bridge may also have `outcome_slack`, seconds that it needs beside a transfer's own time to
    report its outcome, `take_notes(note)`, to remark on its wire in the call's journal, and
    `take_connections(lend)`: `lend(kind)` is what opens each connection of that kind in the config
    that the call began with, by name; what they make possible then joins `capabilities`.
    It is never called with a command that needs a capability the bridge does not declare. It should
    hand over and return: the caller hears whatever time it takes.
    """

    offer: CallOffer
    capabilities: frozenset[str]

    def events(self) -> AsyncIterator[CallEvent]:
        """The call's events in order, until the line is gone."""
        ...

    async def send(self, command: Command) -> None:
        """Hand one command to the far side."""
        ...

    async def aclose(self) -> None:
        """Let go of the connection; called once, after the last event."""
        ...


class Exchange(Protocol):
    """Where a runner's calls come from: it yields a connected bridge for each call.

    It may also have `runtime_name`, `capabilities` and `lenders`, which its runner then takes for
    its own (see `RunnerLike`), and
    `limit_to(calls)`, which is told before any call how many the runner carries at a time: a call
    that is accepted beyond that would ring with nobody there.
    """

    def calls(self) -> AsyncIterator[Bridge]:
        """Bridges of calls as they come, until the exchange closes."""
        ...

    async def aclose(self) -> None:
        """Accept no more calls; those that were accepted still come, then `calls` ends."""
        ...


@runtime_checkable
class DialogMachine(Protocol):
    """What writes the agent's replies; `orchestrator.dialog.contract` has what else it may have."""

    def stream(self, text: str) -> AsyncIterator[str]:
        """The reply to the caller's words, piece by piece."""
        ...


class RecordingLike(Protocol):
    """The recording of a call."""

    async def pause(self, reason: str = "") -> None:
        """Stop recording until `resume`."""
        ...

    async def resume(self) -> None:
        """Record again."""
        ...


class SessionLike(Protocol):
    """One call's session, as the actions and the attachment see it.

    A session may also offer `tap(callback)`: the callback is called with each `CallEvent` as it
    arrives, before earlier events are done with, so that a barge-in or a hang-up is seen while a
    hook still runs. With `take_notes(note)` it is given what writes remarks into the journal:
    `note(text, **details)`; with `take_connections(lend)`, see `Bridge`, what lends it connections
    of the config.
    """

    data: dict[str, Any]

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Register a handler for a session event."""
        ...

    async def say(self, text: str, interruptible: bool = True) -> None:
        """Speak a text."""
        ...

    async def interrupt(self) -> None:
        """Stop the agent's speech."""
        ...

    async def end(self, reason: str = "completed") -> None:
        """End the call."""
        ...


class ContextLike(Protocol):
    """What a runner hands to its handlers about one call; it may have `called_number` too."""

    call_id: str
    session_id: str
    agent_id: str
    direction: str
    user_number: str | None
    instructions: str
    data: dict[str, Any]

    @property
    def session(self) -> SessionLike:
        """The session of this call."""
        ...


class RunnerLike(Protocol):
    """Anything that runs calls and lets handlers be registered.

    It may also declare `capabilities: frozenset[str]` and `runtime_name: str`, `lenders`, the kinds
    of connections that add to its capabilities if not all do, and have
    `attached(host)`, which is called with the `Orchestrator` once the hooks are registered. With
    `is_one_call` it is there for one call only, which the attaching begins.
    """

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Register a handler for a runner event."""
        ...
