"""A model behind an OpenAI-compatible `/chat/completions`, its reply streamed as it is written.

A stream that breaks, reports an error or ends without a word raises `ActionFailed`, which the
session reports as an `error` event: the call goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from orchestrator.dialog.adapter import Adapter
from orchestrator.dialog.chunks import Chunk, chunk_of, whole_of
from orchestrator.dialog.conversation import Conversation
from orchestrator.dialog.wire import Client, check_url, media_type, paced, unreachable
from orchestrator.errors import ActionFailed, EnvironmentFailure, UserError
from orchestrator.plain import whole_start, whole_text

__all__ = ["OpenAIDialog"]


#: Seconds that a stream may go on once its reply has ended: some servers never close it.
AFTER_END = 1.0
#: Why a reply may have ended before it was whole. Whole ones end for reasons of many names.
_EARLY = frozenset(
    {"length", "max_tokens", "model_length", "content_filter", "safety", "recitation", "error",
     "tool_calls", "tool_use", "function_call", "abort", "cancelled", "canceled", "timeout"}
)  # fmt: skip


class OpenAIDialog(Adapter):
    """A model behind an OpenAI-compatible `/chat/completions`, its reply streamed as it is written.

    The conversation is remembered, as the caller heard it: of a reply that was cut short what the
    runtime says was heard, else what was sent so far; what hooks said; and notes.

    Args:
        model: the model's name.
        base_url: such as `https://api.openai.com/v1` or a server of your own.
        api_key: sent as a bearer token; empty for none.
        system: the instructions.
        options: more fields of the request, such as `temperature`.
        timeout: seconds to the first text of the reply, and between two pieces of it.

    Raises:
        UserError: no model is named, or the URL or the key is none that can be sent.
        EnvironmentFailure: the package `httpx-sse` is not installed (extra `openai`).
    """

    #: Its own time limit says more.
    patience = None

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
        if not model.strip():
            raise UserError("a model must be named")
        if "?" in base_url or "#" in base_url:
            raise UserError("the base URL of a model has no `?` or `#`: a path is put behind it")
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = Client(headers, timeout)
        self._timeout = timeout
        self._url = check_url(f"{base_url.rstrip('/')}/chat/completions")
        self._request = {**(options or {}), "model": model, "stream": True}
        self._conversation = Conversation(system)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation so far, without the instructions."""
        return self._conversation.messages

    def assist(self, text: str) -> None:
        """A note for the model, from its next reply on; the caller does not hear it."""
        self._conversation.add("system", text)

    def said(self, text: str) -> None:
        """Hooks said something; the model is to know, or it says it again."""
        self._conversation.add("assistant", text)

    def mark_interrupted(self, heard: str | None = None) -> None:
        """The caller cut in; `heard` is what they heard, if that is known."""
        if heard is not None:
            self._conversation.cut(heard)

    async def _reply(self, text: str) -> AsyncIterator[str]:
        """The reply, piece by piece.

        Raises:
            ActionFailed: the endpoint is away or silent, refuses, ends the reply early, says
                nothing, or its stream is broken.
        """
        self._conversation.add("user", text)
        reply: list[str] = []
        try:
            async for piece in paced(self._pieces(), self._timeout):
                reply.append(piece)
                yield piece
        finally:  # also when the caller cuts in: the model should know what was said
            if reply:
                self._conversation.add("assistant", "".join(reply))

    async def _pieces(self) -> AsyncGenerator[str]:
        import httpx
        from httpx_sse import SSEError, aconnect_sse

        body = {**self._request, "messages": self._conversation.sent()}
        asked = aconnect_sse(
            self._client.open(), "POST", self._url, content=self._client.content(body)
        )
        ending = half = ""
        has_spoken = False
        try:
            async with asked as source:
                async for chunk in _to_the_end(_chunks(source)):
                    has_spoken = has_spoken or bool(chunk.text.strip())
                    ending = ending or chunk.ending
                    text, half = whole_start(half + chunk.text)
                    if text:
                        yield text
        except SSEError as error:
            raise ActionFailed(f"the model's answer is no event stream: {error}") from error
        except httpx.HTTPError as error:
            if not ending:  # else it is whole, and how the connection ends is nothing to a caller
                raise unreachable(self._url, error) from error
        if half:
            yield whole_text(half)
        if problem := _problem(ending, has_spoken=has_spoken):
            raise ActionFailed(problem)

    async def aclose(self) -> None:
        """Give back the connection."""
        await self._client.aclose()


async def _to_the_end(chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
    """The chunks of an answer; once one says that it ended, what comes within `AFTER_END`."""
    until: float | None = None
    while True:
        try:
            async with asyncio.timeout_at(until):
                chunk = await anext(chunks, None)
        except TimeoutError:
            return
        if chunk is None:
            return
        if chunk.ending and until is None:
            until = asyncio.get_running_loop().time() + AFTER_END
        yield chunk


async def _chunks(source: Any) -> AsyncIterator[Chunk]:
    """The chunks of an answer: of its stream, or of JSON where a server knows no other way."""
    response = source.response
    if response.status_code != 200:
        raise ActionFailed(f"the model's endpoint answered HTTP {response.status_code}")
    # Event streams are UTF-8 whatever a proxy writes into the header; some begin with a mark.
    response.encoding = "utf-8-sig"
    if "json" in media_type(response):
        yield whole_of(await response.aread())
        return
    async for event in source.aiter_sse():
        if event.data.strip() == "[DONE]":
            yield Chunk("", "done")
            return
        yield chunk_of(event.data, is_error=event.event == "error")


def _problem(ending: str, *, has_spoken: bool) -> str:
    """What is wrong with a reply that ended like this; empty for nothing."""
    if not ending:
        return "the model's answer broke off"
    if ending.lower() in _EARLY or (not has_spoken and ending not in ("stop", "done")):
        what = "ended early" if has_spoken else "has no text"
        return f"the model's reply {what}: {ending}"
    return "" if has_spoken else "the model's reply has no text"
