"""A memory that processes share: through a file, and through a real NATS server."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ActionFailed, EnvironmentFailure
from orchestrator.limits import Rate
from orchestrator.memory import Memory, sqlite
from orchestrator.memory import memory as module
from orchestrator.memory.choice import open_memory
from orchestrator.memory.nats import NatsKeeper
from tests.engines import NatsServer, free_port

Open = Callable[[], Memory]


@pytest.fixture(params=["file", "nats"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one more memory on the same file or server, each as another process would."""
    opened: list[Memory] = []

    def keep(memory: Memory) -> Memory:
        opened.append(memory)
        return memory

    if request.param == "file":
        yield lambda: keep(Memory(tmp_path / "m.db"))
    else:
        with NatsServer(tmp_path) as server:
            yield lambda: keep(Memory(NatsKeeper(server.url)))
            for memory in opened:
                memory.close()
            opened.clear()
    for memory in opened:
        memory.close()


def wait_for(question: Callable[[], bool], seconds: float = 10.0) -> None:
    """Until it holds: what others write comes a moment later."""
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_what_one_remembers_the_others_know(shared: Open) -> None:
    """Values, counts and what is dropped; also what was there before one came."""
    one, other = shared(), shared()
    one.remember("blocked", "yes")
    one.remember("calls")
    wait_for(lambda: other.get("blocked") == "yes" and other.count("calls") == 1)
    other.remember("calls")
    wait_for(lambda: one.count("calls") == 2)
    one.forget("blocked")
    wait_for(lambda: other.get("blocked") is None)
    late = shared()
    wait_for(lambda: late.count("calls") == 2)
    assert late.get("blocked") is None
    assert (one.failures, other.failures, late.failures) == (0, 0, 0)


def test_counts_of_two_that_write_at_once_add_up(shared: Open) -> None:
    """No time is lost, and none is counted twice."""
    memories = [shared(), shared()]

    def write(memory: Memory) -> None:
        for _ in range(50):
            memory.remember("k", "v")

    threads = [threading.Thread(target=write, args=(memory,)) for memory in memories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: all(memory.count("k") == 100 for memory in memories), 20.0)
    assert all(memory.get("k") == "v" for memory in memories)


def test_it_survives_a_restart_with_its_lifetimes(shared: Open) -> None:
    """A value that has expired is gone, its times still count."""
    one = shared()
    one.remember("k", {"a": [1, "ü"]}, lifetime=3600.0)
    one.remember("short", 1, lifetime=0.01)
    one.remember("\ud800", 2)
    one.close()
    again = shared()
    wait_for(lambda: again.get("k") == {"a": [1, "ü"]})
    wait_for(lambda: again.count("short") == 1)
    wait_for(lambda: again.get("short") is None)
    assert again.get("\ud800") == 2


def test_places_of_a_rate_are_shared(shared: Open) -> None:
    """Three that want twenty each of thirty get thirty together."""
    memories = [shared() for _ in range(3)]

    async def take(memory: Memory) -> int:
        taken = 0
        for _ in range(20):
            taken += await memory.take("k", Rate(30, 60))
        return taken

    async def main() -> int:
        return sum(await asyncio.gather(*map(take, memories)))

    previous, module.PATIENCE = module.PATIENCE, 20.0
    try:
        assert asyncio.run(main()) == 30
    finally:
        module.PATIENCE = previous


def test_a_server_that_goes_away_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go on with the copy; what was remembered meanwhile is written when it is back."""
    with NatsServer(tmp_path) as server, caplog.at_level(logging.WARNING):
        one = Memory(NatsKeeper(server.url))
        one.remember("before", 1)
        wait_for(lambda: not one._keeper.has_queued("before"))  # type: ignore[union-attr]
        server.kill()
        one.remember("meanwhile", 2)
        assert (one.get("before"), one.get("meanwhile")) == (1, 2)
        began = time.monotonic()
        assert asyncio.run(one.take("k", Rate(1, 60)))
        assert not asyncio.run(one.take("k", Rate(1, 60)))
        assert time.monotonic() - began < 5
        server.start()
        wait_for(lambda: not one._keeper.has_queued("meanwhile"), 20.0)  # type: ignore[union-attr]
        other = Memory(NatsKeeper(server.url))
        wait_for(lambda: (other.get("before"), other.get("meanwhile")) == (1, 2))
        other.remember("after", 3)
        wait_for(lambda: one.get("after") == 3, 20.0)  # it follows again
        one.close()
        other.close()
    assert any("does not answer" in record.message for record in caplog.records)


def test_a_server_that_is_away_at_first_keeps_no_call_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The memory begins empty, and is filled once the server is there."""
    with NatsServer(tmp_path) as server:
        first = Memory(NatsKeeper(server.url))
        first.remember("k", "v")
        first.close()
        server.kill()
        with caplog.at_level(logging.WARNING):
            late = Memory(NatsKeeper(server.url))
        assert late.get("k") is None
        server.start()
        wait_for(lambda: late.get("k") == "v", 20.0)
        late.close()
    assert any("begins empty" in record.message for record in caplog.records)


def test_closing_without_a_server_loses_with_a_count_and_in_time() -> None:
    """Not for ever, and not in silence."""
    memory = Memory(NatsKeeper(f"nats://127.0.0.1:{free_port()}"))
    memory.remember("k", 1)
    began = time.monotonic()
    memory.close()
    assert time.monotonic() - began < 10
    assert memory.failures == 1


def test_damaged_entries_of_others_are_passed_over(tmp_path: Path) -> None:
    """No JSON, another shape, other types: nothing of it reaches a call."""
    from nats import connect

    async def damage(url: str) -> None:
        client = await connect(url)
        bucket = await client.jetstream().key_value("hooks_memory")
        for number, data in enumerate(
            [b"", b"{", b"[]", b'{"key": 1, "value": 1, "expires": null, "times": []}',
             b'{"key": "k", "value": 1, "expires": "x", "times": []}',
             b'{"key": "k", "value": 1, "expires": null, "times": ["x"]}']
        ):  # fmt: skip
            await bucket.put(f"e.{number}", data)
        await client.close()

    with NatsServer(tmp_path) as server:
        memory = Memory(NatsKeeper(server.url))
        memory.remember("k", "good")
        wait_for(lambda: not memory._keeper.has_queued("k"))  # type: ignore[union-attr]
        asyncio.run(damage(server.url))
        other = Memory(NatsKeeper(server.url))
        wait_for(lambda: other.get("k") == "good")
        memory.remember("last", 1)
        wait_for(lambda: other.get("last") == 1)
        memory.close()
        other.close()


def test_a_locked_file_is_written_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that was remembered meanwhile is lost."""
    monkeypatch.setattr(sqlite, "BUSY", 0.1)
    memory = Memory(tmp_path / "m.db")
    lock = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    lock.execute("begin immediate")
    for number in range(5):
        memory.remember(f"k{number}", number)
    time.sleep(0.3)
    lock.execute("rollback")
    lock.close()
    memory.close()
    assert memory.failures == 0
    again = Memory(tmp_path / "m.db")
    assert [again.get(f"k{number}") for number in range(5)] == [0, 1, 2, 3, 4]
    again.close()


def test_a_process_that_looks_very_late_reads_all_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of changes is cut; nobody misses one for it."""
    late = Memory(tmp_path / "m.db")
    late.remember("own", 1)
    busy = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    wait_for(lambda: late._keeper.has_queued("own") is False)  # type: ignore[union-attr]
    busy.executescript(
        "begin; insert into entries values ('k', '7', null);"
        "insert into changes (number, key, writer) values (500, 'other', 'w'); commit;"
    )
    busy.close()
    wait_for(lambda: late.get("k") == 7)
    assert late.get("own") == 1
    late.close()


def test_a_file_that_is_taken_away_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With what the processes know, counted once; they see each other again."""
    one, other = Memory(tmp_path / "m.db"), Memory(tmp_path / "m.db")
    one.remember("k", "v")
    one.remember("k", "v")
    wait_for(lambda: other.count("k") == 2)
    for path in tmp_path.glob("m.db*"):
        path.unlink()
    one.remember("after", 1)
    wait_for(lambda: other.get("after") == 1)
    one.close()
    other.close()
    again = Memory(tmp_path / "m.db")
    assert (again.get("k"), again.count("k"), again.get("after")) == ("v", 2, 1)
    again.close()
    assert "was taken away or replaced" in caplog.text


def test_a_file_that_is_locked_at_the_start_is_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for it, and nothing is lost."""
    monkeypatch.setattr(sqlite, "BUSY", 0.05)
    first = Memory(tmp_path / "m.db")
    first.remember("k", 1)
    first.close()
    lock = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    lock.execute("begin exclusive")
    with caplog.at_level(logging.WARNING):
        late = open_memory(tmp_path / "m.db", {})
    late.remember("new", 2)
    lock.execute("rollback")
    lock.close()
    wait_for(lambda: late.get("k") == 1 and late.get("new") == 2)
    late.close()
    again = Memory(tmp_path / "m.db")
    assert (again.get("k"), again.get("new")) == (1, 2)
    again.close()


def test_keys_that_went_long_ago_go_in_a_process_that_looks_late(tmp_path: Path) -> None:
    """Also when the list of changes does not have them any more."""
    late = Memory(tmp_path / "m.db")
    late.remember("gone", 1)
    wait_for(lambda: late._keeper.has_queued("gone") is False)  # type: ignore[union-attr]
    busy = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    busy.executescript(
        "begin; delete from entries; delete from times; delete from changes;"
        "insert into changes (number, key, writer) values (900, 'other', 'w'); commit;"
    )
    busy.close()
    wait_for(lambda: late.get("gone") is None)
    late.close()


def test_a_clock_that_is_ahead_for_a_moment_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that starts then, or stays, believes it only after an hour."""
    one = Memory(tmp_path / "m.db")
    one.remember("k", 1, lifetime=3600.0)
    one.close()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 40 * 86_400)
    ahead = Memory(tmp_path / "m.db")
    wait_for(lambda: ahead.count("k", 50 * 86_400.0) == 1)
    ahead.close()
    monkeypatch.setattr(time, "time", real)
    back = Memory(tmp_path / "m.db")
    assert (back.get("k"), back.count("k")) == (1, 1)
    back.close()


def test_what_is_too_large_is_refused_at_once(shared: Open) -> None:
    """Its step fails; what comes after it is kept."""
    one, other = shared(), shared()
    with pytest.raises(ActionFailed, match="too large to be remembered: 262,144 bytes"):
        one.remember("big", "x" * 2_000_000)
    with pytest.raises(ActionFailed, match="too large to be remembered"):
        one.remember("k" * 300_000, 1)
    one.remember("\ud800" * 40_000, "x" * 10_000)
    one.remember("after", 1)
    wait_for(lambda: other.get("after") == 1)
    assert one.get("big") is None


def test_a_server_that_refuses_one_value_takes_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, counted, and stops nothing."""
    monkeypatch.setattr(module, "MOST_BYTES", 10_000_000)
    with NatsServer(tmp_path) as server, caplog.at_level(logging.WARNING):
        one, other = (Memory(NatsKeeper(server.url)) for _ in "12")
        one.remember("big", "x" * 2_000_000)
        one.remember("after", 1)
        wait_for(lambda: other.get("after") == 1)
        assert one.failures == 1
        one.close()
        other.close()
    assert "refuses what is to be remembered" in caplog.text


def test_what_has_expired_is_swept_from_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the clock has gone on for an hour; what is there for ever stays."""
    from nats import connect
    from nats.js.errors import BucketNotFoundError, NoKeysError

    from orchestrator.memory import nats as keeper
    from orchestrator.retention import Trail

    async def names(url: str) -> int:
        client = await connect(url)
        try:
            bucket = await client.jetstream().key_value("hooks_memory")
            return len(await bucket.keys())
        except (BucketNotFoundError, NoKeysError):  # nothing has come there yet
            return 0
        finally:
            await client.close()

    monkeypatch.setattr(keeper, "LONGEST", 0.0)
    with NatsServer(tmp_path) as server:
        one = Memory(NatsKeeper(server.url))
        one.remember("short", 1, lifetime=0.01)
        one.remember("long", 1)
        wait_for(lambda: asyncio.run(names(server.url)) == 2)
        kept: Any = one._keeper
        kept._trail = Trail(time.time() - 7_200, time.time())
        monkeypatch.setattr(keeper, "SWEEP", -1.0)
        wait_for(lambda: asyncio.run(names(server.url)) == 1)
        assert one.get("long") == 1
        one.close()


CHOICES: dict[str, tuple[str | None, dict[str, str]]] = {
    "nothing": (None, {"XDG_STATE_HOME": "{tmp}"}),
    "a path": ("{tmp}/hook-orchestrator/memory.db", {}),
    "the environment": (None, {"ORCHESTRATOR_MEMORY": "sqlite:///{tmp}/hook-orchestrator/memory.db"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_one_word_chooses_the_file(name: str, tmp_path: Path) -> None:
    """Said, set, or the usual one."""
    setting, environment = CHOICES[name]
    given = {key: text.replace("{tmp}", str(tmp_path)) for key, text in environment.items()}
    memory = open_memory(setting and setting.replace("{tmp}", str(tmp_path)), given)
    memory.remember("k", 1)
    memory.close()
    assert (tmp_path / "hook-orchestrator" / "memory.db").exists()


def test_one_word_chooses_a_server_or_nothing(tmp_path: Path) -> None:
    """Of a scheme the case does not matter."""
    with NatsServer(tmp_path) as server:
        memory = open_memory(server.url.replace("nats", "NATS"), {})
        memory.remember("k", 1)
        memory.close()
        other = open_memory(None, {"ORCHESTRATOR_MEMORY": server.url})
        wait_for(lambda: other.get("k") == 1)
        other.close()
    nothing = open_memory("memory:", {})
    nothing.remember("k", 1)
    nothing.close()


def test_a_bad_choice_is_said_and_the_usual_file_that_cannot_be_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only machine takes calls all the same, unless a file was asked for."""
    with pytest.raises(EnvironmentFailure, match="ORCHESTRATOR_MEMORY: expected a path"):
        open_memory("redis://host", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match="cannot open the memory file"):
        open_memory(tmp_path / "file" / "m.db", {})
    with caplog.at_level(logging.WARNING):
        memory = open_memory(None, {"XDG_STATE_HOME": str(tmp_path / "file")})
    memory.remember("k", 1)
    assert memory.get("k") == 1
    assert "set ORCHESTRATOR_MEMORY" in caplog.text


WRITE = """
import sys, time
from orchestrator.memory import Memory
memory = Memory(sys.argv[1])
memory.remember("from", sys.argv[2])
memory.close()
"""


def test_another_process_is_heard_within_a_second_or_so(tmp_path: Path) -> None:
    """Really another one."""
    memory = Memory(tmp_path / "m.db")
    command: list[Any] = [sys.executable, "-c", WRITE, str(tmp_path / "m.db"), "over there"]
    subprocess.run(command, check=True, timeout=60)
    wait_for(lambda: memory.get("from") == "over there")
    memory.close()
