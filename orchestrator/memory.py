"""Values, flags and counts that outlive a call: read at once from memory, kept in SQLite.

Conditions read it while a caller waits, so reads never touch the disk. Writes go to the file in a
thread of its own, in batches; a disk that fails is counted and never reaches a call.

Limits over all calls are counted in the file itself, so that processes which share it count
together. One that cannot ask the file in time counts alone until the file is back: no call is
lost, and none runs without a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.durations import parse_duration
from orchestrator.limits import MOST, Rate
from orchestrator.memoryfile import MemoryFile, Write

__all__ = ["MAX_KEYS", "CallMemory", "Memory"]

#: Keys kept at most; beyond that the one written longest ago is dropped.
MAX_KEYS = 100_000
#: Times of one key kept for `count`.
MAX_TIMES = 10_000
#: Seconds that a step waits for the file to say whether it may run.
PATIENCE = 0.25
#: Seconds for which a file that did not answer is left alone.
PAUSE = 5.0
#: Seconds in the future beyond which a time was written before the clock was set back.
SKEW = 60.0

#: What a key begins with that the file has as JSON.
_MARK = "\x00"

_log = logging.getLogger("orchestrator.memory")

#: One statement, so that two processes cannot both take the last place.
_TAKE = """
insert into taken select :key, :now where :count >
    (select count(*) from taken where key = :key and at > :since and at <= :latest)
"""


class Memory:
    """The cross-call memory, kept in the file at `path`; without one nothing is kept on disk.

    `wall` gives seconds since the epoch; in virtual time the caller passes the virtual one.
    """

    def __init__(
        self, path: str | Path | None = None, wall: Callable[[], float] = time.time
    ) -> None:
        self.wall = wall
        self.failures = 0
        self._entries: dict[str, tuple[Any, float | None]] = {}
        self._times: dict[str, deque[float]] = {}
        self._taken: dict[str, deque[float]] = {}
        self._away_until = 0.0
        self._writer = MemoryFile(Path(path), self._failed) if path is not None else None
        if self._writer is not None:
            self._load(self._writer.rows())

    def _failed(self) -> None:
        self.failures += 1

    def _load(self, rows: tuple[list[Any], list[Any]]) -> None:
        entries, times = rows
        for key, value, expires in entries:
            with contextlib.suppress(ValueError):  # a row that others damaged
                self._entries[_unpacked(key)] = (json.loads(value), expires)
        for key, at in times:
            with contextlib.suppress(ValueError):
                self._times.setdefault(_unpacked(key), deque(maxlen=MAX_TIMES)).append(at)

    def get(self, key: str) -> Any:
        """The value, or None when it was never set or has expired."""
        entry = self._entries.get(str(key))
        if entry is None:
            return None
        value, expires = entry
        return value if expires is None or self.wall() < expires else None

    def count(self, key: str, within: str | float = "24h") -> int:
        """How often the key was remembered within a time."""
        times = self._times.get(str(key))
        if not times:
            return 0
        seconds = parse_duration(within) if isinstance(within, str) else float(within)
        since = self.wall() - seconds
        return sum(1 for at in times if at > since)

    def remember(self, key: str, value: Any = True, *, lifetime: float | None = None) -> None:
        """Set a value, for `lifetime` seconds or for ever, and count it."""
        now, row = self.wall(), _packed(key)
        expires = now + lifetime if lifetime is not None else None
        self._entries.pop(key, None)
        self._entries[key] = (value, expires)
        self._times.setdefault(key, deque(maxlen=MAX_TIMES)).append(now)
        if len(self._entries) > MAX_KEYS:
            self.forget(next(iter(self._entries)))
        self._write(
            "insert or replace into entries values (?, ?, ?)",
            _packed(key),
            json.dumps(value),
            expires,
        )
        self._write("insert into times values (?, ?)", row, now)

    def suppose(self, key: str, counts: Mapping[float, int]) -> None:
        """Count the key as if earlier calls had remembered it so often within so many seconds."""
        times = self._times.setdefault(key, deque(maxlen=MAX_TIMES))
        now, low, known = self.wall(), 0.0, len(times)
        for within, count in sorted(counts.items()):
            times.extendleft([now - (low + within) / 2] * max(0, count - known))
            low, known = within, max(known, count)

    def forget(self, key: str) -> bool:
        """Drop a key and its counts; whether it was there."""
        was_there = self._entries.pop(key, None) is not None
        self._times.pop(key, None)
        self._write("delete from entries where key = ?", _packed(key))
        self._write("delete from times where key = ?", _packed(key))
        return was_there

    async def take(self, key: str, rate: Rate) -> bool:
        """Take one of the places of a rate, if one is left, over all processes of the file."""
        now = self.wall()
        if self._writer is None or time.monotonic() < self._away_until:
            return self.take_here(key, rate)
        if not self._is_free(key, rate, now):
            return False
        has_taken = await self._ask(key, rate, now)
        if has_taken is None:
            self._away_until = time.monotonic() + PAUSE
            _log.warning("the memory file does not answer: limits are counted by each process")
            return self.take_here(key, rate)
        if has_taken:
            self._taken[key].append(now)
        return has_taken

    def take_here(self, key: str, rate: Rate) -> bool:
        """The same, without asking other processes."""
        now = self.wall()
        is_free = self._is_free(key, rate, now)
        if is_free:
            self._taken[key].append(now)
        return is_free

    def _is_free(self, key: str, rate: Rate, now: float) -> bool:
        """Whether this process by itself has a place left."""
        taken = self._taken.setdefault(key, deque(maxlen=MOST))
        while taken and taken[0] <= now - rate.within:
            taken.popleft()
        while taken and taken[-1] > now + SKEW:
            taken.pop()
        return len(taken) < rate.count

    async def _ask(self, key: str, rate: Rate, now: float) -> bool | None:
        """Whether the file had a place left; None when it does not answer."""
        assert self._writer is not None  # noqa: S101 - `take` looked
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool | None] = loop.create_future()
        since, row = now - rate.within, _packed(key)
        self._write("delete from taken where key = ? and at <= ?", row, since)
        values = {
            "key": row, "now": now, "since": since, "latest": now + SKEW, "count": rate.count
        }  # fmt: skip
        self._writer.put(Write(_TAKE, values, partial(_answer, loop, answer)))
        try:
            return await asyncio.wait_for(answer, PATIENCE)
        except TimeoutError:
            return None

    def _write(self, statement: str, *values: Any) -> None:
        if self._writer is not None:
            self._writer.put(Write(statement, values))

    def close(self) -> None:
        """Write out what is queued and close the file."""
        if self._writer is not None:
            self._writer.close()


class CallMemory:
    """The memory as one call uses it: what earlier calls left and this one reads is told, once.

    `tell(key, value=...)` or `tell(key, count=..., within=seconds)`; what was never remembered is
    not told. So a call can be played again without the calls before it.
    """

    def __init__(self, memory: Memory, tell: Callable[..., None]) -> None:
        self._memory = memory
        self._tell = tell
        self._told: set[tuple[str, float]] = set()
        self._own: Counter[str] = Counter()
        self._forgotten: set[str] = set()

    def get(self, key: str) -> Any:
        """The value, or None when it was never set or has expired."""
        name, value = str(key), self._memory.get(key)
        if value is not None and name not in self._own and self._is_new(name, -1.0):
            self._tell(name, value=value)
        return value

    def count(self, key: str, within: str | float = "24h") -> int:
        """How often the key was remembered within a time."""
        name, found = str(key), self._memory.count(key, within)
        earlier = found - self._own[name]
        if earlier > 0 and name not in self._forgotten:
            seconds = parse_duration(within) if isinstance(within, str) else float(within)
            if self._is_new(name, seconds):
                self._tell(name, count=earlier, within=seconds)
        return found

    def _is_new(self, key: str, within: float) -> bool:
        is_new = (key, within) not in self._told and key not in self._forgotten
        self._told.add((key, within))
        return is_new

    def remember(self, key: str, value: Any = True, *, lifetime: float | None = None) -> None:
        """Set a value, for `lifetime` seconds or for ever, and count it."""
        self._own[key] += 1
        self._memory.remember(key, value, lifetime=lifetime)

    def forget(self, key: str) -> bool:
        """Drop a key and its counts; whether it was there."""
        self._forgotten.add(key)
        return self._memory.forget(key)


def _packed(key: str) -> str:
    """A key as the file has it: one with half of a surrogate pair is no text to SQLite."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return _MARK + json.dumps(key)
    return _MARK + json.dumps(key) if key.startswith(_MARK) else key


def _unpacked(key: str) -> str:
    return str(json.loads(key.removeprefix(_MARK))) if key.startswith(_MARK) else key


def _answer(
    loop: asyncio.AbstractEventLoop, answer: asyncio.Future[bool | None], rows: int | None
) -> None:
    """Say in the loop, from the writer's thread, whether a row was written; None for a failure."""

    def tell() -> None:
        if not answer.done():
            answer.set_result(None if rows is None else rows > 0)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(tell)
