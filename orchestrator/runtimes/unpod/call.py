"""One call on the Unpod SDK: one start and one end, however often the SDK dials and runs it.

The SDK awaits every hook inside its loop. Here a hook only queues the event; one consumer per call
runs our handlers in order. What can still act on the present turn (`user_turn`, the starts, an
error's apology) is waited for, `hold` seconds at most; nothing else holds the SDK's loop, so that
words and barge-ins pass while hooks work.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any, Protocol

from orchestrator.runtime import CallEvent
from orchestrator.runtimes.handlers import HandlerTable
from orchestrator.runtimes.unpod.events import Translator, called_in
from orchestrator.runtimes.unpod.lane import Lane, Waits
from orchestrator.runtimes.unpod.session import UnpodSession, is_line_error

__all__ = ["HOOKS", "Owner", "UnpodCall", "key_of"]

logger = logging.getLogger(__name__)

#: The SDK's session hooks that we register, each once a session object.
HOOKS = ("call_start", "user_turn", "agent_turn", "interruption", "state", "metric", "error",
         "turn_complete", "call_end")  # fmt: skip
#: Hooks that the SDK waits for: what ours do may still act on the present turn.
_HELD = frozenset({"user_turn", "error"})


class Owner(Protocol):
    """Who keeps the calls."""

    def call_over(self, call: UnpodCall) -> None:
        """A call has ended: another run of its session is another call."""
        ...

    async def call_done(self, call: UnpodCall) -> None:
        """The last handler of a call is done."""
        ...


class UnpodCall:
    """One logical call; it is also the context that the runner's handlers are given.

    Attributes:
        key: what all runs of the call have in common.
        runs: how often the SDK has run the call.
    """

    def __init__(
        self,
        ctx: Any,
        handlers: HandlerTable,
        *,
        waits: Waits,
        capabilities: frozenset[str],
        owner: Owner,
    ) -> None:
        self.call_id = str(ctx.call_id)
        self.key = key_of(ctx)
        self.session_id = str(ctx.session_id)
        self.agent_id = str(ctx.agent_id)
        self.direction = "outbound" if ctx.direction == "outbound" else "inbound"
        self.user_number: str | None = ctx.user_number or None
        self.instructions: str = ctx.instructions or ""
        self.data: dict[str, Any] = ctx.data
        self.called_number = called_in(ctx.data)
        self.session = UnpodSession(ctx.session, capabilities)
        self.runs = 0
        self.is_over = False
        self._waits = waits
        self._owner = owner
        self._translator = Translator()
        self._state = ""  # how the session ended; empty before
        self._is_started = False
        self._lane = Lane(self, self.session.table, handlers)
        self._timer: asyncio.TimerHandle | None = None
        self._ctx: Any = None
        self._heard_at = asyncio.get_running_loop().time()
        self.session.fire_into(self._lane.put)
        self.consumer = asyncio.get_running_loop().create_task(self._consume())

    # --- runs of the SDK

    async def start(self) -> None:
        """The runner's `call_start`, waited for."""
        await self._hold(self._lane.put(CallEvent("call_start"), scope="runner"))

    def bind(self, ctx: Any) -> None:
        """Listen to the session of a run that begins."""
        self.runs += 1
        self._ctx = ctx
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.runs > 1:
            self.session.rebind(ctx.session)
            self.session.note("the runtime dialled the call again", run=self.runs)
        for hook in HOOKS:
            try:
                ctx.session.on(hook)(self._of_run(ctx, self._listener(hook)))
            except ValueError:  # an older SDK
                logger.info("the SDK has no such hook", extra={"hook": hook})

    def _of_run(self, ctx: Any, listener: Callable[..., Any]) -> Callable[..., Any]:
        """A listener that hears nothing more once another run has taken over."""

        async def listen(*args: Any, **named: Any) -> None:
            if ctx is self._ctx:
                await listener(*args, **named)

        return listen

    @property
    def can_resume(self) -> bool:
        """Whether a run that begins now goes on with this call."""
        return not self.is_over and not self._state

    def run_ended(self, ctx: Any, final_state: str, error: BaseException | None) -> None:
        """A run is over; `error` is what ended it. The call is, unless it is dialled again."""
        if ctx is not self._ctx:
            return  # another run has taken over
        self.session.is_gone = True
        is_failed = final_state == "failed" or error is not None
        if self._state or not is_failed or isinstance(error, asyncio.CancelledError):
            self.finish(final_state, error)
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._waits.redial, self.finish, final_state, error)

    def finish(self, final_state: str = "ended", error: BaseException | None = None) -> None:
        """End the call for good: its session first, if that was not told yet."""
        if self.is_over:
            return
        self.is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._end_session(_state_after(error))
        is_hangup = is_line_error(error) and self._state != "error"
        is_bad = self._state == "error" or (final_state == "failed" and not is_hangup)
        state = "failed" if is_bad else "ended"
        self._lane.put(CallEvent("call_end", {"final_state": state}), scope="runner", is_last=True)
        self._owner.call_over(self)

    # --- hooks of the SDK's session

    def _listener(self, hook: str) -> Callable[..., Any]:
        if hook == "call_start":
            return self._session_starts
        if hook == "call_end":
            return self._session_ends

        async def listen(*args: Any, **named: Any) -> None:
            try:
                events = self._translator.events(hook, args, named)
            except Exception:  # whatever the SDK reports, the call goes on
                extra = {"call_id": self.call_id, "hook": hook}
                logger.exception("malformed report passed over", extra=extra)
                return
            jobs = [self._arrive(event) for event in events]
            if jobs and hook in _HELD:
                await self._hold(jobs[-1])

        return listen

    async def _session_starts(self, *_: Any, **__: Any) -> None:
        if self._is_started:
            return  # of an earlier run
        self._is_started = True
        await self._hold(self._lane.put(CallEvent("call_start")))

    async def _session_ends(self, reason: str = "hangup", *_: Any, **__: Any) -> None:
        """The SDK's loop ended. If an exception ended it, the SDK may dial and run it again."""
        error = sys.exc_info()[1]
        self.session.is_gone = True
        if error is None or is_line_error(error, "ConnectionClosedOK"):
            self._end_session("error" if reason == "error" else "hangup")
        elif isinstance(error, asyncio.CancelledError):
            self._end_session("shutdown")

    def _end_session(self, state: str) -> None:
        if self._state:
            return
        if state == "hangup" and (self.session.was_ended or self.session.is_transferring):
            state = "ended" if self.session.was_ended else "transferred"
        self._state = state
        self.session.is_gone = True
        for event in self._translator.last():
            self.session.show(event)
            self._lane.put(event)
        if state in ("hangup", "transferred"):
            quiet = asyncio.get_running_loop().time() - self._heard_at
            self.session.note("the line closed", quiet_for=round(quiet, 3))
            self.session.show(CallEvent("hangup", {"reason": "line closed"}))
        self._lane.cut()
        if self._is_started:
            self._lane.put(CallEvent("call_end", {"state": state}), is_last=True)

    # --- the one consumer

    def _arrive(self, event: CallEvent) -> asyncio.Future[None]:
        self._heard_at = asyncio.get_running_loop().time()
        self.session.show(event)
        return self._lane.put(event)

    async def _hold(self, done: asyncio.Future[None]) -> None:
        _, waiting = await asyncio.wait({done}, timeout=self._waits.hold)
        if waiting:
            self.session.note("the runtime went on without its hooks", after=self._waits.hold)

    async def _consume(self) -> None:
        try:
            await self._lane.run(lambda: self.is_over)
        except asyncio.CancelledError:  # the process goes down; the end is told all the same
            self.finish("failed", asyncio.CancelledError())
            async with asyncio.timeout(self._waits.shutdown):
                await self._lane.run(lambda: self.is_over)
            raise
        finally:
            await self._lane.aclose()
            await self._owner.call_done(self)


def key_of(ctx: Any) -> str:
    """What all runs of a call have in common; a run that names no session is a call of its own."""
    return str(ctx.session_id) if ctx.session_id else f"run {id(ctx)}"


def _state_after(error: BaseException | None) -> str:
    """How a session ended that an exception ended, or that did not say."""
    if error is None or is_line_error(error):
        return "hangup"
    return "shutdown" if isinstance(error, asyncio.CancelledError) else "error"
