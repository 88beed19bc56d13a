"""Time as a collaborator: the real clock, and a virtual one that jumps instead of waiting.

In virtual time a call of ten minutes plays in milliseconds, every run takes the same course, and
nothing leaves the machine: sockets are refused. Code under virtual time uses plain asyncio
(`sleep`, `timeout`, `call_at`); only the event loop differs.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from orchestrator.errors import InternalError, NotSent

__all__ = ["VIRTUAL_START", "Clock", "VirtualLoop", "real_clock", "run_virtual", "virtual_clock"]

T = TypeVar("T")

#: The wall time at which virtual calls start unless their script says otherwise: a Monday noon.
VIRTUAL_START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

#: Real seconds that virtual time stands still for a thread.
PATIENCE = 5.0

_OUTSIDE = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"})
_this_thread = threading.local()


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` gives monotonic seconds (the event loop's own), `wall` the aware UTC time of day."""

    now: Callable[[], float]
    wall: Callable[[], datetime]
    is_virtual: bool = False


def real_clock() -> Clock:
    """The clock of an ordinary event loop, whose time is `time.monotonic`."""
    return Clock(time.monotonic, lambda: datetime.now(UTC))


def virtual_clock(start: datetime = VIRTUAL_START) -> Clock:
    """The clock of the running `VirtualLoop`: it is `start` when its time is 0."""
    loop = asyncio.get_running_loop()
    return Clock(loop.time, lambda: start + timedelta(seconds=loop.time()), is_virtual=True)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer as soon as nothing else can run.

    It waits for real only while a thread works, `PATIENCE` seconds at most: time passes for one
    that hangs, so that its deadline comes. When nothing can ever happen again it raises
    `InternalError` instead of hanging.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self.threads_busy = 0
        self.waited = 0.0  # for real, for threads, since one of them ended
        super().__init__(_JumpingSelector(self))
        self.set_default_executor(ThreadPoolExecutor(2))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._seconds

    def jump(self, seconds: float) -> None:
        """Move time forward."""
        self._seconds += seconds

    def run_in_executor(  # type: ignore[override]  # its variadic types say no more than Any here
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        """Run in a thread; time stands still until it is done."""
        future = super().run_in_executor(executor, _without_sockets, func, *args)
        self.waited = self.waited if self.threads_busy else 0.0
        self.threads_busy += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *timeout: Any) -> None:
        """Close the executor. A thread does that too, so time stands still meanwhile."""
        self.threads_busy += 1
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self.threads_busy -= 1

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self.threads_busy -= 1
        self.waited = 0.0


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that never sleeps on a timer: it tells the loop to jump there."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._loop.threads_busy and (timeout is None or self._loop.waited < PATIENCE):
            began = time.monotonic()
            ready = super().select(0.05)
            self._loop.waited += time.monotonic() - began
            return ready
        if timeout is None:
            raise InternalError("virtual time: every task waits for something that cannot happen")
        self._loop.jump(timeout)
        return []


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, with sockets refused.

    Raises:
        InternalError: every task waits for something that cannot happen.
    """
    _install_guard()
    was = getattr(_this_thread, "is_virtual", False)
    try:
        with asyncio.Runner(loop_factory=_virtual_loop) as runner:
            return runner.run(main)
    finally:
        _this_thread.is_virtual = was


def _virtual_loop() -> VirtualLoop:
    loop = VirtualLoop()  # before the guard: a loop makes its own socket pair
    _refuse_sockets()
    return loop


def _refuse_sockets() -> None:
    _this_thread.is_virtual = True


def _without_sockets(work: Callable[..., T], *given: Any) -> T:
    """Run work in a thread that may be used for other loops too."""
    was = getattr(_this_thread, "is_virtual", False)
    _refuse_sockets()
    try:
        return work(*given)
    finally:
        _this_thread.is_virtual = was


def _guard(event: str, args: Any) -> None:
    if event in _OUTSIDE and getattr(_this_thread, "is_virtual", False):
        raise NotSent(f"virtual time: {event} refused, nothing leaves the machine")


_guard_installed = threading.Event()


def _install_guard() -> None:
    """An audit hook sees every socket, whatever library opens it; it cannot be taken out again."""
    if not _guard_installed.is_set():
        _guard_installed.set()
        sys.addaudithook(_guard)
