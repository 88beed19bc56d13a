"""The time limit: what ends work, who wins, and what becomes of work that will not stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from orchestrator.clock import run_virtual
from orchestrator.deadline import GRACE, Cut, Rest, StepCut, StepTimeout, bounded
from orchestrator.runtimes.handlers import Limits, Registered, run_handlers


class Strays:
    """An owner of abandoned work for tests."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []

    def __call__(self, rest: Rest) -> None:
        self.tasks.append(asyncio.create_task(rest))

    async def aclose(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def refuse(rest: Rest) -> None:
    rest.close()
    raise AssertionError("nothing should be abandoned here")


def now() -> float:
    return asyncio.get_running_loop().time()


def in_virtual_time(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def checked() -> None:
            await test()
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0, "a request to cancel was left behind"
            await asyncio.sleep(0)

        run_virtual(checked())

    run.__doc__ = test.__doc__
    return run


async def forever() -> None:
    await asyncio.Event().wait()


@in_virtual_time
async def test_work_that_never_waits_gives_its_result() -> None:
    """No suspension, no timer, just the value."""

    async def quick() -> int:
        return 7

    assert await bounded(quick(), 1, on_stray=refuse) == 7
    assert now() == 0


@in_virtual_time
async def test_work_in_time_gives_its_result_and_leaves_no_timer() -> None:
    """A limit that was not reached leaves nothing behind in the loop."""
    result = await bounded(asyncio.sleep(0.5, "done"), 1, on_stray=refuse)
    assert (result, now()) == ("done", 0.5)
    await asyncio.sleep(5)


@pytest.mark.parametrize("waits", [True, False])
def test_an_error_of_the_work_passes_unchanged(waits: bool) -> None:
    """What the work raises is what the caller gets, a TimeoutError too."""

    async def main() -> None:
        async def broken() -> None:
            if waits:
                await asyncio.sleep(0.1)
            raise TimeoutError("a socket's")

        with pytest.raises(TimeoutError, match="a socket's") as caught:
            await bounded(broken(), 1, on_stray=refuse)
        assert not isinstance(caught.value, StepTimeout)

    run_virtual(main())


@in_virtual_time
async def test_an_error_of_an_awaited_future_reaches_the_work() -> None:
    """The work may handle it, as under `await`."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.1, future.set_exception, KeyError("x"))

    async def waits() -> str:
        try:
            await future
        except KeyError:
            return "handled"
        return ""

    assert await bounded(waits(), 1, on_stray=refuse) == "handled"


@in_virtual_time
async def test_a_limit_of_zero_still_lets_work_run_that_does_not_wait() -> None:
    """Only the first suspension is too late."""

    async def quick() -> int:
        return 7

    assert await bounded(quick(), 0, on_stray=refuse) == 7
    with pytest.raises(StepTimeout):
        await bounded(forever(), 0, on_stray=refuse)


@in_virtual_time
async def test_hanging_work_is_stopped_at_the_limit() -> None:
    """The caller goes on exactly at the limit when the work lets itself be cancelled."""
    with pytest.raises(StepTimeout, match=r"not done within 1\.5 s") as caught:
        await bounded(forever(), 1.5, on_stray=refuse)
    assert now() == 1.5
    assert not caught.value.is_stray


@in_virtual_time
async def test_clean_up_within_the_grace_ends_in_the_same_task() -> None:
    """A finally block that needs the loop a few times is no reason to abandon the work."""
    tasks: list[Any] = []

    async def tidy() -> None:
        tasks.append(asyncio.current_task())
        try:
            await forever()
        finally:
            await asyncio.sleep(GRACE / 2)
            tasks.append(asyncio.current_task())

    with pytest.raises(StepTimeout):
        await bounded(tidy(), 1, on_stray=refuse)
    assert tasks[0] is tasks[1]
    assert now() == pytest.approx(1 + GRACE / 2)


@in_virtual_time
async def test_work_that_answers_cancellation_with_a_value_is_still_late() -> None:
    """A result that comes only because time was up is no result."""

    async def stubborn() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        return "late"

    with pytest.raises(StepTimeout):
        await bounded(stubborn(), 1, on_stray=refuse)


@in_virtual_time
async def test_work_that_answers_cancellation_with_an_error_is_late_because_of_it() -> None:
    """The error of a failing clean-up is kept as the cause."""

    async def clumsy() -> None:
        try:
            await forever()
        finally:
            raise KeyError("clean-up")

    with pytest.raises(StepTimeout) as caught:
        await bounded(clumsy(), 1, on_stray=refuse)
    assert isinstance(caught.value.__cause__, KeyError)


@in_virtual_time
async def test_work_that_swallows_once_gets_a_second_request() -> None:
    """One swallowed cancellation costs the caller the grace, no more."""

    async def deaf_once() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        await forever()

    with pytest.raises(StepTimeout) as caught:
        await bounded(deaf_once(), 1, on_stray=refuse)
    assert now() == pytest.approx(1 + GRACE)
    assert not caught.value.is_stray


@in_virtual_time
async def test_work_that_swallows_for_ever_is_given_away() -> None:
    """The caller goes on; the work goes on elsewhere until its owner stops it."""
    strays = Strays()
    seen: list[str] = []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(10)
                return seen.append("finished")
            except asyncio.CancelledError:
                seen.append("asked")

    with pytest.raises(StepTimeout) as caught:
        await bounded(deaf(), 1, on_stray=strays)
    assert caught.value.is_stray
    assert now() == pytest.approx(1 + GRACE)
    await asyncio.sleep(11)
    assert seen == ["asked", "asked", "finished"]
    assert strays.tasks[0].done()


@in_virtual_time
async def test_the_owner_can_cancel_abandoned_work_before_it_ran() -> None:
    """A cancellation of the owner's reaches the work itself, not only its wrapper."""
    strays = Strays()
    asked = 0

    async def deaf_twice() -> None:
        nonlocal asked
        for _ in range(3):
            try:
                await forever()
            except asyncio.CancelledError:
                asked += 1

    with pytest.raises(StepTimeout):
        await bounded(deaf_twice(), 1, on_stray=strays)
    await strays.aclose()
    assert asked == 3


@in_virtual_time
async def test_foreign_cancellation_before_the_limit_passes() -> None:
    """A cancellation from outside is not a timeout."""
    task = asyncio.create_task(bounded(forever(), 5, on_stray=refuse))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert now() == 1


@pytest.mark.parametrize("first", ["limit", "foreign"])
def test_foreign_cancellation_at_the_very_moment_of_expiry_wins(first: str) -> None:
    """When both come in the same turn of the loop the outside is obeyed."""

    async def main() -> None:
        async def victim() -> None:
            await bounded(forever(), 1, on_stray=refuse)

        def cancel() -> None:
            task.cancel()

        loop = asyncio.get_running_loop()
        if first == "foreign":
            loop.call_at(1, cancel)
        task = asyncio.create_task(victim())
        await asyncio.sleep(0)
        if first == "limit":
            loop.call_at(1, cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run_virtual(main())


@in_virtual_time
async def test_foreign_cancellation_during_the_grace_wins_over_abandoning() -> None:
    """Work that will not stop is given away, and the cancelled caller stops."""
    strays = Strays()

    async def deaf() -> None:
        for _ in range(4):
            with contextlib.suppress(asyncio.CancelledError):
                await forever()

    task = asyncio.create_task(bounded(deaf(), 1, on_stray=strays))
    await asyncio.sleep(1 + GRACE / 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(strays.tasks) == 1
    await strays.aclose()


@in_virtual_time
async def test_a_task_group_that_fails_inside_raises_its_own_error() -> None:
    """The cancellations that a TaskGroup sends to its parent are not taken for a limit's."""

    async def fails() -> None:
        await asyncio.sleep(0.1)
        raise ValueError("child")

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails())
            await forever()

    with pytest.raises(ExceptionGroup):
        await bounded(group(), 1, on_stray=refuse)


@in_virtual_time
async def test_a_task_group_that_fails_at_the_moment_of_expiry_is_late() -> None:
    """Both at once is a timeout with the group's error as its cause, or the plain timeout."""

    async def fails() -> None:
        await asyncio.sleep(1)
        raise ValueError("child")

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails())
            await forever()

    with pytest.raises((StepTimeout, ExceptionGroup)):
        await bounded(group(), 1, on_stray=refuse)


@in_virtual_time
async def test_a_task_group_is_stopped_with_its_children() -> None:
    """Children of a group inside the work are cancelled and awaited before the caller goes on."""
    ended: list[int] = []

    async def child(number: int) -> None:
        try:
            await forever()
        finally:
            ended.append(number)

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(3):
                tasks.create_task(child(number))

    with pytest.raises(StepTimeout):
        await bounded(group(), 1, on_stray=refuse)
    assert sorted(ended) == [0, 1, 2]
    assert now() == 1


@in_virtual_time
async def test_a_leaked_count_before_does_not_hide_a_timeout() -> None:
    """A task that still counts an old cancellation gets its timeouts all the same."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    with pytest.raises(StepTimeout):
        await bounded(forever(), 1, on_stray=refuse)
    assert task.uncancel() == 0


class Later:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Any:
        return asyncio.sleep(0.2, "later").__await__()


class Finished:
    """An awaitable whose iterator knows neither send nor throw."""

    def __await__(self) -> Any:
        return iter(())


@in_virtual_time
async def test_awaitables_that_are_no_coroutines_are_limited_too() -> None:
    """Futures, tasks and objects with __await__ work as under `await`."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.set_result("future")
    task = asyncio.create_task(asyncio.sleep(0.1, "task"))
    assert await bounded(future, 1, on_stray=refuse) == "future"
    assert await bounded(task, 1, on_stray=refuse) == "task"
    assert await bounded(Later(), 1, on_stray=refuse) == "later"
    assert await bounded(Finished(), 1, on_stray=refuse) is None


@in_virtual_time
async def test_what_cannot_be_awaited_is_a_type_error() -> None:
    """A handler that returns no awaitable is told so by Python's own words."""
    with pytest.raises(TypeError):
        await bounded(3, 1, on_stray=refuse)  # type: ignore[arg-type]


@in_virtual_time
async def test_an_inner_task_is_cancelled_with_the_work() -> None:
    """Work that awaits a task of its own takes that task with it, as under `await`."""
    inner = asyncio.create_task(forever())

    async def waits() -> None:
        await inner

    with pytest.raises(StepTimeout):
        await bounded(waits(), 1, on_stray=refuse)
    assert inner.cancelled()
    assert now() == 1


@in_virtual_time
async def test_an_inner_task_that_ignores_cancellation_does_not_hold_the_caller() -> None:
    """Under `asyncio.timeout` such a task would hold its waiter for ever."""

    async def deaf() -> str:
        while now() < 50:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(50 - now())
        return "at last"

    inner = asyncio.create_task(deaf())

    async def waits() -> None:
        await inner

    with pytest.raises(StepTimeout):
        await bounded(waits(), 1, on_stray=refuse)
    assert now() == pytest.approx(1 + GRACE)
    assert await inner == "at last"


@in_virtual_time
async def test_a_cancelled_inner_task_is_the_work_s_own_affair() -> None:
    """CancelledError that nobody sent to us is the work's own outcome."""
    inner = asyncio.create_task(forever())
    asyncio.get_running_loop().call_later(0.5, inner.cancel)

    async def waits() -> str:
        try:
            await inner
        except asyncio.CancelledError:
            return "seen"
        return ""

    assert await bounded(waits(), 1, on_stray=refuse) == "seen"


@in_virtual_time
async def test_gather_inside_works_and_is_stopped() -> None:
    """A gathering gives its results in time and is cancelled when late."""

    async def both(seconds: float) -> list[float]:
        return await asyncio.gather(asyncio.sleep(0.1, 1.0), asyncio.sleep(seconds, 2.0))

    assert await bounded(both(0.2), 1, on_stray=refuse) == [1.0, 2.0]
    with pytest.raises(StepTimeout):
        await bounded(both(9), 1, on_stray=refuse)


@pytest.mark.parametrize(("outer", "inner"), [(1, 2), (2, 1), (1, 1)])
def test_nested_limits_each_tell_their_own(outer: float, inner: float) -> None:
    """The nearer limit acts; at the same moment the outer one has the word."""

    async def main() -> None:
        seen: list[str] = []

        async def work() -> str:
            try:
                await bounded(forever(), inner, on_stray=refuse)
            except StepTimeout:
                seen.append("inner")
            return "went on"

        try:
            assert await bounded(work(), outer, on_stray=refuse) == "went on"
        except StepTimeout:
            seen.append("outer")
        assert seen == (["inner"] if inner < outer else ["outer"])

    run_virtual(main())


@pytest.mark.parametrize(("limit", "timeout"), [(1, 2), (2, 1), (1, 1)])
def test_a_timeout_of_asyncio_inside_keeps_its_meaning(limit: float, timeout: float) -> None:
    """`asyncio.timeout` within the work ends in a TimeoutError of its own, or in ours."""

    async def main() -> None:
        async def work() -> None:
            async with asyncio.timeout(timeout):
                await forever()

        with pytest.raises(TimeoutError) as caught:
            await bounded(work(), limit, on_stray=refuse)
        assert isinstance(caught.value, StepTimeout) is (limit <= timeout)

    run_virtual(main())


@pytest.mark.parametrize("timeout", [0.5, 1.0])
def test_a_timeout_of_asyncio_around_wins(timeout: float) -> None:
    """Seen from an `asyncio.timeout` around it, ours is one more thing to cancel."""

    async def main() -> None:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(timeout):
                await bounded(forever(), 1, on_stray=refuse)
        assert not isinstance(caught.value, StepTimeout)

    run_virtual(main())


@in_virtual_time
async def test_closing_the_caller_closes_the_work() -> None:
    """A dropped coroutine runs the work's finally blocks and leaves no timer."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await forever()
        finally:
            ended.append("closed")

    limited = bounded(work(), 1, on_stray=refuse)
    limited.send(None)  # type: ignore[attr-defined]  # it is a coroutine
    limited.close()  # type: ignore[attr-defined]
    assert ended == ["closed"]
    await asyncio.sleep(3)


@in_virtual_time
async def test_a_cut_stops_waiting_work_at_once() -> None:
    """Somebody else can end the work before its time, or with no limit at all."""
    cut = Cut()
    asyncio.get_running_loop().call_later(0.3, cut)
    with pytest.raises(StepCut):
        await bounded(forever(), None, on_stray=refuse, cut=cut)
    assert now() == pytest.approx(0.3)
    assert cut() is False


@in_virtual_time
async def test_a_cut_from_within_the_work_leaves_nothing_pending() -> None:
    """Work that cuts itself and then ends does not poison the caller's next await."""
    cut = Cut()

    async def work() -> str:
        await asyncio.sleep(0.1)
        cut()
        return "done"

    with pytest.raises(StepCut):
        await bounded(work(), 1, on_stray=refuse, cut=cut)
    await asyncio.sleep(1)


@in_virtual_time
async def test_a_cut_is_asked_once() -> None:
    """Cutting again does not shorten the grace."""
    cut = Cut()

    async def tidy() -> None:
        try:
            await forever()
        finally:
            cut()
            await asyncio.sleep(GRACE / 2)

    asyncio.get_running_loop().call_later(0.3, cut)
    with pytest.raises(StepCut):
        await bounded(tidy(), 1, on_stray=refuse, cut=cut)
    assert now() == pytest.approx(0.3 + GRACE / 2)


def test_outside_a_task_waiting_is_refused() -> None:
    """Nobody could resume the work there."""

    async def main() -> None:
        done: list[BaseException] = []

        def outside() -> None:
            limited = bounded(asyncio.sleep(1), 1, on_stray=refuse)
            try:
                limited.send(None)  # type: ignore[attr-defined]
            except RuntimeError as error:
                done.append(error)

        asyncio.get_running_loop().call_soon(outside)
        await asyncio.sleep(0.1)
        assert "inside a task" in str(done[0])

    run_virtual(main())


def test_abandoned_work_that_nobody_runs_is_closed_with_its_wrapper() -> None:
    """Closing the rest runs the work's finally blocks; awaiting it goes on with the work."""

    async def main() -> None:
        rests: list[Rest] = []

        async def deaf() -> str:
            for _ in range(2):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(30)
            await asyncio.sleep(2)
            return "awaited"

        with pytest.raises(StepTimeout):
            await bounded(deaf(), 1, on_stray=rests.append)
        assert await rests[0] == "awaited"
        with pytest.raises(StepTimeout):
            await bounded(deaf(), 1, on_stray=rests.append)
        rests[1].close()
        gc.collect()

    run_virtual(main())


@pytest.mark.parametrize("is_async", [True, False])
def test_a_handler_that_raises_generator_exit_is_one_handler_at_fault(is_async: bool) -> None:
    """The next one runs: only who closes us may end us so."""
    ran: list[str] = []

    def at_once() -> Any:
        raise GeneratorExit

    async def later() -> None:
        await asyncio.sleep(0)
        raise GeneratorExit

    async def last() -> None:
        ran.append("last")

    async def main() -> None:
        handlers = [
            Registered(later if is_async else at_once, frozenset(), keeps_deadline=False),
            Registered(last, frozenset(), keeps_deadline=False),
        ]
        await run_handlers(handlers, (), {}, Limits(1.0, lambda rest: None), about={})

    asyncio.run(main())
    assert ran == ["last"]


def test_work_that_is_closed_is_closed() -> None:
    """A `GeneratorExit` from outside passes through."""

    async def work() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        outer = bounded(work(), 5.0, on_stray=lambda rest: None)
        outer.send(None)
        outer.close()

    asyncio.run(main())
