"""The control link of a runner on the Unpod wire: register, beat, take frames, connect again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.errors import EnvironmentFailure
from orchestrator.plain import json_text
from orchestrator.quiet import UNLOGGED
from orchestrator.runtimes.unpod.failures import http_status, why_failed
from orchestrator.runtimes.unpod.wire import BadFrame, Frame, parse_frame

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["ControlLink", "Send", "Worker", "backoff"]

logger = logging.getLogger(__name__)

#: Sends one control frame.
Send = Callable[[Frame], Awaitable[None]]

_PATH = "/v1/internal/workers"
#: Close codes that say that trying again is of no use.
_REFUSALS = frozenset({1008, 4001})
#: Statuses of a handshake that say the same: what stands before an orchestrator answers with them.
_REFUSING = frozenset({401, 403})
#: Seconds to wait for the answer to `register`.
REGISTER_LIMIT = 10.0


def backoff(attempt: int, chance: float) -> float:
    """Seconds to wait: 1 doubling to 30, give or take half by `chance` (0 to 1)."""
    return min(min(2.0 ** min(attempt - 1, 5), 30.0) * (0.5 + chance), 30.0)


class Worker(Protocol):
    """Whose link it is."""

    worker_id: str

    @property
    def active_jobs(self) -> int:
        """How many calls are live."""
        ...

    def registration(self, address: str | None) -> Frame:
        """The `register` frame; `address` is this machine's, towards the orchestrator."""
        ...

    async def take(self, frame: Frame, send: Send) -> None:
        """Act on a control frame; `BadFrame` when it is none of this wire."""
        ...


class ControlLink:
    """One control socket after another, under one worker's name."""

    def __init__(self, url: str, headers: Mapping[str, str], worker: Worker) -> None:
        self._url = url.rstrip("/") + _PATH
        self._headers = headers
        self._worker = worker
        self._was_registered = False

    async def hold(self) -> None:
        """Hold a link for ever.

        Raises:
            EnvironmentFailure: the orchestrator refuses this runner.
        """
        attempt = 0
        while True:
            self._was_registered = False
            why = await self._serve()
            attempt = 1 if self._was_registered else attempt + 1
            seconds = backoff(attempt, random.random())  # noqa: S311 - jitter
            about = {"why": why, "seconds": round(seconds, 2)}
            logger.warning("control link lost", extra=about)
            await asyncio.sleep(seconds)

    async def _serve(self) -> str:
        """Serve one link; why it ended."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        try:
            async with connect(
                self._url, additional_headers=self._headers, logger=UNLOGGED
            ) as link:
                try:
                    await self._register(link)
                finally:
                    await link.close()  # with a goodbye, also when we are cancelled
        except (OSError, BadFrame, WebSocketException) as error:
            _check_refusal(error)
            return why_failed(error)
        return "closed"

    async def _register(self, link: ClientConnection) -> None:
        address = link.local_address[0] if link.local_address else None
        await _send(link, self._worker.registration(address))
        async with asyncio.timeout(REGISTER_LIMIT):
            answer = parse_frame(await link.recv(), "type")
        if answer["type"] != "registered":
            raise BadFrame(f"expected registered, got {answer['type'][:40]!r}")
        if answer.get("transport_ack") != "dial_out":
            raise EnvironmentFailure("the orchestrator does not let runners dial out")
        logger.info("registered", extra={"worker_id": self._worker.worker_id})
        self._was_registered = True
        beat = asyncio.ensure_future(self._beat(link, _interval(answer)))
        try:
            await self._take_frames(link)
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)

    async def _beat(self, link: ClientConnection, interval: float) -> None:
        while True:
            await _send(link, {"type": "heartbeat", "active_jobs": self._worker.active_jobs,
                               "worker_id": self._worker.worker_id})  # fmt: skip
            await asyncio.sleep(interval)

    async def _take_frames(self, link: ClientConnection) -> None:
        while True:
            raw = await link.recv()
            try:
                await self._worker.take(parse_frame(raw, "type"), lambda frame: _send(link, frame))
            except BadFrame as error:
                logger.warning("control frame passed over", extra={"why": str(error)})


def _interval(answer: Frame) -> float:
    seconds = answer.get("heartbeat_interval_s", 30)
    is_good = isinstance(seconds, (int, float)) and 0 < seconds < 3600
    return float(seconds) if is_good else 30.0


async def _send(link: ClientConnection, frame: Frame) -> None:
    await link.send(json_text(frame))


def _check_refusal(error: BaseException) -> None:
    """Trying again does not mend a refused credential."""
    code: Any = getattr(getattr(error, "rcvd", None), "code", None)
    status = http_status(error)
    if code in _REFUSALS or status in _REFUSING:
        what = f"HTTP {status}" if status else f"close {code}"
        raise EnvironmentFailure(
            f"the orchestrator refused this runner ({what}); check token and org_handle"
        ) from error
