"""One call of LiveKit Agents as a bridge: an `AgentSession`, and the job that it runs in."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

from orchestrator.errors import CommandRefused
from orchestrator.runtime import (
    CallOffer,
    Command,
    End,
    Inject,
    Interrupt,
    Say,
    SendDigits,
    Transfer,
)
from orchestrator.runtimes.attached import CallbackBridge, Waits
from orchestrator.runtimes.livekit_agent import HeldAgent
from orchestrator.runtimes.livekit_caller import Caller
from orchestrator.runtimes.livekit_events import (
    agent_state,
    error_fields,
    measurements,
    outcome_of,
    tone_code,
    tool_event,
)

__all__ = ["LIVEKIT_CAPABILITIES", "LiveKitBridge"]

logger = logging.getLogger(__name__)

#: What calls on LiveKit can do. Its recordings (egress) cannot be paused.
LIVEKIT_CAPABILITIES = frozenset(
    {"say", "say.protected", "interrupt", "end", "transfer.number", "transfer.agent",
     "transfer.outcome", "digits", "inject", "playback", "state", "dtmf", "error", "metric",
     "tools"}
)  # fmt: skip
#: Of these, what needs a room.
_OF_A_ROOM = frozenset({"transfer.number", "digits", "dtmf"})
#: Speech of ours that is remembered, to tell it from the agent's turns.
_MAX_SPEECH = 200
#: Seconds that a `w` among key tones waits.
_PAUSE = 0.5

Agents = Mapping[str, Callable[[], Any]]


def capabilities_of(*, has_room: bool, agents: Agents) -> frozenset[str]:
    """What a call can do without a room, or without other agents to hand over to."""
    lacking = frozenset() if has_room else _OF_A_ROOM
    if not agents:
        lacking |= {"transfer.agent"}
    if {"transfer.number", "transfer.agent"} <= lacking:
        lacking |= {"transfer.outcome"}
    return LIVEKIT_CAPABILITIES - lacking


class LiveKitBridge(CallbackBridge):
    """One call; its listeners are registered at once, so that nothing of it is missed.

    Attributes:
        deletes_room: we ended the call, so that the room is to go too.
    """

    def __init__(
        self, session: Any, job: Any, known: Mapping[str, Any], *, agents: Agents, waits: Waits
    ) -> None:
        can = capabilities_of(has_room=job is not None, agents=agents)
        super().__init__(CallOffer(**{"call_id": "", **known}), can, waits)
        self.session = session
        self.job = job
        self.deletes_room = False
        self.caller = Caller(job, self)
        self._known = known
        self._agents = agents
        self._agent: HeldAgent | None = None
        self._entry = asyncio.current_task()  # LiveKit runs the entrypoint in a task of its own
        self._ours: deque[Any] = deque(maxlen=_MAX_SPEECH)
        self._speaking: Any = None
        self._cut: Any = None
        self._told: tuple[str, str] | None = None
        self._language = ""
        self._notes: list[str] = []
        self._tools: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._drain: asyncio.TimerHandle | None = None
        for event, listener in (
            ("agent_state_changed", self._on_agent_state),
            ("user_state_changed", self._on_user_state),
            ("user_input_transcribed", self._on_transcript),
            ("conversation_item_added", self._on_item),
            ("tool_execution_updated", self._on_tool),
            ("error", self._on_error),
            ("close", self._on_close),
        ):
            session.on(event, self.guarded(listener))

    async def prepare(self) -> None:
        """Learn who calls, once somebody is there."""
        facts = await self.caller.facts()
        data = {**facts.get("data", {}), **self._known.get("data", {})}
        self.offer = CallOffer(**{"call_id": uuid4().hex, **facts, **self._known, "data": data})

    # --- what the session reports

    def _on_agent_state(self, event: Any) -> None:
        self._hold_replies()
        if event.old_state == "speaking":
            self._see_interruption()
        if event.new_state == "speaking":
            self._speaking = self.session.current_speech
            self._failures.clear()
        if event.old_state == "initializing":
            self.ready()
        if state := agent_state(event.new_state):
            self.put("state", state=state, who="agent")

    def _on_user_state(self, event: Any) -> None:
        if event.new_state in ("speaking", "listening"):  # `away` is LiveKit's clock, not ours
            self.put("state", state=event.new_state, who="caller")

    def _on_transcript(self, event: Any) -> None:
        if event.is_final:
            self._language = str(event.language or "")
            self._failures.pop("stt", None)

    def _on_item(self, event: Any) -> None:
        item = event.item
        if item.type == "agent_handoff":
            self._hold_replies()
        if item.type != "message":
            return
        if item.role == "assistant" and item.interrupted:
            self._see_interruption()
        if any(item in handle.chat_items for handle in self._ours):
            return  # what hooks said is no turn of the agent
        if item.role == "user":
            self._on_words(item)
        elif item.role == "assistant" and item.text_content:
            extra = {"interrupted": True} if item.interrupted else {}
            self.put("agent_turn", text=item.text_content, **extra)
        for name, value in measurements(item):
            self.put("metric", name=name, value=value)

    def _on_words(self, item: Any) -> None:
        text = item.text_content or ""
        told, self._told = self._told, None
        if text and (told is None or item.id != told[0] and text != told[1]):
            self.report_words(text, **self._extras())

    def _see_interruption(self) -> None:
        """The caller cut the speech that was on; once for each."""
        speech = self._speaking
        if speech is None or speech is self._cut or not speech.interrupted:
            return
        self._cut = speech
        is_by_code = getattr(speech, "_interrupt_source", None) == "programmatic"
        if not is_by_code and not self.is_ending:
            self.put("interruption")

    def _on_tool(self, event: Any) -> None:
        told = tool_event(event.update, self._tools)
        if told is not None:
            self.put(told[0], **told[1])

    def _on_error(self, event: Any) -> None:
        fields = error_fields(event)
        if fields["severity"] != "warn" and self._is_last_failure(fields["source"]):
            fields["severity"] = "fatal"
            # LiveKit would close without a word. The session ends all the same, after the hooks.
            event.error.recoverable = True
        self.put("error", **fields)

    def _is_last_failure(self, source: str) -> bool:
        """Whether LiveKit closes the session on this failure, and hooks want to know before."""
        self._failures[source] = count = self._failures.get(source, 0) + 1
        most = getattr(self.session.conn_options, "max_unrecoverable_errors", 3)
        wants = self.host is not None and self.host.has_hooks("error")
        return wants and count > most and source in ("stt", "llm", "tts")

    def _on_close(self, event: Any) -> None:
        if self._drain is not None:
            self._drain.cancel()
            self._end_job()
        reason = str(getattr(event.reason, "value", event.reason))
        crash = self._crash()
        if reason == "error":
            self.fail(error_fields(event))
        elif crash is not None:
            self.crashed(type(crash).__name__)
        else:
            gone = reason == "participant_disconnected"
            self.hang_up(reason, "hangup" if gone else "ended")

    def _crash(self) -> BaseException | None:
        entry = self._entry
        is_bad = entry is not None and entry.done() and not entry.cancelled()
        return entry.exception() if entry is not None and is_bad else None

    def crashed(self, code: str) -> None:
        """The entrypoint raised: the call failed."""
        self.fail({"code": code, "message": "the entrypoint raised", "source": "entrypoint"})

    # --- the caller's words and the reply

    def _hold_replies(self) -> None:
        """Wrap the agent that answers now."""
        agent = self.session.current_agent
        if self._agent is None or self._agent.agent is not agent:
            if self._agent is not None:
                self._agent.restore()
            self._agent = HeldAgent(agent, self)

    async def heard_turn(self, message: Any) -> None:
        """The caller said this; LiveKit adds it to the conversation after this returns."""
        text = message.text_content or ""
        if text:
            self._told = (message.id, text)
            await self.heard(text, **self._extras())

    def _extras(self) -> dict[str, str]:
        return {"language": self._language} if self._language else {}

    def take_injected(self) -> list[str]:
        """Notes that came since the last reply."""
        notes, self._notes = self._notes, []
        return notes

    # --- commands

    async def act(self, command: Command) -> None:
        """Do what a command says."""
        await _ACTS[type(command)](self, command)

    async def _say(self, command: Say) -> None:
        options = {} if command.interruptible else {"allow_interruptions": False}
        self._ours.append(self.session.say(command.text, **options))

    async def _interrupt(self, command: Interrupt) -> None:
        self._cut = self.session.current_speech
        await self.session.interrupt()

    async def _inject(self, command: Inject) -> None:
        agent = self.session.current_agent
        context = agent.chat_ctx.copy()
        context.add_message(role="system", content=command.note)
        await agent.update_chat_ctx(context)
        self._notes.append(command.note)

    async def _send_digits(self, command: SendDigits) -> None:
        speaker = self._room().local_participant
        work = _play(speaker, command.digits)
        if "w" in command.digits.lower():  # longer than a step may take
            self.tasks.start(work)
        else:
            await work

    async def _end(self, command: End) -> None:
        self.was_ended = self.is_ending = True
        self.deletes_room = True
        self.session.shutdown(drain=True)
        loop = asyncio.get_running_loop()
        self._drain = loop.call_later(self.waits.drain, self._end_job)

    def _end_job(self) -> None:
        """The goodbye was heard, or took too long: the job's shutdown deletes the room."""
        if self.job is not None and self.deletes_room:
            self.job.shutdown("call ended")

    async def _transfer(self, command: Transfer) -> None:
        if command.kind == "agent":
            self._hand_over(command.target)
        else:
            caller = self.caller.identity()
            self.tasks.start(self._refer(caller, command))

    def _hand_over(self, name: str) -> None:
        make = self._agents.get(name)
        if make is None:
            known = ", ".join(sorted(self._agents)) or "none"
            raise CommandRefused(f"there is no agent {name!r}; known: {known}")
        self.session.update_agent(make())
        self.put("transfer", outcome="answered", target=name, stays=True)

    async def _refer(self, caller: str, command: Transfer) -> None:
        await self._until_heard()
        number = command.target
        target = number if ":" in number else f"tel:{number}"
        try:
            async with asyncio.timeout(command.answer_within):
                await self.job.transfer_sip_participant(caller, target)
            outcome = "answered"
        except TimeoutError:
            outcome = "no_answer"
        except Exception as error:  # whatever the server says is the outcome
            outcome = outcome_of(error)
            status = getattr(error, "sip_status_code", None)
            self.note("the transfer failed", sip_status=status, why=type(error).__name__)
        self.put("transfer", outcome=outcome, target=number)

    async def _until_heard(self) -> None:
        """Wait until what was queued has been heard."""
        waiting = [handle for handle in self._ours if not handle.done()]
        if waiting:
            await asyncio.wait(
                [asyncio.ensure_future(handle.wait_for_playout()) for handle in waiting],
                timeout=self.waits.drain,
            )

    def _room(self) -> Any:
        if self.job is None or self.job.is_fake_job():
            raise CommandRefused("this call has no room; LiveKit would do nothing and report none")
        return self.job.room

    async def aclose(self) -> None:
        """Let go of the session; one that LiveKit left running without its caller is closed."""
        self.is_ending = True
        await super().aclose()
        self.caller.close()
        if self._agent is not None:
            self._agent.restore()
        if not self.was_ended:
            self.session.shutdown(drain=False)


async def _play(speaker: Any, digits: str) -> None:
    for key in digits.upper():
        if key == "W":
            await asyncio.sleep(_PAUSE)
        else:
            await speaker.publish_dtmf(code=tone_code(key), digit=key)


_ACTS: Mapping[type[Command], Callable[[LiveKitBridge, Any], Awaitable[None]]] = {
    Say: LiveKitBridge._say,
    Interrupt: LiveKitBridge._interrupt,
    Inject: LiveKitBridge._inject,
    SendDigits: LiveKitBridge._send_digits,
    End: LiveKitBridge._end,
    Transfer: LiveKitBridge._transfer,
}
