"""Values, flags and counts that outlive a call: read at once from memory, kept in SQLite.

Conditions read it while a caller waits, so reads never touch the disk. Writes go to the file in a
thread of its own, in batches; a disk that fails is counted and never reaches a call.
"""

from __future__ import annotations

import contextlib
import json
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.durations import parse_duration
from orchestrator.errors import EnvironmentFailure

__all__ = ["MAX_KEYS", "Memory"]

#: Keys kept at most; beyond that the one written longest ago is dropped.
MAX_KEYS = 100_000
#: Times of one key kept for `count`.
MAX_TIMES = 10_000
#: Seconds that a count can look back: older times are dropped from the file.
LONGEST = 30 * 86_400.0

_TABLES = """
create table if not exists entries (key text primary key, value text not null, expires real);
create table if not exists times (key text not null, at real not null);
create index if not exists times_by_key on times (key, at);
"""


class Memory:
    """The cross-call memory. Without a path nothing is kept on disk.

    `wall` gives seconds since the epoch; in virtual time the caller passes the virtual one.
    """

    def __init__(self, path: Path | None = None, wall: Callable[[], float] = time.time) -> None:
        self.wall = wall
        self.failures = 0
        self._entries: dict[str, tuple[Any, float | None]] = {}
        self._times: dict[str, deque[float]] = {}
        self._writer = _Writer(path, self._failed) if path is not None else None
        if self._writer is not None:
            self._load(self._writer.rows())

    def _failed(self) -> None:
        self.failures += 1

    def _load(self, rows: tuple[list[Any], list[Any]]) -> None:
        entries, times = rows
        for key, value, expires in entries:
            with contextlib.suppress(ValueError):  # a row that others damaged
                self._entries[key] = (json.loads(value), expires)
        for key, at in times:
            self._times.setdefault(key, deque(maxlen=MAX_TIMES)).append(at)

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
        now = self.wall()
        expires = now + lifetime if lifetime is not None else None
        self._entries.pop(key, None)
        self._entries[key] = (value, expires)
        self._times.setdefault(key, deque(maxlen=MAX_TIMES)).append(now)
        if len(self._entries) > MAX_KEYS:
            self.forget(next(iter(self._entries)))
        self._write(
            "insert or replace into entries values (?, ?, ?)", key, json.dumps(value), expires
        )
        self._write("insert into times values (?, ?)", key, now)

    def forget(self, key: str) -> bool:
        """Drop a key and its counts; whether it was there."""
        was_there = self._entries.pop(key, None) is not None
        self._times.pop(key, None)
        self._write("delete from entries where key = ?", key)
        self._write("delete from times where key = ?", key)
        return was_there

    def _write(self, statement: str, *values: Any) -> None:
        if self._writer is not None:
            self._writer.put((statement, values))

    def close(self) -> None:
        """Write out what is queued and close the file."""
        if self._writer is not None:
            self._writer.close()


class _Writer:
    """One thread that owns the database file and commits in batches."""

    def __init__(self, path: Path, failed: Callable[[], None]) -> None:
        self._failed = failed
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
            self._database.execute("pragma journal_mode = wal")
            self._database.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise EnvironmentFailure(f"cannot open the memory file {path}: {error}") from error
        self._thread = threading.Thread(target=self._work, name="memory", daemon=True)

    def rows(self) -> tuple[list[Any], list[Any]]:
        """What the file holds; then the thread takes over."""
        now = time.time()
        try:
            with self._database as database:
                database.execute("delete from entries where expires < ?", (now,))
                database.execute("delete from times where at < ?", (now - LONGEST,))
                entries = database.execute("select key, value, expires from entries").fetchall()
                times = database.execute("select key, at from times order by at").fetchall()
        except sqlite3.Error as error:
            raise EnvironmentFailure(f"cannot read the memory file: {error}") from error
        self._thread.start()
        return entries, times

    def put(self, write: tuple[str, tuple[Any, ...]]) -> None:
        self._queue.put(write)

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._database.close()

    def _work(self) -> None:
        is_open = True
        while is_open:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            is_open = None not in batch
            try:
                with self._database as database:
                    for write in batch:
                        if write is not None:
                            database.execute(*write)
            except sqlite3.Error:
                self._failed()
