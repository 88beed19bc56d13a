"""Receivers that behave badly, and then well."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from orchestrator.action import Delivery
from orchestrator.clock import Clock, real_clock, run_virtual, virtual_clock
from orchestrator.errors import ActionFailed
from orchestrator.outbox import Outbox
from orchestrator.outbox.memory import MemoryStore
from orchestrator.outbox.sqlite import SqliteStore
from tests.engines import free_port
from tests.faults.record import Fault, size, watched
from tests.servers import Opened, Reply, Server

BAD = {
    "hangs": Reply(delay=1.0),
    "resets the connection": Reply(is_reset=True),
    "redirects": Reply(302, headers={"Location": "http://127.0.0.1:9/"}),
    "answers 500": Reply(500),
    "answers 503 with Retry-After": Reply(503, headers={"Retry-After": "1"}),
    "answers 429": Reply(429, headers={"Retry-After": "0"}),
    "cuts its answer to 500 short": Reply(500, b"half", is_cut=True),
}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight attempts within seconds, in real time."""
    monkeypatch.setattr("orchestrator.outbox.schedule.SCHEDULE", (0.0, *[0.1] * 7))
    monkeypatch.setattr("orchestrator.outbox.outbox.ATTEMPT_LIMIT", 0.3)
    monkeypatch.setattr("orchestrator.outbox.breaker.PAUSE", 0.1)
    monkeypatch.setattr("orchestrator.outbox.breaker.LONGEST", 0.1)


def deliveries(count: int) -> list[Delivery]:
    return [Delivery(f"msg_{number}", "crm", "/in", b"{}") for number in range(count)]


async def wait_for(condition: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_receiver_gets_everything_once_it_is_well(name: str) -> None:
    """However it failed, each delivery is taken one time in the end."""
    count = size(8, 60)
    fault = Fault(f"receiver {name}")

    async def main() -> None:
        good = [Reply()] if name != "hangs" else [Reply(delay=0.0)]
        bad = [BAD[name]] * min(count, 8)
        async with Server(*bad, *good) as server, Opened(server.url) as http:
            outbox = Outbox(lambda d: http.send(d, 0.3), clock=real_clock())
            async with watched(fault):
                for one in deliveries(count):
                    await outbox.put(one)

                async def is_done() -> bool:
                    return await outbox.count("done") == count

                await wait_for(is_done)
            await outbox.aclose()
            await asyncio.sleep(BAD[name].delay)  # until the receiver has ended too
            fault.injected = fault.survived = len(bad)
            taken = [entry.headers["webhook-id"] for entry in server.seen]
            fault.count((one.id for one in deliveries(count)), taken)
            assert fault.again >= len(bad)

    asyncio.run(main())
    fault.check()


def test_a_receiver_that_refuses_is_found_when_it_comes() -> None:
    """Nothing listens at first; later everything arrives."""
    count = size(8, 60)
    fault = Fault("receiver refuses connections", injected=1)

    async def main() -> None:
        port, seen = free_port(), []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            seen.append(head.lower().partition("webhook-id: ")[2].partition("\r\n")[0])
            writer.write(b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        async with Opened(f"http://127.0.0.1:{port}") as http, watched(fault):
            outbox = Outbox(lambda d: http.send(d, 0.3), clock=real_clock())
            for one in deliveries(count):
                await outbox.put(one)
            await asyncio.sleep(0.15)
            server = await asyncio.start_server(serve, "127.0.0.1", port)

            async def is_done() -> bool:
                return await outbox.count("done") == count

            await wait_for(is_done)
            await outbox.aclose()
            server.close()
        fault.survived = 1
        fault.count((one.id for one in deliveries(count)), seen)

    asyncio.run(main())
    fault.check()


@pytest.mark.parametrize("kind", ["100 MB", "a byte a second", "compressed 1,000 to 1"])
def test_what_a_receiver_says_after_it_took_a_delivery_is_not_read(kind: str) -> None:
    """A huge, slow or packed body behind a 2xx costs neither memory nor a second attempt."""
    fault = Fault(f"receiver answers with {kind}", injected=1)
    reply = {
        "100 MB": Reply(200, b"x" * 100_000_000),
        "a byte a second": Reply(200, b"y" * 60, drip=1.0),
        "compressed 1,000 to 1": Reply(200, b"\x1f\x8b" * 40_000, {"Content-Encoding": "gzip"}),
    }[kind]

    async def main(url: str) -> None:
        async with Opened(url) as http, watched(fault):
            answer = await http.send(deliveries(1)[0], 5.0)
        assert (answer.status, len(answer.body) <= 65_536) == (200, True)
        fault.survived = 1

    with Elsewhere(reply) as server:
        asyncio.run(main(server.url))
        fault.count(["msg_0"], [entry.headers["webhook-id"] for entry in server.seen])
    fault.check()


class Elsewhere:
    """A server in a thread of its own: what it does is not measured as our own work."""

    def __init__(self, reply: Reply) -> None:
        self.server = Server(reply)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(5)

    def __enter__(self) -> Server:
        self.thread.start()
        self._run(self.server.__aenter__())
        return self.server

    def __exit__(self, *error: object) -> None:
        self._run(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _end(self) -> None:
        await self.server.__aexit__(None, None, None)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_a_receiver_that_is_gone_gets_nothing_more() -> None:
    """After 410 what was meant for it is kept among the dead letters, and redriven by hand."""
    count = size(20, 200)
    fault = Fault("receiver answers 410", injected=1)

    async def main() -> None:
        async with Server(Reply(410)) as server, Opened(server.url) as http:
            outbox = Outbox(lambda d: http.send(d, 0.3), clock=real_clock())
            for one in deliveries(count):
                await outbox.put(one)

            async def is_dead() -> bool:
                return await outbox.count("dead") == count

            await wait_for(is_dead)
            assert len(server.seen) <= 4  # those that were under way at once
            server.replies, server.seen[:] = [Reply()], []
            for one in deliveries(count):
                assert await outbox.redrive(one.id)

            async def is_done() -> bool:
                return await outbox.count("done") == count

            await wait_for(is_done)
            await outbox.aclose()
            fault.survived = 1
            fault.count(
                (one.id for one in deliveries(count)),
                [s.headers["webhook-id"] for s in server.seen],
            )

    asyncio.run(main())
    fault.check()


class _Waits:
    """A store whose thread virtual time waits for."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in ("poll", "lag", "is_durable", "watch"):
            return found

        async def wait(*args: Any) -> Any:
            loop: Any = asyncio.get_running_loop()
            loop.threads_busy += 1
            try:
                return await found(*args)
            finally:
                loop.threads_busy -= 1
                loop.waited = 0.0

        return wait


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real schedule again, in virtual time."""
    monkeypatch.undo()


@pytest.mark.usefixtures("days")
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_receiver_may_be_down_for_a_day(kind: str, tmp_path: Any) -> None:
    """The last attempts come after 24 hours, whatever the jitter; nothing is given up."""
    count, down = size(40, 300), 86_400.0
    fault = Fault(f"receiver down for a day, {kind}", injected=1)
    taken: list[str] = []

    async def send(sent: Delivery) -> None:
        if asyncio.get_running_loop().time() < down:
            raise ActionFailed("connection refused", retryable=True)
        taken.append(sent.id)

    async def main() -> None:
        store: Any = MemoryStore()
        if kind == "sqlite":
            wall = virtual_clock().wall
            store = _Waits(SqliteStore(tmp_path / "o.db", wall=lambda: wall().timestamp()))
            store._store.poll = 600.0  # seconds are looked at one by one else
        outbox = Outbox(send, clock=virtual_clock(), store=store)
        for one in deliveries(count):
            await outbox.put(one)
        await asyncio.sleep(down + 30_000)
        assert await outbox.count("waiting") == await outbox.count("dead") == 0
        await outbox.aclose()

    run_virtual(main())
    fault.survived = 1
    fault.count((one.id for one in deliveries(count)), taken)
    fault.check()


@pytest.mark.usefixtures("days")
@pytest.mark.parametrize("jump", [86_400.0, -86_400.0, 3_600.0, -3_600.0])
def test_a_clock_may_jump(jump: float) -> None:
    """Set forward or back by a day, what waits is sent and not sent twice; calls notice nothing."""
    count = size(20, 100)
    fault = Fault(f"clock jumps {jump / 3600:+.0f} h", injected=1)
    taken: list[str] = []
    shift = [0.0]

    async def send(sent: Delivery) -> None:
        if asyncio.get_running_loop().time() < 120:
            raise ActionFailed("connection refused", retryable=True)
        taken.append(sent.id)

    async def main() -> None:
        from datetime import timedelta

        true = virtual_clock()
        clock = Clock(true.now, lambda: true.wall() + timedelta(seconds=shift[0]), is_virtual=True)
        outbox = Outbox(send, clock=clock)
        for one in deliveries(count):
            await outbox.put(one)
        await asyncio.sleep(100)
        shift[0] = jump
        await asyncio.sleep(4 * 3_600)
        await outbox.aclose()

    run_virtual(main())
    fault.survived = 1
    fault.count((one.id for one in deliveries(count)), taken)
    fault.check()
