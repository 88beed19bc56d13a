"""Our own runner: it takes calls from an exchange, one owned task each, and carries them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.deadline import bounded
from orchestrator.errors import UserError
from orchestrator.runtime import ALL_CAPABILITIES, Bridge, Exchange, Handler
from orchestrator.runtimes.callbacks import HostLike
from orchestrator.runtimes.handlers import HandlerTable, Limits, run_handlers
from orchestrator.runtimes.replies import closing
from orchestrator.runtimes.session import Session
from orchestrator.runtimes.stopping import AT_ONCE, Stopping, dropped
from orchestrator.runtimes.tasks import TaskOwner

__all__ = ["AgentRunner", "CallContext", "Entrypoint", "RunnerStats", "Session"]

logger = logging.getLogger(__name__)

#: Seconds that live calls have to end once no more are taken.
DRAIN = 30.0


@dataclass(eq=False)
class CallContext:
    """One call, as the runner hands it to its handlers and to the entrypoint.

    `data` is the same dict as `session.data`. Once the call is over, `final_state` is `"ended"` or
    `"failed"`, and `error` is what the entrypoint raised, if it did.
    """

    call_id: str
    session_id: str
    agent_id: str
    direction: str
    user_number: str | None
    instructions: str
    data: dict[str, Any] = field(repr=False)
    session: Session = field(repr=False)
    called_number: str = ""
    final_state: str | None = None
    error: BaseException | None = field(default=None, repr=False)


Entrypoint = Callable[[CallContext], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RunnerStats:
    """How many calls are live, ended well and failed since the start, and how many fit."""

    in_flight: int
    completed: int
    failed: int
    capacity: int


async def _run_session(ctx: CallContext) -> None:
    await ctx.session.run()


class AgentRunner:
    """Runs calls.

    Args:
        entrypoint: called for each call; without one the session is run. If it returns without
            `session.run()`, the line is ended and only the runner's `call_end` fires.
        agent_id: for calls whose bridge names no agent.
        exchange: where `run()` takes calls from.
        capabilities: what the bridges are expected to be able to do, for checks before any call; by
            default what the exchange says, or else everything.
        handler_timeout: seconds that one handler may wait, unless it keeps its own deadlines.
        max_concurrent: how many calls are carried at a time; the exchange is told, and what it
            offers all the same waits there.

    Attributes:
        runtime_name: the runtime's word in journals, `call.runtime` and messages: the exchange's.
    """

    runtime_name = "native"

    def __init__(
        self,
        entrypoint: Entrypoint | None = None,
        *,
        agent_id: str = "agent",
        exchange: Exchange | None = None,
        capabilities: frozenset[str] | None = None,
        handler_timeout: float = 5.0,
        max_concurrent: int = 100,
    ) -> None:
        if max_concurrent < 1:
            raise ValueError(f"max_concurrent must be 1 or more, got {max_concurrent}")
        self.runtime_name = str(getattr(exchange, "runtime_name", self.runtime_name))
        if capabilities is None:
            capabilities = getattr(exchange, "capabilities", ALL_CAPABILITIES)
        self.capabilities: frozenset[str] = capabilities
        lenders = getattr(exchange, "lenders", None)
        if lenders is not None:
            self.lenders: frozenset[str] = lenders
        self._entrypoint = entrypoint or _run_session
        self._agent_id = agent_id
        self._exchange = exchange
        self._timeout = handler_timeout
        self._drain = DRAIN
        self._capacity = max_concurrent
        tell = getattr(exchange, "limit_to", None)
        if tell is not None:
            tell(max_concurrent)
        self._table = HandlerTable("runner")
        self._live: dict[int, CallContext] = {}
        self._hosts: list[HostLike] = []
        self._calls = TaskOwner()
        self._strays = TaskOwner()
        self._completed = self._failed = 0
        self._intake: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Register an async handler for a runner event; see `HandlerTable.on`."""
        return self._table.on(event)

    def attached(self, host: HostLike) -> None:
        """Hooks are on this runner: they are closed when `run` ends with its process."""
        self._hosts.append(host)

    def active_calls(self) -> list[CallContext]:
        """The calls being carried now, oldest first."""
        return list(self._live.values())

    def stats(self) -> RunnerStats:
        """Counts since the runner was made."""
        return RunnerStats(len(self._live), self._completed, self._failed, self._capacity)

    # --- many calls ----------------------------------------------------------------------------

    async def run(self, *, drain: float = DRAIN, handles_signals: bool = True) -> None:
        """Carry the exchange's calls until it closes and the last call has ended.

        SIGTERM or Ctrl-C: no more calls are taken, calls that are on may end for `drain` seconds,
        what is left is stopped as by `shutdown`; then the attached orchestrators are closed, which
        finishes post-call work, deliveries and journals, and this returns. A second signal ends it
        within about a second. Only where nothing else handles SIGTERM, and in the main thread;
        not with `handles_signals=False`.

        Raises:
            UserError: the runner has no exchange, or runs already.
        """
        if self._exchange is None:
            raise UserError("this runner has no exchange; give one, or use handle(bridge)")
        if self._intake is not None:
            raise UserError("this runner runs already")
        self._drain = drain
        self._intake = asyncio.create_task(self._take_calls(self._exchange))
        stop = Stopping()
        with stop.on_signals(wanted=handles_signals):
            try:
                await self._carry_until(stop)
                if stop.is_asked:
                    logger.info("draining", extra={"count": len(self._live), "seconds": drain})
                    await self.drain(stop, drain)
            finally:
                self._intake.cancel()
                await stop.unless_urged(self._close_all())
                if stop.is_asked:
                    await self._close_hosts(stop)
        with contextlib.suppress(asyncio.CancelledError):  # by shutdown()
            self._intake.result()

    async def _carry_until(self, stop: Stopping) -> None:
        """Until the exchange has closed and its last call has ended, or the end is asked for."""
        both = {asyncio.ensure_future(self._all_carried()), asyncio.ensure_future(stop.wait())}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await dropped(*both)

    async def _all_carried(self) -> None:
        if self._intake is not None:
            await asyncio.wait([self._intake])
        await self._calls.join()

    async def _close_hosts(self, stop: Stopping) -> None:
        for host in self._hosts:
            try:
                await stop.unless_urged(host.aclose())
            except Exception:  # the others are to be closed too
                logger.exception("the hooks could not be closed")

    async def _take_calls(self, exchange: Exchange) -> None:
        room = asyncio.Semaphore(self._capacity)
        async with closing(exchange.calls()) as calls:
            while True:
                await room.acquire()  # before a call is taken: what waits, waits at the exchange
                bridge = await anext(calls, None)
                if bridge is None:
                    return
                self._calls.start(self._take_call(bridge, room))

    async def _take_call(self, bridge: Bridge, room: asyncio.Semaphore) -> None:
        """Carry one call; its room is free with its line, its last hooks take none."""
        with contextlib.ExitStack() as freed:
            freed.callback(room.release)
            await self._handle(bridge, freed)

    async def drain(self, stop: Stopping, seconds: float) -> None:
        """Shut down as patiently as `stop` allows."""
        await stop.unless_urged(self.shutdown(seconds))
        if self._live:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.shutdown(0), AT_ONCE)

    async def shutdown(self, drain_timeout: float | None = None) -> None:
        """Take no more calls, let live ones end for `drain_timeout` seconds, then stop the rest.

        Without that it is the `drain` that `run` was given (30), as a signal would have it.
        Calls that the exchange has accepted already are live ones. What is stopped ends with state
        `shutdown`, its `call_end` handlers included.
        """
        if self._exchange is not None:
            await self._exchange.aclose()
        if not await self._became_idle(self._drain if drain_timeout is None else drain_timeout):
            if self._intake is not None:
                self._intake.cancel()
            for ctx in self.active_calls():
                ctx.session.shut_down()
            await self._became_idle(4 * self._timeout)
        await self._close_all()

    async def _became_idle(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._all_carried()
                await self._idle.wait()  # also of calls that were not the exchange's
                return True
        return False

    async def _close_all(self) -> None:
        # An entrypoint that does not return is cancelled; its call_end handlers get their time.
        await self._calls.aclose(4 * self._timeout)
        await self._strays.aclose()

    # --- one call ------------------------------------------------------------------------------

    async def handle(self, bridge: Bridge) -> CallContext:
        """Carry one call to its end; raises nothing but a cancellation from outside."""
        return await self._handle(bridge, contextlib.ExitStack())

    async def _handle(self, bridge: Bridge, held: contextlib.ExitStack) -> CallContext:
        """Carry one call; `held` is what it holds as long as it has its line."""
        ctx = self._context(bridge)
        self._live[id(ctx)] = ctx
        self._idle.clear()
        try:
            await self._carry(ctx, bridge, held)
        finally:
            self._forget(ctx)
        return ctx

    def _forget(self, ctx: CallContext) -> None:
        del self._live[id(ctx)]
        self._completed += ctx.final_state == "ended"
        self._failed += ctx.final_state != "ended"
        if not self._live:
            self._idle.set()

    def _context(self, bridge: Bridge) -> CallContext:
        offer = bridge.offer
        session = Session(bridge, handler_timeout=self._timeout)
        return CallContext(
            call_id=offer.call_id,
            session_id=offer.session_id or offer.call_id,
            agent_id=offer.agent_id or self._agent_id,
            direction=offer.direction,
            user_number=offer.user_number,
            instructions=offer.instructions,
            data=session.data,
            session=session,
            called_number=offer.called_number,
        )

    async def _carry(self, ctx: CallContext, bridge: Bridge, held: contextlib.ExitStack) -> None:
        before = _cancel_requests()
        try:
            await self._fire("call_start", ctx)
            ctx.session.open()
            await self._entrypoint(ctx)
        except asyncio.CancelledError as error:
            ctx.error = error
            if _cancel_requests() > before:
                raise
            logger.exception("entrypoint raised CancelledError", extra={"call_id": ctx.call_id})
        except (Exception, SystemExit) as error:  # it is user code; its failure is this call's only
            ctx.error = error
            logger.exception("entrypoint raised", extra={"call_id": ctx.call_id})
        finally:
            await self._close_call(ctx, bridge, held)

    async def _close_call(
        self, ctx: CallContext, bridge: Bridge, held: contextlib.ExitStack
    ) -> None:
        is_bad = ctx.error is not None or ctx.session.state == "error"
        ctx.final_state = "failed" if is_bad else "ended"
        try:
            await self._let_go(ctx, bridge)
        finally:
            held.close()
            await self._fire("call_end", ctx, ctx.final_state, is_last=True)

    async def _let_go(self, ctx: CallContext, bridge: Bridge) -> None:
        """Free the line before the last handlers run: the caller is not to wait for them."""
        try:
            await ctx.session.hang_up("failed" if ctx.error else "completed")
            await ctx.session.aclose()
        finally:
            await self._close_bridge(ctx, bridge)

    async def _close_bridge(self, ctx: CallContext, bridge: Bridge) -> None:
        try:
            await bounded(bridge.aclose(), self._timeout, on_stray=self._strays.start)
        except Exception:  # a bridge that cannot close must not keep the call from ending
            logger.exception("bridge raised on close", extra={"call_id": ctx.call_id})

    async def _fire(self, event: str, *args: Any, is_last: bool = False) -> None:
        limits = Limits(self._timeout, self._strays.start)
        about = {"call_id": args[0].call_id, "event": event}
        handlers = self._table.of(event)
        await run_handlers(handlers, args, {}, limits, about=about, is_last=is_last)


def _cancel_requests() -> int:
    """How many requests to cancel the current task has; one more than before was meant for us."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
