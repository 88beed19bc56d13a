"""A web server on a socket of ours: uvicorn, quiet and without signal handlers of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket as net
from collections.abc import Iterator
from typing import Any

from orchestrator.errors import EnvironmentFailure

try:
    import uvicorn
except ImportError as missing:
    raise EnvironmentFailure(
        "serving calls needs more packages: pip install 'hook-orchestrator[serve]'"
    ) from missing

__all__ = ["Listener", "open_socket"]

#: Connections that the kernel keeps for us while we are busy.
BACKLOG = 2048
#: Bytes of a message at which the socket is closed. What is larger than a frame may be is only
#: passed over, so this is far above that.
MOST_MESSAGE = 1024 * 1024
#: Seconds between pings on an idle socket, and for their answer.
PING, PONG = 20.0, 20.0
#: Seconds for connections to close once we stop.
CLOSE_LIMIT = 2


def open_socket(host: str, port: int) -> net.socket:
    """A listening socket; port 0 is any that is free.

    Raises:
        EnvironmentFailure: the address is taken, or is none of this machine.
    """
    try:
        family = net.getaddrinfo(host, port, type=net.SOCK_STREAM)[0][0]
        return net.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EnvironmentFailure(f"cannot listen on {host}:{port}: {reason}") from None


class _Server(uvicorn.Server):
    """Leaves signals to us: who is on the line must be able to finish."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[net.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.is_up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """Serves an ASGI application on a socket until it is closed.

    No access log: URLs and headers hold numbers, seals and signatures.
    """

    def __init__(self, app: Any, socket: net.socket) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", server_header=False,
            proxy_headers=False, ws="websockets-sansio", ws_max_size=MOST_MESSAGE,
            ws_per_message_deflate=False, ws_ping_interval=PING, ws_ping_timeout=PONG,
            timeout_graceful_shutdown=CLOSE_LIMIT,
        )  # fmt: skip
        self._server = _Server(config)
        self._socket = socket
        self._task: asyncio.Task[None] | None = None
        host, self.port = socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def start(self) -> None:
        """Accept connections from now on."""
        # What uvicorn has to say of single connections is for somebody who looks for it.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        is_up = asyncio.ensure_future(self._server.is_up.wait())
        await asyncio.wait({is_up, self._task}, return_when=asyncio.FIRST_COMPLETED)
        is_up.cancel()

    async def aclose(self) -> None:
        """Close all connections."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSE_LIMIT + 3)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._socket.close()
