"""The Unpod SDK as a runtime: its `AgentRunner` made to speak our contract.

::

    runner = AgentRunner(entrypoint=orchestrator.guard(entrypoint), agent_id=...)  # of the SDK
    orchestrator.attach(runner)

The runner comes built, since its constructor changed over versions (0.2.1 to 0.5.0 work), and
nothing of the SDK is imported: only `on`, `active_calls` and the public parts of contexts and
sessions are used.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.runtime import Handler, RunnerLike
from orchestrator.runtimes.callbacks import HostLike
from orchestrator.runtimes.handlers import HandlerTable
from orchestrator.runtimes.stopping import Stopping, is_free
from orchestrator.runtimes.tasks import TaskOwner
from orchestrator.runtimes.unpod.call import UnpodCall, key_of
from orchestrator.runtimes.unpod.lane import Waits
from orchestrator.runtimes.unpod.session import is_line_error

__all__ = ["UNPOD_CAPABILITIES", "UnpodRunner", "adapt", "guard"]

logger = logging.getLogger(__name__)

#: What calls on the SDK can do. Its fillers and recording controls are spoken aloud to the caller,
#: nothing tells how a transfer ended, and when audio starts and stops comes as `state`.
UNPOD_CAPABILITIES = frozenset(
    {"say", "interrupt", "end", "transfer.number", "transfer.queue", "transfer.agent",
     "transfer.warm", "inject", "state", "error", "metric"}
)  # fmt: skip
#: Hooks of the SDK that not every version has, and what we lack without them.
_OPTIONAL_HOOKS = {"state": "state"}


def adapt(runner: Any) -> RunnerLike:
    """A runner that speaks our contract: the SDK's wrapped, any other as it is."""
    is_sdk = any(
        cls.__name__ == "AgentRunner" and cls.__module__.partition(".")[0] == "unpod"
        for cls in type(runner).__mro__
    )
    return UnpodRunner(runner) if is_sdk else runner


def guard(entrypoint: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """An entrypoint that takes a goodbye of the far side for the end of the call, not a failure.

    Without it the SDK takes a hang-up during a reply for a failed dial: it counts the call as
    failed and dials twice more. A connection that breaks is still raised, since the SDK's next
    dial then resumes the call.
    """

    @functools.wraps(entrypoint)
    async def guarded(ctx: Any) -> None:
        try:
            await entrypoint(ctx)
        except Exception as error:
            if not is_line_error(error, "ConnectionClosedOK"):
                raise
            logger.info("the line closed", extra={"call_id": getattr(ctx, "call_id", "")})

    return guarded


class UnpodRunner:
    """The SDK's runner behind our contract; `attach` makes one by itself.

    Args:
        runner: the SDK's `AgentRunner`, or what has its `on(event)`.
        waits: how long what is waited for.
        handles_sigterm: let live calls end after SIGTERM, then end the process with 0; by itself
            it dies at once, without any hook. Only where nothing else handles it.
    """

    runtime_name = "unpod"

    def __init__(
        self, runner: Any, waits: Waits | None = None, *, handles_sigterm: bool = True
    ) -> None:
        self.capabilities = _capabilities(runner)
        #: Awaited when the process goes down, after the last call's end.
        self.on_shutdown: Callable[[], Awaitable[object]] | None = None
        self._runner = runner
        self._waits = waits or Waits()
        self._handles_sigterm = handles_sigterm
        self._table = HandlerTable("runner")
        self._calls: dict[str, UnpodCall] = {}
        self._undone: set[UnpodCall] = set()
        self._idle = asyncio.Event()
        self._tasks = TaskOwner()
        self._stopping: Stopping | None = None
        runner.on("call_start")(self._run_starts)
        runner.on("call_end")(self._run_ends)

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Register an async handler for a runner event; see `HandlerTable.on`."""
        return self._table.on(event)

    def attached(self, host: HostLike) -> None:
        """The host is closed when the process goes down."""
        self.on_shutdown = host.aclose

    def live_calls(self) -> list[UnpodCall]:
        """The logical calls that have not ended."""
        return list(self._calls.values())

    # --- the SDK's two hooks

    async def _run_starts(self, ctx: Any, *_: Any, **__: Any) -> None:
        self._watch_sigterm()
        call = self._calls.get(key_of(ctx))
        if call is not None and not call.can_resume:
            call.finish()
            call = None
        if call is not None:
            call.bind(ctx)
            return
        call = UnpodCall(ctx, self._table, waits=self._waits, capabilities=self.capabilities,
                         owner=self)  # fmt: skip
        self._calls[call.key] = call
        self._undone.add(call)
        self._idle.clear()
        call.bind(ctx)
        await call.start()

    async def _run_ends(self, ctx: Any, final_state: str = "ended", *_: Any, **__: Any) -> None:
        """End the run at once, so that no slot is held; only a shutdown waits for the hooks."""
        error = sys.exc_info()[1]
        call = self._calls.get(key_of(ctx))
        if call is None:
            return  # attached while the call was already on
        call.run_ended(ctx, final_state, error)
        if isinstance(error, asyncio.CancelledError):
            await asyncio.wait({call.consumer}, timeout=self._waits.shutdown)

    def call_over(self, call: UnpodCall) -> None:
        """A call has ended: another run of its session is another call."""
        if self._calls.get(call.key) is call:
            del self._calls[call.key]

    async def call_done(self, call: UnpodCall) -> None:
        """The last handler of a call is done; when the process goes down, so is our host."""
        self._undone.discard(call)
        if self._undone:
            return
        self._idle.set()
        task = asyncio.current_task()
        if task is not None and task.cancelling() and self.on_shutdown is not None:
            await self.on_shutdown()

    # --- the process's end

    def _watch_sigterm(self) -> None:
        is_ours = self._handles_sigterm and self._stopping is None and is_free(signal.SIGTERM)
        if is_ours and sys.platform != "win32":
            self._stopping = Stopping()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)

    def _stop(self) -> None:
        if self._stopping is None:
            return
        if not self._stopping.is_asked:
            logger.info("SIGTERM: live calls may end", extra={"seconds": self._waits.drain})
            self._tasks.start(self._drain(self._stopping))
        self._stopping.ask()

    async def _drain(self, stopping: Stopping) -> None:
        if isinstance(getattr(self._runner, "_max_concurrent", None), int):
            self._runner._max_concurrent = 0  # the SDK has no other way to refuse calls
        await stopping.unless_urged(self._until_idle(self._waits.drain))
        for call in self.live_calls():
            call.finish("failed", asyncio.CancelledError())
        await stopping.unless_urged(self._until_idle(self._waits.shutdown))
        if self.on_shutdown is not None:
            await stopping.unless_urged(_closed(self.on_shutdown))
        asyncio.get_running_loop().call_soon(_leave)

    async def _until_idle(self, seconds: float) -> None:
        if self._undone:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)


async def _closed(close: Callable[[], Awaitable[object]]) -> None:
    try:
        await close()
    except Exception:  # the process ends all the same
        logger.exception("the hooks could not be closed")


def _leave() -> None:
    """End the process well: the SDK's own loop has no way out but being cancelled."""
    raise SystemExit(0)


def _capabilities(runner: Any) -> frozenset[str]:
    """What this version can do: `on` refuses the name of a hook that it lacks."""
    missing = set()
    for hook, capability in _OPTIONAL_HOOKS.items():
        try:
            runner.on(hook)
        except ValueError:
            missing.add(capability)
    return UNPOD_CAPABILITIES - missing
