"""`kind: http`: a web service, with its credentials, signing secret and limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from orchestrator._version import __version__
from orchestrator.action import Delivery, Duration, Fault, Secret, Url
from orchestrator.connections.answers import HttpAnswer, failed
from orchestrator.connections.base import AllowLike, Connection, ServicesLike, digest_of
from orchestrator.connections.credentials import Auth, Proxy, basic_token
from orchestrator.connections.heads import content_of, foreign, safe_headers
from orchestrator.connections.paths import join_path, whole_url
from orchestrator.durations import format_duration
from orchestrator.egress import Egress, SafeUrl, Way, parse_url
from orchestrator.encoding import encode_query
from orchestrator.errors import ActionFailed, NotSent, Unsendable, UserError, words
from orchestrator.signing import key_of, sign

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpAnswer", "HttpConnection", "open_web"]

#: Requests under way at once to one host. httpx's pool walks through everything that waits
#: in it: with a hundred waiting, a request costs 2.5 times the CPU of one that waited out here.
IN_FLIGHT = 16
#: Bytes and seconds that the body of an answer to a delivery is read for.
GLANCE_BYTES, GLANCE_SECONDS = 65_536, 1.0
#: Bytes that the URL of a delivery may have, and its headers: what receivers take is far less.
MOST_HEAD = 64 * 1024
#: Pieces that an answer may come in beside one for every eight bytes: each costs its time.
PIECES = 1_000


@dataclass(frozen=True, slots=True)
class Lane:
    """The client of one host and the room in it: a host that hangs fills only its own."""

    client: httpx.AsyncClient
    room: asyncio.Semaphore


class HttpConnection(Connection):
    """A web service. Requests go under its `base_url` only, and redirects are not followed.

    It must be https, unless the host is this machine or is listed under `allow: hosts`. Addresses
    inside the network are refused, whatever name they hide behind, unless `allow_private` is set.
    With a `signing_secret`, webhooks are signed as in Standard Webhooks; give a list of two while
    one secret replaces the other. With a `proxy` requests go through it, and it decides which
    address a host has; no proxy of the environment is used.

    ```yaml
    connections:
      billing:
        kind: http
        base_url: "${BILLING_URL}"
        auth: {bearer: "${BILLING_TOKEN}"}
        signing_secret: "${BILLING_SECRET}"
    ```
    """

    base_url: Annotated[Url, "where the service is; all paths go under it"]
    auth: Annotated[Auth | None, "`bearer`, `basic` or `header`"] = None
    signing_secret: Annotated[
        Secret | list[Secret] | None,
        "signs webhooks: `whsec_` and base64; several while they rotate",
    ] = None
    headers: Annotated[dict[str, str] | None, "sent with every request"] = None
    timeout: Annotated[Duration, "how long one request may take"] = Duration(10)
    allow_private: Annotated[bool, "whether its address may be inside the network"] = False
    proxy: Annotated[Proxy | None, "the way out, where there is no other"] = None
    max_response: Annotated[int, "bytes that an answer may have", range(1, 100_000_001)] = 1_000_000

    kind: ClassVar[str] = "http"
    rehearses: ClassVar[bool] = True

    def faults(self, allow: AllowLike) -> Iterator[Fault]:
        """What is wrong with URL, headers, credentials or secrets."""
        checks: dict[str, Callable[[], object]] = {
            "base_url": lambda: self._egress(allow).check(self._base),
            "headers": lambda: safe_headers(self.headers or {}),
            "auth": lambda: self._auth_headers,
            "signing_secret": lambda: self._keys,
            "proxy": lambda: self.proxy and self.proxy.place,
        }
        for option, check in checks.items():
            try:
                check()
            except (ActionFailed, UserError) as error:
                yield Fault(f"`{option}`: {words(error)}", option)

    def made_secrets(self) -> Iterator[str]:
        """The credentials as they are sent: a receiver may give back what it got."""
        if self.proxy is not None and self.proxy.user is not None:
            yield basic_token(self.proxy.user, self.proxy.password or "")
        for value in self._auth_headers.values():
            is_key = self.auth is not None and self.auth.header is not None
            yield value if is_key else value.partition(" ")[2]  # what follows `Basic` or `Bearer`

    def _start(self, services: ServicesLike, allow: AllowLike) -> None:
        super()._start(services, allow)
        self._reach = self._egress(allow)
        self._services = services
        self._lanes: dict[str, Lane] = {}

    def _lane(self, url: str) -> Lane:
        """The lane of a URL's host: hosts are written in the config, so they are few."""
        host = url.split("/", 3)[2]
        if host not in self._lanes:
            client = self._services.new_client(self._reach, self._way())
            self._lanes[host] = Lane(client, asyncio.Semaphore(IN_FLIGHT))
        return self._lanes[host]

    @property
    def address(self) -> str:
        """Its base URL."""
        return digest_of(self.base_url)

    async def aclose(self) -> None:
        """Close its sockets."""
        for lane in self._lanes.values():
            await lane.client.aclose()

    def _egress(self, allow: AllowLike) -> Egress:
        return Egress(frozenset(map(str.lower, allow.hosts)), self.allow_private)

    def _way(self) -> Way | None:
        if self.proxy is None:
            return None
        login = (self.proxy.user or "", self.proxy.password or "")
        return Way(self.proxy.place, login if self.proxy.user is not None else None)

    @cached_property
    def _base(self) -> SafeUrl:
        base = parse_url(self.base_url)
        if base.query:
            raise ActionFailed("a base URL has no query")
        join_path(base, "")
        return base

    @cached_property
    def _keys(self) -> tuple[bytes, ...]:
        secrets = self.signing_secret or ()
        return tuple(map(key_of, [secrets] if isinstance(secrets, str) else secrets))

    @cached_property
    def _auth_headers(self) -> dict[str, str]:
        auth = self.auth
        if auth is None:
            return {}
        given = [name for name in ("bearer", "basic", "header") if getattr(auth, name) is not None]
        if len(given) != 1:
            raise ActionFailed("give exactly one of `bearer`, `basic`, `header`")
        if auth.bearer is not None:
            return safe_headers({"authorization": f"Bearer {auth.bearer}"})
        if auth.basic is not None:
            return {"authorization": f"Basic {basic_token(auth.basic.user, auth.basic.password)}"}
        assert auth.header is not None  # noqa: S101 - the only one left
        return safe_headers({auth.header.name: auth.header.value})

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        expect: Collection[int] = (),
    ) -> HttpAnswer:
        """Send one request and read its answer. Bytes and text are sent as they are, else JSON.

        Raises:
            ActionFailed: no answer, too large an answer, or a status that is neither 2xx nor one
                of `expect`; `retryable` when it may be better next time.
        """
        kind, content = content_of(body)
        answer = await self._exchange(
            method,
            self._url(path, encode_query(query or {})),
            {**kind, **safe_headers(headers or {})},
            content,
            self.timeout if timeout is None else timeout,
        )
        return answer.check(expect)

    async def send(self, delivery: Delivery, timeout: float | None = None) -> HttpAnswer:
        """Make one attempt at a delivery, signed now; the answer is the caller's to judge.

        Its status and headers are: of the body only the beginning is read, and a receiver that
        sends a hundred megabytes, or a byte a second, has taken the delivery all the same.

        Raises:
            Unsendable: it may not be sent, as to an address that is not allowed now.
            ActionFailed: no answer.
        """
        now = int(self._clock.wall().timestamp())
        headers = {
            "content-type": delivery.content_type,
            **safe_headers(foreign(delivery.headers)),
            "idempotency-key": delivery.id,
            **sign(self._keys, delivery.id, now, delivery.body),
        }
        limit = self.timeout if timeout is None else timeout
        try:
            return await self._exchange(
                delivery.method, self._place(delivery), headers, delivery.body, limit, self._glance
            )
        except ActionFailed as error:
            if error.retryable or isinstance(error, NotSent):
                raise
            raise Unsendable(words(error), retryable=True, is_plain=error.is_plain) from error

    def check(self, delivery: Delivery) -> None:
        """Judge its URL and headers.

        Raises:
            ActionFailed: they cannot be sent.
        """
        sizes = {
            "URL": len(self._place(delivery)),
            "headers": sum(map(len, chain(*safe_headers(foreign(delivery.headers)).items()))),
        }
        for part, size in sizes.items():
            if size > MOST_HEAD:
                raise failed(f"its {part} would have {size:,} bytes; {MOST_HEAD:,} are the most")

    def _place(self, delivery: Delivery) -> str:
        path, query = delivery.url, ""
        if self.base_url:
            path, _, query = delivery.url.partition("?")
        return self._url(path, query)

    def prepare(self) -> None:
        """Import httpx and load the certificates."""
        from orchestrator.connections.transport import certificates

        certificates()

    def _url(self, path: str, query: str) -> str:
        if self.base_url:
            url = join_path(self._base, path)
        else:
            parts, url = whole_url(path)
            self._reach.check(parts)
        if not query:
            return url
        return f"{url}{'&' if '?' in url else '?'}{query}"

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        content: bytes | None,
        timeout: float,
        read: Callable[[httpx.Response], Awaitable[bytes]] | None = None,
    ) -> HttpAnswer:
        head = {
            "user-agent": f"hook-orchestrator/{__version__}",
            "accept-encoding": "identity",  # a small answer must not unpack to a huge one
            **safe_headers(foreign(self.headers or {})),
            **headers,
            **self._auth_headers,
        }
        if self._clock.is_virtual:
            raise NotSent(f"connection {self.name!r}: virtual time, nothing leaves the machine")
        import httpx

        try:
            lane = self._lane(url)
            async with asyncio.timeout(timeout), lane.room:
                request = lane.client.build_request(
                    method, url, headers=head, content=content, timeout=timeout
                )
                answer = await lane.client.send(request, stream=True)
                try:
                    body = await (read or self._read)(answer)
                finally:
                    await answer.aclose()
                return HttpAnswer(answer.status_code, dict(answer.headers), body)
        except (TimeoutError, httpx.TimeoutException):
            limit = format_duration(timeout)
            raise failed(f"{self._label}: no answer within {limit}", retryable=True) from None
        except httpx.TransportError as error:
            why = words(error) or type(error).__name__
            raise failed(f"{self._label}: {why}", retryable=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # which quote what was to be sent
            raise failed(f"{self._label}: the request cannot be made") from error

    @property
    def _label(self) -> str:
        return self.name or "request"

    async def _read(self, answer: httpx.Response) -> bytes:
        """The whole body, within its limit."""
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise failed(f"{self._label}: the answer is compressed, unasked")
        body, count = bytearray(), 0
        async for part in answer.aiter_raw():
            body += part
            count += 1
            if count > PIECES + len(body) // 8:
                raise failed(f"{self._label}: the answer comes in too small pieces")
            if len(body) > self.max_response:
                raise failed(f"{self._label}: the answer has more than {self.max_response:,} bytes")
        return bytes(body)

    async def _glance(self, answer: httpx.Response) -> bytes:
        """The beginning of a body that nobody reads; what is short leaves the socket reusable."""
        import httpx

        body, count = bytearray(), 0
        with contextlib.suppress(TimeoutError, httpx.TransportError):
            async with asyncio.timeout(GLANCE_SECONDS):
                async for part in answer.aiter_raw():
                    body += part
                    count += 1
                    if len(body) > GLANCE_BYTES or count > PIECES:
                        break
        return bytes(body[:GLANCE_BYTES])


def open_web(services: ServicesLike, allow: AllowLike) -> HttpConnection:
    """The connection of requests that name a whole URL: no base, no credentials."""
    web = HttpConnection(base_url="")
    web._start(services, allow)
    return web
