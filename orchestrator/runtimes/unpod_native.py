"""Our own runner on the Unpod wire: register, take jobs, dial their workers. No SDK is needed.

::

    exchange = UnpodExchange("agent-1", url=..., token=..., org_handle=...)
    runner = AgentRunner(entrypoint, agent_id="agent-1", exchange=exchange,
                         capabilities=UNPOD_CAPABILITIES)
    orchestrator.attach(runner)
    asyncio.run(runner.run())

Needs the extra `unpod`. Other than the SDK it goes on with heartbeats while live calls drain,
refuses jobs meanwhile, and passes over control frames that it does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import socket as sockets
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFailure, LineGone
from orchestrator.runtimes.tasks import TaskOwner
from orchestrator.runtimes.unpod_bridge import Dial, UnpodBridge
from orchestrator.runtimes.unpod_wire import BadFrame, Frame, parse_frame

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["UnpodExchange", "backoff"]

logger = logging.getLogger(__name__)

WORKERS = "/v1/internal/workers"
#: Close codes that say that trying again is of no use.
_REFUSALS = frozenset({1008, 4001})
#: Seconds to wait for the answer to `register`.
REGISTER_LIMIT = 10.0


def backoff(attempt: int, chance: float) -> float:
    """Seconds to wait: 1 doubling to 30, give or take half by `chance` (0 to 1)."""
    return min(min(2.0 ** (attempt - 1), 30.0) * (0.5 + chance), 30.0)


class UnpodExchange:
    """Where calls come from: an orchestrator that assigns jobs over one control socket.

    Args:
        agent_id: the agent that this process is.
        url: the orchestrator, `wss://host`.
        token: the platform token.
        org_handle: the organisation that it acts in.
        max_concurrent: jobs at a time, dialling or live; more are refused.
        dev_mode: take jobs of the pool for development.
    """

    def __init__(
        self,
        agent_id: str,
        *,
        url: str,
        token: str,
        org_handle: str,
        max_concurrent: int = 50,
        dev_mode: bool = False,
    ) -> None:
        self._agent_id = agent_id
        self._url = url.rstrip("/") + WORKERS
        self._headers = {"Authorization": f"Token {token}", "Org-Handle": org_handle}
        self._capacity = max_concurrent
        self._pool = f"{agent_id}@dev" if dev_mode else agent_id
        self._worker_id = f"{agent_id}#{uuid.uuid4().hex[:8]}"
        self._jobs: dict[str, asyncio.Task[None] | UnpodBridge] = {}
        self._ready: asyncio.Queue[UnpodBridge | Exception | None] = asyncio.Queue()
        self._is_closed = False
        self._changed = asyncio.Event()
        self._tasks = TaskOwner()

    # --- what the runner asks

    async def calls(self) -> AsyncIterator[UnpodBridge]:
        """A bridge for each job whose worker was reached.

        Raises:
            EnvironmentFailure: the orchestrator refuses this runner, or `websockets` is missing.
        """
        _need_websockets()
        self._tasks.start(self._keep_control())
        try:
            while (ready := await self._ready.get()) is not None:
                if isinstance(ready, Exception):
                    raise ready
                yield ready
        finally:
            self._close()
            await self._let_go()

    async def _let_go(self) -> None:
        """Close bridges that nobody took."""
        while not self._ready.empty():
            bridge = self._ready.get_nowait()
            if isinstance(bridge, UnpodBridge):
                await bridge.aclose()

    async def aclose(self) -> None:
        """Take no more jobs; the control link stays until the last call has ended."""
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._changed.set()
        self._ready.put_nowait(None)

    @property
    def _is_done(self) -> bool:
        return self._is_closed and not self._jobs

    # --- the control link

    async def _keep_control(self) -> None:
        link = asyncio.ensure_future(self._reconnect())
        try:
            while not self._is_done and not link.done():
                self._changed.clear()
                changed = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait({link, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
            if link.done() and not link.cancelled() and (error := link.exception()) is not None:
                failure = error if isinstance(error, Exception) else RuntimeError(str(error))
                self._ready.put_nowait(failure)
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)

    async def _reconnect(self) -> None:
        """Hold a control link for ever: connect, serve, wait, again."""
        attempt = 0
        while True:
            try:
                await self._serve_link()
                attempt = 0
            except EnvironmentFailure:
                raise
            except _Registered as error:  # it had worked: begin anew
                attempt, reason = 0, str(error)
            except (OSError, BadFrame, _closed()) as error:
                _check_refusal(error)
                reason = f"{type(error).__name__}"
            else:
                reason = "closed"
            attempt += 1
            delay = backoff(attempt, random.random())  # noqa: S311 - jitter
            logger.warning("control link lost", extra={"why": reason, "seconds": round(delay, 2)})
            await asyncio.sleep(delay)

    async def _serve_link(self) -> None:
        from websockets.asyncio.client import connect

        async with connect(self._url, additional_headers=self._headers) as link:
            interval = await self._register(link)
            beat = asyncio.ensure_future(self._beat(link, interval))
            try:
                await self._serve_jobs(link)
            except _closed() as error:
                _check_refusal(error)
                raise _Registered(type(error).__name__) from error
            finally:
                beat.cancel()
                await asyncio.gather(beat, return_exceptions=True)
                await link.close()  # with a goodbye, also when we are cancelled

    async def _register(self, link: ClientConnection) -> float:
        address = link.local_address[0] if link.local_address else None
        await _send(link, self._registration(address))
        async with asyncio.timeout(REGISTER_LIMIT):
            answer = parse_frame(await link.recv(), "type")
        if answer["type"] != "registered":
            raise BadFrame(f"expected registered, got {answer['type'][:40]!r}")
        if answer.get("transport_ack") != "dial_out":
            raise EnvironmentFailure("the orchestrator does not let runners dial out")
        logger.info("registered", extra={"worker_id": self._worker_id})
        interval = answer.get("heartbeat_interval_s", 30)
        return float(interval) if isinstance(interval, (int, float)) and interval > 0 else 30.0

    def _registration(self, address: str | None) -> Frame:
        capabilities = {
            "voice_profiles": [], "max_concurrent": self._capacity, "agent_id": self._agent_id,
            "transport": "dial_out", "kind": "brain", "hostname": sockets.gethostname(),
            "address": os.environ.get("UNPOD_WORKER_ADDRESS") or address,
            "region": os.environ.get("UNPOD_WORKER_REGION") or None,
            "deployment": os.environ.get("UNPOD_WORKER_DEPLOYMENT") or "local",
        }  # fmt: skip
        return {"type": "register", "worker_id": self._worker_id, "pool": self._pool,
                "capabilities": capabilities}  # fmt: skip

    async def _beat(self, link: ClientConnection, interval: float) -> None:
        while True:
            jobs = sum(isinstance(job, UnpodBridge) for job in self._jobs.values())
            await _send(link, {"type": "heartbeat", "active_jobs": jobs,
                               "worker_id": self._worker_id})  # fmt: skip
            await asyncio.sleep(interval)

    async def _serve_jobs(self, link: ClientConnection) -> None:
        while True:
            raw = await link.recv()
            try:
                frame = parse_frame(raw, "type")
                await self._take(link, frame)
            except BadFrame as error:
                logger.warning("control frame passed over", extra={"why": str(error)})

    # --- jobs

    async def _take(self, link: ClientConnection, frame: Frame) -> None:
        if frame["type"] == "job.assign":
            await self._assigned(link, frame)
        elif frame["type"] == "job.cancel":
            self._cancelled(str(frame.get("job_id")))
        elif frame["type"] != "registered":
            raise BadFrame(f"unknown type {frame['type'][:40]!r}")

    async def _assigned(self, link: ClientConnection, job: Frame) -> None:
        names = ("job_id", "agent_id", "bridge_url", "call_token")
        if any(not isinstance(job.get(name), str) for name in names):
            raise BadFrame("job.assign lacks what it must have")
        job_id, reason = job["job_id"], self._refusal(job)
        await _send(link, {"type": "job.ack", "job_id": job_id,
                           "assign_id": str(job.get("assign_id") or ""),
                           "accepted": reason is None, "reason": reason})  # fmt: skip
        if reason is None and job_id not in self._jobs:
            dial = Dial(job["bridge_url"], job["call_token"], self._agent_id)
            self._jobs[job_id] = self._tasks.start(self._dial(job_id, dial))

    def _refusal(self, job: Frame) -> str | None:
        if job["agent_id"] != self._agent_id:
            return "agent_id_mismatch"
        is_known = job["job_id"] in self._jobs  # asked again: the first answer was late
        is_full = self._is_closed or len(self._jobs) >= self._capacity
        return "at_capacity" if is_full and not is_known else None

    async def _dial(self, job_id: str, dial: Dial) -> None:
        try:
            socket, offer = await dial.connect()
        except LineGone as error:
            logger.error("job given up", extra={"job_id": job_id, "why": str(error)})
            self._forget(job_id)
            return
        except BaseException:
            self._forget(job_id)
            raise
        bridge = UnpodBridge(dial, socket, offer, on_close=lambda: self._forget(job_id))
        self._jobs[job_id] = bridge
        if self._is_closed:
            await bridge.aclose()
        else:
            self._ready.put_nowait(bridge)

    def _cancelled(self, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job is not None:
            logger.info("job cancelled", extra={"job_id": job_id})
            job.cancel()

    def _forget(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        self._changed.set()


class _Registered(Exception):
    """A link that was registered has closed."""


async def _send(link: ClientConnection, frame: Frame) -> None:
    await link.send(json.dumps(frame))


def _check_refusal(error: BaseException) -> None:
    """Trying again does not mend a refused credential."""
    code: Any = getattr(getattr(error, "rcvd", None), "code", None)
    if code in _REFUSALS:
        raise EnvironmentFailure(
            f"the orchestrator refused this runner (close {code}); check token and org_handle"
        ) from error


def _need_websockets() -> None:
    try:
        import websockets.asyncio.client  # noqa: F401
    except ImportError as error:
        raise EnvironmentFailure(
            "the Unpod wire needs websockets 14 or later: pip install 'hook-orchestrator[unpod]'"
        ) from error


def _closed() -> type[Exception]:
    with contextlib.suppress(ImportError):
        from websockets.exceptions import WebSocketException

        return WebSocketException
    return OSError
