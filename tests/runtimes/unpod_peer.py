"""The far side of the Unpod wire on this machine: an orchestrator and a speech worker.

Written from the wire tables: control frames on `/v1/internal/workers`, one bridge socket a call,
which the runner dials. A test says what the caller does (`call.say`, `call.barge_in`,
`call.hang_up`, `call.drop`) and looks at the frames that came back.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

WORKERS = "/v1/internal/workers"
#: Seconds that anything in these tests may take.
PATIENCE = 15.0

_EVENTS = ["user.text", "user.interrupted", "error", "metric", "turn.metrics", "state"]


async def within(work: Any, seconds: float = PATIENCE) -> Any:
    """The result of work that must come in time."""
    async with asyncio.timeout(seconds):
        return await work


@dataclass(eq=False)
class Call:
    """One phone call as its worker sees it.

    `frames` are the verbs that came in, with the number of the dial and the time in seconds since
    the call's assignment; `keeps_pairing` lets the runner dial in again after a hang-up. The
    handshake waits for `gate`.
    """

    id: str
    token: str = "secret"
    metadata: dict[str, Any] = field(default_factory=dict)
    keeps_pairing: bool = False
    answers_end: bool = True
    gate: asyncio.Event | None = None
    dials: int = 0
    refused: int = 0
    frames: list[tuple[int, float, dict[str, Any]]] = field(default_factory=list)
    socket: ServerConnection | None = None
    is_over: bool = False
    began: float = 0.0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def now(self) -> float:
        """Seconds since the call was assigned."""
        return asyncio.get_running_loop().time() - self.began

    def verbs(self, *names: str) -> list[dict[str, Any]]:
        """The verbs of these names (all: of any), in order."""
        return [frame for _, _, frame in self.frames if not names or frame["event"] in names]

    @property
    def said(self) -> list[str]:
        """What was said with `agent.say`."""
        return [frame["text"] for frame in self.verbs("agent.say")]

    @property
    def replies(self) -> list[str]:
        """The replies as they were streamed; one that was not finished ends with `...`."""
        texts, text = [], ""
        for frame in self.verbs("agent.text.delta", "agent.text.end"):
            if frame["event"] == "agent.text.delta":
                text += frame["text"]
            else:
                texts, text = [*texts, text], ""
        return [*texts, f"{text}..."] if text else texts

    # --- what the caller and the worker do

    async def send(self, event: str, **fields: Any) -> None:
        """Send a frame to the agent."""
        assert self.socket is not None
        await self.socket.send(json.dumps({"event": event, **fields}))

    async def send_raw(self, text: str) -> None:
        """Send what may be no frame at all."""
        assert self.socket is not None
        await self.socket.send(text)

    async def say(self, text: str) -> None:
        """The caller's words."""
        await self.send("user.text", text=text, is_final=True)

    async def barge_in(self, heard: str | None = None) -> None:
        """The caller talks into the agent's speech."""
        await self.send("user.interrupted", turn_id=1, heard_prefix=heard)

    async def state(self, state: str) -> None:
        """The worker tells the state of the conversation."""
        await self.send("state", state=state, turn_id=0)

    async def hang_up(self) -> None:
        """The caller is gone: the worker says goodbye and forgets the call."""
        self.is_over = True
        if self.socket is not None:
            await self.socket.close()
            await asyncio.sleep(0)

    async def drop(self) -> None:
        """The connection breaks without a word; the call may be dialled again."""
        socket, self.socket = self.socket, None
        assert socket is not None
        socket.transport.abort()

    # --- what is waited for

    async def until(self, check: Any, seconds: float = PATIENCE) -> None:
        """Wait until `check()` holds."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(check)

    async def until_verb(self, name: str, count: int = 1) -> None:
        """Wait for so many verbs of a name."""
        await self.until(lambda: len(self.verbs(name)) >= count)

    async def until_connected(self, dials: int = 1) -> None:
        """Wait until the runner has dialled so often and the last handshake is through."""
        await self.until(lambda: self.dials >= dials and self.socket is not None)

    async def until_left(self) -> None:
        """Wait until the runner has no socket to this call."""
        await self.until(lambda: self.socket is None)

    async def note(self) -> None:
        """Something changed."""
        async with self.changed:
            self.changed.notify_all()


class Peer:
    """`async with Peer() as peer:`; a runner is pointed at `peer.url`."""

    def __init__(self, *, heartbeat: float = 30, transport_ack: str = "dial_out") -> None:
        self.heartbeat = heartbeat
        self.transport_ack = transport_ack
        self.control: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.calls: dict[str, Call] = {}
        self.changed = asyncio.Condition()
        self.registrations = 0
        self._links: set[ServerConnection] = set()
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0)
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    # --- what the orchestrator does

    async def assign(
        self, agent_id: str = "agent", call: Call | None = None, **metadata: Any
    ) -> Call:
        """Assign a call to the runner that registered last."""
        await self.until(lambda: self._links)
        number = next(self._numbers)
        call = call or Call(f"call-{number}")
        call.metadata = {"direction": "inbound", "user_number": "+15550100", **metadata}
        call.began = asyncio.get_running_loop().time()
        self.calls[call.id] = call
        await self.send(
            "job.assign", job_id=f"job-{number}", call_id=call.id, agent_id=agent_id,
            bridge_url=f"{self.url}/bridge/{call.id}", call_token=call.token,
            assign_id=f"assign-{number}", deadline_ms=2000, metadata={},
        )  # fmt: skip
        return call

    async def connect(self, **options: Any) -> Call:
        """Assign a call and wait until its bridge is up."""
        call = await self.assign(**options)
        await call.until_connected()
        return call

    async def send(self, kind: str, **fields: Any) -> None:
        """Send a control frame."""
        await self.send_raw(json.dumps({"type": kind, **fields}))

    async def send_raw(self, text: str) -> None:
        """Send what may be no frame at all."""
        await next(iter(self._links)).send(text)

    async def close_control(self, code: int = 1000) -> None:
        """Close every control socket."""
        for link in list(self._links):
            await link.close(code)

    async def until(self, check: Any, seconds: float = PATIENCE) -> None:
        """Wait until `check()` holds."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(check)

    def frames(self, kind: str) -> list[dict[str, Any]]:
        """The control frames of a kind that the runner sent."""
        return [frame for frame in self.control if frame["type"] == kind]

    # --- sockets

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        url = urlsplit(socket.request.path)
        with contextlib.suppress(ConnectionClosed):
            if url.path == WORKERS:
                self.headers.append(dict(socket.request.headers.raw_items()))
                await self._serve_control(socket)
            else:
                token = parse_qs(url.query).get("token", [""])[0]
                await self._serve_bridge(socket, url.path.rpartition("/")[2], token)

    async def _serve_control(self, socket: ServerConnection) -> None:
        try:
            async for raw in socket:
                frame = json.loads(raw)
                self.control.append(frame)
                if frame["type"] == "register":
                    answer = {"heartbeat_interval_s": self.heartbeat,
                              "transport_ack": self.transport_ack}  # fmt: skip
                    await socket.send(json.dumps({"type": "registered", **answer}))
                    self.registrations += 1
                    self._links.add(socket)
                async with self.changed:
                    self.changed.notify_all()
        finally:
            self._links.discard(socket)

    async def _serve_bridge(self, socket: ServerConnection, call_id: str, token: str) -> None:
        call = self.calls.get(call_id)
        is_paired = call is not None and (not call.is_over or call.keeps_pairing)
        if call is None or call.token != token or not is_paired:
            if call is not None:
                call.refused += 1
                await call.note()
            await socket.close(4003)
            return
        call.dials += 1
        dial = call.dials
        if not await self._shake_hands(socket, call):
            return
        call.socket = socket
        await call.note()
        try:
            async for raw in socket:
                frame = json.loads(raw)
                call.frames.append((dial, call.now(), frame))
                await call.note()
                if frame["event"] == "agent.end_call" and call.answers_end:
                    call.is_over = True
                    await socket.close()
        finally:
            if call.socket is socket:
                call.socket = None
            await call.note()

    async def _shake_hands(self, socket: ServerConnection, call: Call) -> bool:
        hello = json.loads(await socket.recv())
        call.frames.append((call.dials, call.now(), hello))
        if hello["event"] != "hello" or hello["protocol_version"] != 2:
            return False
        await call.note()
        if call.gate is not None:
            await call.gate.wait()
        names = {"session_id": call.id, "job_id": f"job-of-{call.id}", "room_id": "room"}
        ack = {"event": "hello.ack", "protocol_version": 2, "call_id": call.id,
               "negotiated_events": _EVENTS, "negotiated_verbs": hello["supported_verbs"], **names}  # fmt: skip
        await socket.send(json.dumps(ack))
        started = {"event": "call.started", "metadata": call.metadata, **names}
        await socket.send(json.dumps(started))
        return True
