"""Work that blocks, in threads of its own: what hangs holds up nothing but its like.

asyncio's default executor is one small pool for all: a few functions that hang, or look-ups of
names that nobody answers, and everything else waits behind them; and the process does not end
before each of its threads has. Here each key (a function, a host) has a lane of its own, and
threads that a process does not wait for at its end.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

__all__ = ["Lanes"]

_log = logging.getLogger("orchestrator")
P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that a thread waits for more work of its lane before it ends.
IDLE = 5.0


class Lanes:
    """Runs functions in threads, at most `width` of each key at a time; others of it wait.

    How many keys there are bounds how many threads: give it functions and hosts of a config, never
    what a caller says.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._lanes: dict[Hashable, _Lane] = {}

    async def run(
        self, key: Hashable, work: Callable[P, T], *given: P.args, **named: P.kwargs
    ) -> T:
        """What a function gives or raises, run in a thread of the key's lane.

        Whoever stops waiting leaves it behind: one that waits is dropped, one that runs goes on.
        """
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(str(key), self._width)
        context = contextvars.copy_context()
        call: Callable[[], T] = partial(context.run, work, *given, **named)
        return await asyncio.get_running_loop().run_in_executor(lane, call)


class _Lane(Executor):
    """Threads of one key. They are daemons: a process that ends does not wait for them."""

    def __init__(self, name: str, width: int) -> None:
        self._name = name
        self._width = width
        self._ready = threading.Condition()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = self._idle = 0
        self._is_full = False

    def submit(self, fn: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """Queue a function."""
        future: Future[Any] = Future()
        with self._ready:
            while self._waiting and self._waiting[0][0].cancelled():  # nobody waits for it
                self._waiting.popleft()
            self._waiting.append((future, partial(fn, *given, **named)))
            if self._idle >= len(self._waiting):
                self._ready.notify()
            elif self._threads < self._width:
                self._threads += 1
                self._idle += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            elif not self._is_full:
                self._is_full = True
                _log.warning("all threads are busy with it", extra={"reason": self._name})
        return future

    def _work(self) -> None:
        while (job := self._next()) is not None:
            tell = _run(*job)
            with self._ready:  # first: whoever hears of it and asks again finds this thread idle
                self._idle += 1
            tell()

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._ready:
            is_there = self._ready.wait_for(lambda: self._waiting, IDLE)
            self._idle -= 1
            if is_there:
                return self._waiting.popleft()
            self._threads -= 1
            self._is_full = False
            return None


def _run(future: Future[T], work: Callable[[], T]) -> Callable[[], None]:
    """Do the work, unless nobody waits for it any more; gives what tells its outcome."""
    if not future.set_running_or_notify_cancel():
        return lambda: None
    try:
        return partial(future.set_result, work())
    except (StopIteration, KeyboardInterrupt) as error:
        # The one cannot be raised where something is awaited; the other is no person's Ctrl-C here,
        # and would end the process.
        told = RuntimeError(f"it raised {type(error).__name__}")
        told.__cause__ = error
        return partial(future.set_exception, told)
    except BaseException as error:  # noqa: BLE001 - raised where it is awaited
        return partial(future.set_exception, error)
