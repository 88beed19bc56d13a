"""The embedded store: a SQLite file that many processes may share, with nothing to set up.

A delivery is on the disk (WAL, `synchronous=FULL`) before `put` returns. A claimed entry carries
its owner, and its `due` is moved to the end of the lease: whoever finds it due may claim it, and
what a killed process held comes back by itself. Only the owner can put an entry off or give it up;
that it was delivered counts from whoever says so. An attempt counts once it was judged.
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.action import Delivery
from orchestrator.errors import StoreFailed, words
from orchestrator.outbox.packed import FORM, OURS, pack, unpack
from orchestrator.outbox.sqlite_file import OutboxFile
from orchestrator.outbox.sqlite_writer import Writer
from orchestrator.outbox.store import HORIZON, LEASE, Entry, Room, State, is_held
from orchestrator.retention import Trail, Watch

__all__ = ["SqliteStore"]

#: Seconds that ids of what was delivered are known, dead letters are kept, and addresses closed.
KEEPS_DONE, KEEPS_DEAD, KEEPS_CLOSED = 7 * 86_400.0, 30 * 86_400.0, 30 * 86_400.0
#: Seconds from one clean-up to the next, and rows that one takes at most.
CLEAN_UP, CLEAN_ROWS = 60.0, 2_000

_SHOWN = "cast(packed as blob), due, state, attempts, reason, put_at, id"
#: An entry with a chain must wait until those before it have left.
_IS_FIRST = """(chain = '' or (? and not exists (select 1 from entries b
    where b.chain = entries.chain and b.chain <> '' and b.state = 'waiting'
    and b.seq < entries.seq)))"""
#: What a later version has put is left to it, and to its place in a chain.
_IS_OURS = f"""(substr(cast(packed as blob), 1, {len(FORM)}) <> x'{FORM.hex()}'
    or substr(cast(packed as blob), 1, {len(OURS)}) = x'{OURS.hex()}')"""
#: Each endpoint once, by jumps along the index: what waits may be a hundred thousand.
_ENDPOINTS = """with recursive found(name) as (
    select min(endpoint) from entries where state = 'waiting'
    union all select (select min(endpoint) from entries where state = 'waiting'
        and endpoint > found.name) from found where found.name is not null)
    select name, (select config from entries where state = 'waiting' and endpoint = name limit 1)
    from found where name is not null"""


class SqliteStore:
    """Entries in a SQLite file. `wall` gives seconds since 1970; `steady` ones never jump."""

    poll = 1.0
    lag = 0.0
    is_durable = True

    def __init__(
        self,
        path: Path,
        *,
        lease: float = LEASE,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._lease = lease
        self._wall = wall
        self._owner = uuid.uuid4().hex
        self._claims = itertools.count()
        self._writer = Writer(OutboxFile(path))
        self._cleaned = 0.0
        self._watch = Watch(steady)

    async def put(self, delivery: Delivery, due: float) -> bool:
        """Keep a delivery; False when its id is known. Returns once it is on the disk."""
        entry = Entry(delivery, due)
        row = (delivery.id, delivery.config, entry.endpoint, entry.order, due, due, pack(delivery))
        return await self._change(
            """insert or ignore into entries (id, config, endpoint, chain, due, put_at, packed,
            state, attempts, reason, owner) values (?, ?, ?, ?, ?, ?, ?, 'waiting', 0, '', '')""",
            row,
        )

    async def _change(self, statement: str, values: Sequence[Any]) -> bool:
        """Run a statement; whether it changed a row."""
        return await self._writer.do(lambda db: db.execute(statement, values).rowcount > 0)

    async def claim(self, now: float, room: Room) -> Sequence[Entry]:
        """Lease what is due, an endpoint after the other, as far as there is room."""
        return await self._writer.do(lambda db: self._claim(db, now, room))

    def _claim(self, db: sqlite3.Connection, now: float, room: Room) -> list[Entry]:
        self._clean_up(db, now)
        rows: list[Any] = []
        held = _held(db, now)
        for endpoint in _endpoints(db, room):
            if endpoint in held:
                continue
            its = db.execute(
                f"""select due, seq, {_SHOWN} from entries where state = 'waiting' and endpoint = ?
                and due <= ? and {_IS_FIRST} and {_IS_OURS} order by due limit ?""",  # noqa: S608 - constants
                (endpoint, now, room.is_ordered, room.at(endpoint)),
            )
            rows += [(room.turn(endpoint, n), *row) for n, row in enumerate(its)]
        rows = [row[1:] for row in sorted(rows, key=lambda row: row[:3])[: room.limit]]
        claim = f"{self._owner}:{next(self._claims)}"  # an earlier one of ours may have run out
        db.executemany(
            "update entries set due = ?, owner = ? where seq = ?",
            [(now + self._lease, claim, row[1]) for row in rows],
        )
        return [_claimed(row[2:], claim) for row in rows if self._is_sound(db, row)]

    def _is_sound(self, db: sqlite3.Connection, row: Sequence[Any]) -> bool:
        """Whether an entry can be read; one that cannot must not come up again and again."""
        try:
            unpack(row[2])
        except StoreFailed as error:
            db.execute(
                "update entries set state = 'dead', reason = ?, ended_at = ? where seq = ?",
                (words(error), self._wall(), row[1]),
            )
            return False
        return True

    async def next_due(self, now: float, room: Room) -> float | None:
        """When the next entry could be claimed."""
        return await self._writer.do(lambda db: min(_dues(db, now, room), default=None))

    async def done(self, entry: Entry) -> None:
        """It was acknowledged; of what was sent only the address is kept."""
        sent = replace(entry.delivery, body=b"", headers={})
        sent = replace(sent, url=sent.url.partition("?")[0])
        await self._change(
            """update entries set state = 'done', owner = '', reason = '', ended_at = ?, packed = ?
            where id = ? and state <> 'done'""",
            (self._wall(), pack(sent), entry.id),
        )

    async def later(self, entry: Entry, due: float, reason: str) -> None:
        """It failed and is due again, unless another owner has it by now."""
        await self._change(
            f"update entries set owner = '', due = ?, attempts = ?, reason = ? where {_IS_HELD}",  # noqa: S608 - constants
            (due, entry.attempts, reason, entry.id, entry.claim),
        )

    async def dead(self, entry: Entry, reason: str) -> None:
        """It is given up, unless another owner has it by now."""
        await self._change(
            f"""update entries set owner = '', state = 'dead', attempts = ?, reason = ?,
            ended_at = ? where {_IS_HELD}""",  # noqa: S608 - constants
            (entry.attempts, reason, self._wall(), entry.id, entry.claim),
        )

    async def close_address(self, address: str) -> None:
        """Nothing is to be sent there again."""
        await self._change(
            "insert or replace into closed values (?, ?)", (_mark(address), self._wall())
        )

    async def is_closed(self, address: str) -> bool:
        """Whether a receiver has closed it."""
        query, mark = "select count(*) from closed where address = ?", _mark(address)
        return await self._writer.do(lambda db: bool(db.execute(query, (mark,)).fetchone()[0]))

    async def hold(self, endpoint: str, until: float) -> None:
        """Nothing is to be sent to an endpoint before then."""
        await self._change(
            """insert into held values (?, ?) on conflict (endpoint)
            do update set until = max(until, excluded.until)""",
            (endpoint, until),
        )

    async def redrive(self, delivery_id: str, due: float) -> bool:
        """Take a dead letter back."""
        return await self._writer.do(lambda db: _redrive(db, delivery_id, due))

    async def remove(self, delivery_id: str, state: State | None = None) -> bool:
        """Forget an entry."""
        return await self._change(
            "delete from entries where id = ? and ? in ('', state)", (delivery_id, state or "")
        )

    async def find(self, delivery_id: str) -> Entry | None:
        """The entry of this id."""
        query = f"select {_SHOWN} from entries where id = ?"  # noqa: S608 - constants
        rows = await self._writer.do(lambda db: db.execute(query, (delivery_id,)).fetchall())
        return _entry(rows[0]) if rows else None

    async def list(self, state: State | None = None, limit: int | None = None) -> Sequence[Entry]:
        """The entries, or those in one state, in the order put."""
        where = "where state = ?" if state else ""
        query = f"select {_SHOWN} from entries {where} order by seq limit ?"  # noqa: S608 - constants
        values = (*([state] if state else []), -1 if limit is None else limit)
        rows = await self._writer.do(lambda db: db.execute(query, values).fetchall())
        return [_entry(row) for row in rows]

    async def count(self, state: State) -> int:
        """How many entries are in a state."""
        query = "select count(*) from entries where state = ?"
        return int(await self._writer.do(lambda db: db.execute(query, (state,)).fetchone()[0]))

    async def waiting(self) -> Mapping[str, int]:
        """How many entries wait, by the name of their config."""
        query = "select config, count(*) from entries where state = 'waiting' group by config"
        return await self._writer.do(lambda db: dict(db.execute(query).fetchall()))

    def watch(self, wake: Callable[[], None]) -> None:
        """What other processes put here is found by looking, every `poll` seconds."""

    async def aclose(self) -> None:
        """Close the file."""
        await self._writer.aclose()

    def _clean_up(self, db: sqlite3.Connection, now: float) -> None:
        """Drop what was kept long enough; pull back what a clock set wrong has put far ahead."""
        if abs(now - self._cleaned) < CLEAN_UP:
            return
        self._cleaned = now
        db.execute(
            "update entries set due = ? where state = 'waiting' and due > ?", (now, now + HORIZON)
        )
        db.execute("delete from held where until <= ? or until > ?", (now, now + HORIZON))
        if not self._is_trusted(db, now):
            return
        db.execute("delete from closed where at < ?", (now - KEEPS_CLOSED,))
        for state, keeps in (("done", KEEPS_DONE), ("dead", KEEPS_DEAD)):
            db.execute(
                """delete from entries where seq in (select seq from entries
                where state = ? and ended_at < ? limit ?)""",
                (state, now - keeps, CLEAN_ROWS),
            )

    def _is_trusted(self, db: sqlite3.Connection, now: float) -> bool:
        """Whether the clock may be believed, so that what it calls old can be removed."""
        kept = db.execute("select since, until from trail").fetchone()
        trail = self._watch.look(now, Trail(*kept) if kept else None)
        db.execute("insert or replace into trail values (1, ?, ?)", (trail.since, trail.until))
        return trail.is_trusted


def _mark(address: str) -> str:
    """An address as it is kept: a path may hold what a caller said."""
    return hashlib.sha256(address.encode()).hexdigest()


_IS_HELD = "id = ? and owner = ? and state = 'waiting'"


def _claimed(row: Sequence[Any], claim: str) -> Entry:
    entry = _entry(row)
    return replace(entry, attempts=entry.attempts + 1, claim=claim)


def _endpoints(db: sqlite3.Connection, room: Room) -> Iterator[str]:
    """Endpoints at which something waits and which there is room for."""
    for endpoint, config in db.execute(_ENDPOINTS).fetchall():
        if room.serves(config) and room.at(endpoint):
            yield endpoint


def _held(db: sqlite3.Connection, now: float) -> dict[str, float]:
    """The endpoints that are to be left alone, and until when."""
    return {end: until for end, until in db.execute("select * from held") if is_held(until, now)}


def _dues(db: sqlite3.Connection, now: float, room: Room) -> Iterator[float]:
    held = _held(db, now)
    for endpoint in _endpoints(db, room):
        row = db.execute(
            f"""select due from entries where state = 'waiting' and endpoint = ? and {_IS_FIRST}
            and {_IS_OURS} order by due limit 1""",  # noqa: S608 - constants
            (endpoint, room.is_ordered),
        ).fetchone()
        if row is not None:
            yield max(row[0], held.get(endpoint, 0.0))


def _redrive(db: sqlite3.Connection, delivery_id: str, due: float) -> bool:
    row = db.execute(
        f"select {_SHOWN} from entries where id = ? and state = 'dead'",  # noqa: S608 - constants
        (delivery_id,),
    ).fetchone()
    if row is None:
        return False
    db.execute("delete from closed where address = ?", (_mark(_entry(row).address),))
    db.execute(
        """update entries set state = 'waiting', attempts = 0, due = ?, owner = '', reason = '',
        ended_at = null where id = ?""",
        (due, delivery_id),
    )
    return True


def _entry(row: Sequence[Any]) -> Entry:
    packed, due, state, attempts, reason, put_at, delivery_id = row
    try:
        delivery = unpack(packed)
    except StoreFailed as error:
        delivery, reason = Delivery(delivery_id, "", "", b""), words(error)
    return Entry(delivery, due, state, attempts, reason, put_at)
