"""A memory on a NATS server, shared by machines: a bucket of its key-value store.

A thread with an event loop of its own owns the connection. What this process remembers is written
against the revision it was read at, so that times of several processes add up; what others write
is watched. While the server is away calls go on with the copy, and writes wait.

=================  ===============================================================================
`e.` and a hash    an entry: `{"key", "value", "expires", "times"}`
`t.` and a hash    the places of a rate that are taken: a list of times
=================  ===============================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import words
from orchestrator.limits import Rate
from orchestrator.memory.keeper import LONGEST, Replica
from orchestrator.outbox.nats_link import Target, import_nats, open_client, told
from orchestrator.retention import Trail, Watch

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js.kv import KeyValue

__all__ = ["NatsKeeper"]

#: Seconds for an answer, and for what is queued when we close.
ANSWER, CLOSE = 2.0, 3.0
#: Seconds that whoever opens it waits for the copy to be filled: a call may be waiting already.
FILL = 1.0
#: Seconds between two tries while the server is away, and to see that it is back.
PAUSE, LOOK = 0.5, 0.5
#: Seconds between two times that what has expired is deleted.
SWEEP = 3_600.0
#: Writes that wait while the server is away; times that one key keeps there.
MOST_LEFT, MOST_TIMES = 10_000, 1_000
#: Seconds in the future beyond which a time was written before the clock was set back.
SKEW = 60.0
#: Times that a write is tried when others write the same key.
TRIES = 50

#: What the server calls us.
_NAME = "hook-orchestrator memory"

_log = logging.getLogger("orchestrator.memory")


@dataclass(frozen=True, slots=True)
class _Write:
    """A key that is remembered `at` a time, or dropped when `at` is None."""

    key: str
    value: Any = None
    expires: float | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """A key by the name of its entry, and until when something can be asked of it."""

    key: str
    revision: int
    until: float


class NatsKeeper:
    """Keeps a memory on a server; see `keeper.Keeper`.

    Raises:
        EnvironmentFailure: the URL is none, or the package is missing.
    """

    def __init__(self, url: str) -> None:
        self._target = Target.parse(url)
        self._nats = import_nats()
        self._lock = threading.Lock()
        self._queued: Counter[str] = Counter()
        self._writes: deque[_Write] = deque()
        self._known: dict[str, _Known] = {}
        self._watch, self._swept = Watch(), time.monotonic()
        self._trail: Trail | None = None
        self._is_closing = self._is_over = False
        self._why = ""
        self._is_filled = threading.Event()
        self._has_loop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="memory", daemon=True)

    def start(self, replica: Replica) -> None:
        """Connect and fill the copy; a server that is away fills it once it is back."""
        self._replica = replica
        self._thread.start()
        self._has_loop.wait()
        if not self._is_filled.wait(FILL):
            why = self._why or "no NATS server answers there in time"
            _log.warning("the memory begins empty, and is filled later", extra={"reason": why})

    # --- what is asked, in the caller's thread

    def remember(self, key: str, value: Any, expires: float | None, at: float) -> None:
        """Queue a value and a time."""
        json.dumps(value)
        self._put(_Write(key, value, expires, at))

    def forget(self, key: str) -> None:
        """Queue that a key goes."""
        self._put(_Write(key))

    def _put(self, write: _Write) -> None:
        with self._lock:
            if len(self._writes) >= MOST_LEFT:
                lost = self._writes.popleft()
                self._queued[lost.key] -= 1
                self._replica.failed()
            self._writes.append(write)
            self._queued[write.key] += 1
        self._tell(self._wake.set)

    def has_queued(self, key: str) -> bool:
        """Whether something about the key is not written yet."""
        with self._lock:
            return self._queued[key] > 0

    def take(self, key: str, rate: Rate, now: float, answer: Callable[[bool | None], None]) -> None:
        """Ask for a place of a rate."""

        def ask() -> None:
            task = self._loop.create_task(self._take(f"t.{_hash(key)}", rate, now, answer))
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)

        self._tell(ask)

    def close(self) -> None:
        """Write what is queued, for a few seconds at most, and let go."""
        self._is_closing = True
        self._tell(self._wake.set)
        self._thread.join(CLOSE + ANSWER)

    def _tell(self, function: Callable[[], Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is nobody to tell
            self._loop.call_soon_threadsafe(function)

    # --- the thread

    def _work(self) -> None:
        with contextlib.suppress(Exception):  # what is left of the connection as it closes
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._asked: set[asyncio.Task[None]] = set()
        self._takes = asyncio.Lock()
        self._bucket: KeyValue | None = None
        self._has_loop.set()
        connecting = asyncio.create_task(self._connect())
        try:
            await self._write_all()
        finally:
            self._is_over = True  # one that ends a wait just now does not notice its cancellation
            connecting.cancel()
            await asyncio.wait([connecting])
            for _ in self._writes:
                self._replica.failed()

    async def _connect(self) -> None:
        """Connect, as often as needed, and follow the bucket until we are closed."""
        is_back = asyncio.Event()

        async def back() -> None:
            is_back.set()

        async def failed(error: Exception) -> None:
            self._why = told(error)

        client: Client | None = None
        try:
            while not self._is_over:
                try:
                    if client is None:
                        client = await open_client(self._target, _NAME, back, failed)
                    is_back.clear()
                    self._bucket = await self._find_bucket(client)
                    self._wake.set()
                    await self._follow(self._bucket, is_back)
                except (self._nats.errors.Error, OSError, TimeoutError) as error:
                    self._why = told(error)
                    await asyncio.sleep(PAUSE)
        finally:
            self._bucket = None
            if client is not None:
                with contextlib.suppress(Exception):  # closing what is broken already
                    await client.close()

    async def _find_bucket(self, client: Client) -> KeyValue:
        """The bucket; one that is there stays as its operator has set it."""
        from nats.js.api import KeyValueConfig, StorageType
        from nats.js.errors import BucketNotFoundError

        js, name = client.jetstream(timeout=ANSWER), f"{self._target.prefix}_memory"
        try:
            return await js.key_value(name)
        except BucketNotFoundError:
            config = KeyValueConfig(
                bucket=name, history=1, storage=StorageType.FILE, replicas=self._target.replicas
            )
            return await js.create_key_value(config=config)

    async def _follow(self, bucket: KeyValue, is_back: asyncio.Event) -> None:
        """Take over what others write, until the connection was lost and is back."""
        watcher = await bucket.watch("e.*")
        try:
            while not (is_back.is_set() or self._is_over):
                try:
                    entry = await watcher.updates(timeout=LOOK)  # type: ignore[no-untyped-call]
                except TimeoutError:
                    await self._sweep(bucket)
                    continue
                if entry is None:
                    self._is_filled.set()
                else:
                    self._absorb(entry)
        finally:
            with contextlib.suppress(Exception):  # it went with the connection
                await watcher.stop()  # type: ignore[no-untyped-call]

    def _absorb(self, entry: Any) -> None:
        """Tell the copy of an entry."""
        found = _read(entry.value) if entry.operation is None else None
        if found is None:
            known = self._known.pop(entry.key, None)
            if known is not None:
                self._replica.absorb(known.key, None, None, None)
            return
        key, expires, times = found["key"], found["expires"], found["times"]
        until = math.inf if expires is None else max([expires, *(at + LONGEST for at in times)])
        self._known[entry.key] = _Known(key, entry.revision, until)
        self._replica.absorb(key, found["value"], expires, times)

    async def _sweep(self, bucket: KeyValue) -> None:
        """Once an hour, delete what has expired and can be counted no more."""
        if time.monotonic() < self._swept + SWEEP:
            return
        self._swept, now = time.monotonic(), time.time()
        self._trail = self._watch.look(now, self._trail)
        if not self._trail.is_trusted:  # a clock that has just jumped removes nothing
            return
        for name, known in list(self._known.items()):
            if known.until < now:
                with contextlib.suppress(self._nats.errors.Error):  # somebody has written it
                    await bucket.delete(name, last=known.revision)

    # --- writes, in the order queued

    async def _write_all(self) -> None:
        until: float | None = None
        while True:
            if self._is_closing and until is None:
                until = time.monotonic() + CLOSE
            if until is not None and (not self._writes or time.monotonic() > until):
                return
            if not self._writes:
                self._wake.clear()
                if not self._writes and not self._is_closing:
                    await self._wake.wait()
                continue
            write = self._writes[0]
            if not await self._is_written(write):
                await asyncio.sleep(PAUSE / 5 if self._is_closing else PAUSE)
                continue
            with self._lock:
                if self._writes and self._writes[0] is write:
                    self._writes.popleft()
                    self._queued[write.key] -= 1
                    self._queued += Counter()  # without those that are done

    async def _is_written(self, write: _Write) -> bool:
        from nats.js.errors import BadRequestError

        bucket, name = self._bucket, f"e.{_hash(write.key)}"
        if bucket is None:
            return False
        try:
            async with asyncio.timeout(ANSWER):
                if write.at is None:
                    self._known[name] = _Known(write.key, 0, math.inf)
                    await bucket.purge(name)
                    return True
                return await self._change(bucket, name, lambda old: _with(old, write))
        except (self._nats.errors.MaxPayloadError, BadRequestError) as error:
            extra = {"reason": words(error)}
            _log.warning("the NATS server refuses what is to be remembered", extra=extra)
            self._replica.failed()
            return True
        except (self._nats.errors.Error, OSError, TimeoutError):
            return False

    async def _change(
        self, bucket: KeyValue, name: str, make: Callable[[bytes | None], bytes | None]
    ) -> bool:
        """Replace a value by what is made of it; False when `make` gives None."""
        from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

        for _ in range(TRIES):
            try:
                entry = await bucket.get(name)
                old, revision = entry.value, entry.revision
            except KeyNotFoundError:  # or deleted
                old, revision = None, None
            new = make(old)
            if new is None:
                return False
            try:
                if revision is None:
                    await bucket.create(name, new)
                else:
                    await bucket.update(name, new, last=revision)
            except KeyWrongLastSequenceError:
                continue  # somebody else was faster
            return True
        raise TimeoutError

    # --- places of rates

    async def _take(
        self, name: str, rate: Rate, now: float, answer: Callable[[bool | None], None]
    ) -> None:
        def one_more(old: bytes | None) -> bytes | None:
            times = _times(old)
            taken = [at for at in times if now - rate.within < at <= now + SKEW]
            if len(taken) >= rate.count:
                return None
            return json.dumps([*taken, round(now, 3)]).encode()

        bucket = self._bucket
        if bucket is None:
            answer(None)
            return
        try:
            async with asyncio.timeout(ANSWER), self._takes:
                answer(await self._change(bucket, name, one_more))
        except (self._nats.errors.Error, OSError, TimeoutError):
            answer(None)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:40]


def _read(data: bytes | None) -> dict[str, Any] | None:
    """An entry; None when it is none: others have damaged it."""
    try:
        found = json.loads(data or b"")
        expires, times = found["expires"], found["times"]
        is_sound = (
            isinstance(found["key"], str)
            and isinstance(times, list)
            and all(_is_time(at) for at in (*times, *([expires] if expires is not None else [])))
        )
        return {**found, "value": found["value"]} if is_sound else None
    except (ValueError, TypeError, KeyError):
        return None


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _with(old: bytes | None, write: _Write) -> bytes:
    """An entry with a new value and one more time."""
    found = _read(old)
    assert write.at is not None  # noqa: S101 - asked by the caller
    since = write.at - LONGEST
    times = [at for at in (found["times"] if found else ()) if at > since]
    times = sorted([*times, round(write.at, 3)])[-MOST_TIMES:]
    entry = {"key": write.key, "value": write.value, "expires": write.expires, "times": times}
    return json.dumps(entry).encode()


def _times(data: bytes | None) -> list[float]:
    try:
        found = json.loads(data or b"[]")
    except ValueError:
        return []
    return [at for at in found if _is_time(at)] if isinstance(found, list) else []
