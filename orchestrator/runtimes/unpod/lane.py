"""The lane of one call on the Unpod SDK: its events in order, handled one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.deadline import Cut
from orchestrator.events import Scope, find_event
from orchestrator.runtime import CallEvent
from orchestrator.runtimes.handlers import HandlerTable, Limits, run_handlers
from orchestrator.runtimes.tasks import TaskOwner

__all__ = ["Lane", "Waits"]

#: Seconds that a handler has to clean up once it was cut short.
_CLEANUP = 5.0


@dataclass(frozen=True, slots=True)
class Waits:
    """How long what is waited for, in seconds.

    Attributes:
        hold: the SDK waits for the hooks of one event.
        redial: a failed run is not yet the end of the call; the SDK dials again after 0.2 and 0.4.
        shutdown: what is left of a call may still take when the process goes down.
        drain: live calls may still take after SIGTERM.
    """

    hold: float = 3.0
    redial: float = 1.5
    shutdown: float = 5.0
    drain: float = 8.0


@dataclass(frozen=True, slots=True)
class _Job:
    event: CallEvent
    scope: Scope
    is_last: bool
    done: asyncio.Future[None]


class Lane:
    """A queue of events and the handlers of both scopes; who runs it is its one consumer.

    `ctx` is what the runner's handlers get first. `cut` stops what a handler is waiting for, as a
    hang-up does.
    """

    def __init__(self, ctx: Any, session: HandlerTable, runner: HandlerTable) -> None:
        self.cut = Cut()
        self._ctx = ctx
        self._tables = {"session": session, "runner": runner}
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()
        self._tasks = TaskOwner({"call_id": getattr(ctx, "call_id", "")})

    def put(
        self, event: CallEvent, *, scope: Scope = "session", is_last: bool = False
    ) -> asyncio.Future[None]:
        """Queue an event; the future is done when its handlers are. The `is_last` are not cut."""
        done = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Job(event, scope, is_last, done))
        return done

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Handle events until `is_over` and none is left."""
        while not (is_over() and self._queue.empty()):
            job = await self._queue.get()
            try:
                await self._handle(job)
            finally:
                if not job.done.done():
                    job.done.set_result(None)

    async def _handle(self, job: _Job) -> None:
        name, fields = job.event.name, job.event.fields
        spec = find_event(job.scope, name)
        names = tuple(spec.fields) if spec is not None else ()
        leading = [] if job.scope == "session" else [self._ctx]
        extras = {key: value for key, value in fields.items() if key not in names}
        limits = Limits(_CLEANUP, self._tasks.start, None if job.is_last else self.cut)
        await run_handlers(
            self._tables[job.scope].of(name),
            [*leading, *(fields[key] for key in names)],
            extras,
            limits,
            about={"call_id": self._ctx.call_id, "event": name},
            is_last=job.is_last,
        )

    async def aclose(self) -> None:
        """Cancel and await what handlers left behind."""
        await self._tasks.aclose()
