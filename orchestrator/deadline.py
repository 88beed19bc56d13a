"""A time limit for awaited work that costs next to nothing while the work does not wait.

The work is driven by hand. If it ends without suspending there is no task and no timer. Once it
suspends, one timer is armed; expiry cancels the surrounding task as `asyncio.timeout` does, and a
cancellation that comes from elsewhere always wins. Work that will not stop is asked twice, GRACE
seconds apart (a clean-up needs a few turns of the loop, and some libraries insist on ending in the
task in which they began), then it is given away and the caller goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from types import CoroutineType
from typing import Any, NoReturn, TypeVar

__all__ = [
    "BLOCKING",
    "GRACE",
    "Cut",
    "Escaped",
    "Rest",
    "SelfCancelled",
    "StepCut",
    "StepTimeout",
    "begun",
    "bounded",
]

T = TypeVar("T")

#: Seconds that work gets to clean up after it was asked to stop, before it is given away.
GRACE = 0.1


#: Seconds in one turn after which work is said to block the event loop, and with it every call.
BLOCKING = 0.1


class StepTimeout(TimeoutError):
    """The work did not end in time; `is_stray` says that it did not stop either.

    A type of its own, because the work may itself raise `TimeoutError` (a socket's, say).
    """

    def __init__(self, message: str, *, is_stray: bool = False) -> None:
        super().__init__(message)
        self.is_stray = is_stray


class StepCut(StepTimeout):
    """The work was stopped early, through its `Cut`."""


class SelfCancelled(Exception):
    """The work awaited something that was cancelled, or raised `CancelledError` by itself."""

    def __str__(self) -> str:
        return "it awaited something that was cancelled"


class Escaped(Exception):
    """The work raised `GeneratorExit`, which from anybody else means that we are being closed."""

    def __str__(self) -> str:
        return "it raised GeneratorExit"


def begun(start: Callable[..., T], *given: Any) -> T:
    """What a function gives, which may be work to wait for.

    Raises:
        Escaped: it raised `GeneratorExit`; all else as it comes.
    """
    try:
        return start(*given)
    except GeneratorExit as error:
        raise Escaped from error


class Cut:
    """A handle to stop one piece of work after another early, from outside: `cut()`.

    It acts on the work that is waiting now; while there is none it does nothing.
    """

    __slots__ = ("_limit",)

    def __init__(self) -> None:
        self._limit: _Limit | None = None

    def __call__(self) -> bool:
        """Ask the work to stop now; False when none is waiting."""
        if self._limit is None:
            return False
        self._limit.cut()
        return True


class Rest(Coroutine[Any, Any, Any], Iterator[Any]):
    """What is left of work that would not stop: run it in a task of your own, and cancel that.

    The first cancellation is one more chance for the work. With the second the task ends, whatever
    the work does: a process can always end.
    """

    __name__ = __qualname__ = "abandoned_work"

    def __init__(self, work: Coroutine[Any, Any, Any], waiting: Any) -> None:
        self._work = work
        self._first = [waiting]
        self._has_been_asked = False

    def send(self, value: Any) -> Any:
        """Go on; at first with what the work was already waiting for."""
        return self._first.pop() if self._first else self._work.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise inside the work, once."""
        self._first.clear()
        if self._has_been_asked:
            self.close()
            raise error[0]
        self._has_been_asked = True
        return self._work.throw(*error)

    def close(self) -> None:
        """End the work at once; work that will not even be closed is let go."""
        with contextlib.suppress(RuntimeError):
            self._work.close()

    def __next__(self) -> Any:
        return self.send(None)

    def __await__(self) -> Any:
        return self


async def bounded(
    work: Awaitable[T],
    seconds: float | None,
    *,
    on_stray: Callable[[Rest], object],
    cut: Cut | None = None,
    grace: float = GRACE,
    on_block: Callable[[float], object] | None = None,
) -> T:
    """The result of `work`, if it comes within `seconds` of its first suspension.

    Args:
        work: a coroutine (driven directly) or any other awaitable.
        seconds: the limit; None for none, so that only `cut` can end the work early.
        on_stray: takes over the rest of work that ignores being cancelled, and owns it from then
            on. Time limits and task groups which such work holds open still belong to this task.
        cut: lets somebody else stop the work early.
        grace: seconds for cleaning up between the first and the second request to stop.
        on_block: told when the work kept the event loop for longer than `BLOCKING` seconds.

    Raises:
        StepTimeout: the limit passed. What the work made of its cancellation is the cause.
        StepCut: `cut()` was called meanwhile.
        SelfCancelled: the work ended as cancelled although nobody had cancelled the task.
        Escaped: the work raised `GeneratorExit`.
        asyncio.CancelledError: the task was cancelled by somebody else, even if also late.
    """
    driven: Any = work if isinstance(work, CoroutineType) else _as_coroutine(work)
    started = time.monotonic()
    try:
        waiting = driven.send(None)
    except StopIteration as done:
        if on_block is not None and (took := time.monotonic() - started) > BLOCKING:
            on_block(took)
        return done.value  # type: ignore[no-any-return]  # StopIteration is not generic
    except asyncio.CancelledError as error:  # nothing was awaited yet that could have brought it
        raise SelfCancelled from error
    except GeneratorExit as error:
        raise Escaped from error
    if on_block is not None:
        if (took := time.monotonic() - started) > BLOCKING:
            on_block(took)
        driven = _Timed(driven, on_block)
    limit = _Limit(seconds, cut, grace)
    answer: BaseException | None = None
    try:
        result = await _driven(driven, waiting, limit)
    except (Exception, asyncio.CancelledError) as error:
        if not limit.asked:
            if isinstance(error, asyncio.CancelledError) and not limit.is_foreign():
                raise SelfCancelled from error
            raise
        answer = error
    finally:
        limit.disarm()
    if limit.asked:
        await _expired(limit, answer, on_stray)
    return result  # type: ignore[no-any-return]  # what the coroutine returned


class _Timed:
    """A coroutine whose turns are timed."""

    __slots__ = ("_on_block", "_work", "close")

    def __init__(self, work: Coroutine[Any, Any, Any], on_block: Callable[[float], object]) -> None:
        self._work = work
        self._on_block = on_block
        self.close = work.close

    def send(self, value: Any) -> Any:
        """One turn."""
        return self._turn(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        """One turn that begins with an exception."""
        return self._turn(self._work.throw, *error)

    def _turn(self, step: Callable[..., Any], *given: Any) -> Any:
        started = time.monotonic()
        try:
            return step(*given)
        finally:
            took = time.monotonic() - started
            if took > BLOCKING:
                self._on_block(took)


async def _as_coroutine(work: Awaitable[T]) -> T:
    return await work


async def _expired(
    limit: _Limit, answer: BaseException | None, on_stray: Callable[[Rest], object]
) -> NoReturn:
    """The work was asked to stop: settle the account, and say so."""
    if limit.asked > limit.delivered:
        await _swallow_request()
    is_foreign = limit.take_back()
    if limit.rest is not None:
        on_stray(limit.rest)
    if is_foreign:
        raise asyncio.CancelledError from answer
    raise limit.verdict() from answer


@types.coroutine
def _driven(work: Coroutine[Any, Any, T], waiting: Any, limit: _Limit) -> Generator[Any, Any, Any]:
    """Pass on what the work waits for until it ends, or until it had its two warnings."""
    is_gated = is_closing = False
    try:
        while limit.delivered < 2:
            is_gated = waiting.__class__ not in _DIRECT and asyncio.isfuture(waiting)
            try:
                value = (yield from limit.gate(waiting)) if is_gated else (yield waiting)
            except GeneratorExit:
                is_closing = True
                work.close()
                raise
            except asyncio.CancelledError as request:
                limit.delivered = limit.asked
                if not is_gated or limit.delivered > 1 or not waiting.cancel(*request.args):
                    waiting = work.throw(request)
            except BaseException as error:  # noqa: BLE001  # passed on, not handled
                waiting = work.throw(error)
            else:
                waiting = work.send(value)
    except StopIteration as done:
        return done.value
    except GeneratorExit as error:
        if is_closing:
            raise
        raise Escaped from error
    limit.rest = Rest(work, waiting)
    return None


#: Futures that end as soon as they are cancelled. A task or a gathering may refuse, so that one
#: is awaited through a gate: otherwise a task that ignores us could hold its waiter for ever.
_DIRECT = (asyncio.Future, types.NoneType)


async def _swallow_request() -> None:
    """Let a request to stop arrive that came while the work was just ending by itself."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


class _Limit:
    """One piece of waiting work: its timer, and how often it was asked to stop."""

    __slots__ = (
        "asked", "baseline", "delivered", "grace", "is_cut", "loop", "rest", "seconds", "slot",
        "task", "timer",
    )  # fmt: skip

    def __init__(self, seconds: float | None, slot: Cut | None, grace: float) -> None:
        self.loop = asyncio.get_running_loop()
        task = asyncio.current_task(self.loop)
        if task is None:
            raise RuntimeError("bounded() must run inside a task")
        self.task = task
        # Not zero by rule: a TaskGroup before us may have leaked a count (python/cpython#116720).
        self.baseline = task.cancelling()
        self.asked = self.delivered = 0
        self.is_cut = False
        self.rest: Rest | None = None
        self.seconds = seconds
        self.grace = grace
        self.slot = slot
        if slot is not None:
            slot._limit = self
        self.timer = None if seconds is None else self.loop.call_later(seconds, self.ask)

    def gate(self, waiting: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """A future that opens when `waiting` is done and that can be cancelled without it."""
        gate: asyncio.Future[Any] = self.loop.create_future()
        waiting._asyncio_future_blocking = False
        waiting.add_done_callback(lambda _: None if gate.done() else gate.set_result(None))
        return gate

    def ask(self) -> None:
        """Cancel the task on our own account, and once more after the grace."""
        self.asked += 1
        self.timer = self.loop.call_later(self.grace, self.ask) if self.asked == 1 else None
        self.task.cancel()

    def cut(self) -> None:
        """Stop before the time, once."""
        if not self.asked:
            self.is_cut = True
            self.disarm()
            self.ask()

    def disarm(self) -> None:
        """The work is over: nothing may ask any more."""
        if self.timer is not None:
            self.timer.cancel()
        if self.slot is not None:
            self.slot._limit = None

    def is_foreign(self) -> bool:
        """Whether somebody cancelled the task since the work began to wait."""
        return self.task.cancelling() > self.baseline

    def take_back(self) -> bool:
        """Undo our own requests; whether one of somebody else's is left."""
        left = self.task.cancelling()
        for _ in range(self.asked):
            left = self.task.uncancel()
        return left > self.baseline

    def verdict(self) -> StepTimeout:
        """What to tell the caller."""
        is_stray = self.rest is not None
        if self.is_cut:
            return StepCut("stopped early", is_stray=is_stray)
        return StepTimeout(f"not done within {self.seconds:g} s", is_stray=is_stray)
