"""One call over the Unpod wire: dial the worker, shake hands, pass events in and verbs out.

A connection that breaks without a goodbye is dialled again and the call goes on, with everything
its session remembers; a goodbye is the caller's hang-up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from orchestrator.errors import LineGone
from orchestrator.plain import json_text
from orchestrator.quiet import UNLOGGED
from orchestrator.runtime import CallEvent, CallOffer, Command, Transfer
from orchestrator.runtimes.remarks import Remarks
from orchestrator.runtimes.unpod.failures import why_failed
from orchestrator.runtimes.unpod.runner import UNPOD_CAPABILITIES
from orchestrator.runtimes.unpod.transfers import OneTransfer
from orchestrator.runtimes.unpod.wire import (
    BadFrame,
    events_of,
    frame_of,
    hello,
    offer_of,
    parse_frame,
)

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["Breaks", "Dial", "UnpodBridge"]

logger = logging.getLogger(__name__)

#: Seconds: to open a socket, to shake hands, and before the second and third dial.
OPEN_LIMIT, HANDSHAKE_LIMIT, PAUSES = 5.0, 10.0, (0.2, 0.4)
#: Seconds that a verb waits for a broken connection to be dialled again.
RESUME_LIMIT = 3.0
#: Connections of one call that may break in so many seconds; the pause before it is dialled again
#: doubles from one to the next, after a first one without.
MOST_BREAKS, BREAKS_WINDOW, FIRST_PAUSE = 5, 60.0, 0.2


@dataclass(frozen=True, slots=True)
class Dial:
    """Where a call's worker waits; the token is a credential of this call."""

    url: str
    token: str = field(repr=False)
    agent_id: str

    @property
    def address(self) -> str:
        """The URL to open."""
        parts = urlsplit(self.url)
        query = urlencode({"token": self.token})
        return urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query else query))

    async def connect(self) -> tuple[ClientConnection, CallOffer]:
        """A socket after the handshake, of up to three dials.

        Raises:
            LineGone: no dial got through.
        """
        reason = ""
        for pause in (*PAUSES, None):
            try:
                return await self._dial()
            except (OSError, ValueError, _closed()) as error:
                reason = why_failed(error)
            if pause is not None:
                await asyncio.sleep(pause)
        raise LineGone(f"the worker could not be reached: {reason}")

    async def _dial(self) -> tuple[ClientConnection, CallOffer]:
        from websockets.asyncio.client import connect

        socket = await connect(self.address, open_timeout=OPEN_LIMIT, logger=UNLOGGED)
        try:
            async with asyncio.timeout(HANDSHAKE_LIMIT):
                await socket.send(json_text(hello()))
                ack = parse_frame(await socket.recv(), "event")
                if ack["event"] != "hello.ack":
                    raise BadFrame(f"expected hello.ack, got {ack['event'][:40]!r}")
                offer = offer_of(parse_frame(await socket.recv(), "event"), self.agent_id)
        except BaseException:
            await socket.close()
            raise
        return socket, offer


class Breaks:
    """How often the connection of one call broke of late."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    async def pause(self) -> None:
        """Count one more and wait before the next dial, longer each time.

        Raises:
            LineGone: it breaks again and again.
        """
        now = asyncio.get_running_loop().time()
        while self._times and self._times[0] < now - BREAKS_WINDOW:
            self._times.popleft()
        self._times.append(now)
        count = len(self._times)
        if count > MOST_BREAKS:
            raise LineGone(f"the connection broke {count} times in {BREAKS_WINDOW:g} s")
        if count > 1:
            await asyncio.sleep(FIRST_PAUSE * 2 ** (count - 2))


class UnpodBridge:
    """One call's socket, over all dials; see `orchestrator.runtime.Bridge`.

    `inject` is there for dialog machines that take notes; the wire itself has no verb for it.
    """

    capabilities = UNPOD_CAPABILITIES

    def __init__(
        self,
        dial: Dial,
        socket: ClientConnection,
        offer: CallOffer,
        *,
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        self.offer = offer
        self._dial = dial
        self._socket: ClientConnection | None = socket
        self._changed = asyncio.Condition()
        self._is_over = False
        self._why_over = "cancelled by the orchestrator"
        self._breaks = Breaks()
        self._transfer = OneTransfer()
        self._remark = Remarks()
        self._on_close = on_close
        self._reader: asyncio.Task[Any] | None = None

    async def events(self) -> AsyncIterator[CallEvent]:
        """What the worker reports, until it says goodbye or cannot be reached any more."""
        while True:
            try:
                for event in await self._next():
                    yield event
            except LineGone as error:
                self._is_over = True
                await self._tell()
                yield CallEvent("hangup", {"reason": str(error)})
                return

    def take_notes(self, note: Callable[..., None]) -> None:
        """Have remarks on bad frames written into the call's journal."""
        self._remark.take_notes(note)

    def cancel(self) -> None:
        """The orchestrator gave the job up: the call ends now."""
        self._give_up(self._why_over)

    def _give_up(self, why: str) -> None:
        """Have `events` end the call."""
        self._is_over, self._why_over = True, why
        if self._reader is not None:
            self._reader.cancel()

    async def _next(self) -> list[CallEvent]:
        raw = await self._receive()
        try:
            return events_of(parse_frame(raw, "event"))
        except BadFrame as error:
            self._remark("a frame was passed over", why=str(error))
            logger.warning("frame passed over", extra={**self._about, "why": str(error)})
            return []

    async def _receive(self) -> str | bytes:
        while not self._is_over:
            socket = self._socket
            if socket is None:
                await self._resume()
                continue
            reader: asyncio.Task[str | bytes] = asyncio.ensure_future(socket.recv())
            self._reader = reader
            try:
                return await reader
            except asyncio.CancelledError:
                if not self._is_over:
                    raise
            except _closed() as error:
                self._lost(error)
        raise LineGone(self._why_over)

    def _lost(self, error: Exception) -> None:
        self._socket = None
        if type(error).__name__ == "ConnectionClosedOK":
            raise LineGone("line closed") from error
        why = why_failed(error)
        self._remark("the connection broke, the worker is dialled again", why=why)
        logger.warning("connection broke, dialling again", extra={**self._about, "why": why})

    async def _resume(self) -> None:
        await self._breaks.pause()
        socket, offer = await self._dial.connect()
        if offer.session_id != self.offer.session_id:
            await socket.close()
            raise LineGone("the worker has another call now")
        self._socket = socket
        await self._tell()

    async def send(self, command: Command) -> None:
        """Send the verb of a command; over a broken connection once it is dialled again.

        Raises:
            LineGone: the call is over, or the connection does not come back.
            CommandRefused: the wire has no such verb, or a transfer may still be answered.
        """
        if isinstance(command, Transfer):
            self._transfer.check()
        text = json_text(frame_of(command))
        try:
            async with asyncio.timeout(RESUME_LIMIT):
                while not await self._sent(text):
                    continue
        except TimeoutError:
            raise LineGone("the connection is broken") from None
        if isinstance(command, Transfer):
            self._transfer.began(command.answer_within)

    async def _sent(self, text: str) -> bool:
        socket = self._socket
        if self._is_over:
            raise LineGone("the call is over")
        if socket is not None:
            try:
                await socket.send(text)
            except _closed() as error:
                if type(error).__name__ == "ConnectionClosedOK":
                    raise LineGone("the line closed") from error
            except Exception as error:  # dialled again, it would break again
                self._give_up(f"the connection failed: {type(error).__name__}")
                logger.error(self._why_over, extra=self._about)
                raise LineGone(self._why_over) from error
            else:
                return True
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_over or self._socket is not socket)
        return False

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def aclose(self) -> None:
        """Close the socket and give the job back."""
        self._is_over = True
        await self._tell()
        socket, self._socket = self._socket, None
        try:
            if socket is not None:
                await socket.close()
        finally:
            self._on_close()

    @property
    def _about(self) -> dict[str, str]:
        return {"call_id": self.offer.call_id}


def _closed() -> type[Exception]:
    """The exceptions of a socket; imported late, since the package is an extra."""
    from websockets.exceptions import WebSocketException

    return WebSocketException
