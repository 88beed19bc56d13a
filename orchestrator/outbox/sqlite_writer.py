"""One thread that owns the outbox's file: jobs queue for it and share transactions.

A commit waits for the disk, so it must not be made on the event loop; and while one is made, what
arrives meanwhile gathers for the next: the busier it is, the more one commit carries.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestrator.errors import StoreFailed, words
from orchestrator.outbox.sqlite_file import OutboxFile
from orchestrator.threads import Lanes

__all__ = ["Writer"]

T = TypeVar("T")

#: Jobs in one transaction at most.
MOST_JOBS = 500


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None


class Writer:
    """Runs jobs in order. The thread begins with the first job and ends in `aclose`."""

    def __init__(self, file: OutboxFile) -> None:
        self._file = file
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job in a transaction; returns once that is on the disk.

        Raises:
            StoreFailed: it is not; nothing has changed.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        self._jobs.put(job)
        result: T = await job.future
        return result

    async def aclose(self) -> None:
        """Finish the jobs that are queued, and close the file."""
        if self._thread is not None:
            self._jobs.put(None)
            await Lanes(1).run("the end of the outbox", self._thread.join)
            self._thread = None

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = self._take()
            is_open = None not in batch
            jobs = [job for job in batch if job is not None]
            if jobs:
                self._commit(jobs)
                _report(jobs)
                self._file.tidy(is_idle=self._jobs.empty())
        self._file.close()

    def _take(self) -> list[_Job | None]:
        batch = [self._jobs.get()]
        with contextlib.suppress(queue.Empty):
            while len(batch) < MOST_JOBS:
                batch.append(self._jobs.get_nowait())
        return batch

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            database = self._file.begin()
            for job in jobs:
                job.result = _outcome(job, database)
            database.execute("commit")
        except (sqlite3.Error, OSError, StoreFailed) as error:
            self._file.drop_transaction()
            for job in jobs:
                job.result = StoreFailed(f"the outbox file {self._file.path}: {words(error)}")
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for it
            self._file.drop_transaction()
            for job in jobs:
                job.result = error


def _outcome(job: _Job, database: sqlite3.Connection) -> Any:
    try:
        return job.work(database)
    except StoreFailed as error:
        return error  # of this job only; it has written nothing


def _report(jobs: list[_Job]) -> None:
    """Hand the results over; jobs of one loop in one go."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        loops.setdefault(job.loop, []).append(job)
    for loop, its in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(_resolve, its)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if isinstance(job.result, BaseException):
            job.future.set_exception(job.result)
        else:
            job.future.set_result(job.result)
