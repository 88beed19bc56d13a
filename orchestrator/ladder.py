"""One silence ladder: rungs that fire one after another while the caller stays silent.

It holds a deadline and one lazy timer: moving the deadline costs nothing, the timer looks at it
when it fires. Who may speak, and when the clock may run, is the floor's to say (`silence`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from orchestrator.action import LadderOptions
from orchestrator.clock import Clock
from orchestrator.plan import Step

__all__ = ["NOISE_LIMIT", "QUIET", "TICK", "FloorLike", "Ladder", "RunSteps"]

#: Seconds of quiet after noise before the clock goes on.
QUIET = 2.0
#: Seconds that noise may defer one rung in all.
NOISE_LIMIT = 20.0
#: Seconds that a timer may fire early.
TICK = 1e-4

_ENDING_WORDS = frozenset({"end_call", "escalate_transfer"})

RunSteps = Callable[[Step], Coroutine[Any, Any, None]]


class FloorLike(Protocol):
    """What a ladder asks of the floor it stands on."""

    clock: Clock
    log: Callable[..., None]
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    caller_since: float | None
    quiet_since: float | None
    hooks_since: float | None
    is_closed: bool

    @property
    def agent_until(self) -> float:
        """When the agent will have spoken, by estimate."""
        ...

    def busy_with(self) -> str:
        """Why the clock may not run now; empty when it may."""
        ...

    def drop_stuck(self, ladder: str) -> None:
        """Clear flags that nobody cleared in reasonable time; `ladder` is who looks."""
        ...

    def next_drop(self) -> float:
        """When `drop_stuck` should look again."""
        ...


class Ladder:
    """The rungs of one ladder, which of them is next, and its clock."""

    def __init__(
        self,
        floor: FloorLike,
        name: str,
        options: LadderOptions,
        rungs: tuple[Step, ...],
        run: RunSteps,
    ) -> None:
        self.floor = floor
        self.name = name
        self.options = options
        self.rungs = rungs
        self.run = run
        self.rung = 0
        self.rounds = 0
        self.deadline: float | None = None
        self.remaining: float | None = None
        self.paused_for = 0.0
        self.paused_since: float | None = None
        self.grace = 0.0
        self._state = ""
        self._handle: asyncio.TimerHandle | None = None
        self._handle_at = 0.0
        self._task: asyncio.Task[None] | None = None

    # --- what moves it

    def reset(self, fields: Mapping[str, Any]) -> None:
        """The caller said words or pressed a key."""
        if self.is_committed:
            return
        if self.options.reset == "on_user_turn":
            self.rung = 0
            self.rounds = 0
        self.deadline = self.remaining = self.paused_since = None
        self.paused_for = 0.0
        wants_grace = self.options.grace_when is not None and self.options.grace_when(fields)
        self.grace = self.options.grace_for if wants_grace else 0.0
        self.stop_running("the caller spoke")
        self._say("cancelled", why="the caller spoke")

    def stop_running(self, why: str) -> None:
        """Cancel a rung in progress."""
        if self._task is not None and not self.is_committed:
            self._task.cancel()
            self._task = None
            self.floor.log(self.name, "stopped", why=why, rung=self.rung + 1)

    def shift(self, seconds: float) -> None:
        """The clock stood still for so long."""
        if self.deadline is not None:
            self.deadline += seconds

    def update(self) -> None:
        """Bring the clock in line with the floor."""
        if self._task is not None or self.rung >= len(self.rungs):
            return
        busy = self.floor.busy_with()
        if busy and not self.is_committed:
            self._suspend(busy)
        elif self._must_pause():
            self._pause()
        elif self.deadline is not None or self.floor.hooks_since is None:
            self._arm()

    def close(self, why: str) -> None:
        """End for good."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        if self.rung < len(self.rungs):
            self._say("ended", why=why)

    # --- its states

    @property
    def is_committed(self) -> bool:
        """`end: strict`: the goodbye was said, nothing stops the end."""
        is_last = 0 < self.rung == len(self.rungs) - 1
        return (
            self.options.end == "strict"
            and is_last
            and _ends(self.rungs[self.rung])
        )  # fmt: skip

    def _must_pause(self) -> bool:
        floor = self.floor
        if self.is_committed or self._noise_so_far() + TICK >= NOISE_LIMIT:
            return False
        if floor.caller_since is not None:
            return True
        quiet = floor.quiet_since
        return quiet is not None and floor.clock.now() + TICK < quiet + QUIET

    def _noise_so_far(self) -> float:
        now = self.floor.clock.now()
        return self.paused_for + (now - self.paused_since if self.paused_since is not None else 0)

    def _arm(self) -> None:
        now = self.floor.clock.now()
        if self.paused_since is not None:
            self.paused_for += now - self.paused_since
            self.paused_since = None
        if self.deadline is None:
            start = max(now, self.floor.agent_until)
            left = self.remaining if self.remaining is not None else self._rung_time()
            self.deadline, self.remaining = start + left, None
            self._say("armed", after=round(self.deadline - now, 3), rung=self.rung + 1)
        self._look_at(self.deadline)

    def _rung_time(self) -> float:
        if self.rung == 0 and self.grace:
            return self.grace
        own = self.rungs[self.rung].after
        return self.options.after if own is None else own

    def _pause(self) -> None:
        now = self.floor.clock.now()
        if self.deadline is not None:
            self.remaining, self.deadline = max(0.0, self.deadline - now), None
        if self.paused_since is None:
            self.paused_since = now
            left = self.remaining if self.remaining is not None else self._rung_time()
            self._say("paused", why="noise", left=round(left, 3))
        quiet = self.floor.quiet_since
        cap = self.paused_since + NOISE_LIMIT - self.paused_for
        self._look_at(cap if quiet is None else min(cap, quiet + QUIET))

    def _suspend(self, why: str) -> None:
        self.deadline = self.remaining = self.paused_since = None
        self._say("suspended", why=why)
        self._look_at(self.floor.next_drop())

    def _say(self, what: str, **details: Any) -> None:
        state = what + str(details.get("why", ""))
        if what == "armed" or state != self._state:
            self._state = state
            self.floor.log(self.name, what, **details)

    # --- its timer

    def _look_at(self, when: float) -> None:
        if when == float("inf"):
            return
        if self._handle is not None:
            if self._handle_at <= when + TICK:
                return  # it fires early enough and will look again
            self._handle.cancel()
        self._handle_at = when
        self._handle = asyncio.get_running_loop().call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._handle = None
        if self.floor.is_closed:
            return
        now = self.floor.clock.now()
        if self.floor.hooks_since is not None:
            return  # `hooks_end` shifts the deadline and looks again
        self.floor.drop_stuck(self.name)
        if self.deadline is not None and now + TICK >= self.deadline:
            self._fire()
        else:
            self.update()

    def _fire(self) -> None:
        step = self.rungs[self.rung]
        self.deadline = self.remaining = None
        self.paused_for = 0.0
        self._state = ""
        self.floor.log(self.name, "fired", rung=self.rung + 1)
        self._task = self.floor.spawn(self._climb(step))

    async def _climb(self, step: Step) -> None:
        me = asyncio.current_task()
        await self.run(step)
        if self._task is not me:
            return  # cancelled by speech, or replaced, while the step ran
        self._task = None
        self.rung += 1
        if self.rung >= len(self.rungs):
            self.rounds += 1
            if self.options.max is None or self.rounds >= self.options.max:
                self._say("ended", why="the last rung is done")
                return
            self.rung = 0
        self.update()


def _ends(step: Step) -> bool:
    return step.word in _ENDING_WORDS
