"""What each fault did: counted by its test, printed as a table at the end of the run."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

#: `FAULTS=full` (`make faults`) plays many; a usual test run plays a few.
IS_FULL = os.environ.get("FAULTS") == "full"
#: Seconds that our own work may hold up an event loop.
MOST_STALL = 0.050


def size(short: int, full: int) -> int:
    return full if IS_FULL else short


@dataclass
class Fault:
    """One line of the table. `deliveries` were acknowledged to whoever put them."""

    name: str
    injected: int = 0
    survived: int = 0
    deliveries: int = 0
    lost: int = 0
    again: int = 0
    doubled: int = 0
    stall: float = 0.0
    lag: float = 0.0
    unknown: list[str] = field(default_factory=list)

    def count(self, stored: Iterable[str], received: Iterable[str]) -> None:
        """Compare what was acknowledged with what came in."""
        seen, expected = Counter(received), set(stored)
        self.deliveries += len(expected)
        self.lost += len(expected - set(seen))
        self.again += sum(number - 1 for number in seen.values())

    def check(self) -> None:
        """Nothing is lost, nothing doubled beyond its one id, and the loop was not held up."""
        TABLE.append(self)
        assert self.survived == self.injected, self
        assert (self.lost, self.doubled) == (0, 0), self
        assert self.stall < MOST_STALL, self


TABLE: list[Fault] = []


@asynccontextmanager
async def watched(fault: Fault) -> AsyncIterator[None]:
    """Measure the loop: `lag` by the clock, `stall` by the CPU time that our own work took in it.

    On a busy machine the clock also counts what others did with the processor.
    """

    async def watch() -> None:
        while True:
            wall, mine = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.002)
            fault.lag = max(fault.lag, time.perf_counter() - wall - 0.002)
            fault.stall = max(fault.stall, time.thread_time() - mine)

    gc.collect()
    gc.freeze()  # what other tests left behind is not our own work
    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        gc.unfreeze()


HEAD = ("fault", "injected", "survived", "deliveries", "lost", "sent again", "doubled",
        "stall ms", "lag ms")  # fmt: skip


def rows() -> list[list[str]]:
    return [
        [f.name, *map(str, (f.injected, f.survived, f.deliveries, f.lost, f.again, f.doubled)),
         f"{f.stall * 1000:.0f}" if f.lag else "-", f"{f.lag * 1000:.0f}" if f.lag else "-"]
        for f in TABLE
    ]  # fmt: skip
