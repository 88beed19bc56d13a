"""What a call owns that runs by itself: tasks, a background lane, timers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from orchestrator.clock import Clock
from orchestrator.errors import ActionFailed

__all__ = ["MAX_TIMERS", "Tasks", "Timers"]

#: Timers that one call may start: a timer that starts itself must end.
MAX_TIMERS = 10_000


class Tasks:
    """Tasks of one owner, and a lane in which work is done one after another.

    `on_failure` is told of a task that raised.
    """

    def __init__(self, clock: Clock, on_failure: Callable[[BaseException], None]) -> None:
        self._clock = clock
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lane: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._lane_task: asyncio.Task[None] | None = None

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in a task of its own."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)

    def in_background(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run after all earlier background work."""
        self._lane.append(work)
        if self._lane_task is None:
            self._lane_task = self.spawn(self._work_lane())

    async def _work_lane(self) -> None:
        try:
            while self._lane:
                await self._lane.popleft()()
        finally:
            self._lane_task = None

    async def drain(self, limit: float) -> int:
        """Wait for all tasks, `limit` seconds at most, then cancel the rest; how many those are."""
        deadline = self._clock.now() + limit
        while self._others() and (left := deadline - self._clock.now()) > 0:
            await asyncio.wait(self._others(), timeout=left)
        late = self._others()
        await self._cancel(late, 1.0)
        await self._cancel(self._others(), 0.1)  # whatever ignored the first request
        return len(late)

    async def _cancel(self, tasks: set[asyncio.Task[Any]], patience: float) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=patience)

    def _others(self) -> set[asyncio.Task[Any]]:
        return {task for task in self._tasks if task is not asyncio.current_task()}


class Timers:
    """Named timers; `log(name, what, **details)` writes to the journal."""

    def __init__(self, log: Callable[..., None]) -> None:
        self._log = log
        self._timers: dict[str, tuple[asyncio.TimerHandle, frozenset[str]]] = {}
        self._started = 0

    def start(
        self, name: str, after: float, cancel_on: frozenset[str], fire: Callable[[], None]
    ) -> None:
        """Call `fire` after so many seconds; a timer of the same name is restarted.

        Raises:
            ActionFailed: too many were started; it must be a loop.
        """
        self._started += 1
        if self._started > MAX_TIMERS:
            raise ActionFailed(f"this call started {MAX_TIMERS:,} timers; is it a loop?")
        self.cancel(name, "started again")

        def on_time() -> None:
            self._timers.pop(name, None)
            self._log(name, "fired")
            fire()

        self._timers[name] = (asyncio.get_running_loop().call_later(after, on_time), cancel_on)
        self._log(name, "armed", after=after)

    def cancel(self, name: str, why: str) -> bool:
        """Cancel a timer; whether there was one."""
        timer = self._timers.pop(name, None)
        if timer is None:
            return False
        timer[0].cancel()
        self._log(name, "cancelled", why=why)
        return True

    def on_event(self, event: str) -> None:
        """Cancel the timers that this event cancels."""
        for name, (_, cancel_on) in list(self._timers.items()):
            if event in cancel_on:
                self.cancel(name, event)

    def close(self, why: str) -> None:
        """Cancel all."""
        for name in list(self._timers):
            self.cancel(name, why)
