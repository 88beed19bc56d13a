"""Our own runner on the Unpod wire: register, take jobs, dial their workers. No SDK is needed.

::

    exchange = UnpodExchange("agent-1", url=..., token=..., org_handle=...)
    runner = AgentRunner(entrypoint, agent_id="agent-1", exchange=exchange)
    orchestrator.attach(runner)
    asyncio.run(runner.run())

Needs the extra `unpod`. Other than the SDK it goes on with heartbeats while live calls drain,
refuses jobs meanwhile, and passes over control frames that it does not know.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket as sockets
import uuid
from collections.abc import AsyncIterator

from orchestrator.errors import EnvironmentFailure, LineGone, UserError
from orchestrator.headers import value_fault
from orchestrator.hosts import split_server_url
from orchestrator.runtimes.tasks import TaskOwner
from orchestrator.runtimes.unpod.bridge import Dial, UnpodBridge
from orchestrator.runtimes.unpod.control import ControlLink, Send
from orchestrator.runtimes.unpod.runner import UNPOD_CAPABILITIES
from orchestrator.runtimes.unpod.wire import BadFrame, Frame

__all__ = ["UnpodExchange"]

logger = logging.getLogger(__name__)


class UnpodExchange:
    """Where calls come from: an orchestrator that assigns jobs over one control socket.

    Args:
        agent_id: the agent that this process is.
        url: the orchestrator, `wss://host`.
        token: the platform token.
        org_handle: the organisation that it acts in.
        max_concurrent: jobs at a time, dialling or live, if the runner does not carry fewer; more
            are refused.
        dev_mode: take jobs of the pool for development.

    Raises:
        UserError: a setting can never work; the message holds neither the URL nor the token.
    """

    runtime_name = "unpod"
    capabilities = UNPOD_CAPABILITIES

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
        _check_url(url)
        _check_words(agent_id=agent_id, token=token, org_handle=org_handle)
        if max_concurrent < 1:
            raise UserError("max_concurrent is 1 or more: with less no job is ever taken")
        self._agent_id = agent_id
        self._capacity = max_concurrent
        self._pool = f"{agent_id}@dev" if dev_mode else agent_id
        self.worker_id = f"{agent_id}#{uuid.uuid4().hex[:8]}"
        headers = {"Authorization": f"Token {token}", "Org-Handle": org_handle}
        self._link = ControlLink(url, headers, self)
        self._jobs: dict[str, asyncio.Task[None] | UnpodBridge] = {}
        self._ready: asyncio.Queue[UnpodBridge | Exception | None] = asyncio.Queue()
        self._is_closed = self._was_left = False
        self._changed = asyncio.Event()
        self._tasks = TaskOwner()

    # --- what the runner asks

    def limit_to(self, calls: int) -> None:
        """The runner carries no more than that: a job beyond it would find nobody."""
        self._capacity = min(self._capacity, calls)

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
            self._was_left = True
            self._close()
            await self._let_go()

    async def _let_go(self) -> None:
        """Close bridges that nobody took."""
        while not self._ready.empty():
            bridge = self._ready.get_nowait()
            if isinstance(bridge, UnpodBridge):
                await bridge.aclose()

    async def aclose(self) -> None:
        """Accept no more jobs; the control link stays until the last call has ended."""
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._changed.set()
        self._end_if_all_came()

    def _end_if_all_came(self) -> None:
        """No more calls come once we are closed and no accepted job is being dialled."""
        is_dialling = any(isinstance(job, asyncio.Task) for job in self._jobs.values())
        if self._is_closed and not is_dialling:
            self._ready.put_nowait(None)

    @property
    def _is_done(self) -> bool:
        return self._is_closed and not self._jobs

    # --- the control link

    async def _keep_control(self) -> None:
        """Hold the link until the exchange is closed and its last job is done."""
        link = asyncio.ensure_future(self._link.hold())
        try:
            while not self._is_done and not link.done():
                self._changed.clear()
                changed = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait({link, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
            if link.done() and isinstance(error := link.exception(), Exception):
                self._ready.put_nowait(error)
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)

    @property
    def active_jobs(self) -> int:
        """How many calls are live."""
        return sum(isinstance(job, UnpodBridge) for job in self._jobs.values())

    def registration(self, address: str | None) -> Frame:
        """The `register` frame; `address` is this machine's, towards the orchestrator."""
        capabilities = {
            "voice_profiles": [], "max_concurrent": self._capacity, "agent_id": self._agent_id,
            "transport": "dial_out", "kind": "brain", "hostname": sockets.gethostname(),
            "address": os.environ.get("UNPOD_WORKER_ADDRESS") or address,
            "region": os.environ.get("UNPOD_WORKER_REGION") or None,
            "deployment": os.environ.get("UNPOD_WORKER_DEPLOYMENT") or "local",
        }  # fmt: skip
        return {"type": "register", "worker_id": self.worker_id, "pool": self._pool,
                "capabilities": capabilities}  # fmt: skip

    # --- jobs

    async def take(self, frame: Frame, send: Send) -> None:
        """Act on a control frame.

        Raises:
            BadFrame: it is none of this wire, or lacks what it must have.
        """
        if frame["type"] == "job.assign":
            await self._assigned(frame, send)
        elif frame["type"] == "job.cancel":
            self._cancelled(str(frame.get("job_id")))
        elif frame["type"] != "registered":
            raise BadFrame(f"unknown type {frame['type'][:40]!r}")

    async def _assigned(self, job: Frame, send: Send) -> None:
        names = ("job_id", "agent_id", "bridge_url", "call_token")
        if any(not isinstance(job.get(name), str) for name in names):
            raise BadFrame("job.assign lacks what it must have")
        job_id, reason = job["job_id"], self._refusal(job)
        await send({"type": "job.ack", "job_id": job_id,
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
        if self._was_left:
            await bridge.aclose()
        else:
            self._ready.put_nowait(bridge)
            self._end_if_all_came()

    def _cancelled(self, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job is not None:
            logger.info("job cancelled", extra={"job_id": job_id})
            job.cancel()

    def _forget(self, job_id: str) -> None:
        if isinstance(self._jobs.pop(job_id, None), asyncio.Task):
            self._end_if_all_came()
        self._changed.set()


def _check_url(url: str) -> None:
    form = "the url of an orchestrator has the form wss://HOST[:PORT]"
    try:
        parts = split_server_url(url)
    except ValueError as error:
        raise UserError(f"{form}: {error}") from None
    if parts.scheme not in ("ws", "wss"):
        raise UserError(f"{form}, or ws:// where nothing is encrypted")
    if parts.query or parts.fragment or parts.username is not None:
        raise UserError(f"{form}, with no user, `?` or `#`: a path is put behind it")


def _check_words(**given: str) -> None:
    """Each is part of a header or of the registration."""
    for name, value in given.items():
        if not value.strip():
            raise UserError(f"{name} is empty")
        if value_fault(name, value) or not value.isascii() or value != value.strip():
            raise UserError(
                f"{name} holds characters that cannot be sent: a line end, a space around it, or a "
                "letter that is not ASCII"
            )


def _need_websockets() -> None:
    try:
        import websockets.asyncio.client  # noqa: F401 - what the first job would import
    except ImportError as error:
        raise EnvironmentFailure(
            "the Unpod wire needs websockets 14 or later: pip install 'hook-orchestrator[unpod]'"
        ) from error
