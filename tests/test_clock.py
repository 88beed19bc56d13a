"""Virtual time: it jumps, it takes the same course each time, and nothing leaves the machine."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.clock import VIRTUAL_START, real_clock, run_virtual, virtual_clock
from orchestrator.errors import InternalError, NotSent


def test_an_hour_takes_no_time() -> None:
    """Sleeping moves the clock, not the day."""

    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    start = time.monotonic()
    assert run_virtual(main()) == 3600
    assert time.monotonic() - start < 5


def test_the_wall_goes_with_the_clock() -> None:
    """Monday noon, unless told otherwise."""

    async def main() -> tuple[datetime, datetime]:
        clock = virtual_clock()
        start = clock.wall()
        await asyncio.sleep(90)
        return start, clock.wall()

    assert run_virtual(main()) == (VIRTUAL_START, VIRTUAL_START + timedelta(seconds=90))


def test_timers_fire_in_the_order_of_their_times() -> None:
    """Whatever the order in which they were set."""
    fired: list[int] = []

    async def main() -> None:
        await asyncio.gather(*(later(n) for n in (3, 1, 2)))

    async def later(seconds: int) -> None:
        await asyncio.sleep(seconds)
        fired.append(seconds)

    run_virtual(main())
    assert fired == [1, 2, 3]


def test_waiting_for_what_cannot_happen_is_told() -> None:
    """A test that would hang says so."""

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(InternalError, match="cannot happen"):
        run_virtual(main())


def test_time_stands_still_while_a_thread_works() -> None:
    """Work in a thread is real and takes no virtual time."""

    async def main() -> float:
        await asyncio.to_thread(time.sleep, 0.01)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 0


def test_sockets_are_refused_in_the_loop_and_in_its_threads() -> None:
    """Whatever library opens them."""

    def dial() -> None:
        with socket.socket() as plug:
            plug.connect(("127.0.0.1", 9))

    async def main() -> None:
        with pytest.raises(NotSent):
            dial()
        with pytest.raises(NotSent):
            await asyncio.to_thread(dial)
        with pytest.raises(NotSent):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)

    run_virtual(main())


def test_sockets_work_again_afterwards() -> None:
    """The guard is for virtual time only."""
    run_virtual(asyncio.sleep(0))
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())


def test_the_real_clock_is_the_loop_s() -> None:
    """Its wall is the time of day in UTC."""

    async def main() -> None:
        clock = real_clock()
        assert not clock.is_virtual
        assert clock.now() == pytest.approx(asyncio.get_running_loop().time(), abs=1)
        assert abs(clock.wall() - datetime.now(UTC)) < timedelta(seconds=5)

    asyncio.run(main())
