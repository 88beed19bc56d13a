"""Dialog machines behind HTTP: any endpoint that answers text, or an OpenAI-compatible one.

They keep no connection open between calls of `stream`; `aclose` gives back what a client holds.
An endpoint that is away, slow or confused raises `ActionFailed`, which the session reports as an
`error` event: the call goes on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.dialog.wire import Client, media_type, paced, silent, unreachable
from orchestrator.errors import ActionFailed, EnvironmentFailure

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpDialog", "OpenAIDialog"]

#: Turns of the conversation that are sent along.
MOST_TURNS = 100
_SHOWN = 40


class HttpDialog:
    """Text in, text out: posts `{"text": ...}` and speaks what comes back.

    The answer is JSON with `text` (or `reply`), or plain text.

    Args:
        url: where to post.
        headers: such as an `Authorization`.
        call: which call it is, sent along as `call`.
        timeout: seconds for the whole answer.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        call: Mapping[str, Any] | None = None,
        timeout: float = 15.0,
    ) -> None:
        self._url = url
        self._client = Client(headers or {}, timeout)
        self._timeout = timeout
        self._call = {"call": dict(call)} if call else {}
        self._notes: list[str] = []

    def assist(self, note: str) -> None:
        """Send a note along with the caller's next words."""
        self._notes.append(note)

    async def stream(self, text: str) -> AsyncIterator[str]:
        """The reply, in one piece.

        Raises:
            ActionFailed: the endpoint is away, or answers with something else than text.
        """
        notes, self._notes = self._notes, []
        body: dict[str, Any] = {"text": text, **({"notes": notes} if notes else {}), **self._call}
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._ask(body)
        except TimeoutError:
            raise silent(self._timeout) from None
        if reply:
            yield reply

    async def _ask(self, body: Mapping[str, Any]) -> str:
        import httpx

        content = self._client.content(body)
        try:
            answer = await self._client.open().post(self._url, content=content)
        except httpx.HTTPError as error:
            raise unreachable(self._url, error) from error
        if answer.status_code != 200:
            raise ActionFailed(f"the dialog endpoint answered HTTP {answer.status_code}")
        return _text_of(answer)

    async def aclose(self) -> None:
        """Give back the connection."""
        await self._client.aclose()


def _text_of(answer: httpx.Response) -> str:
    kind = media_type(answer)
    if "json" not in kind:
        if kind not in ("", "text/plain"):
            raise ActionFailed(f"the dialog endpoint answered {kind[:_SHOWN]!r}, not text")
        return answer.text.strip()
    try:
        found = answer.json()
    except (ValueError, RecursionError) as error:
        raise ActionFailed("the dialog endpoint's answer is no JSON") from error
    reply = found.get("text", found.get("reply")) if isinstance(found, dict) else found
    if not isinstance(reply, str):
        raise ActionFailed("the dialog endpoint's answer has no `text`")
    return reply


class OpenAIDialog:
    """A model behind an OpenAI-compatible `/chat/completions`, its reply streamed as it is written.

    The conversation is remembered; of a reply that the caller cut short, what was sent so far.

    Args:
        model: the model's name.
        base_url: such as `https://api.openai.com/v1` or a server of your own.
        api_key: sent as a bearer token; empty for none.
        system: the instructions.
        options: more fields of the request, such as `temperature`.
        timeout: seconds to the first text of the reply, and between two pieces of it.

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
        self._client = Client(headers, timeout)
        self._timeout = timeout
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
            ActionFailed: the endpoint is away or silent, refuses, or its stream is broken.
        """
        self.messages.append({"role": "user", "content": text})
        reply: list[str] = []
        try:
            async for piece in paced(self._pieces(), self._timeout):
                reply.append(piece)
                yield piece
        finally:  # also when the caller cuts in: the model should know what was said
            if reply:
                self.messages.append({"role": "assistant", "content": "".join(reply)})

    async def _pieces(self) -> AsyncGenerator[str]:
        import httpx
        from httpx_sse import SSEError, aconnect_sse

        system = [{"role": "system", "content": self._system}] if self._system else []
        body = {**self._request, "messages": [*system, *self.messages[-MOST_TURNS:]]}
        asked = aconnect_sse(
            self._client.open(), "POST", self._url, content=self._client.content(body)
        )
        is_whole = False
        try:
            async with asked as source:
                if source.response.status_code != 200:
                    status = source.response.status_code
                    raise ActionFailed(f"the model's endpoint answered HTTP {status}")
                async for event in source.aiter_sse():
                    if event.data == "[DONE]":
                        return
                    chunk = _chunk(event.data)
                    if piece := _delta(chunk):
                        yield piece
                    is_whole = is_whole or bool(_choice(chunk).get("finish_reason"))
        except SSEError as error:
            raise ActionFailed(f"the model's answer is no event stream: {error}") from error
        except httpx.HTTPError as error:
            raise unreachable(self._url, error) from error
        if not is_whole:
            raise ActionFailed("the model's answer broke off")

    async def aclose(self) -> None:
        """Give back the connection."""
        await self._client.aclose()


def _chunk(data: str) -> Mapping[str, Any]:
    """One chunk; empty for what is none.

    Raises:
        ActionFailed: it says that the model failed.
    """
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(chunk, dict):
        return {}
    if error := chunk.get("error"):
        about = error if isinstance(error, dict) else {}
        name = about.get("code") or about.get("type") or "no code"  # its message may hold a key
        raise ActionFailed(f"the model's endpoint reported an error: {str(name)[:_SHOWN]}")
    return chunk


def _choice(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = chunk.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _delta(chunk: Mapping[str, Any]) -> str:
    """The text of one chunk; a chunk that has none (a role, a tool, an unknown form) is empty."""
    delta = _choice(chunk).get("delta")
    content = delta.get("content") if isinstance(delta, dict) else None
    return content if isinstance(content, str) else ""
