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
from orchestrator.runtimes.handlers import HandlerTable, Limits, run_handlers
from orchestrator.runtimes.replies import closing
from orchestrator.runtimes.session import Session
from orchestrator.runtimes.tasks import TaskOwner

__all__ = ["AgentRunner", "CallContext", "Entrypoint", "RunnerStats", "Session"]

logger = logging.getLogger(__name__)


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
        capabilities: what the bridges are expected to be able to do, for checks before any call.
        handler_timeout: seconds that one handler may wait, unless it keeps its own deadlines.
        max_concurrent: how many calls are carried at a time; more wait at the exchange.
    """

    runtime_name = "native"

    def __init__(
        self,
        entrypoint: Entrypoint | None = None,
        *,
        agent_id: str = "agent",
        exchange: Exchange | None = None,
        capabilities: frozenset[str] = ALL_CAPABILITIES,
        handler_timeout: float = 5.0,
        max_concurrent: int = 100,
    ) -> None:
        if max_concurrent < 1:
            raise ValueError(f"max_concurrent must be 1 or more, got {max_concurrent}")
        self.capabilities = capabilities
        self._entrypoint = entrypoint or _run_session
        self._agent_id = agent_id
        self._exchange = exchange
        self._timeout = handler_timeout
        self._capacity = max_concurrent
        self._table = HandlerTable("runner")
        self._live: dict[int, CallContext] = {}
        self._calls = TaskOwner()
        self._strays = TaskOwner()
        self._completed = self._failed = 0
        self._intake: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Register an async handler for a runner event; see `HandlerTable.on`."""
        return self._table.on(event)

    def active_calls(self) -> list[CallContext]:
        """The calls being carried now, oldest first."""
        return list(self._live.values())

    def stats(self) -> RunnerStats:
        """Counts since the runner was made."""
        return RunnerStats(len(self._live), self._completed, self._failed, self._capacity)

    # --- many calls ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry the exchange's calls until it closes and the last call has ended.

        Raises:
            UserError: the runner has no exchange, or runs already.
        """
        if self._exchange is None:
            raise UserError("this runner has no exchange; give one, or use handle(bridge)")
        if self._intake is not None:
            raise UserError("this runner runs already")
        self._intake = asyncio.create_task(self._take_calls(self._exchange))
        try:
            await asyncio.wait([self._intake])
            await self._calls.join()
        finally:
            self._intake.cancel()
            await self._close_all()
        with contextlib.suppress(asyncio.CancelledError):  # by shutdown()
            self._intake.result()

    async def _take_calls(self, exchange: Exchange) -> None:
        room = asyncio.Semaphore(self._capacity)
        async with closing(exchange.calls()) as calls:
            while True:
                await room.acquire()  # before a call is taken: what waits, waits at the exchange
                bridge = await anext(calls, None)
                if bridge is None:
                    return
                task = self._calls.start(self.handle(bridge))
                task.add_done_callback(lambda _: room.release())

    async def shutdown(self, drain_timeout: float = 30.0) -> None:
        """Take no more calls, let live ones end for `drain_timeout` seconds, then stop the rest.

        What is stopped ends with state `shutdown`, its `call_end` handlers included.
        """
        if self._exchange is not None:
            await self._exchange.aclose()
        if self._intake is not None:
            self._intake.cancel()
        if not await self._became_idle(drain_timeout):
            for ctx in self.active_calls():
                ctx.session.shut_down()
            await self._became_idle(4 * self._timeout)
        await self._close_all()

    async def _became_idle(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        return not self._live

    async def _close_all(self) -> None:
        # An entrypoint that does not return is cancelled; its call_end handlers get their time.
        await self._calls.aclose(4 * self._timeout)
        await self._strays.aclose()

    # --- one call ------------------------------------------------------------------------------

    async def handle(self, bridge: Bridge) -> CallContext:
        """Carry one call to its end; raises nothing but a cancellation from outside."""
        ctx = self._context(bridge)
        self._live[id(ctx)] = ctx
        self._idle.clear()
        try:
            await self._carry(ctx, bridge)
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
        )

    async def _carry(self, ctx: CallContext, bridge: Bridge) -> None:
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
            await self._close_call(ctx, bridge)

    async def _close_call(self, ctx: CallContext, bridge: Bridge) -> None:
        is_bad = ctx.error is not None or ctx.session.state == "error"
        ctx.final_state = "failed" if is_bad else "ended"
        try:
            await self._let_go(ctx, bridge)
        finally:
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
