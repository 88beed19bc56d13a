"""One call of LiveKit Agents as a bridge: an `AgentSession`, and the job that it runs in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from orchestrator.runtime import CallOffer, Command
from orchestrator.runtimes.callbacks import CallbackBridge, Waits
from orchestrator.runtimes.livekit.agent import HeldAgent
from orchestrator.runtimes.livekit.caller import Caller
from orchestrator.runtimes.livekit.controls import Agents, LiveKitControls
from orchestrator.runtimes.livekit.events import (
    agent_state,
    error_fields,
    measurements,
    tool_event,
)

__all__ = ["LIVEKIT_CAPABILITIES", "LiveKitBridge"]

#: What calls on LiveKit can do. Its recordings (egress) cannot be paused.
LIVEKIT_CAPABILITIES = frozenset(
    {"say", "say.protected", "interrupt", "end", "transfer.number", "transfer.agent",
     "transfer.outcome", "digits", "inject", "playback", "state", "dtmf", "error", "metric",
     "tools"}
)  # fmt: skip
#: Of these, what needs a room.
_OF_A_ROOM = frozenset({"transfer.number", "digits", "dtmf"})


#: The caller's messages that are remembered, to tell each once.
_MAX_TOLD = 50


def capabilities_of(*, has_room: bool, agents: Agents) -> frozenset[str]:
    """What a call can do without a room, or without other agents to hand over to."""
    lacking = frozenset() if has_room else _OF_A_ROOM
    if not agents:
        lacking |= {"transfer.agent"}
    if {"transfer.number", "transfer.agent"} <= lacking:
        lacking |= {"transfer.outcome"}
    return LIVEKIT_CAPABILITIES - lacking


class LiveKitBridge(CallbackBridge):
    """One call; its listeners are registered at once, so that nothing of it is missed."""

    def __init__(
        self, session: Any, job: Any, known: Mapping[str, Any], *, agents: Agents, waits: Waits
    ) -> None:
        can = capabilities_of(has_room=job is not None, agents=agents)
        super().__init__(CallOffer(**{"call_id": "", **known}), can, waits)
        self.session = session
        self.job = job
        self.caller = Caller(job, self)
        self.controls = LiveKitControls(self, session, job, self.caller, agents)
        self._known = known
        self._agent: HeldAgent | None = None
        self._entry = asyncio.current_task()  # LiveKit runs the entrypoint in a task of its own
        self._speaking: Any = None
        self._cut: Any = None
        self._told: deque[str] = deque(maxlen=_MAX_TOLD)
        self._told_text = ""
        self._typed: list[Any] = []
        self._language = ""
        self._tools: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._listeners = {
            event: self.guarded(listener)
            for event, listener in (
                ("agent_state_changed", self._on_agent_state),
                ("user_state_changed", self._on_user_state),
                ("user_input_transcribed", self._on_transcript),
                ("speech_created", self._on_speech),
                ("conversation_item_added", self._on_item),
                ("tool_execution_updated", self._on_tool),
                ("error", self._on_error),
                ("close", self._on_close),
            )
        }
        for event, listener in self._listeners.items():
            session.on(event, listener)

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
        if (event.old_state, event.new_state) == ("thinking", "listening"):
            self.no_reply()

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
        if self.controls.is_ours(item):
            return  # what hooks said is no turn of the agent
        if item.role == "user":
            self._on_words(item)
        elif item.role == "assistant" and item.text_content:
            extra = {"interrupted": True} if item.interrupted else {}
            self.put("agent_turn", text=item.text_content, **extra)
        for name, value in measurements(item):
            self.put("metric", name=name, value=value)

    def _on_words(self, item: Any) -> None:
        """Words that were not told before: of models that hear by themselves, and on closing."""
        text, told = item.text_content or "", self._told_text
        is_known = item.id in self._told or text == told
        self._told_text = ""
        self._told.append(item.id)
        if text and not is_known:
            self.report_words(text, **self._extras())

    def _on_speech(self, event: Any) -> None:
        """A reply that code asked for, to typed words or to none."""
        speech = event.speech_handle
        if event.source == "generate_reply" and speech.input_details.modality == "text":
            self._typed.append(speech)

    def _see_interruption(self) -> None:
        """The caller cut the speech that was on; once for each."""
        speech = self._speaking
        is_known = speech is None or speech is self._cut or speech is self.controls.cut
        if is_known or not speech.interrupted:
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
            if self.host is None or not self.host.has_hooks("error"):
                return  # the session closes now, which is told then
            fields["severity"] = "fatal"
            # LiveKit would close without a word. The session ends all the same, after the hooks.
            event.error.recoverable = True
        self.put("error", **fields)

    def _is_last_failure(self, source: str) -> bool:
        """Whether LiveKit closes the session on this failure; it counts those in a row."""
        self._failures[source] = count = self._failures.get(source, 0) + 1
        most = getattr(self.session.conn_options, "max_unrecoverable_errors", 3)
        return count > most and source in ("stt", "llm", "tts")

    def _on_close(self, event: Any) -> None:
        self._release()
        self.controls.session_closed()
        reason = str(getattr(event.reason, "value", event.reason))
        if reason == "error":
            self.fail(error_fields(event))
        self._check_entry()
        gone = reason == "participant_disconnected"
        self.hang_up(reason, "hangup" if gone else "ended")

    def job_ends(self, reason: str) -> None:
        """The job ends, with or without its session."""
        self._check_entry()
        if reason == "job crashed":  # its entrypoint is not the task that attached us
            self._crashed("crash")
        self.hang_up(reason, "shutdown")

    def _check_entry(self) -> None:
        """A call whose entrypoint raised has failed; LiveKit closes its session as any other."""
        entry = self._entry
        if entry is not None and entry.done() and not entry.cancelled():
            crash = entry.exception()
            if crash is not None:
                self._crashed(type(crash).__name__)

    def _crashed(self, code: str) -> None:
        self.fail({"code": code, "message": "the entrypoint raised", "source": "entrypoint"})

    # --- the caller's words and the reply

    def _hold_replies(self) -> None:
        """Wrap the agent that answers now, until the session is closed."""
        agent = self.session.current_agent
        if self._agent is None or self._agent.agent is not agent:
            if self._agent is not None:
                self._agent.restore()
            self._agent = HeldAgent(agent, self)

    async def heard_turn(self, message: Any) -> None:
        """The caller said this; LiveKit adds it to the conversation after this returns."""
        text = message.text_content or ""
        if text:
            self._told.append(message.id)
            self._told_text = text
            await self.heard(text, **self._extras())

    def left_unanswered(self) -> None:
        """The agent's own hook wants no reply, unless it has asked for one itself."""
        if self.session.agent_state != "thinking":
            self.no_reply()

    async def asked(self, chat_ctx: Any) -> None:
        """The model is asked. Typed words are in the question, and nowhere else yet."""
        last: Any = chat_ctx.items[-1] if chat_ctx.items else None
        is_new = getattr(last, "role", "") == "user" and last.id not in self._told
        is_typed = any(not speech.done() for speech in self._typed)
        self._typed.clear()
        if is_typed and is_new:
            await self.heard_turn(last)
        else:
            await self.hold()

    def _extras(self) -> dict[str, str]:
        return {"language": self._language} if self._language else {}

    def take_injected(self) -> list[Any]:
        """Notes that came since the last reply."""
        return self.controls.take_injected()

    async def act(self, command: Command) -> None:
        """Do what a command says."""
        await self.controls.act(command)

    async def aclose(self) -> None:
        """Let go of the session; one that LiveKit left running without its caller is closed."""
        self.is_ending = True
        await super().aclose()
        self.caller.close()
        if getattr(self.session, "agent_state", "initializing") == "initializing":
            self._release()  # nothing is to be closed that would do it
        if self._listeners and not self.was_ended:
            self.session.shutdown(drain=False)

    def _release(self) -> None:
        """The session is closed, and may be started again: what comes then is no more of ours."""
        for event, listener in self._listeners.items():
            self.session.off(event, listener)
        self._listeners = {}
        if self._agent is not None:
            self._agent.restore()
            self._agent = None
