"""Stand-ins for action authors: a context that writes down what an action asked for."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from orchestrator.action import Action, Delivery, LadderOptions, Steps
from orchestrator.clock import run_virtual
from orchestrator.config import Allow
from orchestrator.destinations import check_destination
from orchestrator.memory import Memory
from orchestrator.options import convert, field_name, options_of
from orchestrator.plain import plain

__all__ = ["FakeCall", "FakeContext", "run_action"]


@dataclass(slots=True)
class FakeCall:
    """What is known of an invented call."""

    id: str = "test"
    session_id: str = "test"
    agent_id: str = "agent"
    direction: str = "inbound"
    user_number: str = "+15550100"
    called_number: str = ""
    duration: float = 0.0
    transcript: list[dict[str, str]] = field(default_factory=list)
    is_open: bool = True

    def hour_in(self, span: str, zone: str = "UTC") -> bool:
        """Whatever `is_open` says."""
        return self.is_open

    def weekday_in(self, days: str, zone: str = "UTC") -> bool:
        """Whatever `is_open` says."""
        return self.is_open


class FakeContext:
    """An `ActionContext` without a call: give it what the action reads, look at what it asked.

    Attributes:
        asked: everything the action asked for, as `(word, fields)` in order.
        deliveries: what the action handed over to leave the process.
    """

    def __init__(
        self,
        *,
        call: FakeCall | None = None,
        event: Mapping[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        vars: Mapping[str, Any] | None = None,
        connections: Mapping[str, Any] | None = None,
        http: Any = None,
        allow: Allow | None = None,
    ) -> None:
        self.id = "msg_test"
        self.call = call or FakeCall()
        self.event: Mapping[str, Any] = event or {}
        self.data = data if data is not None else {}
        self.vars: Mapping[str, Any] = vars or {}
        self.memory = Memory()
        self.log = logging.getLogger("orchestrator.testing")
        self.http = http
        self.timeout = 2.0
        self.saves = False
        self.random = 0.0
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.deliveries: list[Delivery] = []
        self._connections = connections or {}
        self._allow = allow or Allow()

    def _ask(self, word: str, **fields: Any) -> None:
        self.asked.append((word, fields))

    def now(self) -> datetime:
        """A Monday noon."""
        return datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

    def write_log(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        """Write it down."""
        self._ask("log", level=level, message=message, fields=dict(fields))

    def connection(self, name: str) -> Any:
        """The stand-in of this name."""
        return self._connections[name]

    def check_destination(self, number: str, allowed: Sequence[str] = ()) -> str:
        """The number, if `allow` has it; as in a call, with a number that is not fixed."""
        return check_destination(number, self._allow, allowed, is_fixed=False)

    async def say(self, text: str, *, interruptible: bool = True) -> None:
        """Write it down."""
        self._ask("say", text=text, interruptible=interruptible)

    async def interrupt(self) -> None:
        """Write it down."""
        self._ask("interrupt")

    async def end(self, reason: str) -> None:
        """Write it down."""
        self._ask("end_call", reason=reason)

    async def transfer(
        self, kind: Literal["number", "queue", "agent"], target: str, **options: Any
    ) -> None:
        """Write it down."""
        self._ask("transfer", kind=kind, target=target, **options)

    async def pause_recording(self, reason: str, *, at_most: float) -> None:
        """Write it down."""
        self._ask("recording", change="pause", reason=reason, at_most=at_most)

    async def resume_recording(self) -> None:
        """Write it down."""
        self._ask("recording", change="resume")

    async def set_filler(self, text: str) -> None:
        """Write it down."""
        self._ask("set_filler", text=text)

    async def send_digits(self, digits: str) -> None:
        """Write it down."""
        self._ask("send_dtmf", digits=digits)

    async def set_language(self, speech: str, transcription: str) -> None:
        """Write it down."""
        self._ask("set_language", speech=speech, transcription=transcription)

    async def play(
        self,
        source: str,
        *,
        loop: int = 1,
        interruptible: bool = True,
        lasts: float | None = None,
    ) -> None:
        """Write it down."""
        told = {} if lasts is None else {"lasts": lasts}
        self._ask("play", source=source, loop=loop, interruptible=interruptible, **told)

    async def inject(self, note: str) -> None:
        """Write it down."""
        self._ask("inject", note=note)

    async def emit(self, event: str, fields: Mapping[str, Any]) -> None:
        """Write it down."""
        self._ask("emit", event=event, fields=dict(fields))

    async def deliver(self, delivery: Delivery) -> None:
        """Keep it in `deliveries`."""
        self.deliveries.append(delivery)

    async def in_thread(self, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """What it gives, run in a thread as in a call."""
        return await asyncio.to_thread(function, *given, **named)

    def start_timer(
        self, name: str, after: float, steps: Steps, *, cancel_on: Sequence[str] = ()
    ) -> None:
        """Write it down."""
        self._ask("timer", name=name, after=after, cancel_on=tuple(cancel_on))

    def cancel_timer(self, name: str) -> bool:
        """Write it down."""
        self._ask("cancel_timer", name=name)
        return True

    def start_ladder(self, name: str, options: LadderOptions, steps: Steps) -> None:
        """Write it down."""
        self._ask("silence_timer", name=name, options=options)


def run_action(action: type[Action], context: FakeContext | None = None, **options: Any) -> Any:
    """Run an action once in virtual time and return its output, as plain data.

    Options are given as in YAML: durations as text, `for_` for `for`. Those left out have their
    defaults.

    Raises:
        ActionFailed: the action raised it, or an option does not fit.
        TypeError: it has no such option, or lacks one.

    Example:
        >>> context = FakeContext()
        >>> run_action(Say, context, text="Hello")
        {'text': 'Hello'}
        >>> context.asked
        [('say', {'text': 'Hello', 'interruptible': True})]
    """
    made = action(**_options(action, options))

    async def run() -> Any:
        output = made.run(context or FakeContext())
        return await output if inspect.isawaitable(output) else output

    return plain(run_virtual(run()))


def _options(action: type[Action], given: Mapping[str, Any]) -> dict[str, Any]:
    table = {field_name(name): option for name, option in options_of(action).items()}
    if unknown := given.keys() - table.keys():
        raise TypeError(f"{action.__name__} has no option {', '.join(sorted(unknown))}")
    missing = [n for n, option in table.items() if option.is_required and n not in given]
    if missing:
        raise TypeError(f"{action.__name__} needs the option {', '.join(missing)}")
    return {name: convert(table[name], value) for name, value in given.items()}
