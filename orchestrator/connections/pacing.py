"""Answers taken in pieces, so that no receiver holds up the event loop by what it sends.

The parser takes all that it is given in one go: a hundred thousand tiny chunks, interim answers or
headers that came at once are a tenth of a second in which no call moves. So it is given a few lines
at a time, one stream in each turn of the loop, and no more of an answer's head than an honest one
has.

Importing this module imports httpcore.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Any

import httpcore

__all__ = ["PacedStream", "Turns"]

#: Lines and bytes that the head of an answer may have, interim answers before it included.
HEAD_LINES, HEAD_BYTES = 256, 65_536
#: What the parser is given at a time: so many lines. A chunk of a body has two at least.
_PIECE = re.compile(rb"(?:[^\n]*\n){100}")
_HEAD_END = re.compile(rb"\n\r?\n")
_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)", re.IGNORECASE)


class Turns:
    """Lets one stream hand on a piece in each turn of the loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def take(self) -> None:
        """Wait for a turn that nobody else has had."""
        await self._lock.acquire()
        asyncio.get_running_loop().call_soon(self._lock.release)


class _Head:
    """Counts what comes until the head of the answer is over."""

    def __init__(self) -> None:
        self._kept = b""
        self._lines = self._bytes = 0
        self._is_over = False

    def feed(self, data: bytes) -> None:
        """Count some more.

        Raises:
            httpcore.RemoteProtocolError: it is too much.
        """
        self._kept = b"" if self._is_over else self._kept + data
        while not self._is_over and (end := _HEAD_END.search(self._kept)) is not None:
            self._count(self._kept[: end.end()])
            self._is_over = _INTERIM.match(self._kept) is None
            self._kept = self._kept[end.end() :]
        if not self._is_over:
            self._check(self._lines + self._kept.count(b"\n"), self._bytes + len(self._kept))

    def _count(self, head: bytes) -> None:
        self._lines += head.count(b"\n")
        self._bytes += len(head)
        self._check(self._lines, self._bytes)

    def _check(self, lines: int, size: int) -> None:
        if lines > HEAD_LINES or size > HEAD_BYTES:
            raise httpcore.RemoteProtocolError("the head of the answer is too large")


class PacedStream(httpcore.AsyncNetworkStream):
    """A stream of the network whose answers come in pieces."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, turns: Turns) -> None:
        self._inner = inner
        self._turns = turns
        self._head = _Head()
        self._kept = b""
        self._at = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next piece."""
        if self._at >= len(self._kept):
            self._kept, self._at = await self._inner.read(max_bytes, timeout), 0
        match = _PIECE.match(self._kept, self._at)
        start, self._at = self._at, match.end() if match else len(self._kept)
        piece = self._kept[start : self._at]
        self._head.feed(piece)
        await self._turns.take()
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send; what comes then begins with a head."""
        self._head = _Head()
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the socket."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The same over TLS."""
        inner = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        return PacedStream(inner, self._turns)

    def get_extra_info(self, info: str) -> Any:
        """What the socket knows; there is something to read while a piece is left."""
        if info == "is_readable" and self._at < len(self._kept):
            return True
        return self._inner.get_extra_info(info)
