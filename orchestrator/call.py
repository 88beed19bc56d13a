"""One call's life: its facts, data, timers and tasks, and the commands that go out on it.

A call owns everything that runs because of it. What is left when it ends is drained for a while,
then cancelled and awaited.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

from orchestrator.commands import command_fields, send_command
from orchestrator.digits import digits_in
from orchestrator.errors import ActionFailed, LineGone, NotSupported, named, words
from orchestrator.facts import CallFacts
from orchestrator.journal import Journal, Redactor
from orchestrator.limits import Limit
from orchestrator.memory import CallMemory
from orchestrator.owned import Tasks, Timers
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
#: Digits of pauses of the recording that one call remembers.
MOST_HEARD = 4_096
#: Events in which digits are given.
_SAYING = frozenset({"user_turn", "agent_turn", "interruption", "dtmf", "tool_call", "tool_result"})


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
        self._recording_timer: asyncio.TimerHandle | None = None
        self._open_redactor: Redactor | None = None

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
        if self._recording_timer is not None:
            self._hear_digits(name, fields)
        self.journal.event(name, fields, origin)
        self._timers.on_event(name)
        if self.watchers:
            self.watchers = [watch for watch in self.watchers if not watch(name, fields)]
        if self._recording_timer is not None and name in ("transfer", "error", "hangup"):
            self._resume_recording_now(name)
        self.floor.on_event(name, fields)
        if name == "hangup":
            self.close("the caller hung up")

    def expect_own(self, name: str) -> None:
        """The next event of this name was emitted by one of our hooks."""
        self._own_events[name] += 1

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

    async def pause_recording(self, reason: str, at_most: float, by: str) -> None:
        """Pause the recording, and see to it that it resumes.

        Digits are hidden from here on, also if the far side refuses or does not answer: the caller
        may give them all the same, and it may have paused.
        """
        if self._recording_timer is not None:
            self._recording_timer.cancel()
        else:
            self._hide_digits(is_on=True)
        loop = asyncio.get_running_loop()
        self._recording_timer = loop.call_later(at_most, self._resume_recording_now, "its limit")
        await self.command(Recording("pause", reason), by)

    async def resume_recording(self, by: str) -> None:
        """Record again; harmless when nothing was paused."""
        if self._recording_timer is not None:
            self._recording_timer.cancel()
            self._recording_timer = None
            self._hide_digits(is_on=False)
        await self.command(Recording("resume"), by)

    def _hide_digits(self, *, is_on: bool) -> None:
        """While a recording is paused, digits go neither into the journal nor the transcript.

        Once it goes on, those that were heard meanwhile do not either.
        """
        journal = self.journal
        journal.flush()  # what came before is shown as it was
        self._open_redactor = self._open_redactor or journal.redactor
        shown = self._open_redactor
        heard = self.facts.heard
        journal.redactor = shown.without_digits() if is_on else shown.without_heard(heard)
        self.facts.hides_digits = is_on

    def _hear_digits(self, name: str, fields: Mapping[str, Any]) -> None:
        """Note digits that were given while the recording is paused: they stay hidden later."""
        if name in _SAYING or name.startswith("custom."):
            self.facts.heard = (self.facts.heard + digits_in(dict(fields)))[-MOST_HEARD:]

    def _resume_recording_now(self, why: str) -> None:
        if self._recording_timer is not None:
            self._recording_timer.cancel()
            self._recording_timer = None
            self._hide_digits(is_on=False)
            self.journal.note("the recording resumes by itself", why=why)
            self.spawn(self._resume_quietly())

    async def _resume_quietly(self) -> None:
        try:
            await self.resume_recording("recording")
        except NotSupported:
            return  # it was never paused
        except ActionFailed as error:
            self.journal.note("the recording could not be resumed", why=words(error))
            extra = {"call_id": self.facts.id, "reason": words(error)}
            logger.error("a paused recording could not be resumed", extra=extra)

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
        if self._recording_timer is not None:
            self._resume_recording_now(why)

    async def drain(self, limit: float = DRAIN_LIMIT) -> None:
        """Wait for background work and tasks, `limit` seconds at most, then cancel the rest."""
        late = await self._tasks.drain(limit)
        if late:
            self.journal.note("background work was cut off", tasks=late, after=limit)
