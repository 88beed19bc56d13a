"""The silence clock: who has the floor, and the ladder of steps that silence climbs.

The truth table (docs/design.md, "Silence") in code. `Floor` knows what is going on in a call;
a `Ladder` runs only while the floor is the caller's and nobody uses it:

======================================  ========================================================
what happens                            what the clock does
======================================  ========================================================
agent audio ends, tool ends             arms, with the full time of the present rung
caller's words                          cancels, back to the first rung; waits for the agent
caller's key                            cancels, back to the first rung; arms with the full time
caller's noise begins                   pauses with the time that is left
noise ends                              resumes after 2 s of quiet; pauses last 20 s a rung at most
agent starts to speak, tool starts      suspends
gating hook running                     stands still
held, transferring                      suspends until it is over
voicemail, call over                    ends
======================================  ========================================================

A flag that nobody clears (agent "speaking" for 60 s, a tool "running" for 120 s, an answer not
begun within 30 s) is dropped with a warning. All times are seconds on the clock's `now`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from orchestrator.action import LadderOptions
from orchestrator.clock import Clock
from orchestrator.ladder import TICK, Ladder, RunSteps
from orchestrator.plan import Step
from orchestrator.speech import LONGEST_SOUND, Speech

__all__ = ["ANSWER_LIMIT", "STUCK_LIMIT", "TOOL_LIMIT", "Floor"]

#: Seconds after which an agent still "speaking" is taken for a lost report.
STUCK_LIMIT = 60.0
#: Seconds after which a tool still "running" is taken for a lost report.
TOOL_LIMIT = 120.0
#: Seconds that the agent may take to begin its answer; real agents pause up to 25 s.
ANSWER_LIMIT = 30.0

Log = Callable[..., None]
Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


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
        self._speech = Speech()
        self._patience = STUCK_LIMIT  # of an agent that speaks
        self.caller_since: float | None = None
        self.quiet_since: float | None = None
        self.answer_due: float | None = None
        self.tools = 0
        self.tools_since = 0.0
        self._hooks = 0
        self.hooks_since: float | None = None
        self.held_by: set[str] = set()
        self.is_transferring = False
        self.is_closed = False

    @property
    def agent_until(self) -> float:
        """When the agent will have spoken, by estimate; 0 where the runtime reports playback."""
        return self._speech.until

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
            self.held_by.add(who)
            return
        self.held_by.discard(who)
        if who == "caller":
            self._caller_noise(is_on=state == "speaking")
        elif state == "speaking":
            self._agent_starts()
        elif state == "thinking":
            self._await_answer()
        elif fields.get("reply") == "none":
            self._no_answer()
        else:
            self._agent_stops(was_cut=False)

    def _on_words(self, fields: Mapping[str, Any]) -> None:
        if not str(fields.get("text", "")).strip():
            return  # a transcript without words is noise, and its states have told of it
        self.caller_since = self.quiet_since = None
        self._await_answer()
        self._caller_acts(fields)

    def _caller_acts(self, fields: Mapping[str, Any]) -> None:
        """The caller is there. A key is all there is to it: no agent is asked about keys, and who
        presses one may still be talking.
        """
        for ladder in list(self.ladders.values()):
            ladder.reset(fields)

    def _on_agent_turn(self, fields: Mapping[str, Any]) -> None:
        self.answer_due = None
        if self.has_playback or fields.get("interrupted"):
            if self.agent_since is None:
                self._restart()
        else:
            self.spoke(str(fields.get("text", "")))

    def _on_interruption(self, fields: Mapping[str, Any]) -> None:
        self._agent_stops(was_cut=True)
        if self.caller_since is None:
            self.quiet_since = self.clock.now()
        for ladder in list(self.ladders.values()):
            ladder.stop_running("the caller interrupted")

    def _on_tool_call(self, fields: Mapping[str, Any]) -> None:
        self.tools += 1
        self.tools_since = self.clock.now()

    def _on_tool_result(self, fields: Mapping[str, Any]) -> None:
        self.tools = max(0, self.tools - 1)
        self._restart()

    def _on_transfer(self, fields: Mapping[str, Any]) -> None:
        self.is_transferring = False
        if fields.get("outcome") == "answered" and not fields.get("stays"):
            self.close("the caller was transferred")
        self._restart()

    def _on_voicemail(self, fields: Mapping[str, Any]) -> None:
        self.close("voicemail")

    def _agent_starts(self) -> None:
        self.agent_since = self.clock.now()
        self.answer_due = None
        self._speech.began()

    def _agent_stops(self, *, was_cut: bool) -> None:
        """What is queued is cut, or what is first in it is over."""
        now = self.clock.now()
        was_speaking = self.agent_since is not None or self.agent_until > now
        self.agent_since = None
        if was_cut:
            self._speech.dropped()
        else:
            self._speech.ended(now)
        if was_speaking:
            self.answer_due = None  # of words that were spoken into this speech
            self._restart()

    def _await_answer(self) -> None:
        self.answer_due = self.clock.now() + ANSWER_LIMIT

    def _no_answer(self) -> None:
        """The agent has nothing to say to the caller's words: the floor is the caller's again."""
        if self.answer_due is not None:
            self.answer_due = None
            self._restart()

    def _on_error(self, fields: Mapping[str, Any]) -> None:
        if fields.get("source") == "dialog_machine":
            self._no_answer()

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
            self._speech.text(self.clock.now(), text)
            self._speech.text_ends()
        self._restart()
        self._update()

    def played(self, seconds: float | None) -> None:
        """We queued a sound; None when its length is not known."""
        self.answer_due = None
        longest = STUCK_LIMIT + (LONGEST_SOUND if seconds is None else seconds)
        self._patience = max(self._patience, longest)
        if not self.has_playback:
            self._speech.sound(self.clock.now(), seconds)
        self._restart()
        self._update()

    def hooks_begin(self) -> None:
        """The hooks of an event run now: the clock stands still."""
        self._hooks += 1
        if self.hooks_since is None:
            self.hooks_since = self.clock.now()

    def hooks_end(self) -> None:
        """They are done."""
        self._hooks -= 1
        if self.hooks_since is None or self._hooks > 0:
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
        return "the caller is on hold" if self.held_by else ""

    def drop_stuck(self, ladder: str) -> None:
        """Clear flags that nobody cleared in reasonable time; `ladder` is who looks."""
        now = self.clock.now()
        if self.agent_since is not None and now + TICK >= self.agent_since + self._patience:
            self.agent_since = None
            self.log(ladder, "warning", why="no report that the agent stopped speaking")
        if self.answer_due is not None and now + TICK >= self.answer_due:
            self.answer_due = None
            self.log(ladder, "warning", why="the agent did not answer")
        if self.tools and now + TICK >= self.tools_since + TOOL_LIMIT:
            self.tools = 0
            self.log(ladder, "warning", why="no report that a tool ended")

    def next_drop(self) -> float:
        """When `drop_stuck` should look again; infinite when no such flag is up."""
        never = float("inf")
        return min(
            self.agent_since + self._patience if self.agent_since is not None else never,
            self.answer_due if self.answer_due is not None else never,
            self.tools_since + TOOL_LIMIT if self.tools else never,
        )

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
    "dtmf": Floor._caller_acts,
    "agent_turn": Floor._on_agent_turn,
    "interruption": Floor._on_interruption,
    "tool_call": Floor._on_tool_call,
    "tool_result": Floor._on_tool_result,
    "transfer": Floor._on_transfer,
    "voicemail": Floor._on_voicemail,
    "error": Floor._on_error,
}
