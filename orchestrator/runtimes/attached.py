"""One call of a foreign runtime, carried by our own runner.

A runtime that has no runner of its own to attach to, only an object for each call, takes part as a
bridge that is fed by callbacks. Order, isolation, the one consumer, cutting at a hang-up and the
one end are then those of `session.Session`; nothing of it is written again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.errors import ActionFailed, CommandRefused, LineGone, OrchestratorError
from orchestrator.runtime import CallEvent, CallOffer, Command, Handler
from orchestrator.runtimes.native import AgentRunner, CallContext
from orchestrator.runtimes.tasks import TaskOwner

__all__ = ["AttachedCall", "CallbackBridge", "HostLike", "NeverStarted", "Waits"]

logger = logging.getLogger(__name__)

#: Remarks that are kept until a journal takes them.
_MAX_EARLY = 100
#: Of the time for the end, what closing the journal and the outbox gets at least, in seconds.
_FLUSH = 2.0


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


class NeverStarted(OrchestratorError):
    """The runtime's session ended before it began."""


class CallbackBridge:
    """A bridge whose far side reports by callbacks.

    A subclass puts events with `put`, registers listeners wrapped by `guarded`, says `ready()`
    once the caller can hear us, and sends commands in `act`.

    Attributes:
        over: set once the line is gone, or the far side is closing.
        was_ended: we asked for the end.
        is_ending: no reply is wanted any more.
    """

    def __init__(self, offer: CallOffer, capabilities: frozenset[str], waits: Waits) -> None:
        self.offer = offer
        self.capabilities = capabilities
        self.waits = waits
        self.over = asyncio.Event()
        self.was_ended = self.is_ending = False
        self.host: HostLike | None = None
        self.tasks = TaskOwner()
        self._queue: asyncio.Queue[CallEvent] = asyncio.Queue()
        self._held: deque[asyncio.Future[None]] = deque()
        self._is_ready = asyncio.Event()
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
        self.let_go()

    def let_go(self) -> None:
        """Nothing more comes or goes on this line; whoever waits goes on."""
        self.over.set()
        self._is_ready.set()
        while self._held:
            _release(self._held.popleft())

    def guarded(self, listener: Callable[..., Any]) -> Callable[..., None]:
        """A listener that the far side may call: whatever it is given, it never raises."""

        def listen(*args: Any) -> None:
            try:
                listener(*args)
            except Exception as error:
                what = type(args[-1]).__name__ if args else ""
                logger.exception("malformed report passed over", extra={"report": what})
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
        self._is_ready.set()

    async def until_ready(self) -> bool:
        """Wait until the session runs; False when it ended before."""
        await self._is_ready.wait()
        return not self.is_gone

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
            why = f"{type(error).__name__}: {error}"
            raise CommandRefused(f"the runtime refused {command.name!r}: {why}") from error

    async def act(self, command: Command) -> None:
        """Do what a command says; what it raises becomes `CommandRefused`."""
        raise NotImplementedError

    async def prepare(self) -> None:
        """Learn who calls, before the call is told; bounded by `waits.caller`."""

    async def aclose(self) -> None:
        """Let go of the far side."""
        self.let_go()
        await self.tasks.aclose()


def _release(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


class AttachedCall:
    """The runner of one call that a foreign runtime carries; `Orchestrator.attach` begins it.

    Attributes:
        ctx: the call, once it is over.
    """

    runtime_name = ""

    def __init__(self, bridge: CallbackBridge) -> None:
        self.bridge = bridge
        self.ctx: CallContext | None = None
        self._runner = AgentRunner(self._enter, capabilities=bridge.capabilities)
        self._task: asyncio.Task[None] | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        """What this call's runtime can do."""
        return self.bridge.capabilities

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Register an async handler for a runner event; see `HandlerTable.on`."""
        return self._runner.on(event)

    def attached(self, host: HostLike, detach: Callable[[], object]) -> None:
        """The hooks are registered: begin. `detach` is called once the call is over."""
        self.bridge.host = host
        self._task = asyncio.get_running_loop().create_task(self._carry())
        self._task.add_done_callback(lambda _: detach())

    async def _carry(self) -> None:
        try:
            await self.bridge.prepare()
        except Exception as error:  # who calls is not known; the call goes on
            logger.exception("the caller could not be made out")
            self.bridge.note("the caller could not be made out", why=type(error).__name__)
        self.ctx = await self._runner.handle(self.bridge)

    async def _enter(self, ctx: CallContext) -> None:
        @ctx.session.on("user_turn")
        async def release(text: str) -> None:
            self.bridge.is_ending |= ctx.session.is_over
            self.bridge.words_done()

        if await self.bridge.until_ready():
            await ctx.session.run()
        else:
            ctx.error = NeverStarted("the session ended before it began")

    @property
    def is_over(self) -> bool:
        """Whether the last handler of the call is done."""
        return self._task is not None and self._task.done()

    async def finished(self, seconds: float | None = None) -> bool:
        """Wait until the last handler of the call is done, `seconds` at most; whether it is."""
        if self._task is None:
            return True
        done, _ = await asyncio.wait({self._task}, timeout=seconds)
        return bool(done)

    async def finish(self, seconds: float, *, closes: bool = False) -> None:
        """Give the end of the call `seconds` in all; never raises.

        `closes`: the process ends with this call, so that the host is closed too.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        host = self.bridge.host
        if not await self.finished(max(seconds - _FLUSH, seconds / 2)):
            logger.warning("the end of a call took too long", extra={"seconds": seconds})
            self.bridge.note("the runtime ended before the hooks of the end", after=seconds)
        if host is not None:
            await _within(until - loop.time(), host.aclose() if closes else host.settle())


async def _within(seconds: float, work: Awaitable[None]) -> None:
    try:
        await asyncio.wait_for(work, max(seconds, 0.1))
    except TimeoutError:
        logger.warning("work of an ended call was cut off", extra={"seconds": round(seconds, 1)})
    except Exception:  # the runtime's shutdown must not see it
        logger.exception("work of an ended call failed")
