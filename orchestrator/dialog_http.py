"""Dialog machines behind HTTP: any endpoint that answers text, or an OpenAI-compatible one.

They keep no connection open between calls of `stream`; `aclose` gives back what a client holds.
An endpoint that is away, slow or confused raises `ActionFailed`, which the session reports as an
`error` event: the call goes on.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchestrator.errors import ActionFailed, EnvironmentFailure
from orchestrator.quiet import unlogged

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpDialog", "OpenAIDialog"]

#: Bytes of one answer at most.
MOST_BYTES = 1_000_000
#: Turns of the conversation that are sent along.
MOST_TURNS = 100


class _Client:
    """An HTTP client made on first use; `timeout` is in seconds and holds between two pieces."""

    def __init__(self, headers: Mapping[str, str], timeout: float) -> None:
        self._headers = dict(headers)
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
                event_hooks={"request": [unlogged]},
            )
        return self._client

    async def aclose(self) -> None:
        """Close it; it opens again when it is needed."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


class HttpDialog:
    """Text in, text out: posts `{"text": ...}` and speaks what comes back.

    The answer is JSON with `text` (or `reply`), or plain text.

    Args:
        url: where to post.
        headers: such as an `Authorization`.
        timeout: seconds for the answer.
    """

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 15.0
    ) -> None:
        self._url = url
        self._client = _Client(headers or {}, timeout)
        self._notes: list[str] = []

    def assist(self, note: str) -> None:
        """Send a note along with the caller's next words."""
        self._notes.append(note)

    async def stream(self, text: str) -> AsyncIterator[str]:
        """The reply, in one piece.

        Raises:
            ActionFailed: the endpoint is away, or answers with something else than text.
        """
        import httpx

        notes, self._notes = self._notes, []
        body: dict[str, Any] = {"text": text, **({"notes": notes} if notes else {})}
        try:
            answer = await self._client.open().post(self._url, json=body)
        except httpx.HTTPError as error:
            raise _unreachable(self._url, error) from error
        if answer.status_code != 200:
            raise ActionFailed(f"the dialog endpoint answered HTTP {answer.status_code}")
        if reply := _text_of(answer):
            yield reply

    async def aclose(self) -> None:
        """Give back the connection."""
        await self._client.aclose()


def _text_of(answer: httpx.Response) -> str:
    if len(answer.content) > MOST_BYTES:
        raise ActionFailed(f"the dialog endpoint answered {len(answer.content):,} bytes")
    if "json" not in answer.headers.get("content-type", ""):
        return answer.text.strip()
    try:
        found = answer.json()
    except ValueError as error:
        raise ActionFailed("the dialog endpoint's answer is no JSON") from error
    reply = found.get("text", found.get("reply")) if isinstance(found, dict) else found
    if not isinstance(reply, str):
        raise ActionFailed("the dialog endpoint's answer has no `text`")
    return reply


def _unreachable(url: str, error: Exception) -> ActionFailed:
    reason = str(error) or type(error).__name__
    parts = urlsplit(url)  # a password or a key in it is nobody's business
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return ActionFailed(f"the dialog endpoint {where} cannot be asked: {reason}", retryable=True)


class OpenAIDialog:
    """A model behind an OpenAI-compatible `/chat/completions`, its reply streamed as it is written.

    The conversation is remembered; of a reply that the caller cut short, what was sent so far.

    Args:
        model: the model's name.
        base_url: such as `https://api.openai.com/v1` or a server of your own.
        api_key: sent as a bearer token; empty for none.
        system: the instructions.
        options: more fields of the request, such as `temperature`.
        timeout: seconds between two pieces of the reply.

    Raises:
        EnvironmentFailure: the package `httpx-sse` is not installed (extra `openai`).
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key: str = "",
        system: str = "",
        options: Mapping[str, Any] | None = None,
        timeout: float = 15.0,
    ) -> None:
        try:
            import httpx_sse  # noqa: F401 - to say now that it is missing, not in a call
        except ImportError as error:
            raise EnvironmentFailure(
                "a streaming dialog needs more packages: pip install 'hook-orchestrator[openai]'"
            ) from error
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = _Client(headers, timeout)
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._request = {**(options or {}), "model": model, "stream": True}
        self._system = system
        self.messages: list[dict[str, str]] = []

    def assist(self, note: str) -> None:
        """A note for the next reply; the caller does not hear it."""
        self.messages.append({"role": "system", "content": note})

    async def stream(self, text: str) -> AsyncIterator[str]:
        """The reply, piece by piece.

        Raises:
            ActionFailed: the endpoint is away, refuses, or its stream is broken.
        """
        self.messages.append({"role": "user", "content": text})
        reply: list[str] = []
        try:
            async for piece in self._pieces():
                reply.append(piece)
                yield piece
        finally:  # also when the caller cuts in: the model should know what was said
            if reply:
                self.messages.append({"role": "assistant", "content": "".join(reply)})

    async def _pieces(self) -> AsyncIterator[str]:
        import httpx
        from httpx_sse import SSEError, aconnect_sse

        system = [{"role": "system", "content": self._system}] if self._system else []
        body = {**self._request, "messages": [*system, *self.messages[-MOST_TURNS:]]}
        size = 0
        try:
            async with aconnect_sse(self._client.open(), "POST", self._url, json=body) as source:
                if source.response.status_code != 200:
                    status = source.response.status_code
                    raise ActionFailed(f"the model's endpoint answered HTTP {status}")
                async for event in source.aiter_sse():
                    size += len(event.data)
                    if event.data == "[DONE]" or size > MOST_BYTES:
                        return
                    if piece := _delta(event.data):
                        yield piece
        except SSEError as error:
            raise ActionFailed(f"the model's answer is no event stream: {error}") from error
        except httpx.HTTPError as error:
            raise _unreachable(self._url, error) from error

    async def aclose(self) -> None:
        """Give back the connection."""
        await self._client.aclose()


def _delta(data: str) -> str:
    """The text of one chunk; a chunk that has none (a role, a tool, an unknown form) is empty."""
    try:
        chunk = json.loads(data)
        content = chunk["choices"][0]["delta"].get("content")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return content if isinstance(content, str) else ""
