"""The SQLite store beyond the contract: durability, sharing, a disk and a file that fail."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator import turn
from orchestrator.action import Delivery
from orchestrator.errors import StoreFailed
from orchestrator.outbox import sqlite_file
from orchestrator.outbox.packed import pack, unpack
from orchestrator.outbox.sqlite import KEEPS_DEAD, KEEPS_DONE, SqliteStore
from orchestrator.outbox.store import HORIZON, Room
from orchestrator.turn import Turn

ROOM = Room(20, 20)


def delivery(number: int = 1, **fields: Any) -> Delivery:
    return Delivery(f"msg_{number}", "crm", "/calls?n=1", b"the body", **fields)


def play(path: Path, script: Callable[[SqliteStore], Awaitable[Any]], **options: Any) -> Any:
    async def main() -> Any:
        store = SqliteStore(path, **options)
        try:
            return await script(store)
        finally:
            await store.aclose()

    return asyncio.run(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "outbox.db"


def rows(path: Path, query: str = "select id from entries") -> list[Any]:
    with sqlite3.connect(path) as db:
        found = db.execute(query).fetchall()
    db.close()
    return found


def test_a_file_that_others_could_read_is_taken_from_them(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a backup was restored: the file and its logs, and what was in it stays."""
    path.parent.mkdir(mode=0o755)
    play(path, lambda store: store.put(delivery(1), time.time()))
    files = [path, *(path.with_name(f"outbox.db{end}") for end in ("-wal", "-shm"))]
    for file in files:
        file.touch()
        file.chmod(0o644)

    async def script(store: SqliteStore) -> None:
        await store.put(delivery(2), time.time())
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

    play(path, script)
    assert rows(path) == [("msg_1",), ("msg_2",)]
    assert "others could read" in caplog.text


def test_a_put_is_committed_when_it_returns(path: Path) -> None:
    """Another process sees it at once, and the file is opened with the safest setting."""

    async def script(store: SqliteStore) -> None:
        await store.put(delivery(), time.time())
        assert rows(path) == [("msg_1",)]
        modes = await store._writer.do(
            lambda db: [
                db.execute(f"pragma {p}").fetchone()[0] for p in ("journal_mode", "synchronous")
            ]
        )
        assert modes == ["wal", 2]

    play(path, script)


def test_the_file_is_its_owners_only(path: Path) -> None:
    """Callers' words are nobody else's: file, log and folder can be read by their owner only."""

    async def script(store: SqliteStore) -> None:
        await store.put(delivery(), time.time())
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    play(path, script)


def test_many_puts_share_a_commit(path: Path) -> None:
    """What arrives while the disk works goes into the next commit together."""

    async def script(store: SqliteStore) -> int:
        commits: list[int] = []
        writer: Any = store._writer
        inner = writer._commit
        writer._commit = lambda jobs: (commits.append(len(jobs)), inner(jobs))
        await asyncio.gather(*(store.put(delivery(n), 0.0) for n in range(500)))
        return len(commits)

    assert play(path, script) < 100
    assert len(rows(path)) == 500


def test_nothing_of_it_runs_on_the_event_loop(path: Path) -> None:
    """SQLite is used in a thread only."""
    names: set[str] = set()

    async def script(store: SqliteStore) -> None:
        await store.put(delivery(), 0.0)
        await store._writer.do(lambda db: names.add(threading.current_thread().name))

    play(path, script)
    assert names == {"outbox"}


def test_what_is_delivered_leaves_no_trace(path: Path) -> None:
    """Body, headers and query of a delivered entry are in none of the store's files."""

    async def script(store: SqliteStore) -> None:
        await store.put(delivery(headers={"x-a": "header-canary"}), 0.0)
        (entry,) = await store.claim(time.time(), ROOM)
        await store.done(entry)

    play(path, script)
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"msg_1" in content
    assert not any(word in content for word in (b"the body", b"header-canary", b"n=1"))


def test_done_and_dead_are_kept_for_a_while(path: Path) -> None:
    """Ids of what was delivered go after a week, dead letters after a month."""
    now = [1_000_000.0]

    async def script(store: SqliteStore) -> list[list[str]]:
        seen = []
        for number in (1, 2):
            await store.put(delivery(number), now[0])
        done, dead = await store.claim(now[0], ROOM)
        await store.done(done)
        await store.dead(dead, "x")
        await store.close_address("a")
        for later in (KEEPS_DONE - 60, KEEPS_DONE + 60, KEEPS_DEAD + 60):
            while now[0] < 1_000_000.0 + later:
                now[0] = min(now[0] + 3_000.0, 1_000_000.0 + later)
                await store.claim(now[0], ROOM)
            seen.append([entry.id for entry in await store.list()])
        assert not await store.is_closed("a")
        return seen

    found = play(path, script, wall=lambda: now[0], steady=lambda: now[0])
    assert found == [["msg_1", "msg_2"], ["msg_2"], []]


@pytest.mark.parametrize("days", [8, 31, 400])
@pytest.mark.parametrize("is_restarted", [True, False])
def test_a_jump_of_the_clock_removes_nothing(path: Path, days: int, *, is_restarted: bool) -> None:
    """Neither dead letters nor known ids, in the process that runs or in one that starts then."""
    now, steady = [1_000_000.0], [0.0]
    clocks: Any = {"wall": lambda: now[0], "steady": lambda: steady[0]}

    async def before(store: SqliteStore) -> None:
        for number in (1, 2):
            await store.put(delivery(number), now[0])
        done, dead = await store.claim(now[0], ROOM)
        await store.done(done)
        await store.dead(dead, "x")
        for _ in range(3):
            now[0] += 1_900.0
            steady[0] += 1_900.0
            await store.claim(now[0], ROOM)
        if not is_restarted:
            await jump(store)

    async def jump(store: SqliteStore) -> None:
        for _ in range(3):  # forward, right again, forward once more
            now[0] += days * 86_400.0
            await store.claim(now[0], ROOM)
            now[0] -= days * 86_400.0
            steady[0] += 100.0
            await store.claim(now[0] + 100.0, ROOM)
        assert [entry.id for entry in await store.list()] == ["msg_1", "msg_2"]
        assert not await store.put(delivery(1), now[0])

    play(path, before, **clocks)
    if is_restarted:
        play(path, jump, **clocks)


def test_a_closed_address_is_kept_without_its_words(path: Path) -> None:
    """A path may hold what a caller said."""

    async def script(store: SqliteStore) -> None:
        await store.close_address("billing|/c/%2B15550100001")
        assert await store.is_closed("billing|/c/%2B15550100001")

    play(path, script)
    assert not any(b"15550100001" in file.read_bytes() for file in path.parent.iterdir())


def test_a_clock_set_back_delays_nothing_for_long(path: Path) -> None:
    """What is due further ahead than anything can be is due now."""

    async def script(store: SqliteStore) -> int:
        await store.put(delivery(), 2_000_000.0)
        return len(await store.claim(2_000_000.0 - HORIZON - 60, ROOM))

    assert play(path, script) == 1


def test_a_damaged_row_becomes_a_dead_letter(path: Path) -> None:
    """It says why, is claimed no more, and does not keep others from leaving."""

    async def script(store: SqliteStore) -> None:
        await store.put(delivery(1), 0.0)
        await store.put(delivery(2), 0.0)
        await store._writer.do(
            lambda db: db.execute("update entries set packed = 'x' where seq = 1")
        )
        assert [entry.id for entry in await store.claim(1.0, ROOM)] == ["msg_2"]
        (letter,) = await store.list("dead")
        assert "damaged" in letter.reason

    play(path, script)


@pytest.mark.parametrize("taken", ["file", "folder", "log"])
def test_a_file_that_is_deleted_is_made_again_with_its_entries(path: Path, taken: str) -> None:
    """Deleting the file under a running process loses nothing that waits or is dead."""

    async def script(store: SqliteStore) -> None:
        for number in (1, 2, 3):
            await store.put(delivery(number), 0.0)
        first, _, _ = await store.claim(1.0, ROOM)
        await store.dead(first, "x")
        for file in path.parent.iterdir():
            if taken != "log" or file.name.endswith("-wal") or file == path:
                file.unlink()
        if taken == "folder":
            path.parent.rmdir()
        await store.put(delivery(4), 0.0)
        assert {e.id: e.state for e in await store.list()} == {
            "msg_1": "dead", "msg_2": "waiting", "msg_3": "waiting", "msg_4": "waiting",
        }  # fmt: skip

    play(path, script)
    assert len(rows(path)) == 4


def test_a_full_disk_fails_the_put_and_nothing_else(path: Path) -> None:
    """The error says so; what is stored stays, and with room again puts succeed."""

    async def script(store: SqliteStore) -> None:
        await store.put(delivery(1), 0.0)
        await store._writer.do(lambda db: db.execute("pragma max_page_count = 1"))
        with pytest.raises(StoreFailed, match="full"):
            await asyncio.gather(
                *(store.put(delivery(n, headers={"x": "y" * 9_000}), 0.0) for n in (2, 3))
            )
        await store._writer.do(lambda db: db.execute("pragma max_page_count = 1000000"))
        assert await store.put(delivery(4), 0.0)
        assert await store.count("waiting") == 2

    play(path, script)


def test_a_lock_that_is_held_too_long_fails_the_put(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the wait the put fails, the loop has gone on meanwhile, and later it succeeds."""
    monkeypatch.setattr(sqlite_file, "BUSY", 0.1)

    async def script(store: SqliteStore) -> None:
        await store.put(delivery(1), 0.0)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(StoreFailed, match="locked"):
            await store.put(delivery(2), 0.0)
        other.execute("rollback")
        other.close()
        assert await store.put(delivery(2), 0.0)

    play(path, script)


def test_who_writes_without_a_pause_keeps_nobody_out(path: Path) -> None:
    """SQLite's lock alone goes to whoever asks in the right moment, which can take seconds."""
    commits = 0

    def slow_disk(_: sqlite3.Connection) -> None:
        nonlocal commits
        commits += 1
        time.sleep(0.01)

    async def script(store: SqliteStore) -> list[int]:
        async def write_on() -> None:
            while True:
                await store._writer.do(slow_disk)

        busy = [asyncio.create_task(write_on()) for _ in "12"]  # one is queued when one is made
        other, between = SqliteStore(path), []
        await other.put(delivery(0), 0.0)
        for number in range(1, 31):
            before = commits
            await other.put(delivery(number), 0.0)
            between.append(commits - before)
        for task in busy:
            task.cancel()
        await other.aclose()
        return between

    between = play(path, script)
    assert max(between) <= 3, between


@pytest.mark.parametrize("system", ["another process is stopped", "no locks", "no fcntl"])
def test_the_turn_is_a_courtesy(path: Path, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be had the file is written as before."""
    monkeypatch.setattr(sqlite_file, "BEHIND", 0.2)
    path.parent.mkdir(mode=0o700)
    stopped = Turn(path)

    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if system == "no fcntl":
        monkeypatch.setattr(turn, "fcntl", None)
    elif system == "no locks":
        monkeypatch.setattr(turn.fcntl, "flock", no_locks)

    async def script(store: SqliteStore) -> None:
        for number in range(100):  # the turn is waited for once
            assert await store.put(delivery(number), 0.0)

    began = time.monotonic()
    with stopped.next(0.0):
        play(path, script)
    stopped.close()
    assert len(rows(path)) == 100
    assert time.monotonic() - began < 100 * 0.2


@pytest.mark.parametrize("kind", ["text", "other", "later", "folder", "unreachable"])
def test_a_file_that_is_not_ours_is_left_alone(path: Path, kind: str) -> None:
    """Another program's file is refused with a reason and not touched."""
    path.parent.mkdir()
    if kind == "text":
        path.write_text("these are my notes, not a database; " * 40)
    elif kind == "folder":
        path.mkdir()
    elif kind == "unreachable":
        path = path.parent / "file" / "outbox.db"
        path.parent.write_text("in the way")
    else:
        with sqlite3.connect(path) as db:
            db.execute("create table customers (name)")
            if kind == "later":
                db.execute(f"pragma application_id = {sqlite_file.APPLICATION}")
                db.execute("pragma user_version = 99")
        db.close()
    before = path.read_bytes() if path.is_file() else b""

    async def script(store: SqliteStore) -> None:
        with pytest.raises(StoreFailed):
            await store.put(delivery(), 0.0)

    play(path, script)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_waiting_for_a_dead_endpoint_costs_a_claim_little(path: Path) -> None:
    """Ten thousand entries that wait for one endpoint do not slow down another's."""

    async def script(store: SqliteStore) -> float:
        await asyncio.gather(*(store.put(delivery(n), 0.0) for n in range(10_000)))
        await store.put(Delivery("good", "good", "/", b""), 0.0)
        began = time.process_time()
        for _ in range(20):
            claimed = await store.claim(1.0, Room(5, 4, {":crm": 4}))
            await store.next_due(1.0, Room(5, 4, {":crm": 4, ":good": 4}))
        assert claimed == []
        return (time.process_time() - began) / 20

    assert play(path, script) < 0.05


def test_deliveries_survive_packing() -> None:
    """Bytes of any kind come back; damage and later versions are named."""
    one = Delivery(
        "a", "b", "c", bytes(range(256)), headers={"k": "v\u2028"}, order="o", config="d"
    )
    assert unpack(pack(one)) == one
    for bad in (b"", b"{}", b"[]\n", b'{"v": 2}\n', b"\xff\n", b'{"v":1,"headers":[]}\n'):
        with pytest.raises(StoreFailed):
            unpack(bad)


def test_the_thread_ends_with_the_store(path: Path) -> None:
    """Nothing is left running, and closing an unused store is fine."""

    async def script(store: SqliteStore) -> None:
        await store.put(delivery(), 0.0)

    play(path, script)
    play(path, lambda store: asyncio.sleep(0))
    assert "outbox" not in {thread.name for thread in threading.enumerate()}
    assert os.path.exists(path)
