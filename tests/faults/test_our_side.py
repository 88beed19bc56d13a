"""What goes wrong on our side of the wire: variables, restarts, names, clocks, functions that hang."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.action import Delivery
from orchestrator.clock import real_clock
from orchestrator.outbox import Outbox
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.outbox.store import Room
from orchestrator.plan import Plan
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import check_text
from orchestrator.worker import Worker
from tests.faults.record import Fault, size, watched
from tests.kit import script
from tests.servers import Reply, Server
from tests.test_attachment import Lines

CONFIG = """
version: 1
name: ours
connections:
  api: {{kind: http, base_url: "{url}"}}
  dead-0: {{kind: http, base_url: "https://dead-0.test"}}
  dead-1: {{kind: http, base_url: "https://dead-1.test"}}
session:
  call_start:
    - webhook: {{connection: api, path: /x, headers: {{x-key: "${{KEY:-none}}"}}, json: {{}}}}
"""


def plan_for(url: str, variables: Mapping[str, str]) -> Plan:
    checked = check_text(CONFIG.format(url=url))
    assert checked.config is not None
    plan = Orchestrator(checked.config, variables=variables, outbox="memory:").plan
    for prepare in plan.prepare:
        prepare()
    return plan


def delivery(number: int, connection: str = "api", **fields: Any) -> Delivery:
    return Delivery(f"{connection}_{number}", connection, "/x", b"{}", config="ours", **fields)


async def settled(store: SqliteStore, state: Any, count: int, seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while await store.count(state) < count:
        assert time.monotonic() < end, [(e.id, e.state, e.reason) for e in await store.list()]
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.outbox.schedule.SCHEDULE", (0.0, *[0.05] * 60))
    monkeypatch.setattr("orchestrator.outbox.breaker.PAUSE", 0.05)
    monkeypatch.setattr(SqliteStore, "poll", 0.05)


KEYS = ("cnry-new\n", "cnry\x00new", "cnry-new-key")


def test_a_variable_that_does_not_fit_kills_no_backlog(tmp_path: Path) -> None:
    """What waits is neither sent wrong nor given up, and leaves once the variable is mended."""
    count = size(10, 100)
    fault = Fault("variable that does not fit, mended later", injected=1)

    async def main() -> None:
        store = SqliteStore(tmp_path / "o.db")
        async with Server() as server:
            plans = {key: plan_for(server.url, {"KEY": key}) for key in ("cnry-old-key", *KEYS)}
            async with watched(fault):
                await mend(store, server, plans)
        fault.survived = 1
        await store.aclose()

    async def mend(store: SqliteStore, server: Server, plans: Mapping[str, Plan]) -> None:
        for number in range(count):
            whole = delivery(number, headers={"x-key": "cnry-old-key"})
            await store.put(plans["cnry-old-key"].secrecy().conceal(whole), time.time())
        for value in KEYS:
            worker = Worker([plans[value]], SqliteStore(store.path))
            worker.outbox.start()
            if value == "cnry-new-key":
                await settled(store, "done", count)
            else:
                end = time.monotonic() + 20
                is_judged = False
                while not is_judged and time.monotonic() < end:
                    await asyncio.sleep(0.02)
                    entries = await store.list()
                    is_judged = all("with KEY as set now" in entry.reason for entry in entries)
                assert {entry.state for entry in entries} == {"waiting"}
                assert is_judged, entries
                assert "cnry" not in f"{entries}"
                assert not server.seen
            await worker.aclose(0.0)
        assert {seen.headers["x-key"] for seen in server.seen} == {"cnry-new-key"}
        fault.count(
            (f"api_{n}" for n in range(count)), [s.headers["webhook-id"] for s in server.seen]
        )

    asyncio.run(main())
    fault.check()


def test_restarts_use_up_no_attempts(tmp_path: Path) -> None:
    """A receiver hangs while its sender is restarted more often than the schedule has attempts."""
    fault = Fault("restarts while the receiver hangs", injected=size(10, 40))

    async def main() -> None:
        store = SqliteStore(tmp_path / "o.db")
        async with Server(*[Reply(delay=5.0)] * fault.injected, Reply(503), Reply()) as server:
            await store.put(delivery(1), time.time())
            plan = plan_for(server.url, {})
            for number in range(fault.injected):
                worker = Worker([plan], SqliteStore(store.path))
                worker.outbox.start()
                while len(server.seen) <= number:  # noqa: ASYNC110 - the server writes it down
                    await asyncio.sleep(0.005)
                await worker.aclose(0.0)
                (entry,) = await store.list("waiting")
                fault.survived += entry.attempts == 0
            worker = Worker([plan], SqliteStore(store.path))
            worker.outbox.start()
            await settled(store, "done", 1)
            await worker.aclose(0.0)
            fault.count(["api_1"], [seen.headers["webhook-id"] for seen in server.seen])
        await store.aclose()

    asyncio.run(main())
    fault.check()


def test_names_that_nobody_answers_hold_up_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that hangs for some hosts starves neither other endpoints nor the end."""
    over, real, count = threading.Event(), socket.getaddrinfo, size(20, 200)
    fault = Fault("names that nobody answers", injected=40)

    def getaddrinfo(host: str, *given: Any, **named: Any) -> Any:
        if host.startswith("dead"):
            over.wait(30)
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return real(host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def main() -> None:
        store = SqliteStore(tmp_path / "o.db")
        async with Server() as server, watched(fault):
            url = server.url.replace("127.0.0.1", "localhost")
            worker = Worker([plan_for(url, {})], SqliteStore(store.path))
            for number in range(fault.injected):
                await store.put(delivery(number, f"dead-{number % 2}"), time.time())
            worker.outbox.start()
            await asyncio.sleep(0.1)
            for number in range(count):
                await store.put(delivery(number), time.time())
            await settled(store, "done", count)
            began = time.monotonic()
            await worker.aclose(0.0)
            assert time.monotonic() - began < 15.0  # a name's look-up may take 30
            fault.survived = await store.count("waiting")
            fault.count(
                (f"api_{n}" for n in range(count)), [s.headers["webhook-id"] for s in server.seen]
            )
        await store.aclose()

    asyncio.run(main())
    over.set()
    fault.check()


@pytest.mark.parametrize("days", [8, 31, 4_000])
def test_a_jump_of_the_clock_removes_nothing(days: int, tmp_path: Path) -> None:
    """Of a machine that starts with a wrong clock: dead letters stay, known ids stay known."""
    fault = Fault(f"clock {days} days ahead at a start", injected=size(10, 100))

    async def main() -> None:
        path = tmp_path / "o.db"
        store, now = SqliteStore(path), time.time()
        for number in range(fault.injected):
            await store.put(delivery(number), now)
        for entry in await store.claim(now, Room(1_000, 1_000)):
            await (store.dead(entry, "HTTP 400") if entry.id[-1] in "02468" else store.done(entry))
        ahead = SqliteStore(path)
        await ahead.claim(now + days * 86_400.0, Room(1, 1, {"ours:api": 1}))
        await ahead.aclose()
        for number in range(fault.injected):
            fault.survived += not await store.put(delivery(number), now)
        assert await store.count("dead") == fault.injected // 2
        await store.aclose()

    asyncio.run(main())
    fault.check()


HANGING = """
version: 1
session:
  call_start:
    - {python: "tests.endless:sleepy", timeout: 100ms, on_error: continue}
  user_turn:
    - python: "tests.endless:quick"
"""


def test_functions_that_hang_in_threads_harm_no_other() -> None:
    """More of them than any pool has threads; in each call the next function comes back."""
    fault = Fault("plain functions that hang", injected=size(24, 60))
    checked = check_text(HANGING)
    assert checked.config is not None

    async def main() -> list[Lines]:
        sinks = Lines()
        app, runner = Orchestrator(checked.config, journals=sinks, outbox="memory:"), AgentRunner()  # type: ignore[arg-type]
        app.attach(runner)
        events = [{"t": 0.3, "user_turn": "x"}]
        async with watched(fault):
            await asyncio.gather(
                *(
                    runner.handle(
                        ScriptBridge(script(events, {"id": f"c{n}"}), PlayOptions(linger=1.0))
                    )
                    for n in range(fault.injected)
                )
            )
        await app.aclose()
        return [sinks]

    (sink,) = asyncio.run(main())
    steps = [line for line in sink.lines if line.get("step") == "python"]
    fault.survived = sum(line.get("output") == "quick" for line in steps)
    assert sum(line["status"] == "timed_out" for line in steps) == fault.injected
    fault.check()


def test_an_outbox_takes_what_a_talkative_caller_makes_of_a_webhook() -> None:
    """What ends a call is delivered, however much was said in it."""
    fault = Fault("oversized transcripts", injected=size(5, 50))
    text = (
        "version: 1\nsession:\n  user_turn: [{log: x}]\nrunner:\n  call_end:\n"
        "    - webhook: {url: '%s/done', type: call.completed, json: {t: '{{ call.transcript }}'}}\n"
    )

    async def main() -> None:
        async with Server() as server:
            checked = check_text(text % server.url)
            assert checked.config is not None
            app, runner = Orchestrator(checked.config, outbox="memory:"), AgentRunner()
            app.attach(runner)
            events = [{"t": 0, "user_turn": "€" * 120_000}, {"t": 0.01, "user_turn": "x" * 400_000}]
            for number in range(fault.injected):
                bridge = ScriptBridge(
                    script(events, {"id": f"c{number}"}), PlayOptions(linger=0.05)
                )
                await runner.handle(bridge)
            await app.aclose()
            fault.survived = len(server.seen)
            assert all(len(seen.body) <= 262_144 for seen in server.seen)
            ids = [seen.headers["webhook-id"] for seen in server.seen]
            fault.count(set(ids), ids)

    asyncio.run(main())
    fault.check()


def test_an_outbox_that_is_closed_early_gives_back_what_it_began(tmp_path: Path) -> None:
    """Another worker has it at once, as the same attempt."""
    fault = Fault("SIGTERM's cut of an attempt", injected=1)

    async def main() -> None:
        began = asyncio.Event()

        async def hang(_: Delivery) -> None:
            began.set()
            await asyncio.sleep(30)

        store = SqliteStore(tmp_path / "o.db")
        outbox = Outbox(hang, clock=real_clock(), store=SqliteStore(store.path))
        await outbox.put(delivery(1))
        await began.wait()
        await outbox.aclose(0.0)
        (entry,) = await store.claim(time.time(), Room(1))
        fault.survived = entry.attempts
        await store.aclose()

    asyncio.run(main())
    fault.check()
