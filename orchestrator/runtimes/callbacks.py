"""A bridge whose far side reports by callbacks, as foreign runtimes do."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.errors import ActionFailed, CommandRefused, LineGone, named
from orchestrator.runtime import CallEvent, CallOffer, Command
from orchestrator.runtimes.replies import NO_REPLY
from orchestrator.runtimes.tasks import TaskOwner

__all__ = ["CallbackBridge", "HostLike", "Waits"]

logger = logging.getLogger(__name__)

#: Remarks that are kept until a journal takes them.
_MAX_EARLY = 100


@dataclass(frozen=True, slots=True)
class Waits:
    """How long what is waited for, in seconds.

    Attributes:
        hold: the reply waits for the hooks of the caller's words.
        caller: the caller, before the call is told without knowing who calls.
        rejoin: a caller whose connection broke may come back.
        drain: what was queued may still be heard after the end was asked for.
        finish: the hooks of the end, when the runtime's own budget is short.
        session_end: the same in the runtime's long slot, where there is one.
    """

    hold: float = 3.0
    caller: float = 10.0
    rejoin: float = 10.0
    drain: float = 30.0
    finish: float = 8.0
    session_end: float = 60.0


class HostLike(Protocol):
    """What an attached call needs of the `Orchestrator`."""

    async def settle(self) -> None:
        """Wait until the work of ended calls is done."""
        ...

    async def aclose(self) -> None:
        """Finish that work, flush deliveries and journals, close all that is open."""
        ...

    def has_hooks(self, event: str) -> bool:
        """Whether the plan has hooks for a session event."""
        ...


class CallbackBridge(ABC):
    """A bridge whose far side reports by callbacks.

    A subclass puts events with `put`, registers listeners wrapped by `guarded`, says `ready()`
    once the caller can hear us, and sends commands in `act`.

    Attributes:
        over: set once the line is gone, or the far side is closing.
        was_ended: we asked for the end.
        is_ending: no reply is wanted any more.
        was_ready: the session ran.
        has_failed: the far side broke down.
    """

    def __init__(self, offer: CallOffer, capabilities: frozenset[str], waits: Waits) -> None:
        self.offer = offer
        self.capabilities = capabilities
        self.waits = waits
        self.over = asyncio.Event()
        self.was_ended = self.is_ending = False
        self.host: HostLike | None = None
        self.tasks = TaskOwner({"call_id": offer.call_id})
        self._queue: asyncio.Queue[CallEvent] = asyncio.Queue()
        self._held: deque[asyncio.Future[None]] = deque()
        self._is_settled = asyncio.Event()
        self.was_ready = self.has_failed = False
        self._early: list[tuple[str, dict[str, Any]]] = []
        self._note: Callable[..., None] | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the line is gone."""
        return self.over.is_set()

    # --- events in

    def put(self, name: str, /, **fields: Any) -> None:
        """Report an event; nothing after the line is gone."""
        if not self.is_gone:
            self._queue.put_nowait(CallEvent(name, fields))

    def no_reply(self) -> None:
        """Report that no answer to the caller's words comes: the floor is the caller's again."""
        if not self.is_gone:
            self._queue.put_nowait(NO_REPLY)

    def hang_up(self, reason: str, state: str = "hangup") -> None:
        """Report that the line is gone, once; `state` is how the session ended."""
        if self.is_gone:
            return
        self.put("hangup", reason=reason, state=state)
        self.let_go()

    def fail(self, error: Mapping[str, str]) -> None:
        """Report that the far side broke down: the session ends as failed."""
        if self.is_gone:
            return
        self.put("error", **{**error, "severity": "fatal"})
        self.has_failed = True
        self.let_go()

    def let_go(self) -> None:
        """Nothing more comes or goes on this line; whoever waits goes on."""
        self.over.set()
        self._is_settled.set()
        while self._held:
            _release(self._held.popleft())

    def guarded(self, listener: Callable[..., Any]) -> Callable[..., None]:
        """A listener that the far side may call: whatever it is given, it never raises."""

        def listen(*args: Any) -> None:
            try:
                listener(*args)
            except Exception as error:
                what = type(args[-1]).__name__ if args else ""
                extra = {"call_id": self.offer.call_id, "report": what}
                logger.exception("malformed report passed over", extra=extra)
                self.note("a report was passed over", report=what, why=type(error).__name__)

        return listen

    async def events(self) -> AsyncIterator[CallEvent]:
        """The call's events, the last of them a `hangup` or a fatal error."""
        while True:
            event = await self._queue.get()
            yield event
            if event.name == "hangup":
                return

    # --- the caller's words and the reply

    @property
    def is_holding(self) -> bool:
        """Whether words were told whose hooks have not run."""
        return bool(self._held)

    async def heard(self, text: str, **extras: Any) -> None:
        """Report the caller's words and wait for their hooks, `waits.hold` seconds at most."""
        if self.is_gone:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append(done)
        self.put("user_turn", text=text, **extras)
        await self._wait(done)

    async def hold(self) -> None:
        """Wait for the hooks of words that were reported already."""
        if self._held:
            await self._wait(self._held[-1])

    def report_words(self, text: str, **extras: Any) -> None:
        """Report the caller's words from where nothing can be awaited; `hold` waits for them."""
        if not self.is_gone:
            self._held.append(asyncio.get_running_loop().create_future())
            self.put("user_turn", text=text, **extras)

    async def _wait(self, done: asyncio.Future[None]) -> None:
        _, late = await asyncio.wait({done}, timeout=self.waits.hold)
        if late:
            self.note("the runtime went on without its hooks", after=self.waits.hold)

    def words_done(self) -> None:
        """The hooks of the oldest words have run."""
        if self._held:
            _release(self._held.popleft())

    # --- the start

    def ready(self) -> None:
        """The session runs: it can speak, and hears."""
        self.was_ready = True
        self._is_settled.set()

    async def until_ready(self) -> bool:
        """Wait until the session runs; False when it ended before."""
        await self._is_settled.wait()
        return self.was_ready

    # --- remarks

    def take_notes(self, note: Callable[..., None]) -> None:
        """Have remarks on the runtime's doings written down, the earlier ones too."""
        self._note = note
        for text, details in self._early:
            note(text, **details)
        self._early.clear()

    def note(self, text: str, **details: Any) -> None:
        """Remark on the runtime's doings, for the journal."""
        if self._note is not None:
            self._note(text, **details)
        elif len(self._early) < _MAX_EARLY:
            self._early.append((text, details))

    # --- commands out

    async def send(self, command: Command) -> None:
        """Hand one command to the runtime."""
        if self.is_gone:
            raise LineGone(f"the call is over, {command.name!r} came too late")
        try:
            await self.act(command)
        except ActionFailed:
            raise
        except Exception as error:  # what a runtime raises is its way to say no
            why = named(error)
            raise CommandRefused(f"the runtime refused {command.name!r}: {why}") from error

    @abstractmethod
    async def act(self, command: Command) -> None:
        """Do what a command says; what it raises becomes `CommandRefused`."""

    async def prepare(self) -> None:  # noqa: B027 - not every runtime has to ask
        """Learn who calls, before the call is told; bounded by `waits.caller`."""

    async def aclose(self) -> None:
        """Let go of the far side."""
        self.let_go()
        await self.tasks.aclose()


def _release(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
