"""Whose turn it is to write a SQLite file that processes share.

SQLite's own lock goes to whoever asks in the right moment: who commits without a pause, each time
waiting for the disk, can keep another out for seconds. So whoever wants to write takes a second
lock while it waits for the first one, and gives it back as soon as it has that. A writer that comes
back finds it taken, and waits behind.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: the one lock, fair or not
    fcntl = None  # type: ignore[assignment]

__all__ = ["Turn", "begin"]

#: Seconds from one try at a lock to the next: what a lock lies idle between two owners.
TRY = 0.001
#: Seconds that a turn is not waited for after it did not come.
REST = 30.0


class Turn:
    """A lock on a file beside the shared one, which the system takes back from who ends.

    It is a courtesy: without it (a file system that has none, a process that was stopped while it
    held it) the file is written all the same, as SQLite's lock allows, and for a while nobody
    waits for it again. It is its owner's alone: others could hold it for ever.
    """

    def __init__(self, file: Path) -> None:
        self._path = Path(f"{file}-turn")
        self._handle: int | None = None
        self._rests_until = 0.0

    @contextlib.contextmanager
    def next(self, limit: float) -> Iterator[None]:
        """Be the next to write; those who came before are let in, for `limit` seconds at most."""
        is_ours = self._wait(limit)
        try:
            yield
        finally:
            if is_ours:
                self._give_back()

    def _wait(self, limit: float) -> bool:
        began = time.monotonic()
        if began < self._rests_until:
            return self._take()
        while not self._take():
            if time.monotonic() > began + limit:
                self._rests_until = time.monotonic() + REST
                return False
            time.sleep(TRY)
        return True

    def _take(self) -> bool:
        try:
            if self._handle is None:
                self._handle = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except (AttributeError, OSError):
            self.close()
        return True

    def _give_back(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None


def begin(database: sqlite3.Connection, limit: float) -> None:
    """Begin to write; `limit` seconds to wait for whoever does. The connection itself waits not.

    Raises:
        sqlite3.Error: it is not possible, or not in this time.
    """
    ends = time.monotonic() + limit
    while True:
        try:
            database.execute("begin immediate")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= ends:
                raise
            time.sleep(TRY)
        else:
            return
