"""The silence clock: who has the floor, and the ladder of steps that silence climbs.

The truth table (docs/design.md, "Silence") in code. `Floor` knows what is going on in a call;
a `Ladder` runs only while the floor is the caller's and nobody uses it:

======================================  ========================================================
what happens                            what the clock does
======================================  ========================================================
agent audio ends, tool ends             arms, with the full time of the present rung
caller's words or digit                 cancels, back to the first rung; waits for the agent
caller's noise begins                   pauses with the time that is left
noise ends                              resumes after 2 s of quiet; pauses last 20 s a rung at most
agent starts to speak, tool starts      suspends
gating hook running                     stands still
held, transferring                      suspends until it is over
voicemail, call over                    ends
======================================  ========================================================

A flag that nobody clears (agent "speaking" for 60 s, an answer not begun within 30 s) is dropped
with a warning. All times are seconds on the clock's `now`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from orchestrator.action import LadderOptions
from orchestrator.clock import Clock
from orchestrator.plan import Step

__all__ = ["ANSWER_LIMIT", "NOISE_LIMIT", "QUIET", "STUCK_LIMIT", "WORDS_PER_SECOND", "Floor"]

#: Seconds of quiet after noise before the clock goes on.
QUIET = 2.0
#: Seconds that noise may defer one rung in all.
NOISE_LIMIT = 20.0
#: Seconds after which an agent still "speaking" is taken for a lost report.
STUCK_LIMIT = 60.0
#: Seconds that the agent may take to begin its answer; real agents pause up to 25 s.
ANSWER_LIMIT = 30.0
#: Speech rate for runtimes that do not report playback: 150 words a minute.
WORDS_PER_SECOND = 2.5

_TICK = 1e-4  # timers may fire this much early
_ENDING_WORDS = frozenset({"end_call", "escalate_transfer"})

Log = Callable[..., None]
Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
RunSteps = Callable[[Step], Coroutine[Any, Any, None]]


class Floor:
    """What is going on in one call, as far as silence is concerned; owns the call's ladders.

    `log(name, what, **details)` writes to the journal; `spawn` makes a task that the call owns.
    """

    def __init__(self, clock: Clock, log: Log, spawn: Spawn, *, has_playback: bool) -> None:
        self.clock = clock
        self.log = log
        self.spawn = spawn
        self.has_playback = has_playback
        self.ladders: dict[str, Ladder] = {}
        self.agent_since: float | None = None
        self.agent_until = 0.0
        self.caller_since: float | None = None
        self.quiet_since: float | None = None
        self.answer_due: float | None = None
        self.tools = 0
        self.hooks_since: float | None = None
        self.is_held = False
        self.is_transferring = False
        self.is_closed = False

    # --- what the runtime reports

    def on_event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Take note of a session event, as it arrives."""
        if self.is_closed:
            return
        report = _REPORTS.get(name)
        if report is not None:
            report(self, fields)
            self._update()

    def _on_state(self, fields: Mapping[str, Any]) -> None:
        state, who = fields.get("state"), fields.get("who", "agent")
        if state == "held":
            self.is_held = True
            return
        self.is_held = False
        if who == "caller":
            self._caller_noise(is_on=state == "speaking")
        elif state == "speaking":
            self._agent_starts()
        elif state == "thinking":
            self._await_answer()
        else:
            self._agent_stops()

    def _on_words(self, fields: Mapping[str, Any]) -> None:
        self.caller_since = self.quiet_since = None
        self._await_answer()
        for ladder in list(self.ladders.values()):
            ladder.reset(fields)

    def _on_agent_turn(self, fields: Mapping[str, Any]) -> None:
        self.answer_due = None
        if self.has_playback:
            if self.agent_since is None:
                self._restart()
        else:
            self.spoke(str(fields.get("text", "")))

    def _on_interruption(self, fields: Mapping[str, Any]) -> None:
        self._agent_stops()
        if self.caller_since is None:
            self.quiet_since = self.clock.now()
        for ladder in list(self.ladders.values()):
            ladder.stop_running("the caller interrupted")

    def _on_tool_call(self, fields: Mapping[str, Any]) -> None:
        self.tools += 1

    def _on_tool_result(self, fields: Mapping[str, Any]) -> None:
        self.tools = max(0, self.tools - 1)
        self._restart()

    def _on_transfer(self, fields: Mapping[str, Any]) -> None:
        self.is_transferring = False
        self._restart()

    def _on_voicemail(self, fields: Mapping[str, Any]) -> None:
        self.close("voicemail")

    def _agent_starts(self) -> None:
        self.agent_since = self.clock.now()
        self.answer_due = None

    def _agent_stops(self) -> None:
        was_speaking = self.agent_since is not None or self.agent_until > self.clock.now()
        self.agent_since, self.agent_until = None, 0.0
        if was_speaking:
            self._restart()

    def _await_answer(self) -> None:
        self.answer_due = self.clock.now() + ANSWER_LIMIT

    def _caller_noise(self, *, is_on: bool) -> None:
        now = self.clock.now()
        if is_on and self.caller_since is None:
            self.caller_since, self.quiet_since = now, None
        elif not is_on and self.caller_since is not None:
            self.caller_since, self.quiet_since = None, now

    # --- what our own side does

    def spoke(self, text: str) -> None:
        """We queued speech. Without playback reports its end is estimated from its words."""
        self.answer_due = None
        if not self.has_playback:
            start = max(self.clock.now(), self.agent_until)
            self.agent_until = start + len(text.split()) / WORDS_PER_SECOND
        self._restart()
        self._update()

    def hooks_begin(self) -> None:
        """The hooks of an event run now: the clock stands still."""
        if self.hooks_since is None:
            self.hooks_since = self.clock.now()

    def hooks_end(self) -> None:
        """They are done."""
        if self.hooks_since is None:
            return
        passed, self.hooks_since = self.clock.now() - self.hooks_since, None
        for ladder in self.ladders.values():
            ladder.shift(passed)
        self._update()

    def transfer_begins(self) -> None:
        """A transfer was taken; its outcome comes as an event."""
        self.is_transferring = True
        self.answer_due = None
        self._update()

    def start(
        self, name: str, options: LadderOptions, rungs: tuple[Step, ...], run: RunSteps
    ) -> None:
        """Start a ladder; one of the same name is replaced."""
        if self.is_closed:
            self.log(name, "refused", why="the call is over or went to voicemail")
            return
        self.cancel(name, "started again")
        self.ladders[name] = Ladder(self, name, options, rungs, run)
        self._update()

    def cancel(self, name: str, why: str = "cancelled by a hook") -> bool:
        """Cancel a ladder; whether it was there."""
        ladder = self.ladders.pop(name, None)
        if ladder is not None:
            ladder.close(why)
        return ladder is not None

    def close(self, why: str) -> None:
        """End every ladder for good."""
        self.is_closed = True
        for name in list(self.ladders):
            self.cancel(name, why)

    # --- the floor

    def busy_with(self) -> str:
        """Why the clock may not run now; empty when the floor is the caller's and free."""
        if self.agent_since is not None:
            return "the agent speaks"
        if self.answer_due is not None:
            return "the agent's answer is awaited"
        if self.tools:
            return "a tool runs"
        if self.is_transferring:
            return "a transfer is on"
        return "the caller is on hold" if self.is_held else ""

    def drop_stuck(self) -> None:
        """Clear flags that nobody cleared in reasonable time."""
        now = self.clock.now()
        if self.agent_since is not None and now + _TICK >= self.agent_since + STUCK_LIMIT:
            self.agent_since = None
            self.log("silence", "warning", why="no report that the agent stopped speaking")
        if self.answer_due is not None and now + _TICK >= self.answer_due:
            self.answer_due = None
            self.log("silence", "warning", why="the agent did not answer")

    def next_drop(self) -> float:
        """When `drop_stuck` should look again; infinite when no such flag is up."""
        stuck = self.agent_since + STUCK_LIMIT if self.agent_since is not None else float("inf")
        return min(stuck, self.answer_due if self.answer_due is not None else float("inf"))

    def _restart(self) -> None:
        for ladder in self.ladders.values():
            if not ladder.is_committed:
                ladder.remaining = ladder.deadline = None

    def _update(self) -> None:
        for ladder in list(self.ladders.values()):
            ladder.update()


_REPORTS: Mapping[str, Callable[[Floor, Mapping[str, Any]], None]] = {
    "state": Floor._on_state,
    "user_turn": Floor._on_words,
    "dtmf": Floor._on_words,
    "agent_turn": Floor._on_agent_turn,
    "interruption": Floor._on_interruption,
    "tool_call": Floor._on_tool_call,
    "tool_result": Floor._on_tool_result,
    "transfer": Floor._on_transfer,
    "voicemail": Floor._on_voicemail,
}


class Ladder:
    """One silence ladder: rungs that fire one after another while the caller stays silent.

    It holds a deadline and one lazy timer: moving the deadline costs nothing, the timer looks at
    it when it fires.
    """

    def __init__(
        self,
        floor: Floor,
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
        if self.is_committed or self._noise_so_far() + _TICK >= NOISE_LIMIT:
            return False
        if floor.caller_since is not None:
            return True
        quiet = floor.quiet_since
        return quiet is not None and floor.clock.now() + _TICK < quiet + QUIET

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
            if self._handle_at <= when + _TICK:
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
        self.floor.drop_stuck()
        if self.deadline is not None and now + _TICK >= self.deadline:
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
