"""One call's life: its facts, data, timers and tasks, and the commands that go out on it.

A call owns everything that runs because of it. What is left when it ends is drained for a while,
then cancelled and awaited.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.clock import Clock
from orchestrator.durations import parse_duration
from orchestrator.errors import ActionFailed, LineGone
from orchestrator.journal import Journal
from orchestrator.plan import Handler, Plan, Step
from orchestrator.runtime import (
    Command,
    End,
    Filler,
    Inject,
    Interrupt,
    Recording,
    Say,
    SendDigits,
    Transfer,
)
from orchestrator.services import Services
from orchestrator.silence import Floor

__all__ = ["Call", "CallFacts", "Scope", "command_fields", "side_effect_id"]

#: Seconds that background work may still take once the call is over.
DRAIN_LIMIT = 10.0


#: Timers that one call may start: a timer that starts itself must end.
MAX_TIMERS = 10_000


class CallFacts:
    """What is known of a call: `call` in templates, and `ctx.call` for actions."""

    def __init__(self, offer: Any, clock: Clock, *, runtime: str = "native") -> None:
        self.id: str = offer.call_id
        self.session_id: str = offer.session_id or offer.call_id
        self.agent_id: str = offer.agent_id
        self.direction: str = offer.direction
        self.user_number: str = offer.user_number or ""  # withheld: empty
        self.instructions: str = offer.instructions
        self.runtime = runtime
        self.attempt = 1
        self.language: str | None = None
        self.state = "starting"
        self.end_reason: str | None = None
        self.outcome: str | None = None
        self.transcript: list[dict[str, str]] = []
        self.turns = 0
        self.interruptions = 0
        self._clock = clock
        self._began = clock.now()
        self._started = clock.wall()
        self._times: dict[str, deque[float]] = {}

    @property
    def started_at(self) -> str:
        """When the call started: ISO 8601, UTC."""
        return self._started.isoformat(timespec="seconds")

    @property
    def duration(self) -> float:
        """Seconds since the call started."""
        return round(self._clock.now() - self._began, 3)

    def count(self, event: str, within: str | float | None = None) -> int:
        """How often an event happened, in the whole call or in the last `within`."""
        times = self._times.get(event)
        if not times:
            return 0
        if within is None:
            return len(times)
        seconds = parse_duration(within) if isinstance(within, str) else float(within)
        since = self._clock.now() - seconds
        return sum(1 for t in times if t >= since)

    def hour_in(self, span: str, zone: str = "UTC") -> bool:
        """Whether it is now between two times of day, `HH:MM-HH:MM`, in a time zone."""
        start, _, end = span.partition("-")
        now = self._clock.wall().astimezone(_zone(zone)).strftime("%H:%M")
        first, last = _clock_time(start), _clock_time(end)
        return first <= now < last if first <= last else now >= first or now < last

    def weekday_in(self, days: str, zone: str = "UTC") -> bool:
        """Whether today is one of `mon-fri` or `sat,sun` in a time zone."""
        today = self._clock.wall().astimezone(_zone(zone)).weekday()
        return today in _weekdays(days)

    def note_event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Take note of an event that is about to be dispatched."""
        times = self._times.get(name)
        if times is None:
            times = self._times[name] = deque(maxlen=10_000)
        times.append(self._clock.now())
        if name == "user_turn":
            self.turns += 1
            self.language = fields.get("language") or self.language
            self.transcript.append({"who": "caller", "text": fields["text"]})
        elif name == "agent_turn":
            self.transcript.append({"who": "agent", "text": fields["text"]})
        elif name == "interruption":
            self.interruptions += 1


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ActionFailed(f"{name!r} is no time zone; write one such as 'Europe/Berlin'") from None


def _clock_time(text: str) -> str:
    hours, _, minutes = text.strip().partition(":")
    if not (hours.isdigit() and minutes.isdigit() and int(hours) <= 24 and int(minutes) < 60):
        raise ActionFailed(f"{text!r} is no time of day; write HH:MM-HH:MM")
    return f"{int(hours):02}:{int(minutes):02}"


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _weekdays(text: str) -> set[int]:
    days: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.strip().partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise ActionFailed(f"{part!r} is no weekday; write mon-fri or sat,sun")
        start = _DAYS.index(first)
        length = (_DAYS.index(last) - start) % 7 if last else 0
        days.update((start + i) % 7 for i in range(length + 1))
    return days


class Scope:
    """The names that templates of a hook see."""

    __slots__ = ("call", "data", "error", "event", "is_used", "live", "memory", "steps", "vars")

    def __init__(self, live: Call, event: Mapping[str, Any]) -> None:
        self.live = live
        self.event = event
        self.call = live.facts
        self.data = live.data
        self.vars = live.plan.vars
        self.memory = live.services.memory
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


def side_effect_id(call_id: str, key: str, occurrence: int) -> str:
    """The id of a side effect: the same for the same call, step and occurrence, everywhere."""
    digest = hashlib.sha256(f"{call_id}\0{key}\0{occurrence}".encode(errors="replace"))
    return f"msg_{digest.hexdigest()[:32]}"


def command_fields(command: Command) -> dict[str, Any]:
    """The fields of a command that say something, for journals and tests."""
    return {
        field.name: value
        for field in dataclass_fields(command)
        if (value := getattr(command, field.name)) != field.default
    }


#: How each command is asked of a session.
_SEND: Mapping[type[Command], Callable[[Any, Any], Awaitable[None]]] = {
    Say: lambda s, c: s.say(c.text, interruptible=c.interruptible),
    Interrupt: lambda s, c: s.interrupt(),
    End: lambda s, c: s.end(c.reason),
    Transfer: lambda s, c: s.transfer(
        c.target,
        transfer_type=c.kind,
        mode=c.mode,
        announcement=c.announcement,
        answer_within=c.answer_within,
    ),
    Recording: lambda s, c: (
        s.recording.pause(c.reason) if c.change == "pause" else s.recording.resume()
    ),
    Filler: lambda s, c: s.set_filler(c.text),
    SendDigits: lambda s, c: s.send_digits(c.digits),
    Inject: lambda s, c: s.inject(c.note),
}


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
        self.capabilities = capabilities
        self.began = self.clock.now()
        self.random = random.Random(facts.id)  # noqa: S311 - which of several texts to say
        self.runs: dict[str, int] = {}
        self.last_run: dict[str, float] = {}
        self.is_over = False
        self.emit: Callable[[str, dict[str, Any]], None] = _no_events
        self.floor = Floor(
            self.clock, self._log_timer, self.spawn, has_playback="playback" in capabilities
        )
        self.watchers: list[Callable[[str, Mapping[str, Any]], bool]] = []
        self._own_events: Counter[str] = Counter()
        self.timers_started = 0
        self._timers: dict[str, tuple[asyncio.TimerHandle, frozenset[str]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lane: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._lane_task: asyncio.Task[None] | None = None
        self._recording_timer: asyncio.TimerHandle | None = None

    @property
    def t(self) -> float:
        """Seconds into the call."""
        return self.clock.now() - self.began

    def _log_timer(self, name: str, what: str, **details: Any) -> None:
        self.journal.timer(name, what, **details)

    # --- events

    def arrive(self, name: str, fields: Mapping[str, Any]) -> None:
        """An event has arrived: what cannot wait for earlier events happens now."""
        if name in ("call_start", "call_end", "") or (name == "hangup" and self.is_over):
            return
        origin = "hook" if self._own_events[name] > 0 else ""
        self._own_events[name] -= bool(origin)
        self.journal.event(name, fields, origin)
        for timer, (handle, cancel_on) in list(self._timers.items()):
            if name in cancel_on:
                handle.cancel()
                del self._timers[timer]
                self._log_timer(timer, "cancelled", why=name)
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
        self.journal.command(command.name, command_fields(command), by)
        await _SEND[type(command)](self.session, command)
        if isinstance(command, Say):
            self.facts.transcript.append({"who": "agent", "text": command.text})
            self.floor.spoke(command.text)
        elif isinstance(command, Transfer) and "transfer.outcome" in self.capabilities:
            self.floor.transfer_begins()
        elif isinstance(command, End):
            self.facts.end_reason = command.reason

    async def pause_recording(self, reason: str, at_most: float, by: str) -> None:
        """Pause the recording, and see to it that it resumes."""
        await self.command(Recording("pause", reason), by)
        if self._recording_timer is not None:
            self._recording_timer.cancel()
        loop = asyncio.get_running_loop()
        self._recording_timer = loop.call_later(at_most, self._resume_recording_now, "its limit")

    async def resume_recording(self, by: str) -> None:
        """Record again; harmless when nothing was paused."""
        if self._recording_timer is not None:
            self._recording_timer.cancel()
            self._recording_timer = None
        await self.command(Recording("resume"), by)

    def _resume_recording_now(self, why: str) -> None:
        if self._recording_timer is not None:
            self._recording_timer.cancel()
            self._recording_timer = None
            self.journal.note("the recording resumes by itself", why=why)
            self.spawn(self._resume_quietly())

    async def _resume_quietly(self) -> None:
        try:
            await self.resume_recording("recording")
        except ActionFailed as error:
            self.journal.note("the recording could not be resumed", why=str(error))

    # --- timers

    def start_timer(
        self, name: str, after: float, cancel_on: frozenset[str], fire: Callable[[], None]
    ) -> None:
        """Call `fire` after so many seconds; a timer of the same name is restarted."""
        if self.is_over:
            self._log_timer(name, "refused", why="the call is over")
            return
        self.timers_started += 1
        if self.timers_started > MAX_TIMERS:
            raise ActionFailed(f"this call started {MAX_TIMERS:,} timers; is it a loop?")
        self.cancel_timer(name, "started again")

        def on_time() -> None:
            self._timers.pop(name, None)
            self._log_timer(name, "fired")
            fire()

        handle = asyncio.get_running_loop().call_later(after, on_time)
        self._timers[name] = (handle, cancel_on)
        self._log_timer(name, "armed", after=after)

    def cancel_timer(self, name: str, why: str = "cancelled by a hook") -> bool:
        """Cancel a timer or a silence ladder; whether there was one."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer[0].cancel()
            self._log_timer(name, "cancelled", why=why)
        return self.floor.cancel(name, why) or timer is not None

    # --- tasks

    def run_steps(self, scope: Scope, steps: tuple[Step, ...]) -> Coroutine[Any, Any, None]:
        """Run steps outside of any event: of a timer, a ladder or a late outcome."""
        return self._run(self, scope, steps)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that this call owns."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.journal.note("a task of this call failed", why=repr(error))

    def in_background(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run after all earlier background work of this call, off the call's path."""
        self._lane.append(work)
        if self._lane_task is None:
            self._lane_task = self.spawn(self._work_lane())

    async def _work_lane(self) -> None:
        try:
            while self._lane:
                await self._lane.popleft()()
        finally:
            self._lane_task = None

    def close(self, why: str) -> None:
        """The line is gone: timers and ladders end, no more commands go out."""
        if self.is_over:
            return
        self.is_over = True
        self.floor.close(why)
        for name in list(self._timers):
            self.cancel_timer(name, why)
        if self._recording_timer is not None:
            self._resume_recording_now(why)

    async def drain(self, limit: float = DRAIN_LIMIT) -> None:
        """Wait for background work and tasks, `limit` seconds at most, then cancel the rest."""
        deadline = self.clock.now() + limit
        while self._others() and (left := deadline - self.clock.now()) > 0:
            await asyncio.wait(self._others(), timeout=left)
        late = self._others()
        if late:
            self.journal.note("background work was cut off", tasks=len(late), after=limit)
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=1.0)  # a task that ignores this is not waited for

    def _others(self) -> set[asyncio.Task[Any]]:
        return self._tasks - {asyncio.current_task()}
