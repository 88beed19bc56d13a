"""One call's life: its facts, data, timers and tasks, and the commands that go out on it.

A call owns everything that runs because of it. What is left when it ends is drained for a while,
then cancelled and awaited.
"""

from __future__ import annotations

import hashlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

from orchestrator.commands import command_fields, send_command
from orchestrator.errors import ActionFailed, LineGone, named
from orchestrator.facts import CallFacts
from orchestrator.journal import Journal
from orchestrator.limits import Limit
from orchestrator.memory import CallMemory
from orchestrator.owned import Tasks, Timers
from orchestrator.pauses import Pauses
from orchestrator.plan import Handler, Plan, Step
from orchestrator.runtime import (
    Command,
    End,
    Play,
    Recording,
    Say,
    Transfer,
)
from orchestrator.services import Services
from orchestrator.silence import Floor

__all__ = ["Call", "Scope", "side_effect_id"]

logger = logging.getLogger(__name__)

#: Seconds that background work may still take once the call is over.
DRAIN_LIMIT = 10.0
#: `error` events within 10 s that run hooks; with more, it must be the hooks that cause them.
MOST_ERRORS = 10


class Scope:
    """The names that templates of a hook see."""

    __slots__ = ("call", "data", "error", "event", "is_used", "live", "memory", "steps", "vars")

    def __init__(self, live: Call, event: Mapping[str, Any]) -> None:
        self.live = live
        self.event = event
        self.call = live.facts
        self.data = live.data
        self.vars = live.plan.vars
        self.memory = live.memory
        self.steps: dict[str, Any] = {}
        self.error: Mapping[str, Any] | None = None
        self.is_used = False  # by a hook that left results of steps or an error in it

    @property
    def now(self) -> datetime:
        """The time of day, in UTC."""
        return self.live.clock.wall()

    def fork(self, error: Mapping[str, Any] | None = None) -> Scope:
        """The same names with steps (and an error) of their own."""
        scope = Scope(self.live, self.event)
        scope.steps = dict(self.steps)
        scope.error = error if error is not None else self.error
        return scope


def side_effect_id(config: str, call_id: str, key: str, occurrence: int) -> str:
    """The id of a side effect: the same for a config's call, step and occurrence, everywhere.

    Two configs may carry one call, an IVR and the agent that it hands the call to: their steps are
    at the same places, and are not the same.
    """
    digest = hashlib.sha256(repr((config, call_id, key, occurrence)).encode())
    return f"msg_{digest.hexdigest()[:32]}"


RunSteps = Callable[["Call", Scope, tuple[Step, ...]], Coroutine[Any, Any, None]]


def _no_events(name: str, fields: dict[str, Any]) -> None:
    raise ActionFailed(f"{name}: this runtime takes no events of ours")


class Call:
    """One live call under one plan."""

    def __init__(
        self,
        plan: Plan,
        facts: CallFacts,
        session: Any,
        *,
        services: Services,
        journal: Journal,
        capabilities: frozenset[str],
        run: RunSteps,
    ) -> None:
        self.plan = plan
        self._run = run
        self.facts = facts
        self.session = session
        self.data: dict[str, Any] = session.data
        self.services = services
        self.clock = services.clock
        self.journal = journal
        self.memory = CallMemory(services.memory, journal.memory)
        self.capabilities = capabilities
        self.began = self.clock.now()
        self.random = random.Random(facts.id)  # noqa: S311 - which of several texts to say
        self.runs: dict[str, int] = {}
        self.last_run: dict[str, float] = {}
        self.taken: Counter[str] = Counter()
        self.is_over = False
        self.emit: Callable[[str, dict[str, Any]], None] = _no_events
        self._tasks = Tasks(self.clock, self._task_failed)
        self.spawn = self._tasks.spawn
        self.in_background = self._tasks.in_background
        self._timers = Timers(self._log_timer)
        self.floor = Floor(
            self.clock, self._log_timer, self.spawn, has_playback="playback" in capabilities
        )
        self.watchers: list[Callable[[str, Mapping[str, Any]], bool]] = []
        self._own_events: Counter[str] = Counter()
        self._has_many_errors = False
        self.pauses = Pauses(self.command, self.spawn, journal, facts)

    @property
    def t(self) -> float:
        """Seconds into the call."""
        return self.clock.now() - self.began

    def _task_failed(self, error: BaseException) -> None:
        self.journal.note("a task of this call failed", why=named(error))

    def _log_timer(self, name: str, what: str, **details: Any) -> None:
        self.journal.timer(name, what, **details)

    # --- events

    def arrive(self, name: str, fields: Mapping[str, Any]) -> None:
        """An event has arrived: what cannot wait for earlier events happens now."""
        if name in ("call_start", "call_end", "") or (name == "hangup" and self.is_over):
            return
        origin = "hook" if self._own_events[name] > 0 else ""
        self._own_events[name] -= bool(origin)
        self.pauses.hear(name, fields)
        self.journal.event(name, fields, origin)
        self._timers.on_event(name)
        if self.watchers:
            self.watchers = [watch for watch in self.watchers if not watch(name, fields)]
        if name in ("transfer", "error"):
            self.pauses.end(name)
        self.floor.on_event(name, fields)
        if name == "hangup":
            self.close("the caller hung up")

    def expect_own(self, name: str) -> None:
        """The next event of this name was emitted by one of our hooks."""
        self._own_events[name] += 1

    def admits_error(self, fields: Mapping[str, Any]) -> bool:
        """Whether the hooks of an `error` run: what they do may be the cause of the next one.

        A fatal one ends the call, and is the last.
        """
        had_many = self._has_many_errors
        self._has_many_errors = self.facts.has_many("error", MOST_ERRORS, 10.0)
        if self._has_many_errors and not had_many:
            why = f"over {MOST_ERRORS} errors within 10 s"
            self.journal.note("hooks of `error` wait until there are fewer", why=why)
            extra = {"call_id": self.facts.id, "reason": why}
            logger.warning("hooks of `error` wait until there are fewer", extra=extra)
        return not self._has_many_errors or fields.get("severity") == "fatal"

    def occurrence(self, key: str) -> int:
        """Count one more run of a hook or step; its number, from 1."""
        number = self.runs[key] = self.runs.get(key, 0) + 1
        return number

    async def take(self, limit: Limit) -> None:
        """Count one more run of a step of a limited kind, before it does anything.

        Raises:
            LimitReached: it may not run, by the limit for this call or by that for all.
        """
        kind, rate = limit.kind, limit.all_calls
        if limit.per_call is not None and self.taken[kind] >= limit.per_call:
            raise limit.reached("per_call")
        self.taken[kind] += 1  # at once: steps side by side must not both take the last place
        if rate is not None and not await self.services.take(kind, rate):
            self.taken[kind] -= 1
            raise limit.reached("all_calls")

    def may_run(self, handler: Handler) -> str:
        """Why a hook may not run now by its own limits; empty when it may."""
        if handler.max_count is not None and self.runs.get(handler.key, 0) >= handler.max_count:
            return f"max_count {handler.max_count} is reached"
        if handler.cooldown is not None:
            last = self.last_run.get(handler.key)
            now = self.clock.now()
            if last is not None and now < last + handler.cooldown:
                return f"cooldown for another {last + handler.cooldown - now:.3g} s"
            self.last_run[handler.key] = now
        return ""

    # --- commands

    async def command(self, command: Command, by: str = "") -> None:
        """Ask something of the runtime and write it down.

        Raises:
            LineGone: the call is over.
            CommandRefused, NotSupported: the runtime said no.
        """
        if self.is_over and not isinstance(command, Recording):
            raise LineGone(f"{command.name}: the call is over")
        await send_command(self.session, command)
        self.journal.command(command.name, command_fields(command), by)
        if isinstance(command, Say):
            self.facts.add_to_transcript("agent", command.text)
            self.floor.spoke(command.text)
        elif isinstance(command, Play):
            self.floor.played(command.seconds)
        elif isinstance(command, Transfer) and "transfer.outcome" in self.capabilities:
            self.floor.transfer_begins()
        elif isinstance(command, End):
            self.facts.end_reason = command.reason

    # --- timers

    def start_timer(
        self, name: str, after: float, cancel_on: frozenset[str], fire: Callable[[], None]
    ) -> None:
        """Call `fire` after so many seconds; a timer of the same name is restarted."""
        if self.is_over:
            self._log_timer(name, "refused", why="the call is over")
            return
        self.floor.cancel(name, "started again")
        self._timers.start(name, after, cancel_on, fire)

    def cancel_timer(self, name: str, why: str = "cancelled by a hook") -> bool:
        """Cancel a timer or a silence ladder; whether there was one."""
        was_armed = self._timers.cancel(name, why)
        return self.floor.cancel(name, why) or was_armed

    # --- tasks

    def run_steps(self, scope: Scope, steps: tuple[Step, ...]) -> Coroutine[Any, Any, None]:
        """Run steps outside of any event: of a timer, a ladder or a late outcome."""
        return self._run(self, scope, steps)

    def close(self, why: str) -> None:
        """The line is gone: timers and ladders end, no more commands go out."""
        if self.is_over:
            return
        self.is_over = True
        self.floor.close(why)
        self._timers.close(why)
        self.pauses.close(why)

    async def drain(self, limit: float = DRAIN_LIMIT) -> None:
        """Wait for background work and tasks, `limit` seconds at most, then cancel the rest."""
        late = await self._tasks.drain(limit)
        if late:
            self.journal.note("background work was cut off", tasks=late, after=limit)
