"""One call of a foreign runtime, carried by our own runner.

A runtime that has no runner of its own to attach to, only an object for each call, takes part as a
bridge that is fed by callbacks. Order, isolation, the one consumer, cutting at a hang-up and the
one end are then those of `session.Session`; nothing of it is written again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.runtime import Handler
from orchestrator.runtimes.callbacks import CallbackBridge, HostLike
from orchestrator.runtimes.native import AgentRunner, CallContext

__all__ = ["AttachedCall", "NeverStarted"]

logger = logging.getLogger(__name__)

#: Of the time for the end, what closing the journal and the outbox gets at least, in seconds.
_FLUSH = 2.0


class NeverStarted(OrchestratorError):
    """The runtime's session ended before it began."""


class AttachedCall:
    """The runner of one call that a foreign runtime carries; `Orchestrator.attach` begins it.

    Attributes:
        target: the runtime's object of this call, which takes the same hooks once.
        ctx: the call, once it is over.
    """

    runtime_name = ""
    is_one_call = True

    def __init__(self, bridge: CallbackBridge, target: Any) -> None:
        self.bridge = bridge
        self.target = target
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

    def attached(self, host: HostLike) -> None:
        """The hooks are registered: begin."""
        self.bridge.host = host
        self._task = asyncio.get_running_loop().create_task(self._carry())

    @property
    def _about(self) -> dict[str, Any]:
        return {"call_id": self.bridge.offer.call_id}

    async def _carry(self) -> None:
        try:
            await self.bridge.prepare()
        except Exception as error:  # who calls is not known; the call goes on
            logger.exception("the caller could not be made out", extra=self._about)
            self.bridge.note("the caller could not be made out", why=type(error).__name__)
        self.ctx = await self._runner.handle(self.bridge)

    async def _enter(self, ctx: CallContext) -> None:
        @ctx.session.on("user_turn")
        async def release(text: str) -> None:
            self.bridge.is_ending |= ctx.session.is_over
            self.bridge.words_done()

        if await self.bridge.until_ready():
            await ctx.session.run()
        elif self.bridge.has_failed:
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

    async def aclose(self) -> None:
        """End the call if it is still on; at most `waits.finish` seconds for its last hooks.

        For the end of the orchestrator: also a call that its runtime never began is to have an end.
        """
        if self._task is None or self._task is asyncio.current_task():
            return
        if self.bridge.was_ready:
            self.bridge.hang_up("the orchestrator was closed", "shutdown")
        else:
            why = "the hooks were closed before the session began"
            self.bridge.fail({"code": NeverStarted.__name__, "message": why, "source": "runtime"})
        await self._over_within(self.bridge.waits.finish)

    async def _over_within(self, seconds: float) -> None:
        """Wait for the last handler; one that takes longer is cut, and the journal written."""
        if self._task is None or await self.finished(seconds):
            return
        extra = {**self._about, "seconds": seconds}
        logger.warning("the end of a call took too long", extra=extra)
        self.bridge.note("the runtime ended before the hooks of the end", after=seconds)
        self._task.cancel()
        await self.finished(_FLUSH / 4)

    async def finish(self, seconds: float, *, closes: bool = False) -> None:
        """Give the end of the call `seconds` in all; never raises.

        `closes`: the process ends with this call, so that the host is closed too.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        await self._over_within(max(seconds - _FLUSH, seconds / 2))
        host = self.bridge.host
        if host is not None:
            await _within(until - loop.time(), host.aclose() if closes else host.settle())


async def _within(seconds: float, work: Awaitable[None]) -> None:
    try:
        await asyncio.wait_for(work, max(seconds, 0.1))
    except TimeoutError:
        logger.warning("work of an ended call was cut off", extra={"seconds": round(seconds, 1)})
    except Exception:  # the runtime's shutdown must not see it
        logger.exception("work of an ended call failed")
