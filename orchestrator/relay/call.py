"""One call over ConversationRelay: a bridge that outlives its sockets.

::

    LIVE --end frame--> LEAVING --action callback--> over, or AWAY with a transfer
    AWAY --answered--> over        AWAY --busy, refused--> RESUMING --new setup--> LIVE
    LIVE --socket lost--> LOST --action callback, or nobody calls back--> over
    LIVE or LOST --the session failed--> LAST_WORDS --our hooks are done--> over

Every phase but LIVE has a limit: a call never waits for ever. What the carrier asks a second time,
because our first answer was lost, is answered the same again.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.errors import CommandRefused, LineGone
from orchestrator.relay.frames import BadFrame, Frame, end_frame, events_of, frame_of, parse_frame
from orchestrator.relay.heard import Heard
from orchestrator.relay.outcomes import is_gone, outcome_of
from orchestrator.relay.twiml import HANG_UP, Directions, hold, say_goodbye, whisper
from orchestrator.runtime import (
    CallEvent,
    CallOffer,
    Command,
    End,
    Recording,
    ReplyDelta,
    ReplyEnd,
    Say,
    Transfer,
)
from orchestrator.runtimes.tasks import TaskOwner

__all__ = ["Phase", "Recorder", "RelayCall", "Socket", "Surroundings"]

logger = logging.getLogger(__name__)

#: Seconds: for the carrier's callback after a socket is gone; for a caller to come back after a
#: transfer; for hooks to say last words; that goodbyes are waited for; for one frame to leave.
CALLBACK_LIMIT, RESUME_LIMIT, LAST_WORDS_LIMIT = 5.0, 10.0, 4.0
GOODBYE_LIMIT, SHUTDOWN_LIMIT, SEND_LIMIT = 60.0, 3.0, 5.0
#: Seconds that an outcome may come after `answer_within`; and, for queues, when none came by
#: then, who has not left the queue has been answered.
OUTCOME_LIMIT, ANSWERED_AFTER = 12.0, 3.0
#: Remarks about bad frames that one call's journal takes.
MOST_REMARKS = 20
#: Answers that are remembered for a carrier that asks again.
MOST_ANSWERS = 20


class Phase(enum.Enum):
    """Where a call is; see the module."""

    LIVE = "live"
    LOST = "lost"
    LEAVING = "leaving"
    AWAY = "away"
    RESUMING = "resuming"
    LAST_WORDS = "last words"
    OVER = "over"


class Socket(Protocol):
    """The WebSocket of a call, as far as this module cares."""

    async def receive(self) -> str | bytes | None:
        """The next message; None once it is closed."""
        ...

    async def send(self, text: str) -> None:
        """Send a message. Raises `OSError` when it is closed."""
        ...

    async def close(self) -> None:
        """Close it; never raises."""
        ...


class Recorder(Protocol):
    """What pauses and resumes a recording, through the carrier's REST API."""

    async def record(self, call_id: str, change: str) -> None:
        """Change the recording of a call; `change` is pause or resume.

        Raises:
            ActionFailed: it did not work.
        """
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a call is given by its switchboard."""

    directions: Directions
    capabilities: frozenset[str]
    recorder: Callable[[], Recorder | None]
    on_over: Callable[[RelayCall], None]


class RelayCall:
    """One call; see `orchestrator.runtime.Bridge`.

    Attributes:
        outcome_slack: seconds that the outcome of a transfer may be late on this wire.
    """

    outcome_slack = OUTCOME_LIMIT + RESUME_LIMIT

    def __init__(self, offer: CallOffer, around: Surroundings) -> None:
        self.offer = offer
        self.capabilities = around.capabilities
        self.phase = Phase.LIVE
        self._around = around
        self._loop = asyncio.get_running_loop()
        self._heard = Heard(self._loop.time)
        self._events: asyncio.Queue[CallEvent | None] = asyncio.Queue()
        self._socket: Socket | None = None
        self._session = offer.session_id  # of the carrier: one for each socket
        self._transfer: Transfer | None = None
        self._outcome: CallEvent | None = None  # of a transfer, told once the caller is back
        self._answers: dict[tuple[str, str], str] = {}
        self._words: list[str] = []
        self._limit: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()  # the session is done with this call
        self._tasks = TaskOwner()
        self._note: Callable[..., None] | None = None
        self._remarks: deque[tuple[str, dict[str, Any]]] = deque(maxlen=MOST_REMARKS)
        self._remarked = 0

    # --- what the session asks

    async def events(self) -> AsyncIterator[CallEvent]:
        """The call's events over all its sockets."""
        while (event := await self._events.get()) is not None:
            yield event

    def take_notes(self, note: Callable[..., None]) -> None:
        """Have remarks on bad frames written into the call's journal."""
        self._note = note
        while self._remarks:
            text, details = self._remarks.popleft()
            note(text, **details)

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
                pass  # why the socket is gone is about to be told; the reply is cut then
            case _:
                frame = frame_of(command)
                await self._write(self._require_line(command), frame)
                if isinstance(command, (Say, ReplyDelta)):
                    self._heard.sent(command.text)

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
            async with asyncio.timeout(SEND_LIMIT):
                await socket.send(json.dumps(frame))
        except (OSError, TimeoutError):
            raise LineGone("the connection is broken") from None

    async def _record(self, change: str) -> None:
        recorder = self._around.recorder()
        if recorder is None:
            raise CommandRefused("the config has no connection to this carrier's API")
        await recorder.record(self.offer.call_id, change)

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
        limit = SHUTDOWN_LIMIT if handoff.get("reason") == "shutdown" else GOODBYE_LIMIT
        self._tasks.start(self._say_goodbye(end_frame(handoff), limit))

    async def _say_goodbye(self, frame: Frame, limit: float) -> None:
        await self._heard.all(limit)
        if self.phase is not Phase.LEAVING:
            return
        self._within(CALLBACK_LIMIT, self._nobody_called_back)
        if self._socket is not None:
            with contextlib.suppress(LineGone):
                await self._write(self._socket, frame)

    # --- sockets

    async def carry(self, socket: Socket, session: str) -> None:
        """Read a socket until it closes; the first, or the one after a transfer that failed."""
        self._socket, self._session = socket, session
        self.phase = Phase.LIVE
        self._unlimited()
        self._heard.dropped()
        if self._outcome is not None:
            outcome, self._outcome, self._transfer = self._outcome, None, None
            self._events.put_nowait(outcome)
        while self._socket is socket and (raw := await socket.receive()) is not None:
            self._take(raw)
        if self._socket is socket:
            self._socket = None
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
            self._within(CALLBACK_LIMIT, self._nobody_called_back)

    def _nobody_called_back(self) -> None:
        if self._transfer is not None:
            self._tell_outcome("failed")
        self._over("line closed")

    @property
    def is_resuming(self) -> bool:
        """Whether a new socket is awaited."""
        return self.phase is Phase.RESUMING

    # --- what the carrier asks

    async def on_action(self, form: Mapping[str, str]) -> str:
        """The session over one socket has ended: what the caller's line is to do now."""
        session = form.get("SessionId", "")
        key = ("action", session)
        if key in self._answers:
            return self._answers[key]
        is_anothers = self.phase is Phase.LIVE and session not in ("", self._session)
        if is_anothers or self.phase not in (Phase.LIVE, Phase.LOST, Phase.LEAVING):
            self._remark("a callback was passed over", why=f"unasked in phase {self.phase.value!r}")
            return HANG_UP
        answer = await self._after_session(form)
        self._remember(key, answer)
        return answer

    async def _after_session(self, form: Mapping[str, str]) -> str:
        if is_gone(form):
            self._caller_left()
        elif self.phase is Phase.LEAVING and self._transfer is not None:
            return self._hand_over(self._transfer)
        elif form.get("SessionStatus") == "failed" and self.phase is not Phase.LEAVING:
            return await self._fail(form)
        self._over(form.get("SessionStatus") or "completed")
        return HANG_UP

    def _caller_left(self) -> None:
        if self._transfer is not None and self.phase is not Phase.OVER:
            self._tell_outcome("failed")

    def _hand_over(self, transfer: Transfer) -> str:
        self.phase = Phase.AWAY
        self._drop_socket()
        is_queue = transfer.kind == "queue"
        late = ANSWERED_AFTER if is_queue else OUTCOME_LIMIT
        judge = self._answered if is_queue else self._nobody_called_back
        self._within(transfer.answer_within + late, judge)
        if is_queue and transfer.announcement:
            self._remark("a queue of this carrier hears no announcement")
        return self._around.directions.transfer(self.offer.call_id, transfer)

    async def _fail(self, form: Mapping[str, str]) -> str:
        """The carrier gave up; the caller is still there, and hears what the hooks say now."""
        self.phase = Phase.LAST_WORDS
        self._unlimited()
        self._drop_socket()
        fields = {"code": form.get("ErrorCode") or "relay", "source": "conversation_relay",
                  "message": form.get("ErrorMessage") or "the session failed",
                  "severity": "fatal"}  # fmt: skip
        self._events.put_nowait(CallEvent("error", fields))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), LAST_WORDS_LIMIT)
        self._over("failed")
        return say_goodbye(tuple(self._words))

    def on_dialled(self, form: Mapping[str, str]) -> str:
        """A transfer is over: it was answered, or the caller comes back to us."""
        key = ("dialled", form.get("DialCallSid") or form.get("QueueSid") or "")
        if key in self._answers:
            return self._answers[key]
        if self.phase is Phase.RESUMING:
            return self._around.directions.connect(self.offer.call_id, {})
        if self.phase is not Phase.AWAY:
            return HANG_UP
        outcome = outcome_of(form)
        if outcome == "answered":
            self._answered()
            answer = HANG_UP
        elif is_gone(form):
            self._caller_left()
            self._over("the caller hung up")
            answer = HANG_UP
        else:
            answer = self._take_back(outcome)
        self._remember(key, answer)
        return answer

    def _take_back(self, outcome: str) -> str:
        self.phase = Phase.RESUMING
        self._outcome = self._outcome_event(outcome)
        self._within(RESUME_LIMIT, self._did_not_come_back)
        return self._around.directions.connect(self.offer.call_id, {})

    def _did_not_come_back(self) -> None:
        if self._outcome is not None:
            self._events.put_nowait(self._outcome)
        self._over("the caller did not come back")

    def on_answered(self) -> None:
        """The other side took the call."""
        if self.phase is Phase.AWAY:
            self._answered()

    def _answered(self) -> None:
        transfer = self._transfer
        self._tell_outcome("answered")
        if transfer is not None and transfer.mode == "cold":
            self._finish()  # the session ends by itself: it was transferred
        else:
            self._over("transferred")

    def whisper(self) -> str:
        """What the other side hears; that it asks means that it answered."""
        announcement = self._transfer.announcement if self._transfer is not None else ""
        self.on_answered()
        return whisper(announcement)

    def hold(self) -> str:
        """How long the caller waits in a queue."""
        return hold(self._transfer.answer_within if self._transfer is not None else 1.0)

    def _tell_outcome(self, outcome: str) -> None:
        self._events.put_nowait(self._outcome_event(outcome))

    def _outcome_event(self, outcome: str) -> CallEvent:
        target = self._transfer.target if self._transfer is not None else ""
        return CallEvent("transfer", {"outcome": outcome, "target": target})

    # --- the end

    def _over(self, reason: str = "") -> None:
        """Nothing more comes on this call; with a reason, the session is told that it hung up."""
        if self.phase is Phase.OVER:
            return
        if reason:
            self._events.put_nowait(CallEvent("hangup", {"reason": reason}))
        self._finish()

    def _finish(self) -> None:
        self.phase = Phase.OVER
        self._unlimited()
        self._drop_socket()
        self._settled.set()
        self._around.on_over(self)

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

    def _remember(self, key: tuple[str, str], answer: str) -> None:
        if key[1]:
            self._answers[key] = answer
        if len(self._answers) > MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]

    def _remark(self, text: str, **details: Any) -> None:
        """Write a line into the journal, or keep it until there is one."""
        self._remarked += 1
        if self._remarked > MOST_REMARKS:
            return
        if self._remarked == MOST_REMARKS:
            text, details = f"{text}; no more of them are noted", {}
        if self._note is not None:
            self._note(text, **details)
        else:
            self._remarks.append((text, details))
