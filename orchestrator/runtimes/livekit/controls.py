"""What a call on LiveKit can be asked to do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orchestrator.errors import CommandRefused
from orchestrator.runtime import Command, End, Inject, Interrupt, Say, SendDigits, Transfer
from orchestrator.runtimes.callbacks import CallbackBridge
from orchestrator.runtimes.livekit.caller import Caller
from orchestrator.runtimes.livekit.events import outcome_of, tone_code

__all__ = ["Agents", "LiveKitControls"]

#: Speech of ours that is remembered, to tell it from the agent's turns.
_MAX_SPEECH = 200
#: Seconds that a `w` among key tones waits.
_PAUSE = 0.5

#: Who can be handed over to: what makes the agent, by name.
Agents = Mapping[str, Callable[[], Any]]


class LiveKitControls:
    """Commands to one `AgentSession` and its room.

    Attributes:
        cut: the speech that we interrupted ourselves.
        deletes_room: we ended the call, so that the room is to go too.
    """

    def __init__(
        self, line: CallbackBridge, session: Any, job: Any, caller: Caller, agents: Agents
    ) -> None:
        self.cut: Any = None
        self.deletes_room = False
        self._line = line
        self._session = session
        self._job = job
        self._caller = caller
        self._agents = agents
        self._spoken: deque[Any] = deque(maxlen=_MAX_SPEECH)
        self._notes: list[Any] = []
        self._drain: asyncio.TimerHandle | None = None

    async def act(self, command: Command) -> None:
        """Do what a command says."""
        await _ACTS[type(command)](self, command)

    # --- what was done, for whoever watches the session

    def is_ours(self, item: Any) -> bool:
        """Whether an item of the conversation is something that a hook said."""
        return any(item in handle.chat_items for handle in self._spoken)

    def take_injected(self) -> list[Any]:
        """Messages with the notes that came since the last reply."""
        notes, self._notes = self._notes, []
        return notes

    def session_closed(self) -> None:
        """The session has closed: if we asked for it, what was queued has been heard."""
        if self._drain is not None:
            self._drain.cancel()
            self._end_job()

    # --- the commands

    async def _say(self, command: Say) -> None:
        options = {} if command.interruptible else {"allow_interruptions": False}
        self._spoken.append(self._session.say(command.text, **options))

    async def _interrupt(self, _: Interrupt) -> None:
        self.cut = self._session.current_speech
        await self._session.interrupt()

    async def _inject(self, command: Inject) -> None:
        agent = self._session.current_agent
        context = agent.chat_ctx.copy()
        message = context.add_message(role="system", content=command.note)
        await agent.update_chat_ctx(context)
        self._notes.append(message)

    async def _send_digits(self, command: SendDigits) -> None:
        if self._job is None or self._job.is_fake_job():
            raise CommandRefused("this call has no room to send keys to")
        work = _play(self._job.room.local_participant, command.digits)
        if "w" in command.digits.lower():  # longer than a step may take
            self._line.tasks.start(work)
        else:
            await work

    async def _end(self, _: End) -> None:
        self._line.was_ended = self._line.is_ending = self.deletes_room = True
        self._session.shutdown(drain=True)
        loop = asyncio.get_running_loop()
        self._drain = loop.call_later(self._line.waits.drain, self._end_job)

    def _end_job(self) -> None:
        """The goodbye was heard, or took too long: the job's shutdown deletes the room."""
        if self._job is not None:
            self._job.shutdown("call ended")

    async def _transfer(self, command: Transfer) -> None:
        if command.kind == "agent":
            self._hand_over(command.target)
        else:
            caller = self._caller.identity()
            self._line.tasks.start(self._refer(caller, command))

    def _hand_over(self, name: str) -> None:
        make = self._agents.get(name)
        if make is None:
            known = ", ".join(sorted(self._agents)) or "none"
            raise CommandRefused(f"there is no agent {name!r}; known: {known}")
        self._session.update_agent(make())
        self._line.put("transfer", outcome="answered", target=name, stays=True)

    async def _refer(self, caller: str, command: Transfer) -> None:
        await self._until_heard()
        number = command.target
        target = number if ":" in number else f"tel:{number}"
        try:
            async with asyncio.timeout(command.answer_within):
                await self._job.transfer_sip_participant(caller, target)
            outcome = "answered"
        except TimeoutError:
            outcome = "no_answer"
        except Exception as error:  # noqa: BLE001 - whatever the server says is the outcome
            outcome = outcome_of(error)
            status = getattr(error, "sip_status_code", None)
            self._line.note("the transfer failed", sip_status=status, why=type(error).__name__)
        self._line.put("transfer", outcome=outcome, target=number)

    async def _until_heard(self) -> None:
        """Wait until what was queued has been heard."""
        waiting = [handle for handle in self._spoken if not handle.done()]
        async with asyncio.TaskGroup() as group:
            for handle in waiting:
                group.create_task(_within(handle.wait_for_playout(), self._line.waits.drain))


async def _within(work: Awaitable[object], seconds: float) -> None:
    await asyncio.wait([asyncio.ensure_future(work)], timeout=seconds)


async def _play(speaker: Any, digits: str) -> None:
    for key in digits.upper():
        if key == "W":
            await asyncio.sleep(_PAUSE)
        else:
            await speaker.publish_dtmf(code=tone_code(key), digit=key)


_ACTS: Mapping[type[Command], Callable[[LiveKitControls, Any], Awaitable[None]]] = {
    Say: LiveKitControls._say,
    Interrupt: LiveKitControls._interrupt,
    Inject: LiveKitControls._inject,
    SendDigits: LiveKitControls._send_digits,
    End: LiveKitControls._end,
    Transfer: LiveKitControls._transfer,
}
