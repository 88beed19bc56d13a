"""Values, flags and counts that outlive a call: read at once from the process's own copy.

Conditions read it while a caller waits, so reads never touch a disk or a network. What keeps it
(see `keeper`) is written in a thread of its own; one that fails is counted and never reaches a
call.

Limits over all calls are counted by the keeper itself, so that processes which share one count
together. A process whose keeper does not answer in time counts alone until it is back: no call is
lost, and none runs without a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.durations import parse_duration
from orchestrator.errors import ActionFailed
from orchestrator.limits import MOST, Rate
from orchestrator.memory.keeper import Keeper
from orchestrator.memory.sqlite import SqliteKeeper

__all__ = ["MAX_KEYS", "MAX_TIMES", "Memory"]

#: Keys kept at most; beyond that the one written longest ago is dropped.
MAX_KEYS = 100_000
#: Times of one key kept for `count`.
MAX_TIMES = 10_000
#: Bytes of JSON that a key and its value may have: what every keeper takes.
MOST_BYTES = 256 * 1024
#: Seconds that a step waits for the keeper to say whether it may run.
PATIENCE = 0.25
#: Seconds for which a keeper that did not answer is left alone.
PAUSE = 5.0
#: Seconds in the future beyond which a time was written before the clock was set back.
SKEW = 60.0

_log = logging.getLogger("orchestrator.memory")


class Memory:
    """The cross-call memory.

    Args:
        kept: the path of a SQLite file, or a `Keeper`; without one nothing is kept.
        wall: gives seconds since the epoch; in virtual time the caller passes the virtual one.

    Raises:
        EnvironmentFailure: what keeps it cannot be opened.
    """

    def __init__(
        self, kept: str | Path | Keeper | None = None, wall: Callable[[], float] = time.time
    ) -> None:
        self.wall = wall
        self.failures = 0
        self._entries: dict[str, tuple[Any, float | None]] = {}
        self._times: dict[str, deque[float]] = {}
        self._taken: dict[str, deque[float]] = {}
        self._away_until = 0.0
        self._lock = threading.Lock()  # a keeper's thread and ours change one key
        self._keeper = SqliteKeeper(Path(kept)) if isinstance(kept, str | Path) else kept
        if self._keeper is not None:
            self._keeper.start(self)

    # --- what a keeper tells

    def absorb(
        self, key: str, value: Any, expires: float | None, times: Iterable[float] | None
    ) -> bool:
        """A key as others have left it; False when ours is newer."""
        with self._lock:
            if self._keeper is not None and self._keeper.has_queued(key):
                return False
            if times is None:
                self._drop(key)
            else:
                self._times[key] = deque(times, maxlen=MAX_TIMES)
                self._put(key, value, expires)
        return True

    def contents(self) -> dict[str, tuple[Any, float | None, list[float]]]:
        """All keys, as they are now: value, when it expires, and times."""
        with self._lock:
            return {
                key: (value, expires, list(self._times.get(key, ())))
                for key, (value, expires) in self._entries.items()
            }

    def failed(self) -> None:
        """Something could not be kept."""
        self.failures += 1

    # --- what calls ask

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
        """Set a value, for `lifetime` seconds or for ever, and count it.

        Raises:
            ActionFailed: the key and its value are too large.
        """
        if len(json.dumps((key, value))) > MOST_BYTES:
            raise ActionFailed(f"too large to be remembered: {MOST_BYTES:,} bytes are the most")
        now = self.wall()
        expires = now + lifetime if lifetime is not None else None
        with self._lock:
            if self._keeper is not None:
                self._keeper.remember(key, value, expires, now)
            self._times.setdefault(key, deque(maxlen=MAX_TIMES)).append(now)
            self._put(key, value, expires)

    def _put(self, key: str, value: Any, expires: float | None) -> None:
        self._entries.pop(key, None)
        self._entries[key] = (value, expires)
        if len(self._entries) > MAX_KEYS:
            oldest = next(iter(self._entries))
            if self._keeper is not None:
                self._keeper.forget(oldest)
            self._drop(oldest)

    def _drop(self, key: str) -> bool:
        self._times.pop(key, None)
        return self._entries.pop(key, None) is not None

    def suppose(self, key: str, counts: Mapping[float, int]) -> None:
        """Count the key as if earlier calls had remembered it so often within so many seconds."""
        times = self._times.setdefault(key, deque(maxlen=MAX_TIMES))
        now, low, known = self.wall(), 0.0, len(times)
        for within, count in sorted(counts.items()):
            times.extendleft([now - (low + within) / 2] * max(0, count - known))
            low, known = within, max(known, count)

    def forget(self, key: str) -> bool:
        """Drop a key and its counts; whether it was there."""
        with self._lock:
            if self._keeper is not None:
                self._keeper.forget(key)
            return self._drop(key)

    async def take(self, key: str, rate: Rate) -> bool:
        """Take one of the places of a rate, if one is left, over all processes of the keeper."""
        now = self.wall()
        if self._keeper is None or time.monotonic() < self._away_until:
            return self.take_here(key, rate)
        if not self._is_free(key, rate, now):
            return False
        has_taken = await _ask(self._keeper, key, rate, now)
        if has_taken is None:
            self._away_until = time.monotonic() + PAUSE
            _log.warning("the memory's keeper does not answer: each process counts limits alone")
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

    def close(self) -> None:
        """Write out what is queued and let go of what keeps it."""
        if self._keeper is not None:
            self._keeper.close()


async def _ask(keeper: Keeper, key: str, rate: Rate, now: float) -> bool | None:
    """Whether the keeper had a place left; None when it does not answer."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool | None] = loop.create_future()

    def tell(has_taken: bool | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, answer, has_taken)

    keeper.take(key, rate, now, tell)
    try:
        return await asyncio.wait_for(answer, PATIENCE)
    except TimeoutError:
        return None


def _settle(answer: asyncio.Future[bool | None], has_taken: bool | None) -> None:
    if not answer.done():
        answer.set_result(has_taken)
