"""What dialog machines ask over HTTP: one client, its bounds, and its failures in clear words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchestrator.errors import ActionFailed, UserError
from orchestrator.headers import value_fault
from orchestrator.hosts import split_server_url
from orchestrator.plain import json_text
from orchestrator.quiet import unlogged

if TYPE_CHECKING:
    import httpx

__all__ = ["MOST_BYTES", "Client", "check_url", "media_type", "paced", "silent", "unreachable"]

#: Bytes of one answer at most.
MOST_BYTES = 1_000_000


class Client:
    """An HTTP client made on first use; it sends JSON and bounds what it reads.

    Args:
        headers: of each request.
        timeout: seconds to connect, and between two reads.

    Raises:
        UserError: a header cannot be sent.
    """

    def __init__(self, headers: Mapping[str, str], timeout: float) -> None:
        for name, value in headers.items():
            if value_fault(name, value) or not value.isascii() or value != value.strip():
                raise UserError(f"the header {name!r} holds characters that cannot be sent")
        self._headers = {
            **headers, "content-type": "application/json", "accept-encoding": "identity",
        }  # fmt: skip
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None

    def open(self) -> httpx.AsyncClient:
        """The client."""
        if self._client is None:
            import httpx

            self._client = httpx.AsyncClient(
                headers=self._headers,
                timeout=self._timeout,
                follow_redirects=False,
                trust_env=False,  # a proxy of the environment would see the key and the words
                event_hooks={"request": [unlogged], "response": [_bound]},
            )
        return self._client

    def content(self, body: Mapping[str, Any]) -> bytes:
        """A body as it is sent."""
        return json_text(body).encode()

    async def aclose(self) -> None:
        """Close it; it opens again when it is needed."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def check_url(url: str) -> str:
    """The URL of an endpoint, if it can be one.

    Raises:
        UserError: it cannot; the message holds no part of it.
    """
    import httpx

    try:
        parts = split_server_url(url)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        why = error if type(error) is ValueError else "it cannot be read"
        raise UserError(f"the endpoint's URL has the form https://HOST/PATH: {why}") from None
    if parts.scheme not in ("http", "https"):
        raise UserError("the endpoint's URL has the form https://HOST/PATH")
    return url


async def _bound(response: httpx.Response) -> None:
    """An httpx hook for responses: stop reading one that is too large, wherever it is read."""
    import httpx

    whole: Any = response.stream

    class Bounded(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in whole:
                size += len(part)
                if size > MOST_BYTES:
                    raise ActionFailed(f"the dialog endpoint answered over {MOST_BYTES:,} bytes")
                yield part

        async def aclose(self) -> None:
            await whole.aclose()

    if response.headers.get("content-encoding", "identity") != "identity":
        raise ActionFailed("the dialog endpoint's answer is compressed, which was not asked for")
    response.stream = Bounded()


async def paced(pieces: AsyncGenerator[str], seconds: float) -> AsyncIterator[str]:
    """Pieces of a reply, each of which must come in time, whatever else comes meanwhile.

    Raises:
        ActionFailed: no text came for so many seconds.
    """
    try:
        while True:
            try:
                async with asyncio.timeout(seconds):
                    piece = await anext(pieces, None)
            except TimeoutError:
                raise silent(seconds) from None
            if piece is None:
                return
            yield piece
    finally:
        await pieces.aclose()


def silent(seconds: float) -> ActionFailed:
    """Nothing came in time."""
    return ActionFailed(f"the dialog endpoint sent no text for {seconds:g} s", retryable=True)


def media_type(response: httpx.Response) -> str:
    """What a response says that it is, without parameters; empty when it does not."""
    found: str = response.headers.get("content-type", "")
    return found.partition(";")[0].strip().lower()


def unreachable(url: str, error: Exception) -> ActionFailed:
    """An endpoint that could not be asked, named without what is secret in its URL."""
    reason = str(error) or type(error).__name__
    parts = urlsplit(url)  # a password or a key in it is nobody's business
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return ActionFailed(f"the dialog endpoint {where} cannot be asked: {reason}", retryable=True)
