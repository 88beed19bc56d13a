"""The owner of tasks: it ends what it started."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from wire import forever, now, virtual

from orchestrator.runtimes.tasks import TaskOwner


@virtual
async def test_closing_cancels_and_awaits_all() -> None:
    """Afterwards nothing runs."""
    owner = TaskOwner()
    tasks = [owner.start(forever()) for _ in range(3)]
    assert len(owner) == 3
    await owner.aclose()
    assert all(task.cancelled() for task in tasks)
    assert len(owner) == 0


@virtual
async def test_an_error_in_a_task_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It is not lost with the task."""

    async def broken() -> None:
        raise RuntimeError("no")

    owner = TaskOwner()
    owner.start(broken())
    assert await owner.join()
    await asyncio.sleep(0)
    assert "background task failed" in caplog.text


@virtual
async def test_a_task_that_will_not_end_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Closing does not wait for it for ever."""

    async def deaf() -> None:
        while now() < 5:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(5)

    owner = TaskOwner()
    owner.start(deaf())
    await asyncio.sleep(0)
    await owner.aclose(1)
    assert "ignore being cancelled" in caplog.text
    assert now() < 2
    await owner.join()
