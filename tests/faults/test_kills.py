"""Processes that are killed at any point, and those that are asked to end."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.action import Delivery
from orchestrator.outbox.store import OutboxStore
from tests.faults.process import open_store
from tests.faults.record import IS_FULL, Fault, size
from tests.servers import Server

CONFIG = """
version: 1
name: phone
connections:
  billing: {kind: http, base_url: "${BILLING_URL}"}
session:
  user_turn:
    - webhook: {connection: billing, path: /turns, json: {call: "{{ call.id }}"}}
runner:
  call_end:
    - webhook: {connection: billing, path: /calls, json: {call: "{{ call.id }}"}}
"""


class Process:
    """A process of `tests.faults.process`, whose lines are read as they come."""

    def __init__(self, kind: str, config: Path, where: str, *ids: str, **environment: str) -> None:
        self.command = [
            sys.executable,
            "-m",
            "tests.faults.process",
            kind,
            str(config),
            where,
            *ids,
        ]
        self.environment = {**os.environ, **environment}
        self.lines: list[dict[str, Any]] = []

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *self.command, env=self.environment, stdout=asyncio.subprocess.PIPE
        )
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def values(self, key: str) -> list[Any]:
        return [line[key] for line in self.lines if key in line]

    async def end(self, number: signal.Signals) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(60):
            code = await self.process.wait()
            await self.reading
        return code


async def until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:  # noqa: ASYNC110 - other processes do it
        await asyncio.sleep(0.005)
    assert condition()


def engines(short: str) -> pytest.MarkDecorator:
    """Both engines; a short run plays the fault with one of them."""
    return pytest.mark.parametrize("kind", ["sqlite", "nats"] if IS_FULL else [short])


@pytest.fixture
def where(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> str:
    """Where the engine is."""
    if kind == "sqlite":
        return str(tmp_path / "outbox.db")
    return f"{request.getfixturevalue('nats').url}/k{random.randrange(10**9)}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "phone.yaml"
    path.write_text(CONFIG)
    return path


def engine(where: str) -> str:
    return "NATS" if where.startswith("nats:") else "SQLite"


async def put_all(store: OutboxStore, count: int) -> list[str]:
    ids = [f"msg_{number}" for number in range(count)]
    sent = [Delivery(one, "billing", "/calls", b"{}", config="phone") for one in ids]
    await asyncio.gather(*(store.put(one, time.time()) for one in sent))
    return ids


def received(server: Server) -> list[str]:
    return [seen.headers["webhook-id"] for seen in server.seen]


async def empty(store: OutboxStore, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while await store.count("waiting") and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


@engines("sqlite")
def test_the_runner_is_killed(config: Path, where: str) -> None:
    """Each call that is dialled again after a kill leaves each of its deliveries under one id."""
    calls = [f"c{number}" for number in range(size(40, 500))]
    fault = Fault(f"kill -9 of the runner, {engine(where)}")

    async def main() -> None:
        async with Server() as server:
            left, kills = list(calls), size(2, 20)
            while left:
                process = Process("phone", config, where, *left, BILLING_URL=server.url)
                await process.start()
                if fault.injected < kills and len(left) > len(calls) // 4:
                    # So few that it is not done with all of them by then.
                    goal = random.randint(1, min(len(left), len(calls) // kills) // 2)
                    await until(lambda p=process, g=goal: len(p.values("ended")) >= g)
                    await asyncio.sleep(random.random() * 0.03)
                    await process.end(signal.SIGKILL)
                    fault.injected += 1
                else:
                    await process.process.wait()
                await process.reading
                ended = set(process.values("ended"))
                left = [one for one in left if one not in ended]
                fault.survived += fault.injected > fault.survived and bool(ended)
                for line in process.lines:
                    fault.stall = max(fault.stall, line.get("stall", 0.0))
                    fault.lag = max(fault.lag, line.get("lag", 0.0))
            worker = Process("work", config, where, BILLING_URL=server.url)
            await worker.start()
            store = open_store(where)
            await empty(store)
            await worker.end(signal.SIGTERM)
            await store.aclose()
            bodies = [(seen.target, seen.json["call"]) for seen in server.seen]
            fault.count((f"{t} {c}" for c in calls for t in ("/turns", "/calls")),
                        (f"{t} {c}" for t, c in bodies))  # fmt: skip
            fault.doubled = len(set(received(server))) - 2 * len(calls)

    asyncio.run(main())
    fault.check()


@engines("nats")
def test_the_worker_is_killed(config: Path, where: str) -> None:
    """What a killed worker held is sent again under the same id; the rest is sent once."""
    count, kills = size(200, 1000), size(2, 10)
    fault = Fault(f"kill -9 of the worker, {engine(where)}")

    async def main() -> None:
        async with Server() as server:
            store = open_store(where)
            ids = await put_all(store, count)
            for number in range(kills + 1):
                worker = Process("work", config, where, BILLING_URL=server.url)
                await worker.start()
                if number < kills:
                    goal = min(count, len(server.seen) + random.randint(1, count // (kills + 1)))
                    await until(lambda g=goal: len(set(received(server))) >= g)
                    await worker.end(signal.SIGKILL)
                    fault.injected += 1
            await empty(store)
            assert await worker.end(signal.SIGTERM) == 0
            fault.stall, fault.lag = worker.values("stall")[-1], worker.values("lag")[-1]
            fault.survived = fault.injected
            fault.count(ids, received(server))
            fault.doubled = len(set(received(server)) - set(ids))
            await store.aclose()

    asyncio.run(main())
    fault.check()


@engines("sqlite")
def test_two_workers_race(config: Path, where: str) -> None:
    """Two workers and what fills the outbox share it; each delivery is sent once."""
    count = size(200, 1000)
    fault = Fault(f"two workers racing, {engine(where)}", injected=1)

    async def main() -> None:
        async with Server() as server:
            store = open_store(where)
            workers = [Process("work", config, where, BILLING_URL=server.url) for _ in range(2)]
            for worker in workers:
                await worker.start()
            await until(lambda: all(worker.values("ready") for worker in workers))
            ids = await put_all(store, count)
            await empty(store)
            for worker in workers:
                assert await worker.end(signal.SIGTERM) == 0
                fault.stall = max(fault.stall, *worker.values("stall"))
                fault.lag = max(fault.lag, *worker.values("lag"))
            fault.count(ids, received(server))
            fault.doubled = fault.again
            fault.survived = 1
            await store.aclose()

    asyncio.run(main())
    fault.check()


@engines("nats")
def test_sigterm_during_calls(config: Path, where: str) -> None:
    """No new call is taken, those that are on end, the outbox is flushed, the exit code is 0."""
    fault = Fault(f"SIGTERM during calls, {engine(where)}")

    async def main() -> None:
        async with Server() as server:
            for number in range(size(1, 5)):
                calls = [f"{number}-{call}" for call in range(40)]
                process = Process(
                    "phone", config, where, *calls, BILLING_URL=server.url, CALL_SECONDS="0.4"
                )
                await process.start()
                await until(lambda p=process: len(p.values("begun")) >= 10)
                fault.injected += 1
                code = await process.end(signal.SIGTERM)
                begun, ended = process.values("begun"), process.values("ended")
                fault.survived += code == 0 and sorted(begun) == sorted(ended) and len(begun) < 40
                assert set(process.values("state")) == {"ended"}
                sent = [(s.target, s.json["call"]) for s in server.seen]
                expected = [("/calls", call) for call in begun]
                mine = [one for one in sent if one in expected]
                fault.count(map(str, expected), map(str, mine))
                fault.stall = max(fault.stall, *process.values("stall"))
                fault.lag = max(fault.lag, *process.values("lag"))

    asyncio.run(main())
    fault.check()
