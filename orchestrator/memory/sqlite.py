"""A memory in a SQLite file, which processes of one machine may share.

One thread owns the file: it writes what is queued in batches, and looks twice a second for what
other processes have written.
"""

from __future__ import annotations

import json
import logging
import queue
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.engine import private_file
from orchestrator.errors import EnvironmentFailure, words
from orchestrator.limits import Rate
from orchestrator.memory.keeper import LONGEST, Replica
from orchestrator.retention import Trail, Watch
from orchestrator.turn import Turn

__all__ = ["SqliteKeeper"]

_log = logging.getLogger("orchestrator.memory")

#: Seconds between two looks for what other processes wrote.
LOOK = 0.5
#: Seconds in the future beyond which a time was written before the clock was set back.
SKEW = 60.0
#: Rows of `changes` that are left for processes that look late; one that is later reads all anew.
MOST_CHANGES = 10_000

#: Seconds to wait for another process that writes.
BUSY = 2.0
#: Seconds between two times that what has expired is dropped.
PRUNE = 3_600.0
#: Writes that are kept while the file cannot be written.
MOST_LEFT = 10_000

_TABLES = """
create table if not exists entries (key text primary key, value text not null, expires real);
create table if not exists times (key text not null, at real not null);
create index if not exists times_by_key on times (key, at);
create table if not exists taken (key text not null, at real not null);
create index if not exists taken_by_key on taken (key, at);
create table if not exists trail (one integer primary key check (one = 1),
    since real not null, until real not null);
create table if not exists changes (
    number integer primary key autoincrement, key text not null, writer text not null);
"""

#: One statement, so that two processes cannot both take the last place.
_TAKE = """
insert into taken select :key, :now where :count >
    (select count(*) from taken where key = :key and at > :since and at <= :latest)
"""

#: Processes that write back what they know must not count one time twice.
_TIME_ONCE = """
insert into times select ?, ? where not exists (select 1 from times where key = ? and at = ?)
"""

#: What a key begins with that the file has as JSON.
_MARK = "\x00"


#: A key whose value has expired, and whose times still count.
_NO_VALUE = ("null", None)


@dataclass(frozen=True, slots=True)
class _Write:
    """Statements of one transaction; `answer` is told how many rows the last one wrote."""

    statements: Sequence[tuple[str, Any]]
    key: str = ""
    answer: Callable[[bool | None], None] | None = None


class SqliteKeeper:
    """Keeps a memory in a file; see `keeper.Keeper`.

    Raises:
        EnvironmentFailure: the file cannot be opened, or is none of SQLite's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer = uuid.uuid4().hex[:12]
        self._lock = threading.Lock()
        self._queued: Counter[str] = Counter()
        self._later: set[str] = set()
        self._left: list[_Write] = []
        self._seen = self._version = 0
        self._watch = Watch()
        self._turn = Turn(path)
        self._database: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._pruned = -PRUNE
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open()
        except sqlite3.OperationalError as error:
            if not path.is_file():
                raise _cannot_open(path, error) from error
            self._busy(error)
        except (OSError, sqlite3.Error) as error:
            raise _cannot_open(path, error) from error
        self._thread = threading.Thread(target=self._work, name="memory", daemon=True)

    def _open(self) -> None:
        private_file(self._path)  # what it holds is nobody else's business
        database = sqlite3.connect(self._path, timeout=BUSY, check_same_thread=False)
        try:
            with self._turn.next(BUSY):  # of those that make a new file at once, one does
                database.execute("pragma journal_mode = wal")
                # What a power cut takes of the last half minute is no price for a caller's wait.
                database.execute("pragma synchronous = normal")
                database.executescript(_TABLES)
        except BaseException:
            database.close()
            raise
        self._identity = _identity(self._path)
        self._is_filled = False
        self._database = database

    def start(self, replica: Replica) -> None:
        """Read the file; then the thread takes over. One that is locked is read by the thread."""
        self._replica = replica
        try:
            self._ready()
        except sqlite3.OperationalError as error:
            self._busy(error)
        except (OSError, sqlite3.Error) as error:
            raise _cannot_open(self._path, error) from error
        self._thread.start()

    def _busy(self, error: Exception) -> None:
        _log.warning("the memory file is busy: it is read later", extra={"reason": words(error)})

    def _ready(self) -> sqlite3.Connection:
        """The file, open and read; one that was deleted or replaced is opened anew."""
        if self._database is not None and _identity(self._path) != self._identity:
            _log.warning("the memory file was taken away or replaced, and is opened anew")
            self._database.close()
            self._database = None
        if self._database is None:
            self._open()
        assert self._database is not None  # noqa: S101 - narrows the type for the checker
        if not self._is_filled:
            self._write_back(self._database)
            self._read_all(self._database)
            self._is_filled = True
        if time.monotonic() > self._pruned + PRUNE:
            self._prune(self._database)
        return self._database

    def _write_back(self, database: sqlite3.Connection) -> None:
        """What this process knows goes into a file that has taken the place of another."""
        with database:
            for key, (value, expires, times) in self._replica.contents().items():
                row = _packed(key)
                found = database.execute("select 1 from entries where key = ?", (row,)).fetchone()
                if found is None:
                    entry = (row, json.dumps(value), expires)
                    database.execute("insert into entries values (?, ?, ?)", entry)
                    rows = [(row, at, row, at) for at in times]
                    database.executemany(_TIME_ONCE, rows)
                    database.execute(*self._change(row))

    def _prune(self, database: sqlite3.Connection) -> None:
        """Drop what has expired, and times that nothing can count any more."""
        now = time.time()
        with database:
            kept = database.execute("select since, until from trail").fetchone()
            trail = self._watch.look(now, Trail(*kept) if kept else None)
            row = (trail.since, trail.until)
            database.execute("insert or replace into trail values (1, ?, ?)", row)
            if trail.is_trusted:
                database.execute("delete from entries where expires < ?", (now,))
                database.execute("delete from times where at < ?", (now - LONGEST,))
                database.execute("delete from taken where at < ?", (now - LONGEST,))
            database.execute(
                "delete from changes where number <= (select max(number) from changes) - ?",
                (MOST_CHANGES,),
            )
        self._pruned = time.monotonic()

    # --- what is asked, in the caller's thread

    def remember(self, key: str, value: Any, expires: float | None, at: float) -> None:
        """Queue a value and a time."""
        row = _packed(key)
        entry = (row, json.dumps(value), expires)
        self._put(
            _Write(
                (
                    ("insert or replace into entries values (?, ?, ?)", entry),
                    ("insert into times values (?, ?)", (row, at)),
                    self._change(row),
                ),
                key,
            )
        )

    def forget(self, key: str) -> None:
        """Queue that a key goes."""
        row = _packed(key)
        self._put(
            _Write(
                (
                    ("delete from entries where key = ?", (row,)),
                    ("delete from times where key = ?", (row,)),
                    self._change(row),
                ),
                key,
            )
        )

    def has_queued(self, key: str) -> bool:
        """Whether something about the key is not written yet."""
        with self._lock:
            return self._queued[key] > 0

    def _change(self, row: str) -> tuple[str, Any]:
        return "insert into changes (key, writer) values (?, ?)", (row, self._writer)

    def take(self, key: str, rate: Rate, now: float, answer: Callable[[bool | None], None]) -> None:
        """Queue a place of a rate."""
        row, since = _packed(key), now - rate.within
        values = {
            "key": row, "now": now, "since": since, "latest": now + SKEW, "count": rate.count
        }  # fmt: skip
        old = ("delete from taken where key = ? and at <= ?", (row, since))
        self._put(_Write((old, (_TAKE, values)), answer=answer))

    def _put(self, write: _Write) -> None:
        if write.key:
            with self._lock:
                self._queued[write.key] += 1
        self._queue.put(write)

    def close(self) -> None:
        """Write out what is queued and close the file."""
        self._queue.put(None)
        self._thread.join()
        if self._database is not None:
            self._database.close()
        self._turn.close()

    # --- the thread

    def _work(self) -> None:
        is_open = True
        while is_open:
            batch = list(self._batch())
            is_open = None not in batch
            left, self._left = self._left, []
            self._commit([*left, *(write for write in batch if write is not None)])
            if is_open:
                self._look()
        self._lose(self._left)

    def _batch(self) -> Iterator[_Write | None]:
        try:
            yield self._queue.get(timeout=LOOK)
        except queue.Empty:
            return
        while not self._queue.empty():
            yield self._queue.get()

    def _commit(self, writes: Sequence[_Write]) -> None:
        """Write all in one transaction; what cannot be written now is tried again."""
        if not writes:
            return
        try:
            with self._ready() as database:
                rows = [_execute(database, write) for write in writes]
        except (sqlite3.OperationalError, OSError):  # locked by another, a full disk
            self._wait_with(writes)
        except (sqlite3.Error, ValueError, OverflowError):  # a value that SQLite cannot hold
            if len(writes) == 1:
                self._lose(writes)
            for write in writes if len(writes) > 1 else ():
                self._commit([write])
        else:
            self._done(writes, rows)

    def _wait_with(self, writes: Sequence[_Write]) -> None:
        for write in writes:
            if write.answer is not None:
                write.answer(None)
        kept = self._left + [write for write in writes if write.answer is None]
        self._lose(kept[: max(0, len(kept) - MOST_LEFT)])
        self._left = kept[-MOST_LEFT:]

    def _lose(self, writes: Sequence[_Write]) -> None:
        for _ in writes:
            self._replica.failed()
        self._done(writes, [None] * len(writes))

    def _done(self, writes: Sequence[_Write], rows: Sequence[int | None]) -> None:
        with self._lock:
            self._queued.subtract(write.key for write in writes if write.key)
            self._queued += Counter()  # without those that are done
        for write, count in zip(writes, rows, strict=True):
            if write.answer is not None:
                write.answer(None if count is None else count > 0)

    def _look(self) -> None:
        """Take over what other processes wrote since the last look."""
        try:
            database = self._ready()
            (version,) = database.execute("pragma data_version").fetchone()
            if version != self._version or self._later:
                self._version = version
                self._follow(database)
        except sqlite3.OperationalError:
            return  # busy: the next look sees it
        except (sqlite3.Error, OSError):
            self._replica.failed()

    def _follow(self, database: sqlite3.Connection) -> None:
        rows = database.execute(
            "select number, key, writer from changes where number > ? order by number",
            (self._seen,),
        ).fetchall()
        if rows and rows[0][0] > self._seen + 1:  # so late that some are gone
            self._read_all(database)
            return
        keys = {_unpacked(key) for _, key, writer in rows if writer != self._writer}
        keys |= self._later
        if rows:
            self._seen = rows[-1][0]
        self._later = {key for key in keys if not self._absorb(database, key)}

    def _absorb(self, database: sqlite3.Connection, key: str) -> bool:
        """Tell the copy of a key; False when it has something newer."""
        row = _packed(key)
        found = database.execute(
            "select value, expires from entries where key = ?", (row,)
        ).fetchone()
        times = database.execute(
            "select at from times where key = ? order by at", (row,)
        ).fetchall()
        if found is None and not times:
            return self._replica.absorb(key, None, None, None)
        text, expires = found or _NO_VALUE
        return self._tell(key, text, expires, [at for (at,) in times])

    def _read_all(self, database: sqlite3.Connection) -> None:
        (last,) = database.execute("select max(number) from changes").fetchone()
        times: dict[str, list[float]] = {}
        for key, at in database.execute("select key, at from times order by at"):
            times.setdefault(key, []).append(at)
        entries = database.execute("select key, value, expires from entries").fetchall()
        values = {key: (text, expires) for key, text, expires in entries}
        there = {_unpacked(key) for key in (*times, *values)}
        for key in self._replica.contents():
            if key not in there:
                self._replica.absorb(key, None, None, None)
        for key in [*(times.keys() - values.keys()), *values]:
            text, expires = values.get(key, _NO_VALUE)
            self._tell(_unpacked(key), text, expires, times.get(key, ()))
        self._seen = last or 0

    def _tell(self, key: str, text: str, expires: float | None, times: Iterable[float]) -> bool:
        try:
            value = json.loads(text)
        except ValueError:  # a row that others damaged
            return True
        return self._replica.absorb(key, value, expires, times)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another under the same name; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _cannot_open(path: Path, error: Exception) -> EnvironmentFailure:
    return EnvironmentFailure(f"cannot open the memory file {path}: {error}")


def _execute(database: sqlite3.Connection, write: _Write) -> int:
    count = 0
    for statement, values in write.statements:
        count = database.execute(statement, values).rowcount
    return count


def _packed(key: str) -> str:
    """A key as the file has it: one with half of a surrogate pair is no text to SQLite."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return _MARK + json.dumps(key)
    return _MARK + json.dumps(key) if key.startswith(_MARK) else key


def _unpacked(key: str) -> str:
    return str(json.loads(key.removeprefix(_MARK))) if key.startswith(_MARK) else key
