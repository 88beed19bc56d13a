"""The session: one call's loop. Events come in, handlers run one after another, replies stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orchestrator.deadline import Cut, bounded
from orchestrator.errors import LineGone, OrchestratorError, UserError
from orchestrator.events import check_event, find_event, is_custom
from orchestrator.runtime import (
    OUTCOME_SLACK,
    Bridge,
    CallEvent,
    Command,
    End,
    Handler,
    Interrupt,
    Say,
    Transfer,
)
from orchestrator.runtimes.controls import Controls
from orchestrator.runtimes.handlers import HandlerTable, Limits, run_handlers
from orchestrator.runtimes.line import LOOK_UP, Line, Tap
from orchestrator.runtimes.replies import Replies
from orchestrator.runtimes.tasks import TaskOwner

__all__ = ["Session"]

logger = logging.getLogger(__name__)


class Session(Controls):
    """One call.

    What happened before a hang-up is still handled, in order, though the line is gone; what was
    waiting at the hang-up is cut short. `end()` lets the present event's handlers finish.

    Attributes:
        data: one dict for the whole call, the same as `CallContext.data`.
        state: how the session ended, as `call_end` says; None before.
        end_reason: the reason given to `end()`.
    """

    def __init__(
        self,
        bridge: Bridge,
        *,
        data: dict[str, Any] | None = None,
        handler_timeout: float = 5.0,
    ) -> None:
        super().__init__(bridge)
        self.data: dict[str, Any] = dict(bridge.offer.data) if data is None else data
        self.state: str | None = None
        self.end_reason: str | None = None
        self._table = HandlerTable("session")
        self._line = Line(bridge, self._on_arrival)
        self._tasks = TaskOwner(self._about)
        self._replies = Replies(
            self._send_reply, self._line.arrive, self._machine_completed, self._tasks, self._about
        )  # fmt: skip
        self._cut = Cut()
        self._timeout = handler_timeout
        self._outcome: str | None = None  # decided by the first cause; the loop stops on it
        self._has_run = self._was_ended = self._was_lost = False
        self._is_transferring = False
        self._reader: asyncio.Task[None] | None = None

    # --- what handlers and hooks use -----------------------------------------------------------

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Register an async handler for a session event; see `HandlerTable.on`."""
        return self._table.on(event)

    def tap(self, callback: Tap) -> None:
        """Have each event seen as it arrives, before earlier ones are done with.

        The callback is not async and must be quick. It also sees `hangup`, and what our own
        replies and `fire` add.
        """
        self._line.tap(callback)

    def untap(self, callback: Tap) -> None:
        """Stop a tap; one that is not there is no mistake."""
        self._line.untap(callback)

    def take_notes(self, note: Callable[..., None]) -> None:
        """Have remarks of the bridge written down, where it makes any: `note(text, **details)`."""
        take = getattr(self._bridge, "take_notes", None)
        if take is not None:
            take(note)

    def take_connections(self, lend: Callable[[str], Mapping[str, Callable[[], Any]]]) -> None:
        """Lend the bridge connections of the config, where it makes use of any."""
        take = getattr(self._bridge, "take_connections", None)
        if take is not None:
            take(lend)

    @property
    def outcome_slack(self) -> float:
        """Seconds that the bridge needs, beside a transfer's own time, to report its outcome."""
        return float(getattr(self._bridge, "outcome_slack", OUTCOME_SLACK))

    def fire(self, event: str, **fields: Any) -> None:
        """Queue an event of one's own, `custom.<name>`, behind what has arrived.

        Once the call is over it is dropped: its end comes next.
        """
        if not is_custom(event):
            raise UserError(f"only custom.<name> events can be fired, got {event!r}")
        check_event("session", event)
        if not self.is_over:
            self._line.arrive(CallEvent(event, fields))

    @property
    def is_over(self) -> bool:
        """Whether the line is gone, or the call is ending."""
        return self._line.is_gone or self._outcome is not None

    async def command(self, command: Command, *needs: str) -> None:
        """Send a command; remembers a cold transfer and stops the reply on an interrupt."""
        self._require(command.needs, *needs)
        if isinstance(command, Interrupt):
            self._replies.cut()
        if not isinstance(command, Transfer):
            await super().command(command, *needs)
            if isinstance(command, Say) and self._machine is not None:
                self._replies.said(self._machine, command.text)
            return
        # Before it is sent: the outcome may come before `send` returns.
        before, self._is_transferring = self._is_transferring, command.mode == "cold"
        try:
            await super().command(command, *needs)
        except BaseException:
            self._is_transferring = before
            raise

    async def end(self, reason: str = "completed") -> None:
        """End the call once the present event's handlers are done; again, it does nothing."""
        if self.is_over:
            return
        self._require("end")
        self.end_reason = reason
        self._finish("ended")

    # --- the loop ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry the call to its end. Fires `call_start` first and `call_end(state)` last, once."""
        if self._has_run:
            raise UserError("session.run() was already called for this call")
        self._has_run = True
        try:
            self.open()
            await self._fire(CallEvent("call_start"))
            await self._loop()
        except asyncio.CancelledError:
            self._finish("shutdown")
            raise
        finally:
            await self._close_call()

    async def _loop(self) -> None:
        while self._outcome is None:
            event = await self._line.next()
            act = _ACTS.get(event.name, Session._fire)
            await act(self, event)

    def open(self) -> None:
        """Start to take events from the bridge; `run` does it unless the runner has."""
        if self._reader is None:
            self._reader = self._tasks.start(self._line.read())

    def shut_down(self) -> None:
        """Stop the call now, cutting short what waits: the runner is going down."""
        self._finish("shutdown")
        self._cut_short()

    def _on_arrival(self, event: CallEvent) -> None:
        if event.name == "interruption":
            heard = event.fields.get("heard")
            self._replies.interrupt(self._machine, heard if isinstance(heard, str) else None)
        if self._line.is_gone and not self._was_lost:
            self._was_lost = True  # what starts after this is not cut short
            self._cut_short()

    def _cut_short(self) -> None:
        self._replies.stop()
        self._cut()

    def _finish(self, outcome: str) -> None:
        """Decide how the call ended, unless that is decided; the loop stops after this event."""
        if self._outcome is None:
            self._outcome = outcome
            self._line.look_up()

    # --- what each event does ------------------------------------------------------------------

    async def _on_user_turn(self, event: CallEvent) -> None:
        await self._fire(event)
        if self._machine is not None and not self.is_over and "text" in event.fields:
            language = event.fields.get("language")
            self._replies.ask(self._machine, event.fields["text"], language)

    def _machine_completed(self) -> None:
        """The dialog machine has nothing more to say: the call ends once all of it was heard."""
        if not self.is_over and "end" in self.capabilities:
            self.end_reason = "completed"
            self._finish("ended")

    async def _on_error(self, event: CallEvent) -> None:
        await self._fire(event)
        if event.fields.get("severity") == "fatal":
            self._finish("error")

    async def _on_transfer(self, event: CallEvent) -> None:
        await self._fire(event)
        was_cold, self._is_transferring = self._is_transferring, False
        is_away = event.fields.get("outcome") == "answered" and not event.fields.get("stays")
        if was_cold and is_away:
            self._line.is_gone = True
            self._finish("transferred")

    async def _on_hangup(self, event: CallEvent) -> None:
        # A runtime that reports no outcomes just lets go of a line that it handed over.
        is_silent = "transfer.outcome" not in self.capabilities
        if self._is_transferring and is_silent:
            self._finish("transferred")
        else:
            self._finish(str(event.fields.get("state", "hangup")))

    async def _look_up(self, event: CallEvent) -> None:
        """The loop is to see that the call ended."""

    async def _pass_over(self, event: CallEvent) -> None:
        """The start and the end of the session are ours to tell, not the bridge's."""

    async def _fire(self, event: CallEvent) -> None:
        spec = find_event("session", event.name)
        if spec is None or not spec.fields.keys() <= event.fields.keys():
            logger.warning(
                "malformed event passed over", extra={**self._about, "event": event.name}
            )
            return
        handlers = self._table.of(event.name)
        if handlers:
            args = [event.fields[name] for name in spec.fields]
            extras = {k: v for k, v in event.fields.items() if k not in spec.fields}
            about = {**self._about, "event": event.name}
            await run_handlers(handlers, args, extras, self._limits(self._cut), about=about)

    def _limits(self, cut: Cut | None) -> Limits:
        return Limits(self._timeout, self._tasks.start, cut)

    @property
    def _about(self) -> Mapping[str, Any]:
        return {"call_id": self._bridge.offer.call_id}

    # --- the end -------------------------------------------------------------------------------

    async def _close_call(self) -> None:
        """Say goodbye to the line and fire `call_end`, whatever happened before."""
        self.state = self._outcome or "error"
        try:
            await self._report_last_reply()
            await self.hang_up(self.end_reason or self.state)
        finally:
            limits = self._limits(None)
            about = {**self._about, "event": "call_end"}
            handlers = self._table.of("call_end")
            await run_handlers(handlers, [self.state], {}, limits, about=about, is_last=True)

    async def _report_last_reply(self) -> None:
        """What the agent had written when the call ended is an agent turn all the same."""
        self._replies.stop()
        await self._replies.settle(self._timeout)
        for event in self._line.rest():
            if event.name == "agent_turn":
                await self._fire(event)

    async def hang_up(self, reason: str) -> None:
        """Send `End` once, if the line is still there and the bridge can; never raises."""
        if self._line.is_gone or self._was_ended or "end" not in self.capabilities:
            return
        self._was_ended = True
        try:
            farewell = self._bridge.send(End(reason))
            await bounded(farewell, self._timeout, on_stray=self._tasks.start)
        except OrchestratorError:
            logger.info("the line was gone before it was ended", extra=self._about)
        except Exception:  # a bridge's failure must not keep the call from ending
            logger.exception("bridge raised on end", extra=self._about)

    async def aclose(self) -> None:
        """Cancel and await everything the call still runs; called by the runner, last."""
        self._finish("shutdown")
        self._line.is_gone = True
        await self._tasks.aclose()
        # Handlers hold the call, and the call holds us: as a ring it would wait for a full
        # garbage collection, which stops every other call for as long as it takes.
        self._table.clear()
        self._line.let_go()

    async def _send_reply(self, command: Command) -> None:
        if self._line.is_gone:
            raise LineGone("the line is gone")
        await self._bridge.send(command)


_ACTS: Mapping[str, Callable[[Session, CallEvent], Awaitable[None]]] = {
    LOOK_UP.name: Session._look_up,
    "call_start": Session._pass_over,
    "call_end": Session._pass_over,
    "user_turn": Session._on_user_turn,
    "error": Session._on_error,
    "transfer": Session._on_transfer,
    "hangup": Session._on_hangup,
}
