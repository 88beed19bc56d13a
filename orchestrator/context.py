"""What a running action is given: `ActionContext`, made for one run of one step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.action import (
    Delivery,
    LadderOptions,
    Steps,
)
from orchestrator.call import Call, Scope, side_effect_id
from orchestrator.destinations import check_destination
from orchestrator.plain import plain
from orchestrator.plan import ActionBody, Step
from orchestrator.runtime import (
    OUTCOME_SLACK,
    End,
    Filler,
    Inject,
    Interrupt,
    Play,
    Say,
    SendDigits,
    SetLanguage,
    Transfer,
)

if TYPE_CHECKING:
    import httpx

__all__ = ["StepContext"]

_log = logging.getLogger("orchestrator.actions")
_hooks_log = logging.getLogger("orchestrator.hooks")
#: The note of a transfer that failed after its step was done.
TRANSFER_FAILED = "the transfer failed"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class StepContext:
    """The context of one run of one step; see `orchestrator.action.ActionContext`."""

    __slots__ = ("_id", "_scope", "_step")

    def __init__(self, scope: Scope, step: Step) -> None:
        self._scope = scope
        self._step = step

    @property
    def live(self) -> Call:
        """The call."""
        return self._scope.live

    @property
    def id(self) -> str:
        """The id of this side effect; counted on first use, so that retries share it."""
        try:
            return self._id  # type: ignore[has-type, no-any-return]  # set below
        except AttributeError:
            live, key = self.live, self._step.key
            self._id = side_effect_id(live.plan.name, live.facts.id, key, live.occurrence(key))
            return self._id

    @property
    def call(self) -> Any:
        """What is known of the call."""
        return self.live.facts

    @property
    def event(self) -> Mapping[str, Any]:
        """The fields of the event."""
        return self._scope.event

    @property
    def data(self) -> dict[str, Any]:
        """The call's data, the same dict as `session.data`."""
        return self._scope.data

    @property
    def vars(self) -> Mapping[str, Any]:
        """The config's vars."""
        return self._scope.vars

    @property
    def memory(self) -> Any:
        """Values and counts that outlive a call."""
        return self.live.memory

    @property
    def log(self) -> logging.Logger:
        """A logger; what it gets should be static text with data in `extra`."""
        return _log

    @property
    def http(self) -> httpx.AsyncClient:
        """The shared HTTP client."""
        return self.live.services.http

    @property
    def timeout(self) -> float:
        """Seconds that this step has in all."""
        return self._step.timeout or 30.0

    @property
    def saves(self) -> bool:
        """Whether the step has a `save`."""
        return self._step.save is not None

    @property
    def random(self) -> float:
        """A number in [0, 1), the same in every run of the same call."""
        return self.live.random.random()

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        return self.live.clock.wall()

    def write_log(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        """Write a line of the config's own log, secrets masked."""
        number = _LEVELS[level]
        if not _hooks_log.isEnabledFor(number):
            return
        redact = self.live.journal.redactor.personal
        extra = {
            "call_id": self.live.facts.id,
            "hook_step": self._step.key,
            "fields": redact(plain(dict(fields))),
        }
        _hooks_log.log(number, "%s", redact(message), extra=extra)

    def connection(self, name: str) -> Any:
        """The open connection of this name; `""` is the open web."""
        return self.live.services.connection(name)

    def check_destination(self, number: str, allowed: Sequence[str] = ()) -> str:
        """The number in E.164, if it may be dialled."""
        body = self._step.body
        is_fixed = isinstance(body, ActionBody) and (
            body.has_fixed_destination or number in body.written_numbers
        )
        return check_destination(number, self.live.plan.allow, allowed, is_fixed=is_fixed)

    async def say(self, text: str, *, interruptible: bool = True) -> None:
        """Speak to the caller."""
        await self.live.command(Say(text, interruptible), self._step.key)

    async def interrupt(self) -> None:
        """Stop the agent's speech."""
        await self.live.command(Interrupt(), self._step.key)

    async def end(self, reason: str) -> None:
        """End the call once queued speech was heard."""
        await self.live.command(End(reason), self._step.key)

    async def transfer(
        self, kind: Literal["number", "queue", "agent"], target: str, **options: Any
    ) -> None:
        """Ask for a transfer; a bad outcome later runs the step's `on_error` steps."""
        command = Transfer(kind, target, **options)
        await self.live.command(command, self._step.key)
        if "transfer.outcome" in self.live.capabilities:
            self._watch_outcome(command)
        else:
            self.live.journal.note("this runtime reports no transfer outcome")

    def _watch_outcome(self, command: Transfer) -> None:
        """Judge the transfer by the `transfer` event, or by its absence."""
        live, timer = self.live, f"outcome of {self._step.key}"

        def on_event(name: str, fields: Mapping[str, Any]) -> bool:
            if name != "transfer":
                return False
            live.cancel_timer(timer, "the outcome came")
            live.facts.outcome = str(fields.get("outcome"))
            if fields.get("outcome") != "answered":
                self._fail_later(f"transfer to {command.target}: {fields.get('outcome')}")
            return True

        def on_silence() -> None:
            if on_event in live.watchers:
                live.watchers.remove(on_event)
                live.floor.on_event("transfer", {})
                self._fail_later(f"transfer to {command.target}: no outcome was reported")

        live.watchers.append(on_event)
        limit = command.answer_within + getattr(live.session, "outcome_slack", OUTCOME_SLACK)
        live.start_timer(timer, limit, frozenset(), on_silence)

    def _fail_later(self, message: str) -> None:
        steps = self._step.on_error
        self.live.journal.note(TRANSFER_FAILED, at=self._step.key, why=message)
        if steps:
            error = {"message": message, "step": self._step.id or self._step.word}
            self.live.spawn(self.live.run_steps(self._scope.fork(error), steps))

    async def pause_recording(self, reason: str, *, at_most: float) -> None:
        """Pause; the recording resumes by itself after `at_most` seconds."""
        await self.live.pauses.pause(reason, at_most, self._step.key)

    async def resume_recording(self) -> None:
        """Record again."""
        await self.live.pauses.resume(self._step.key)

    async def set_filler(self, text: str) -> None:
        """What to say while the agent thinks."""
        await self.live.command(Filler(text), self._step.key)

    async def send_digits(self, digits: str) -> None:
        """Send key tones."""
        await self.live.command(SendDigits(digits), self._step.key)

    async def set_language(self, speech: str, transcription: str) -> None:
        """Speak and listen in other languages."""
        await self.live.command(SetLanguage(speech, transcription), self._step.key)

    async def play(
        self,
        source: str,
        *,
        loop: int = 1,
        interruptible: bool = True,
        lasts: float | None = None,
    ) -> None:
        """Play a sound."""
        await self.live.command(Play(source, loop, interruptible, lasts), self._step.key)

    async def inject(self, note: str) -> None:
        """A note to the dialog machine."""
        await self.live.command(Inject(note), self._step.key)

    async def emit(self, event: str, fields: Mapping[str, Any]) -> None:
        """Fire a custom event; its hooks run after those of the present event."""
        self.live.emit(event, dict(fields))

    async def deliver(self, delivery: Delivery) -> None:
        """Hand over what must leave the process; returns once it is stored."""
        await self.live.services.deliver(delivery)

    async def in_thread(self, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """What a plain function gives, run in a thread."""
        return await self.live.services.in_thread(function, *given, **named)

    def start_timer(
        self, name: str, after: float, steps: Steps, *, cancel_on: Sequence[str] = ()
    ) -> None:
        """Run steps after a time."""
        live, scope = self.live, self._scope.fork()

        def fire() -> None:
            live.spawn(live.run_steps(scope, tuple(steps)))

        live.start_timer(name, after, frozenset(cancel_on), fire)

    def cancel_timer(self, name: str) -> bool:
        """Cancel a timer or a silence ladder; whether it was there."""
        return self.live.cancel_timer(name)

    def start_ladder(self, name: str, options: LadderOptions, steps: Steps) -> None:
        """Start the silence clock on these steps."""
        live, scope = self.live, self._scope.fork()

        async def run(step: Step) -> None:
            await live.run_steps(scope, (step,))

        live.floor.start(name, options, tuple(steps), run)
