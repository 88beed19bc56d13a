"""The outbox's stores side by side: what a put costs a call, and how much leaves per second.

Paced: a put every 2.5 ms, as busy calls make them. Sustained: 100 puts under way at a time.
Delivered: through the outbox with eight attempts at a time to an endpoint and a receiver that
takes no time, so that the store is what is measured. Body 1 kB, interleaved rounds, medians.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.action import Delivery
from orchestrator.clock import real_clock
from orchestrator.outbox import Limits, Outbox
from orchestrator.outbox.memory import MemoryStore
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.outbox.store import OutboxStore

ROUNDS, PACED, MANY = 3, 400, 2_000
Figures = tuple[float, float, float, float, float]
_numbers = itertools.count()


@contextmanager
def nats_server(folder: Path) -> Iterator[str | None]:
    """A NATS server of our own, where its binary is installed."""
    beside = Path(sys.executable).with_name("nats-server")
    binary = str(beside) if beside.exists() else shutil.which("nats-server")
    if binary is None:
        yield None
        return
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])
    command = [binary, "-js", "-sd", str(folder), "-a", "127.0.0.1", "-p", port]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def delivery(number: int) -> Delivery:
    return Delivery(f"msg_{number}", f"crm{number % 4}", "/calls", b"x" * 1024, config="bench")


async def paced(store: OutboxStore) -> tuple[float, float, float]:
    """Seconds of a put: median and 99th percentile; and the loop's longest stall."""
    times: list[float] = []
    stall = 0.0

    async def watch() -> None:
        nonlocal stall
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.002)
            stall = max(stall, time.perf_counter() - before - 0.002)

    async def one(number: int) -> None:
        before = time.perf_counter()
        await store.put(delivery(number), 9e9)
        times.append(time.perf_counter() - before)

    watcher = asyncio.create_task(watch())
    async with asyncio.TaskGroup() as group:
        for number in range(PACED):
            group.create_task(one(number))
            await asyncio.sleep(0.0025)
    watcher.cancel()
    return statistics.median(times), statistics.quantiles(times, n=100)[98], stall


async def sustained(store: OutboxStore) -> float:
    """Puts per second."""
    numbers = iter(range(10_000, 10_000 + MANY))

    async def work() -> None:
        for number in numbers:
            await store.put(delivery(number), time.time())

    before = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(100)))
    return MANY / (time.perf_counter() - before)


async def delivered(store: OutboxStore) -> float:
    """Deliveries per second of what `sustained` has put."""
    count, over = 0, asyncio.Event()

    async def send(sent: Delivery) -> None:
        nonlocal count
        count += 1
        if count == MANY:
            over.set()

    outbox = Outbox(send, clock=real_clock(), store=store, limits=Limits(8, 32))
    before = time.perf_counter()
    outbox.start()
    await over.wait()
    seconds = time.perf_counter() - before
    await outbox.aclose()
    return MANY / seconds


async def figures(open_store: Callable[[], OutboxStore]) -> Figures:
    store = open_store()
    await store.put(delivery(999_999), 9e9)
    numbers = await paced(store), await sustained(store), await delivered(store)
    return (*numbers[0], *numbers[1:])


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, nats_server(Path(name) / "nats") as url:
        folder = Path(name)
        stores: dict[str, Callable[[], OutboxStore]] = {
            "memory": MemoryStore,
            "SQLite": lambda: SqliteStore(folder / f"{next(_numbers)}.db"),
        }
        if url is not None:
            from orchestrator.outbox.nats import NatsStore

            stores["NATS JetStream"] = lambda: NatsStore(f"{url}/b{next(_numbers)}")
        found: dict[str, list[Figures]] = {name: [] for name in stores}
        for _ in range(ROUNDS):
            for name, open_store in stores.items():
                found[name].append(asyncio.run(figures(open_store)))
    print(f"{'':16} {'put p50':>9} {'p99 ms':>9} {'stall ms':>9} {'puts/s':>9} {'sent/s':>9}")
    for name, rounds in found.items():
        p50, p99, stall, puts, sent = (
            statistics.median(column) for column in zip(*rounds, strict=True)
        )
        times = "".join(f" {value * 1e3:>9.2f}" for value in (p50, p99, stall))
        print(f"{name:16}{times} {puts:>9,.0f} {sent:>9,.0f}")
