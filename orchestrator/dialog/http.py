"""A dialog machine behind HTTP: any endpoint that answers text.

It keeps no connection open between calls of `stream`; `aclose` gives back what a client holds.
An endpoint that is away, slow or confused raises `ActionFailed`, which the session reports as an
`error` event: the call goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.dialog.adapter import Adapter
from orchestrator.dialog.wire import Client, check_url, media_type, silent, unreachable
from orchestrator.errors import ActionFailed

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpDialog"]

#: Things to tell that wait for an answer, at most: the oldest go first.
MOST_UNTOLD = 100
_SHOWN = 40


class HttpDialog(Adapter):
    """Text in, text out: posts `{"text": ...}` and speaks what comes back.

    What happened since the last answer goes along: `notes`, `said` (by hooks) and `interrupted`. It
    goes again with the next words until an answer came, so it is told twice rather than never.

    The answer is JSON with `text` (or `reply`), or plain text.

    Args:
        url: where to post.
        headers: such as an `Authorization`.
        call: which call it is, sent along as `call`.
        timeout: seconds for the whole answer.

    Raises:
        UserError: the URL or a header is none that can be sent.
    """

    #: Its own time limit says more.
    patience = None

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        call: Mapping[str, Any] | None = None,
        timeout: float = 15.0,
    ) -> None:
        self._url = check_url(url)
        self._client = Client(headers or {}, timeout)
        self._timeout = timeout
        self._call = {"call": dict(call)} if call else {}
        self._untold: list[tuple[str, Any]] = []

    def assist(self, text: str) -> None:
        """Send a note along with the caller's next words."""
        self._keep("notes", text)

    def said(self, text: str) -> None:
        """Send along what hooks said."""
        self._keep("said", text)

    def mark_interrupted(self, heard: str | None = None) -> None:
        """Send along that the caller cut in, and what they heard of the agent's words."""
        self._keep("interrupted", {"heard": heard})

    def _keep(self, kind: str, what: Any) -> None:
        self._untold.append((kind, what))
        del self._untold[:-MOST_UNTOLD]

    async def _reply(self, text: str) -> AsyncIterator[str]:
        """The reply, in one piece.

        Raises:
            ActionFailed: the endpoint is away, or answers with something else than text.
        """
        told = tuple(self._untold)
        body: dict[str, Any] = {"text": text, **_grouped(told), **self._call}
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._ask(body)
        except TimeoutError:
            raise silent(self._timeout) from None
        self._untold = [one for one in self._untold if not any(one is t for t in told)]
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


def _grouped(told: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Things to tell as fields of a body; of interruptions the last one."""
    body: dict[str, Any] = {}
    for kind, what in told:
        if kind == "interrupted":
            body[kind] = what
        else:
            body.setdefault(kind, []).append(what)
    return body


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
