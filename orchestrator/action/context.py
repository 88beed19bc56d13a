"""What `run` is given: the call, its data, the outside, and what can be done to the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from orchestrator.action.delivery import Delivery
from orchestrator.action.kinds import Steps

if TYPE_CHECKING:
    import logging

    import httpx

__all__ = ["ActionContext", "CallFactsLike", "LadderOptions", "MemoryLike"]


class CallFactsLike(Protocol):
    """What is known of the call; the same names as `call` in templates."""

    id: str
    session_id: str
    agent_id: str
    direction: str
    user_number: str
    called_number: str

    @property
    def duration(self) -> float:
        """Seconds since the call started."""
        ...

    def hour_in(self, span: str, zone: str = "UTC") -> bool:
        """Whether it is now between two times of day, `HH:MM-HH:MM`."""
        ...

    def weekday_in(self, days: str, zone: str = "UTC") -> bool:
        """Whether today is one of `mon-fri` or `sat,sun`."""
        ...

    @property
    def transcript(self) -> list[dict[str, str]]:
        """Who said what: `{"who": "caller" | "agent", "text": ...}`."""
        ...


class MemoryLike(Protocol):
    """Named values, flags and counts that outlive a call."""

    def get(self, key: str) -> Any:
        """The value, or None when it was never set or has expired."""
        ...

    def count(self, key: str, within: str | float = "24h") -> int:
        """How often the key was remembered within a time."""
        ...

    def remember(self, key: str, value: Any = True, *, lifetime: float | None = None) -> None:
        """Set a value, for `lifetime` seconds or for ever, and count it."""
        ...

    def forget(self, key: str) -> bool:
        """Drop a key; whether it was there."""
        ...


@dataclass(frozen=True, slots=True)
class LadderOptions:
    """How a silence ladder behaves; times in seconds. See `orchestrator.silence`."""

    after: float
    reset: Literal["on_user_turn", "never"] = "on_user_turn"
    max: int | None = None
    end: Literal["soft", "strict"] = "soft"
    grace_for: float = 0.0
    grace_when: Callable[[Mapping[str, Any]], bool] | None = None


class ActionContext(Protocol):
    """What `run` may use. One for each run of a step."""

    @property
    def id(self) -> str:
        """The id of this side effect: the same over retries, restarts and redials."""
        ...

    @property
    def call(self) -> CallFactsLike:
        """What is known of the call."""
        ...

    @property
    def event(self) -> Mapping[str, Any]:
        """The fields of the event."""
        ...

    @property
    def data(self) -> dict[str, Any]:
        """The call's data, the same dict as `session.data`."""
        ...

    @property
    def vars(self) -> Mapping[str, Any]:
        """The config's vars."""
        ...

    @property
    def memory(self) -> MemoryLike:
        """Values and counts that outlive a call."""
        ...

    @property
    def log(self) -> logging.Logger:
        """A logger for the action's own messages: static text, data in `extra`."""
        ...

    @property
    def http(self) -> httpx.AsyncClient:
        """The shared HTTP client; never close it."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds that this step has in all."""
        ...

    @property
    def saves(self) -> bool:
        """Whether somebody wants the output: the step has a `save`."""
        ...

    @property
    def random(self) -> float:
        """A number in [0, 1), the same in every run of the same call."""
        ...

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        ...

    def write_log(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        """Write a line of the config's own log, secrets masked."""
        ...

    def connection(self, name: str) -> Any:
        """The open connection of this name; `""` is the open web: whole URLs, no credentials."""
        ...

    def check_destination(self, number: str, allowed: Sequence[str] = ()) -> str:
        """The number in E.164, if it may be dialled.

        Raises:
            ActionFailed: it is no number, or neither `allowed` nor the config's `allow` has it.
        """
        ...

    async def say(self, text: str, *, interruptible: bool = True) -> None:
        """Speak to the caller."""
        ...

    async def interrupt(self) -> None:
        """Stop the agent's speech."""
        ...

    async def end(self, reason: str) -> None:
        """End the call once queued speech was heard."""
        ...

    async def transfer(
        self, kind: Literal["number", "queue", "agent"], target: str, **options: Any
    ) -> None:
        """Ask for a transfer; options: `mode`, `announcement`, `answer_within` (seconds).

        Returns when the runtime took the request. When the outcome is reported and is not
        `answered`, the step's `on_error` steps run.
        """
        ...

    async def pause_recording(self, reason: str, *, at_most: float) -> None:
        """Pause; the recording resumes by itself after `at_most` seconds."""
        ...

    async def resume_recording(self) -> None:
        """Record again."""
        ...

    async def set_filler(self, text: str) -> None:
        """What to say while the agent thinks."""
        ...

    async def send_digits(self, digits: str) -> None:
        """Send key tones."""
        ...

    async def set_language(self, speech: str, transcription: str) -> None:
        """Speak and listen in other languages; an empty one stays as it is."""
        ...

    async def play(
        self,
        source: str,
        *,
        loop: int = 1,
        interruptible: bool = True,
        lasts: float | None = None,
    ) -> None:
        """Play a sound from an https address, after what is queued; `lasts` are seconds."""
        ...

    async def inject(self, note: str) -> None:
        """A note to the dialog machine."""
        ...

    async def emit(self, event: str, fields: Mapping[str, Any]) -> None:
        """Fire a custom event; its hooks run after those of the present event."""
        ...

    async def deliver(self, delivery: Delivery) -> None:
        """Hand over what must leave the process; returns once it is stored."""
        ...

    async def in_thread(self, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """What a plain function gives or raises, run in a thread so that it stops no call.

        Each function has threads of its own: one that hangs holds up neither others nor the end of
        the process.
        """
        ...

    def start_timer(
        self, name: str, after: float, steps: Steps, *, cancel_on: Sequence[str] = ()
    ) -> None:
        """Run steps after a time; arming a name again restarts it."""
        ...

    def cancel_timer(self, name: str) -> bool:
        """Cancel a timer or a silence ladder; whether it was there."""
        ...

    def start_ladder(self, name: str, options: LadderOptions, steps: Steps) -> None:
        """Start the silence clock on these steps."""
        ...
