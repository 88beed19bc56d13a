"""An HTTP client whose every socket is opened to an address that an `Egress` allows.

Importing this module imports httpx, which costs 200 ms of CPU: do it when something is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import re
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore
import httpx

from orchestrator.connections.pacing import PacedStream, Turns
from orchestrator.egress import Egress, Way
from orchestrator.errors import ActionFailed, words
from orchestrator.quiet import unlogged
from orchestrator.threads import Lanes

__all__ = ["certificates", "guarded_client"]

#: Where the parser's words end and what it quotes begins.
_QUOTED = re.compile(r"\s*(?:[:(]|\bb?['\"]|['\"]).*", re.DOTALL)
_CORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


@cache
def certificates() -> ssl.SSLContext:
    """The certificates that we trust; loading them takes long, so all clients share them."""
    # httpcore would import it in the middle of the first request: 30 ms in which no call moves
    with contextlib.suppress(ImportError):
        importlib.import_module("anyio._backends._asyncio")
    return httpx.create_ssl_context(trust_env=False)


def guarded_client(
    egress: Egress, pool_size: int, lanes: Lanes, way: Way | None = None
) -> httpx.AsyncClient:
    """A pooled client that never follows a redirect, reads no proxy settings, and keeps to egress.

    Its requests raise `ActionFailed` for an address that is not allowed. Names are looked up in
    `lanes`, a lane for each host. With a `way` the proxy looks them up, and hosts are judged as
    they are written.
    """
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # calls share the client
    return httpx.AsyncClient(
        transport=_Transport(egress, _pool(egress, pool_size, lanes, way)),
        cookies=no_cookies,
        timeout=15.0,
        follow_redirects=False,
        trust_env=False,
        event_hooks={"request": [unlogged]},
    )


def _pool(egress: Egress, size: int, lanes: Lanes, way: Way | None) -> httpcore.AsyncConnectionPool:
    shared: dict[str, Any] = {
        "ssl_context": certificates(), "max_connections": size, "max_keepalive_connections": size,
        "keepalive_expiry": 15.0,
    }  # fmt: skip
    if way is None:
        return httpcore.AsyncConnectionPool(network_backend=_Backend(egress, lanes), **shared)
    # The only host that is reached from here: the config's author wrote it out.
    backend = _Backend(Egress(frozenset({way.proxy.host})), lanes)
    user, password = way.login or ("", "")
    return httpcore.AsyncHTTPProxy(
        way.proxy.origin,
        proxy_auth=(user.encode(), password.encode()) if way.login else None,
        proxy_ssl_context=certificates() if way.proxy.scheme == "https" else None,
        network_backend=backend,
        **shared,
    )


class _Backend(httpcore.AsyncNetworkBackend):
    """Resolves, judges, and connects to what was judged. `Host` and TLS still name the host."""

    def __init__(self, egress: Egress, lanes: Lanes) -> None:
        self._egress = egress
        self._lanes = lanes
        self._turns = Turns()
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._resolve(host, port, timeout):
            try:
                stream = await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return PacedStream(stream, self._turns)
        raise failure

    async def _resolve(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            async with asyncio.timeout(timeout):
                return await self._egress.resolve(host, port, self._lanes)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host}: the name was not resolved in time") from None
        except OSError as error:
            raise httpcore.ConnectError(f"{host}: the name is unknown ({words(error)})") from error

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise ActionFailed("no request leaves through a unix socket")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Transport(httpx.AsyncBaseTransport):
    """httpcore's pool under httpx; httpx's own transport takes no network backend."""

    def __init__(self, egress: Egress, pool: httpcore.AsyncConnectionPool) -> None:
        self._egress = egress
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        self._egress.check_scheme(url.scheme, url.host)
        core = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            answer = await self._pool.handle_async_request(core)
        except _CORE_ERRORS as error:
            raise _translated(error) from error
        assert isinstance(answer.stream, AsyncIterable)  # noqa: S101 - an async pool's always is
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """An answer's body, its errors in httpx's words."""

    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except _CORE_ERRORS as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        close = getattr(self._stream, "aclose", None)  # httpcore's streams have it, by convention
        if close is not None:
            await close()


def _translated(error: Exception) -> Exception:
    """The error of the same name in httpx."""
    kind: type[Exception] = getattr(httpx, type(error).__name__, httpx.TransportError)
    why = words(error)
    if isinstance(error, httpcore.ProtocolError):  # which quotes what came, or was to be sent
        why = _QUOTED.sub("", why)
    return kind(why)
