"""The contract for action authors: `Action`, what its fields may be, and `ActionContext`.

An action is a class. Its annotated fields are its options; its docstring is its manual; `run` does
the work. Everything that an action needs comes from this module::

    class PageOnCall(Action):
        \"\"\"Page the on-call engineer about a live call.\"\"\"

        service: Annotated[str, "which service to page"]
        urgency: Literal["low", "high"] = "high"

        async def run(self, ctx: ActionContext) -> str:
            reply = await ctx.http.post(URL, json={"service": self.service, "call": ctx.call.id})
            if reply.is_error:
                raise ActionFailed(f"pager answered HTTP {reply.status_code}", retryable=True)
            return str(reply.json()["incident"])
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from orchestrator.encoding import encode_query, json_bytes
from orchestrator.errors import ActionFailed, CommandRefused, LineGone, NotSent, named
from orchestrator.limits import Limit, Rate
from orchestrator.shapes import (
    ANY,
    BOOL,
    INT,
    NULL,
    NUMBER,
    TEXT,
    Shape,
    list_of,
    maybe,
    one_of,
    record,
)

if TYPE_CHECKING:
    import logging

    import httpx

__all__ = [
    "ANY",
    "BOOL",
    "INT",
    "NULL",
    "NUMBER",
    "TEXT",
    "Action",
    "ActionContext",
    "ActionFailed",
    "CallFactsLike",
    "CommandRefused",
    "Condition",
    "ConnectionName",
    "Delivery",
    "Destination",
    "Duration",
    "EventName",
    "Fault",
    "Filled",
    "Form",
    "LadderOptions",
    "Limit",
    "LineGone",
    "MemoryLike",
    "NotSent",
    "Options",
    "Path",
    "PythonName",
    "Rate",
    "Seconds",
    "Secret",
    "Shape",
    "Steps",
    "Trusted",
    "Url",
    "Written",
    "check_target",
    "encode_query",
    "json_bytes",
    "list_of",
    "maybe",
    "named",
    "one_of",
    "record",
    "snake_case",
]


# --- what a field may be, beside str, int, float, bool, Any, Literal, list, dict, X | Y and None


class Duration(float):
    """Seconds; written `500ms`, `8s`, `2m` or `1h`."""


class Secret(str):
    """A credential: never logged, never journaled; written in clear it is a warning."""


class Destination(str):
    """A phone number that we dial: E.164, guarded against toll fraud."""


class EventName(str):
    """The name of a session event."""


class ConnectionName(str):
    """The name of one of the config's connections."""


class PythonName(str):
    """`module:function`, fixed at load."""


class Url(str):
    """An absolute http or https URL whose host is fixed at load."""


class Path(str):
    """A URL path; values in it are percent-encoded."""


class Condition:
    """An expression as in `when`; at run time it is asked with an event's fields."""

    def __init__(self, is_met: Callable[[Mapping[str, Any]], bool]) -> None:
        self._is_met = is_met

    def __call__(self, fields: Mapping[str, Any]) -> bool:
        """Whether it holds for an event with these fields."""
        return self._is_met(fields)


class Steps(tuple[Any, ...]):
    """Steps of their own, compiled; run through `ActionContext`."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """Put into `Annotated[...]`: words of a caller or another system must not decide this.

    A template may choose between texts that the config writes out; another value is refused, both
    at validation and at run time, unless the part `kind` of the config's `allow` has it.
    """

    kind: Literal["", "numbers", "queues", "agents", "digits", "languages"] = ""


class Written:
    """Put into `Annotated[...]`: read at load, so that no template but of `vars` decides it."""


@dataclass(frozen=True, slots=True)
class Form:
    """Put into `Annotated[...]`: the form that a text must have."""

    role: Literal["hours", "days", "zone"]


@dataclass(frozen=True, slots=True)
class Seconds:
    """Put into `Annotated[...]`: the least and the most of a duration, in seconds."""

    low: float
    high: float = 86_400.0


class Filled:
    """Put into `Annotated[...]`: an empty text or list is a mistake there."""


class Options:
    """A mapping option with annotated fields of its own. A field `for_` is written `for`."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a combination of options, found when a config is checked."""

    message: str
    option: str = ""
    help: str | None = None
    code: str = "HK109"


class Action:
    """One kind of step. Subclass it, annotate the options, write `run`.

    Class settings:
        name: the word in YAML; by default the class name in snake_case. (With an annotation
            `name: str` it is an option like any other.)
        main: the option that a bare value fills; by default the first field.
        needs: capabilities of the runtime without which a config is refused.
        output: the shape of what `run` returns, for `save` and `steps.<id>.output`.
        waits: whether the caller may hear the time that `run` takes.
        in_background: whether steps run off the call's path unless told otherwise.
        taint: where text in the output comes from (`"remote"` for outside systems).
        limited: how often steps of its kind may run when the config does not say; they are counted
            before `run`, retries not again.
        in_journal: whether the journal keeps the options of each run; not for what shows there
            by itself, as commands and timers do.

    `run` may be async, or a plain function when it cannot wait. It raises `ActionFailed` for what
    it cannot do; anything else it raises is reported as a fault of the action.
    """

    main: ClassVar[str] = ""
    needs: ClassVar[frozenset[str]] = frozenset()
    output: ClassVar[Shape] = ANY
    waits: ClassVar[bool] = True
    in_background: ClassVar[bool] = False
    taint: ClassVar[str] = ""
    limited: ClassVar[Limit | None] = None
    in_journal: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)

    def run(self, ctx: ActionContext) -> Awaitable[Any] | Any:
        """Do the work of one step and return its output.

        Raises:
            ActionFailed: the work could not be done.
        """
        raise ActionFailed(f"{type(self).__name__} has no run()")

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """Faults that no single option shows: exclusive options, missing partners.

        `options` holds what is written: constants as values, templates as `None`-valued keys are
        never dropped, so `in` tells what was given.
        """
        return ()

    @classmethod
    def prepare(cls) -> None:
        """Import what the first run needs: called when a config is attached, not in a call."""

    @classmethod
    def needs_for(cls, options: Mapping[str, Any]) -> frozenset[str]:
        """The capabilities that a step with these written options needs."""
        return cls.needs

    @classmethod
    def output_for(cls, options: Mapping[str, Any]) -> Shape:
        """The shape of the output of a step with these written options."""
        return cls.output

    @classmethod
    def is_background(cls, options: Mapping[str, Any], *, saves: bool) -> bool:
        """Whether a step runs in the background when its config does not say."""
        return cls.in_background


def snake_case(name: str) -> str:
    """`PageOnCall` -> `page_on_call`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def check_target(options: Mapping[str, Any]) -> Sequence[Fault]:
    """Faults of a request's target: `connection` with `path`, or `url`."""
    if "url" in options:
        other = next((name for name in ("connection", "path") if name in options), None)
        if other is not None:
            return [Fault(f"`url` and `{other}` exclude each other", other)]
        return ()
    if "connection" not in options:
        return [Fault("has no target", help="name a `connection`, or a `url`", code="HK104")]
    path = options.get("path")
    if isinstance(path, str) and "{{" not in path and ("?" in path or "#" in path):
        return [Fault("a path has no query", "path", "put it under `query`")]
    return ()


# --- what an action is given


class CallFactsLike(Protocol):
    """What is known of the call; the same names as `call` in templates."""

    id: str
    session_id: str
    agent_id: str
    direction: str
    user_number: str

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
class Cut:
    """Where a secret was taken out of a delivery: the part, the offset there, and the variable.

    `form` says how it was written there; see `orchestrator.written`.
    """

    part: str
    offset: int
    variable: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing that must leave the process: an HTTP request that is repeated until it is taken.

    `id` is derived from call, hook and occurrence, so every repetition carries the same one. The
    credentials are not in here: the connection's name is, and it adds them at each attempt.
    `config` is the name of the config whose connections are meant; it is filled in when the
    delivery is handed over, and `cuts` are the secrets taken out then. Deliveries of one config
    with the same `order`, to the same endpoint, leave one after another.
    """

    id: str
    connection: str
    url: str
    body: bytes
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    call_id: str = ""
    attempt: int = 0
    order: str = ""
    config: str = ""
    cuts: tuple[Cut, ...] = ()


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

    async def play(self, source: str, *, loop: int = 1, interruptible: bool = True) -> None:
        """Play a sound from an https address, after what is queued."""
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
