"""The line of one call over ConversationRelay: its sockets, what goes out, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from orchestrator.errors import CommandRefused, LineGone
from orchestrator.plain import json_text
from orchestrator.relay.dialects import RELAY_CAPABILITIES
from orchestrator.relay.frames import BadFrame, Frame, end_frame, events_of, frame_of, parse_frame
from orchestrator.relay.heard import LATE, Heard
from orchestrator.relay.parts import Phase, Socket, Surroundings
from orchestrator.relay.recordings import Recordings
from orchestrator.runtime import (
    CallEvent,
    CallOffer,
    Command,
    End,
    Recording,
    ReplyDelta,
    ReplyEnd,
    Say,
    SetLanguage,
    Transfer,
)
from orchestrator.runtimes.remarks import Remarks
from orchestrator.runtimes.tasks import TaskOwner

__all__ = ["RelayLine"]


class RelayLine:
    """One call's line; see `orchestrator.runtime.Bridge`.

    Attributes:
        outcome_slack: seconds that the outcome of a transfer may be late on this wire.
    """

    def __init__(self, offer: CallOffer, around: Surroundings) -> None:
        self.offer = offer
        self.capabilities = RELAY_CAPABILITIES
        self.phase = Phase.LIVE
        self.outcome_slack = around.limits.dialled + around.limits.resume
        self._around, self._limits = around, around.limits
        self._loop = asyncio.get_running_loop()
        self._heard = Heard(self._loop.time)
        self._events: asyncio.Queue[CallEvent | None] = asyncio.Queue()
        self._socket: Socket | None = None
        self._session = offer.session_id  # of the carrier: one for each socket
        self._transfer: Transfer | None = None
        self._outcome: CallEvent | None = None  # of a transfer, told once the caller is back
        self._words: list[str] = []
        self._language: Frame = {}  # as it was set last, in each of its two ways
        self._limit: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()  # the session is done with this call
        self._is_told = asyncio.Event()  # why the socket was lost
        self._tasks = TaskOwner({"call_id": offer.call_id})
        self._recordings: Recordings | None = None
        self._remark = Remarks()

    # --- what the session asks

    async def events(self) -> AsyncIterator[CallEvent]:
        """The call's events over all its sockets."""
        while (event := await self._events.get()) is not None:
            yield event

    def take_notes(self, note: Callable[..., None]) -> None:
        """Have remarks on bad frames written into the call's journal."""
        self._remark.take_notes(note)

    def take_connections(self, lend: Callable[[str], Mapping[str, Callable[[], Any]]]) -> None:
        """With the carrier's API, recordings can be paused; it stays the one that the call got."""
        lent = lend(self._around.carrier)
        if lent:
            self._recordings = Recordings(lent, self._around.account, self._remark)
            self.capabilities |= {"recording"}

    async def send(self, command: Command) -> None:
        """Send the frame of a command, or arrange what it asks for.

        Raises:
            LineGone: the call is over or ending.
            CommandRefused: it is being transferred, or the wire has no such frame.
            ActionFailed: the carrier's API did not change the recording.
        """
        match command:
            case Recording(change):
                await self._record(change)
            case End(reason):
                self._end(reason)
            case Transfer():
                self._require_line(command)
                self._leave({"transfer": command.target, "mode": command.mode}, command)
            case Say(text) if self.phase is Phase.LAST_WORDS:
                self._words.append(text)
            case ReplyDelta() | ReplyEnd() if self.phase is Phase.LOST:
                await self._is_told.wait()  # the reply stands still, and is cut by what is told
                raise LineGone(f"{command.name}: the line is gone")
            case _:
                frame = frame_of(command)
                await self._write(self._require_line(command), frame)
                self._heard.sent(command)
                if isinstance(command, SetLanguage):
                    self._language.update(frame)

    async def aclose(self) -> None:
        """The session is done; goodbyes go on until they were heard."""
        self._settled.set()
        if self.phase is Phase.LIVE:
            self._end("completed")
        elif self.phase is not Phase.LEAVING:
            self._over()

    def _require_line(self, command: Command) -> Socket:
        if self._transfer is not None:
            raise CommandRefused(f"{command.name}: the caller is being transferred")
        if self.phase is not Phase.LIVE or self._socket is None:
            raise LineGone(f"{command.name}: the line is gone")
        return self._socket

    async def _write(self, socket: Socket, frame: Frame) -> None:
        try:
            async with asyncio.timeout(self._limits.send):
                await socket.send(json_text(frame))
        except (OSError, TimeoutError):
            raise LineGone("the connection is broken") from None

    async def _record(self, change: str) -> None:
        if self._recordings is None:
            raise CommandRefused("the config has no connection to this carrier's API")
        await self._recordings.change(self.offer.call_id, change)

    def _end(self, reason: str) -> None:
        if self.phase is Phase.LIVE and self._socket is not None:
            self._leave({"reason": reason}, None)
        else:
            self._settled.set()
            if self.phase is not Phase.LEAVING and self.phase is not Phase.LAST_WORDS:
                self._over()

    def _leave(self, handoff: Mapping[str, Any], transfer: Transfer | None) -> None:
        """Give the line back to the carrier, once what was said has been heard."""
        self.phase, self._transfer = Phase.LEAVING, transfer
        is_shutdown = handoff.get("reason") == "shutdown"
        patience = max(self._limits.goodbye, self._heard.told + LATE)
        limit = self._limits.shutdown if is_shutdown else patience
        self._tasks.start(self._say_goodbye(end_frame(handoff), limit))

    async def _say_goodbye(self, frame: Frame, limit: float) -> None:
        await self._heard.all(limit)
        if self.phase is not Phase.LEAVING:
            return
        self._within(self._limits.callback, self._nobody_called_back)
        if self._socket is not None:
            with contextlib.suppress(LineGone):
                await self._write(self._socket, frame)

    # --- sockets

    async def carry(self, socket: Socket, session: str) -> None:
        """Read a socket until it closes: the first, the one after a transfer, or after a loss."""
        self._socket, self._session = socket, session
        self._unlimited()
        self._heard.dropped()
        if self.phase is Phase.LOST:
            self._remark("the socket came back")
            self._is_told.set()  # who waits for the reason of the loss need not any more
            self._is_told = asyncio.Event()
        self.phase = Phase.LIVE
        if self._language:  # a new session speaks the document's
            with contextlib.suppress(LineGone):
                await self._write(socket, self._language)
        if self._outcome is not None:
            outcome, self._outcome, self._transfer = self._outcome, None, None
            self._events.put_nowait(outcome)
        try:
            while self._socket is socket and (raw := await socket.receive()) is not None:
                self._take(raw)
        finally:  # whatever happens to the reading, the call must not wait for it
            if self._socket is socket:
                self._socket = None
                if socket.why_closed:
                    self._remark("the socket was closed", why=socket.why_closed)
                self._lost()

    def _take(self, raw: str | bytes) -> None:
        try:
            frame = parse_frame(raw)
            events = events_of(frame)
        except BadFrame as error:
            self._remark("a frame was passed over", why=str(error))
            return
        if frame["type"] == "info":
            self._heard.reported(frame.get("name"), frame.get("value"))
        elif frame["type"] == "interrupt":
            self._heard.dropped()
        for event in events:
            self._events.put_nowait(event)

    def _lost(self) -> None:
        """The socket is gone: the carrier says why, in its callback."""
        self._heard.dropped()
        if self.phase is Phase.LIVE:
            self.phase = Phase.LOST
            self._within(self._limits.callback, self._nobody_called_back)

    def _nobody_called_back(self) -> None:
        if self._transfer is not None:
            self._tell_outcome("failed")
        self._over("line closed")

    @property
    def takes_socket(self) -> bool:
        """Whether a new socket is awaited, or the old one is lost."""
        return self.phase in (Phase.RESUMING, Phase.LOST)

    # --- the end

    def _over(self, reason: str = "") -> None:
        """Nothing more comes on this call; with a reason, the session is told that it hung up."""
        if self.phase is Phase.OVER:
            return
        if reason:
            state = {"state": reason} if reason == "transferred" else {}
            self._events.put_nowait(CallEvent("hangup", {"reason": reason, **state}))
        self._finish()

    def _finish(self) -> None:
        self.phase = Phase.OVER
        self._is_told.set()
        self._unlimited()
        self._drop_socket()
        self._settled.set()
        self._around.on_over(self.offer.call_id)

    def _tell_outcome(self, outcome: str) -> None:
        self._events.put_nowait(self._outcome_event(outcome))

    def _outcome_event(self, outcome: str) -> CallEvent:
        target = self._transfer.target if self._transfer is not None else ""
        return CallEvent("transfer", {"outcome": outcome, "target": target})

    async def cut(self) -> None:
        """Let go of everything at once: the process ends."""
        self._over("shutdown")
        await self._tasks.aclose()

    def _drop_socket(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            self._tasks.start(socket.close())

    def _within(self, seconds: float, then: Callable[[], None]) -> None:
        self._unlimited()
        self._limit = self._loop.call_later(seconds, then)

    def _unlimited(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
