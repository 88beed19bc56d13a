"""The store fails: a full disk, a lock, a file or a server that is away and comes back."""

from __future__ import annotations

import asyncio
import random
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.action import Delivery
from orchestrator.callscript import parse_script
from orchestrator.clock import real_clock
from orchestrator.errors import ActionFailed, ConfigError, StoreFailed
from orchestrator.outbox import Outbox, sqlite_file
from orchestrator.outbox.fallback import FallbackStore
from orchestrator.outbox.memory import MemoryStore
from orchestrator.outbox.nats import NatsStore
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.outbox.store import OutboxStore
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from tests.engines import NatsServer
from tests.faults.process import script
from tests.faults.record import Fault, size, watched
from tests.servers import Server


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY", 0.4)


class Traffic:
    """Deliveries put one after another while something happens, and what came out."""

    def __init__(self, store: OutboxStore) -> None:
        self.stored: list[str] = []
        self.failed: list[str] = []
        self.taken: list[str] = []
        self.store = store
        self.outbox = Outbox(self._send, clock=real_clock(), store=store)

    async def _send(self, sent: Delivery) -> None:
        await asyncio.sleep(0.002)
        self.taken.append(sent.id)

    async def put(self, count: int, size: int = 10) -> None:
        for _ in range(count):
            one = Delivery(f"msg_{len(self.stored) + len(self.failed)}", "crm", "/", b"x" * size)
            try:
                await self.outbox.put(one)
                self.stored.append(one.id)
            except StoreFailed as error:
                self.failed.append(one.id)
                self.reason = str(error)
            await asyncio.sleep(0.002)

    async def settle(self, seconds: float = 10.0) -> None:
        """Until everything that was put, safely or not, has come out."""
        end = time.monotonic() + seconds
        while await self._waits() and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def _waits(self) -> bool:
        try:
            return await self.store.count("waiting") > 0
        except StoreFailed:  # a server that is just coming back
            return True

    async def finish(self, fault: Fault) -> None:
        await self.settle()
        assert await self.outbox.aclose() == 0
        fault.count(self.stored + self.failed, self.taken)
        fault.survived = fault.injected


def with_memory(path: Path) -> FallbackStore:
    return FallbackStore(SqliteStore(path, lease=1.0), MemoryStore(), rest=0.2)


def test_the_disk_is_full(tmp_path: Path) -> None:
    """Puts say so, what they took is sent from memory, and the file is used again when it can be."""
    fault = Fault("disk full", injected=1)

    async def main() -> None:
        traffic = Traffic(with_memory(tmp_path / "outbox.db"))
        await traffic.put(5)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        async with watched(fault):
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096 * 40, hard))
                await traffic.put(size(40, 300), size=9_000)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert traffic.failed
            assert "kept in memory, to be sent by this process" in traffic.reason
            await asyncio.sleep(0.3)
            stored = len(traffic.stored)
            await traffic.put(5)
            assert len(traffic.stored) == stored + 5
        await traffic.finish(fault)

    asyncio.run(main())
    fault.check()


@pytest.mark.parametrize(
    "kind", ["locked", "deleted", "gone and back", "replaced by an older copy"]
)
@pytest.mark.usefixtures("hurry")
def test_the_database_is_away(kind: str, tmp_path: Path) -> None:
    """Whatever happens to the file under a running process, each delivery comes out."""
    path = tmp_path / "state" / "outbox.db"
    fault = Fault(f"database {kind}")

    async def main() -> None:
        traffic = Traffic(with_memory(path))
        await traffic.put(10)
        if kind == "replaced by an older copy":
            shutil.copytree(path.parent, tmp_path / "copy")
        async with watched(fault):
            for _ in range(size(1, 5)):
                fault.injected += 1
                await traffic.put(10)
                await _harm(kind, path, traffic)
                await asyncio.sleep(0.3)
                await traffic.put(10)
        await traffic.finish(fault)

    asyncio.run(main())
    fault.check()


async def _harm(kind: str, path: Path, traffic: Traffic) -> None:
    if kind == "locked":
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")
        await traffic.put(30)
        other.execute("rollback")
        other.close()
    elif kind == "deleted":
        for file in path.parent.iterdir():
            file.unlink()
    elif kind == "gone and back":
        away = path.parent.with_name("away")
        path.parent.rename(away)
        path.parent.write_text("in the way")
        await traffic.put(30)
        path.parent.unlink()
        away.rename(path.parent)
    else:
        shutil.rmtree(path.parent)
        shutil.copytree(path.parent.with_name("copy"), path.parent)


def test_the_nats_server_is_restarted(tmp_path: Path) -> None:
    """Killed in the middle of a batch, twice: the file takes over, and hands on what it took."""
    fault = Fault("NATS server killed and restarted")

    async def main(server: NatsServer) -> None:
        embedded = with_memory(tmp_path / "outbox.db")
        traffic = Traffic(FallbackStore(NatsStore(server.url, lease=2.0), embedded, rest=0.5))
        async with watched(fault):
            await traffic.put(size(40, 300))
            for _ in range(size(2, 5)):
                fault.injected += 1
                filling = asyncio.create_task(traffic.put(size(60, 300)))
                await asyncio.sleep(0.05)
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(0.3)
                await asyncio.to_thread(server.start)
                await filling
        await traffic.finish(fault)
        assert traffic.failed == []

    with NatsServer(tmp_path / "nats") as server:
        asyncio.run(main(server))
    fault.check()


def test_the_nats_server_is_not_there_at_first(tmp_path: Path) -> None:
    """A fleet's machine that starts before its engine loses nothing either."""
    fault = Fault("NATS server away at start", injected=1)

    async def main(server: NatsServer) -> None:
        embedded = with_memory(tmp_path / "outbox.db")
        traffic = Traffic(FallbackStore(NatsStore(server.url), embedded, rest=0.3))
        async with watched(fault):
            began = time.monotonic()
            await traffic.put(5)
            assert time.monotonic() - began < 7.0  # the first has waited, the others have not
            await asyncio.to_thread(server.start)
            await traffic.put(5)
        await traffic.finish(fault)
        assert traffic.failed == []

    server = NatsServer(tmp_path / "nats")
    try:
        asyncio.run(main(server))
    finally:
        server.kill()
    fault.check()


WAITED_FOR = """
version: 1
name: traffic
connections:
  billing: {{kind: http, base_url: "{url}"}}
session:
  user_turn:
    - webhook: {{connection: billing, path: /x, delivery: durable, json: {{n: 1}}}}
      save: ticket
      timeout: 300ms
      on_error: continue
"""


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("kind", ["locked", "NATS away"])
def test_a_step_is_cut_off_while_its_engine_does_not_answer(kind: str, tmp_path: Path) -> None:
    """What a hook waits for in the foreground: its time is up, and its delivery leaves."""
    fault = Fault(f"step cut off, {kind}", injected=size(5, 40))
    path = tmp_path / "outbox.db"
    away = FallbackStore(NatsStore("nats://127.0.0.1:9"), with_memory(path), rest=0.05)
    store = away if kind == "NATS away" else with_memory(path)

    async def main() -> None:
        async with Server() as server:
            config = tmp_path / "waited.yaml"
            config.write_text(WAITED_FOR.format(url=server.url))
            app, runner = Orchestrator.from_file(config, outbox=store), AgentRunner()
            app.attach(runner)
            made = SqliteStore(path)
            await made.count("waiting")
            await made.aclose()
            lock = sqlite3.connect(path, isolation_level=None)
            async with watched(fault):
                if kind == "locked":
                    lock.execute("begin immediate")
                calls = [
                    runner.handle(
                        ScriptBridge(parse_script(script(f"c{n}", 2.0), "t"), PlayOptions())
                    )
                    for n in range(fault.injected)
                ]
                done = await asyncio.gather(*calls)
                if kind == "locked":
                    lock.execute("rollback")
                lock.close()
                fault.survived = sum(ctx.final_state == "ended" for ctx in done)
                end = time.monotonic() + 20
                while len(server.seen) < fault.injected and time.monotonic() < end:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                await app.aclose()
            calls_seen = [entry.headers["webhook-id"] for entry in server.seen]
            assert len(set(calls_seen)) == fault.injected, calls_seen
            fault.count(set(calls_seen), calls_seen)

    asyncio.run(main())
    fault.check()


@pytest.mark.parametrize("kind", ["SQLite", "NATS"])
def test_order_holds_whatever_fails(kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    """With `order`, each call's deliveries leave in their order: two workers, one in ten refused."""
    monkeypatch.setattr("orchestrator.outbox.schedule.SCHEDULE", (0.0, *[0.02] * 7))
    calls, each = size(15, 100), 10
    fault = Fault(f"order with refusals and two workers, {kind}")
    taken: list[str] = []
    refused: set[str] = set()

    async def send(sent: Delivery) -> None:
        await asyncio.sleep(random.random() * 0.003)
        if sent.id not in refused and random.random() < 0.1:
            refused.add(sent.id)
            raise ActionFailed("refused", retryable=True)
        taken.append(sent.id)

    async def main(open_store: Callable[[], OutboxStore]) -> None:
        boxes = [Outbox(send, clock=real_clock(), store=open_store()) for _ in "12"]
        async with watched(fault):
            for number in range(each):
                for call in range(calls):
                    one = Delivery(f"{call}:{number}", "crm", "/", b"", order=f"c{call}")
                    await boxes[number % 2].put(one)
            end = time.monotonic() + 60
            while len(taken) < calls * each and time.monotonic() < end:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        for box in boxes:
            await box.aclose()

    if kind == "SQLite":
        asyncio.run(main(lambda: SqliteStore(tmp_path / "outbox.db")))
    else:
        with NatsServer(tmp_path / "nats") as server:
            asyncio.run(main(lambda: NatsStore(server.url)))
    fault.injected = fault.survived = len(refused)
    fault.count([f"{c}:{n}" for c in range(calls) for n in range(each)], taken)
    for call in range(calls):
        mine = [one.partition(":")[2] for one in taken if one.startswith(f"{call}:")]
        assert mine == [str(number) for number in range(each)]
    fault.check()


CONFIG = """
version: 1
name: traffic
connections:
  billing: {{kind: http, base_url: "{url}"}}
session:
  user_turn:
    - webhook: {{connection: billing, path: "/{version}", json: {{call: "{{{{ call.id }}}}"}}}}
"""


def test_a_broken_file_is_loaded_under_traffic(tmp_path: Path) -> None:
    """The reload is refused, calls go on with the plan they have, and a good file is taken."""
    fault = Fault("reload with a broken file")
    path = tmp_path / "traffic.yaml"
    rounds, calls = size(2, 20), 20

    async def main() -> None:
        async with Server() as server:
            path.write_text(CONFIG.format(url=server.url, version="v0"))
            store = SqliteStore(tmp_path / "outbox.db")
            app, runner = Orchestrator.from_file(path, outbox=store), AgentRunner()
            app.attach(runner)
            number = 0
            async with watched(fault):
                for turn in range(rounds):
                    tasks = []
                    for _ in range(calls):
                        text = script(f"c{number}", 0.2)
                        number += 1
                        bridge = ScriptBridge(parse_script(text, "t"), PlayOptions())
                        tasks.append(asyncio.create_task(runner.handle(bridge)))
                        await asyncio.sleep(0.004)
                    path.write_text("version: 1\nsession: {user_turn: [{webhok: {}}]}\n")
                    with pytest.raises(ConfigError):
                        await app.reload()
                    fault.injected += 1
                    path.write_text(CONFIG.format(url=server.url, version=f"v{turn + 1}"))
                    await app.reload()
                    done = await asyncio.gather(*tasks)
                    fault.survived += all(ctx.final_state == "ended" for ctx in done)
                await app.aclose()
            seen = [entry.json["call"] for entry in server.seen]
            assert {entry.target for entry in server.seen} == {f"/v{n}" for n in range(rounds)}
            fault.count([f"c{n}" for n in range(number)], seen)

    asyncio.run(main())
    fault.check()


def test_the_journal_says_that_a_delivery_is_not_safe(tmp_path: Path) -> None:
    """The step fails in the journal, the call goes on, and the delivery leaves all the same."""
    fault = Fault("outbox path unusable", injected=1)
    (tmp_path / "file").write_text("in the way")
    journals = tmp_path / "journals"

    async def main() -> None:
        async with Server() as server:
            path = tmp_path / "traffic.yaml"
            path.write_text(CONFIG.format(url=server.url, version="v0"))
            unusable = tmp_path / "file" / "outbox.db"
            app = Orchestrator.from_file(path, journals=journals, outbox=unusable)
            runner = AgentRunner()
            app.attach(runner)
            text = script("c1", 0.1)
            ctx = await runner.handle(ScriptBridge(parse_script(text, "t"), PlayOptions()))
            await app.aclose()
            fault.survived = int(ctx.final_state == "ended")
            fault.count(["c1"], [entry.json["call"] for entry in server.seen])

    asyncio.run(main())
    assert "kept in memory, to be sent by this process" in (journals / "c1.jsonl").read_text()
    fault.check()
