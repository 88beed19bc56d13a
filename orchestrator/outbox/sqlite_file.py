"""The outbox's SQLite file: open it, know it again, and save its entries when it is taken away."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from orchestrator.engine import private_file
from orchestrator.errors import StoreFailed
from orchestrator.turn import Turn, begin

__all__ = ["OutboxFile"]

_log = logging.getLogger("orchestrator.outbox")

#: Seconds to wait for who wants to write before us, and for who writes: together less than a step
#: has by default, so that who stands in takes over before its time is up.
BEHIND, BUSY = 0.4, 1.2
#: "HkOb": tells our file from another program's database.
APPLICATION = 0x486B4F62
VERSION = 1
#: Bytes of log after which it is moved into the database: when nothing waits, and in any case.
LOG_SOFT, LOG_HARD = 1_000_000, 32_000_000

_TABLES = (
    """create table if not exists entries (
        seq integer primary key autoincrement, id text not null unique, config text not null,
        endpoint text not null, chain text not null, state text not null, due real not null,
        attempts integer not null, reason text not null, owner text not null, put_at real not null,
        ended_at real, packed blob not null)""",
    "create table if not exists closed (address text primary key, at real not null)",
    """create table if not exists trail (one integer primary key check (one = 1),
        since real not null, until real not null)""",
    "create table if not exists held (endpoint text primary key, until real not null)",
    """create index if not exists entries_due on entries (endpoint, due, chain)
        where state = 'waiting'""",
    """create index if not exists entries_chain on entries (chain, seq)
        where state = 'waiting' and chain <> ''""",
    """create index if not exists entries_ended on entries (state, ended_at)
        where state <> 'waiting'""",
)
_COLUMNS = {
    "entries": "id, config, endpoint, chain, state, due, attempts, reason, owner, put_at,"
    " ended_at, packed",
    "closed": "address, at",
}


class OutboxFile:
    """One connection to the file, used by one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = Turn(path)
        self._database: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._saved: list[tuple[str, tuple[object, ...]]] = []

    def database(self) -> sqlite3.Connection:
        """The open database. A file that was deleted or replaced is made anew.

        Raises:
            sqlite3.Error, OSError, StoreFailed: it cannot be opened.
        """
        if self._database is not None and self._identity != self._look():
            self._saved += _rows(self._database)
            self.close()
        if self._database is None:
            database, self._identity = self._open()
            self._database = database
        if self._saved:
            self._put_back(self._database)
        return self._database

    def begin(self) -> sqlite3.Connection:
        """The open database, in a transaction that may write.

        Raises:
            sqlite3.Error, OSError, StoreFailed: it cannot be opened, or others write.
        """
        database = self.database()
        with self._turn.next(BEHIND):
            begin(database, BUSY)
        return database

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _open(self) -> tuple[sqlite3.Connection, tuple[int, int] | None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_file(self.path)  # callers' words are nobody else's business
        database = sqlite3.connect(
            self.path, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            # Two who both make a new file would be in each other's way.
            with self._turn.next(BEHIND):
                self._prepare(database)
        except BaseException:
            database.close()
            raise
        return database, self._look()

    def _prepare(self, database: sqlite3.Connection) -> None:
        application = database.execute("pragma application_id").fetchone()[0]
        version = database.execute("pragma user_version").fetchone()[0]
        is_empty = not database.execute("select count(*) from sqlite_master").fetchone()[0]
        if application != APPLICATION and not is_empty:
            raise StoreFailed(f"{self.path} is another program's database")
        if application == APPLICATION and version > VERSION:
            raise StoreFailed(f"{self.path} was written by a later version of this program")
        database.execute("pragma journal_mode = wal")
        database.execute("pragma busy_timeout = 0")  # `begin` waits, so that it is fair
        database.execute("pragma synchronous = full")
        database.execute("pragma secure_delete = on")  # what was delivered leaves no trace
        database.execute("pragma wal_autocheckpoint = 0")  # `tidy` does it, off the hot path
        begin(database, BUSY)
        for statement in _TABLES:
            database.execute(statement)
        database.execute(f"pragma application_id = {APPLICATION}")
        database.execute(f"pragma user_version = {VERSION}")
        database.execute("commit")

    def _put_back(self, database: sqlite3.Connection) -> None:
        """Into the new file goes what our connection could still read of the old one."""
        begin(database, BUSY)
        for table, row in self._saved:
            marks = ", ".join("?" * len(row))
            columns = _COLUMNS[table]
            database.execute(f"insert or ignore into {table} ({columns}) values ({marks})", row)  # noqa: S608 - constants
        database.execute("commit")
        _log.warning(
            "the outbox file was taken away; a new one has its entries",
            extra={"file": str(self.path), "count": len(self._saved)},
        )
        self._saved.clear()

    def tidy(self, *, is_idle: bool) -> None:
        """Move the log into the database when it has grown; readers are not disturbed."""
        if self._database is None:
            return
        with contextlib.suppress(OSError, sqlite3.Error):
            if os.stat(f"{self.path}-wal").st_size > (LOG_SOFT if is_idle else LOG_HARD):
                how = "truncate" if is_idle else "passive"
                self._database.execute(f"pragma wal_checkpoint({how})")

    def drop_transaction(self) -> None:
        """Roll back what failed; a broken connection is given up, unless it holds what is gone."""
        database = self._database
        if database is None:
            return
        try:
            if database.in_transaction:
                database.execute("rollback")
        except sqlite3.Error:
            if self._identity == self._look():
                self.close()

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
        self._database = None
        self._turn.close()


def _rows(database: sqlite3.Connection) -> list[tuple[str, tuple[object, ...]]]:
    """What must not be lost, as far as it can be read."""
    try:
        if database.in_transaction:
            database.execute("rollback")
        entries = database.execute(
            f"select {_COLUMNS['entries']} from entries where state <> 'done' order by seq"  # noqa: S608 - constants
        ).fetchall()
        closed = database.execute("select address, at from closed").fetchall()
    except sqlite3.Error as error:
        _log.error("the outbox file was taken away and cannot be read", exc_info=error)
        return []
    return [("entries", row) for row in entries] + [("closed", row) for row in closed]
