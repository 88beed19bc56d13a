"""The connection to a NATS server, its streams, and how their subjects are named.

=========  ============================  ======================================================
stream     subject behind the prefix     what is in it
=========  ============================  ======================================================
`out`      out.CONFIG.ENDPOINT.CHAIN.ID  what waits: a work queue, a message goes when it is done
`dead`     dead.ID                       dead letters, 30 days
`note`     note.ID, note.held.ENDPOINT   attempts and reason of what was put off, and until when
                                         a receiver asked to be left alone
`closed`   closed.ADDRESS                addresses that a receiver has closed, hashed, 30 days
=========  ============================  ======================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from orchestrator.errors import EnvironmentFailure, StoreFailed, words
from orchestrator.hosts import split_server_url

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext
    from nats.js.api import RetentionPolicy, StreamConfig

__all__ = ["Link", "Target", "digest", "import_nats", "open_client", "plain_of", "token", "told"]

_log = logging.getLogger("orchestrator.outbox")

#: Seconds that a request may take, and to connect at first; what waits longer goes to the fallback,
#: before the time of a step is up.
ANSWER, CONNECT = 1.5, 1.5
#: Seconds that the server remembers ids of what was put.
KNOWN = 24 * 3_600.0
KEEPS_DEAD, KEEPS_NOTES, KEEPS_CLOSED = 30 * 86_400.0, 14 * 86_400.0, 30 * 86_400.0
_FORM = "the NATS URL is nats://host:4222/prefix?replicas=1|3|5&creds=FILE"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the engine is: `nats://host:4222,host2:4222/prefix?replicas=3&creds=/file`."""

    servers: tuple[str, ...] = field(repr=False)  # may hold passwords
    prefix: str = "hooks"
    replicas: int = 1
    creds: str | None = None

    @classmethod
    def parse(cls, url: str) -> Target:
        """Take a URL apart.

        Raises:
            EnvironmentFailure: it cannot be used.
        """
        try:
            return cls._read(url)
        except ValueError as error:  # what it says holds no part of the URL: there are passwords
            raise EnvironmentFailure(f"{_FORM}: {error}") from None

    @classmethod
    def _read(cls, url: str) -> Target:
        if not url.isprintable():
            raise ValueError("there is a control character in it")
        scheme, sign, rest = url.partition("://")
        netloc = re.split("[/?#]", rest, maxsplit=1)[0]
        servers = tuple(f"{scheme}{sign}{host}" for host in netloc.split(","))
        for server in servers:
            split_server_url(server)
        parts = urlsplit(f"{scheme}{sign}host{rest[len(netloc) :]}")
        options = _options(parts.query)
        prefix = parts.path.strip("/") or "hooks"
        if parts.fragment or not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", prefix):
            raise ValueError("the prefix has 1 to 40 letters, digits, - and _")
        if (replicas := options.get("replicas", "1")) not in {"1", "3", "5"}:
            raise ValueError("`replicas` is 1, 3 or 5")
        creds = options.get("creds")
        if creds is not None and ("\0" in creds or not os.access(creds, os.R_OK)):
            raise EnvironmentFailure(f"the NATS URL: the file of `creds` cannot be read: {creds}")
        return cls(servers, prefix, int(replicas), creds)


def _options(query: str) -> dict[str, str]:
    """What stands behind the `?`, each once."""
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs) or not set(options) <= {"replicas", "creds"}:
        raise ValueError("its options are `replicas` and `creds`, each once")
    return options


def token(text: str) -> str:
    """A text as one part of a subject; a long one by its hash."""
    safe = re.sub(r"[^A-Za-z0-9_-]", lambda m: "".join(f"={b:02X}" for b in m[0].encode()), text)
    return safe if 0 < len(safe) <= 120 else f"={digest(text)}"


#: Characters of the token of a long text.
_HASHED = 33


def plain_of(part: str) -> str:
    """The text of a token; of one that stands for a long text, what it is."""
    if len(part) == _HASHED and part.startswith("="):
        return part
    return unquote_to_bytes(part.replace("=", "%")).decode(errors="replace")


def digest(text: str) -> str:
    """A hash for subjects: ids and addresses are of any length."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Link:
    """One connection, made in the background and made again whenever it breaks."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._nats = import_nats()
        self._client: Client | None = None
        self._js: JetStreamContext | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._why = "no answer yet"
        self._is_doubted = False
        self._mending: asyncio.Task[None] | None = None
        self.on_back: Callable[[], None] = lambda: None
        self.on_new: Callable[[], None] = lambda: None

    def stream(self, kind: str) -> str:
        """The name of a stream."""
        return f"{self.target.prefix}_{kind}"

    def subject(self, kind: str, *tokens: str) -> str:
        """A subject."""
        return ".".join((self.target.prefix, kind, *tokens))

    async def js(self) -> JetStreamContext:
        """The engine, ready for use.

        Raises:
            StoreFailed: it is away.
        """
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        if self._js is None:
            await asyncio.wait({self._connecting}, timeout=CONNECT)
        if self._js is None or self._client is None or not self._client.is_connected:
            raise StoreFailed(f"the NATS server cannot be used: {self._why}")
        if self._is_doubted:
            await self._mend(self._js)
        return self._js

    def doubt(self) -> None:
        """Something went wrong: the streams may be gone, as with a disk that was lost."""
        self._is_doubted = True

    async def _mend(self, js: JetStreamContext) -> None:
        """Make the streams again that are gone; whoever comes meanwhile waits for the same."""
        mending = self._mending
        if mending is None:
            mending = self._mending = asyncio.get_running_loop().create_task(self._remake(js))
        try:
            await asyncio.shield(mending)
        finally:
            if self._mending is mending and mending.done():
                self._mending = None

    async def _remake(self, js: JetStreamContext) -> None:
        self._is_doubted = False
        try:
            made = await self._make_streams(js)
        except BaseException:
            self._is_doubted = True
            raise
        if made:
            _log.warning("streams were gone and are made anew", extra={"streams": made})
        if self.stream("out") in made:
            self.on_new()

    @property
    def client(self) -> Client:
        """The connection below `js`, which was asked for before."""
        if self._client is None:
            raise StoreFailed(f"the NATS server cannot be used: {self._why}")
        return self._client

    async def _connect(self) -> None:
        while self._js is None:
            try:
                async with asyncio.timeout(5 * CONNECT):
                    self._client = await self._open()
                    await self._make_streams(self._client.jetstream(timeout=ANSWER))
            except (self._nats.errors.Error, OSError, TimeoutError) as error:
                if not isinstance(error, TimeoutError):  # which says less than what came before
                    self._why = told(error)
                await self._close_client()
                await asyncio.sleep(0.5)
            else:
                self._js = self._client.jetstream(timeout=ANSWER)
                self.on_back()

    async def _open(self) -> Client:
        async def back() -> None:
            self.doubt()
            self.on_back()

        async def noted(error: Exception) -> None:
            """Errors come out where something is asked."""
            self._why = told(error)

        return await open_client(self.target, "hook-orchestrator", back, noted)

    async def _make_streams(self, js: JetStreamContext) -> list[str]:
        """Make what is missing, and say what; what is there stays as its operator has set it."""
        from nats.js.api import RetentionPolicy, StorageType
        from nats.js.errors import NotFoundError

        kinds: dict[str, dict[str, Any]] = {
            "out": {"retention": RetentionPolicy.WORK_QUEUE, "duplicate_window": KNOWN},
            "dead": {"max_age": KEEPS_DEAD, "max_msgs_per_subject": 1},
            "note": {"max_age": KEEPS_NOTES, "max_msgs_per_subject": 1},
            "closed": {"max_age": KEEPS_CLOSED, "max_msgs_per_subject": 1},
        }
        made = []
        for kind, options in kinds.items():
            try:
                info = await js.stream_info(self.stream(kind))
                if fault := _fault_of(info.config, options.get("retention")):
                    raise self._nats.errors.Error(f"its stream {self.stream(kind)} {fault}")
            except NotFoundError:
                await js.add_stream(
                    name=self.stream(kind),
                    subjects=[self.subject(kind, ">")],
                    storage=StorageType.FILE,
                    num_replicas=self.target.replicas,
                    allow_direct=True,
                    **options,
                )
                made.append(self.stream(kind))
        return made

    async def aclose(self) -> None:
        """Send what is buffered and close."""
        for task in (self._connecting, self._mending):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        await self._close_client()

    async def _close_client(self) -> None:
        client, self._client, self._js = self._client, None, None
        if client is not None:
            with contextlib.suppress(Exception):  # closing what is broken already
                if client.is_connected:
                    await client.flush(timeout=1)
            with contextlib.suppress(Exception):
                await client.close()


def _fault_of(config: StreamConfig, retention: RetentionPolicy | None) -> str:
    """What a stream that was there is set to with which nothing would be sent; empty if it fits."""
    if not config.allow_direct:
        return "has `allow_direct` off: turn it on"
    if retention is not None and config.retention != retention:
        return f"has another retention than `{retention.value}`: remove it, or make it so"
    return ""


#: What errors say of a server that somebody has to set up otherwise, and what that is.
_MISSET = {
    "authorization": "it refuses the user, password or creds that are set",
    "authentication": "it refuses the user, password or creds that are set",
    "jetstream not enabled": "JetStream is not enabled there",
    "serviceunavailable": "JetStream is not enabled there",
    "no responders": "JetStream is not enabled there",
    "expecting info": "what answers there is no NATS server",
    "expected info": "what answers there is no NATS server",
    "protocol": "what answers there is no NATS server",
}


async def open_client(
    target: Target,
    name: str,
    back: Callable[[], Awaitable[None]],
    failed: Callable[[Exception], Awaitable[None]],
) -> Client:
    """A connection that is made again whenever it breaks; `back` and `failed` are told.

    Raises:
        nats.errors.Error, OSError, TimeoutError: it cannot be made.
    """
    creds = {"user_credentials": target.creds} if target.creds else {}
    client: Client = await import_nats().connect(
        list(target.servers),
        name=name,
        connect_timeout=int(CONNECT),
        reconnect_time_wait=0.5,
        max_reconnect_attempts=-1,
        error_cb=failed,
        reconnected_cb=back,
        **creds,
    )
    return client


def told(error: Exception) -> str:
    """Why the server cannot be used."""
    if isinstance(error, TimeoutError):
        return "no NATS server answers there in time"
    text = words(error).removeprefix("nats: ") or type(error).__name__
    found = (meaning for said, meaning in _MISSET.items() if said in text.lower())
    return next(found, f"it is away ({text[:120]})")


def import_nats() -> Any:
    """The package.

    Raises:
        EnvironmentFailure: it is not installed.
    """
    try:
        import nats
    except ImportError as error:
        raise EnvironmentFailure(
            f"NATS needs a package: pip install 'hook-orchestrator[nats]' ({error})"
        ) from error
    return nats
