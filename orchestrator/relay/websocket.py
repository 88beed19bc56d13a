"""A Starlette WebSocket as a call sees it: paced, and closed without a fuss."""

from __future__ import annotations

import asyncio
import logging

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

__all__ = ["StarletteSocket"]

logger = logging.getLogger(__name__)

#: Frames of one socket that are read in a second; what is over that waits.
MOST_FRAMES = 200
#: How the server below closes when a message is larger than it takes.
_TOO_LARGE = 1009


class StarletteSocket:
    """A Starlette WebSocket as a call sees it; reads no faster than a call speaks."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._window, self._count = 0.0, 0
        self.why_closed = ""

    async def receive(self) -> str | bytes | None:
        """The next message; None once it is closed."""
        await self._pace()
        try:
            message = await self._websocket.receive()
        except (WebSocketDisconnect, RuntimeError):
            return None
        if message["type"] != "websocket.receive":
            if message.get("code") == _TOO_LARGE:
                self.why_closed = "a message larger than the server takes"
            return None
        text: str | bytes | None = message.get("text")
        return text if text is not None else message.get("bytes") or b""

    async def _pace(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._window >= 1.0:
            self._window, self._count = now, 0
        self._count += 1
        if self._count > MOST_FRAMES:
            await asyncio.sleep(self._window + 1.0 - now)

    async def send(self, text: str) -> None:
        """Send a message."""
        try:
            await self._websocket.send_text(text)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError("the socket is closed") from error

    async def close(self) -> None:
        """Close it; never raises."""
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                async with asyncio.timeout(5):
                    await self._websocket.close()
            except (WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
                logger.debug("a socket was closed already")
