"""The memory's SQLite file: one thread owns it, and writes what is queued in batches."""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import EnvironmentFailure

__all__ = ["MemoryFile", "Write"]

#: Seconds that a count can look back: older times are dropped from the file.
LONGEST = 30 * 86_400.0

_TABLES = """
create table if not exists entries (key text primary key, value text not null, expires real);
create table if not exists times (key text not null, at real not null);
create index if not exists times_by_key on times (key, at);
create table if not exists taken (key text not null, at real not null);
create index if not exists taken_by_key on taken (key, at);
"""


@dataclass(frozen=True, slots=True)
class Write:
    """One statement; `answer` is told how many rows it wrote, None when it could not."""

    statement: str
    values: Any
    answer: Callable[[int | None], None] | None = None


class MemoryFile:
    """One thread that owns the database file and commits in batches."""

    def __init__(self, path: Path, failed: Callable[[], None]) -> None:
        self._failed = failed
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Its log files get the same mode: what it holds is nobody else's business.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
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
                database.execute("delete from taken where at < ?", (now - LONGEST,))
                entries = database.execute("select key, value, expires from entries").fetchall()
                times = database.execute("select key, at from times order by at").fetchall()
        except sqlite3.Error as error:
            raise EnvironmentFailure(f"cannot read the memory file: {error}") from error
        self._thread.start()
        return entries, times

    def put(self, write: Write) -> None:
        """Queue a statement; nothing is awaited."""
        self._queue.put(write)

    def close(self) -> None:
        """Write out what is queued and close the file."""
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
            self._commit([write for write in batch if write is not None])

    def _commit(self, writes: Sequence[Write]) -> None:
        rows: list[int | None]
        try:
            with self._database as database:
                rows = [database.execute(w.statement, w.values).rowcount for w in writes]
        except (sqlite3.Error, ValueError, OverflowError):  # or a value that SQLite cannot hold
            self._failed()
            rows = [None] * len(writes)
        for write, count in zip(writes, rows, strict=True):
            if write.answer is not None:
                write.answer(count)
