"""A real HTTP server on this machine that answers as a test tells it to, well or badly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from orchestrator.clock import real_clock
from orchestrator.config import Allow
from orchestrator.connections.http import HttpConnection
from orchestrator.memory import Memory
from orchestrator.services import Services


@dataclass
class Reply:
    """One scripted answer. Times are seconds."""

    status: int = 200
    body: bytes | str | dict[str, Any] | list[Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    is_reset: bool = False
    is_cut: bool = False
    gives_back: bool = False


@dataclass
class Seen:
    """One request as it came in; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """`async with Server() as server:`; replies are used up, the last one is used again."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies) or [Reply()]
        self.seen: list[Seen] = []
        self.was_asked = asyncio.Event()
        self.connections = 0
        self.now = self.most = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def until(self, count: int) -> None:
        """Wait for so many requests."""
        async with asyncio.timeout(10):
            while len(self.seen) < count:
                self.was_asked.clear()
                await self.was_asked.wait()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.seen.append(Seen(method, target, headers, body))
        self.was_asked.set()
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(reply.delay)
        self.now -= 1
        if reply.is_reset:
            writer.transport.abort()
            return False
        if reply.gives_back:
            reply = replace(reply, body=dict(headers))
        await self._answer(writer, reply)
        return not reply.is_cut

    async def _answer(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        body, headers = reply.body, dict(reply.headers)
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        elif isinstance(body, str):
            body = body.encode()
        headers.setdefault("Content-Length", str(len(body) + (10 if reply.is_cut else 0)))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode())
        if not reply.drip:
            writer.write(body)
        for byte in body if reply.drip else b"":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(reply.drip)
        await writer.drain()


def run(work: Any) -> Any:
    """Run one test in real time."""
    return asyncio.run(work)


def services(openers: dict[str, Callable[[Services], Any]] | None = None) -> Services:
    """Services in real time, for a test with real servers."""
    return Services(real_clock(), Memory(), openers or {})


class Opened:
    """`async with Opened(server, options) as http:` an http connection, closed afterwards."""

    def __init__(self, url: str, *, hosts: tuple[str, ...] = (), **options: Any) -> None:
        self.options = {"base_url": url, **options}
        self.allow = Allow(hosts=hosts)

    async def __aenter__(self) -> HttpConnection:
        self.connection = HttpConnection.open(
            "crm", HttpConnection(**self.options), services(), self.allow
        )
        return self.connection

    async def __aexit__(self, *error: object) -> None:
        await self.connection.aclose()
