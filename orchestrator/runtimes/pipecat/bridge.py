"""One call of Pipecat as a bridge: a `PipelineWorker`, and the transport that it speaks through."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from orchestrator.errors import EnvironmentFailure, UserError
from orchestrator.runtime import CallOffer, Command
from orchestrator.runtimes.callbacks import CallbackBridge, Waits
from orchestrator.runtimes.pipecat.controls import PipecatControls
from orchestrator.runtimes.pipecat.events import error_fields, measurements, walk
from orchestrator.runtimes.pipecat.questions import Questions

__all__ = ["PipecatBridge"]


class PipecatBridge(CallbackBridge):
    """One call; its listeners are registered at once, so that nothing of it is missed.

    Raises:
        UserError: the pipeline has no pair of context aggregators.
        EnvironmentFailure: the package is not installed.
    """

    def __init__(
        self,
        worker: Any,
        transport: Any,
        known: Mapping[str, Any],
        *,
        agents: Sequence[str],
        ends_when_unusable: bool,
        waits: Waits,
    ) -> None:
        try:
            self._frames = importlib.import_module("pipecat.frames.frames")
        except ImportError as missing:
            raise EnvironmentFailure(
                f"Pipecat is not installed: pip install 'hook-orchestrator[pipecat]' ({missing})"
            ) from missing
        parts = list(walk(worker.pipeline))
        self._listener, self._speaker = _aggregators(parts)
        recorder = _first(parts, "AudioBufferProcessor")
        self.controls = PipecatControls(worker, transport, self._listener, recorder, agents)
        offer = CallOffer(**{"call_id": uuid4().hex, **known})
        super().__init__(offer, self.controls.capabilities, waits)
        self.worker = worker
        self.transport = transport
        self._ends_when_unusable = ends_when_unusable
        self._model = self._listener.next
        self._model_process = self._model.process_frame
        self._is_speaking = self._is_heard = self._is_cut = False
        self._questions = Questions(self._frames, _all(parts, "TTSService"), self)
        self._last_words: Any = None
        self._client: Any = None
        self._drain: asyncio.TimerHandle | None = None
        self._seers = self._make_seers()
        self._listen(parts)
        self.controls.begin(self)

    def _listen(self, parts: list[Any]) -> None:
        worker, listener, speaker = self.worker, self._listener, self._speaker
        worker.add_event_handler("on_pipeline_started", self.guarded(self._on_started))
        worker.add_event_handler("on_pipeline_finished", self.guarded(self._on_finished))
        worker.add_event_handler("on_pipeline_timeout", self.guarded(self._on_no_start))
        worker.add_event_handler("on_setup_timeout", self.guarded(self._on_no_start))
        worker.add_event_handler("on_pipeline_error", self.guarded(self._on_error))
        # Run inline, hence in order.
        listener.add_event_handler("on_before_push_frame", self.guarded(self._on_words))
        listener.add_event_handler("on_before_process_frame", self.guarded(self._on_key))
        speaker.add_event_handler("on_before_process_frame", self.guarded(self._on_frame))
        speaker.add_event_handler("on_assistant_turn_stopped", self.guarded(self._on_reply))
        entry = next(part for part in parts if not part.processors and part.previous is not None)
        entry.add_event_handler("on_before_process_frame", self.guarded(self._on_end_begins))
        self._model.process_frame = self._process_held
        if self.transport is not None:
            add = self.transport.add_event_handler
            add("on_client_connected", self.guarded(self._on_connected))
            add("on_client_disconnected", self.guarded(self._on_disconnected))

    def _make_seers(self) -> dict[type, Callable[[Any], None]]:
        frames = self._frames
        return {
            frames.BotStartedSpeakingFrame: self._on_agent_starts,
            frames.BotStoppedSpeakingFrame: self._on_agent_stops,
            frames.UserStartedSpeakingFrame: self._on_caller_starts,
            frames.UserStoppedSpeakingFrame: self._on_caller_stops,
            frames.InterruptionFrame: self._on_interruption,
            frames.FunctionCallsStartedFrame: lambda _: self._questions.answer(),
            frames.FunctionCallInProgressFrame: self._on_tool_call,
            frames.FunctionCallResultFrame: self._on_tool_result,
            frames.FunctionCallCancelFrame: self._on_tool_cancelled,
            frames.MetricsFrame: self._on_metrics,
        }

    # --- what the worker and the transport report

    def _on_started(self, _: Any, frame: Any) -> None:
        self.ready()

    def _on_no_start(self, _: Any, frame: Any = None) -> None:
        """A setup or a start that took too long; no other event comes."""
        if not isinstance(frame, self._frames.CancelFrame):
            self._break_down("NeverStarted", "the pipeline did not start in time")

    async def prepare(self) -> None:
        """Watch the worker too: one that is cancelled while it starts reports nothing."""
        self.tasks.start(self._watch())

    async def _watch(self) -> None:
        await self.worker.wait()
        self.hang_up("the worker finished", "shutdown")

    def _on_finished(self, _: Any, frame: Any) -> None:
        self._stop_drain()
        is_cancelled = isinstance(frame, self._frames.CancelFrame)
        reason = str(getattr(frame, "reason", None) or "")
        state = "shutdown" if is_cancelled and not reason else "ended"
        self.hang_up(reason or type(frame).__name__, state)

    def _on_error(self, _: Any, frame: Any) -> None:
        fields = error_fields(frame)
        if frame.fatal or self._is_policy_to_end(frame.processor):
            self.fail(fields)  # Pipecat is stopping already
        elif self._ends_when_unusable and _is_unusable(frame.processor):
            self.put("error", **{**fields, "severity": "fatal"})
        else:
            self.put("error", **fields)

    def _is_policy_to_end(self, processor: Any) -> bool:
        policy = getattr(self.worker, "_processor_unusable_policy", None)
        return _is_unusable(processor) and getattr(policy, "name", "CONTINUE") != "CONTINUE"

    def _on_connected(self, _: Any, client: Any) -> None:
        if self._client is None:
            self._client = client

    def _on_disconnected(self, _: Any, client: Any) -> None:
        if self._client is None or _identity(client) == _identity(self._client):
            self.hang_up("the caller left")
        else:
            self.note("another participant left")

    def _on_end_begins(self, _: Any, frame: Any) -> None:
        """An end enters the pipeline, ours or the bot's: it may not get out."""
        ends = (self._frames.EndFrame, self._frames.CancelFrame)
        if isinstance(frame, ends) and self._drain is None:
            loop = asyncio.get_running_loop()
            self._drain = loop.call_later(self.waits.drain, self._is_stuck)

    def _is_stuck(self) -> None:
        self.note("the pipeline did not drain", after=self.waits.drain)
        self._break_down("Stuck", "the pipeline did not drain")

    def _break_down(self, code: str, message: str) -> None:
        self.fail({"code": code, "message": message, "source": "pipeline"})

    def _stop_drain(self) -> None:
        if self._drain is not None:
            self._drain.cancel()

    # --- what passes in the pipeline

    def _on_words(self, _: Any, frame: Any) -> None:
        if not isinstance(frame, self._frames.LLMContextUserTurnFrame):
            return
        is_copy = frame.broadcast_sibling_id is not None and (
            frame.broadcast_sibling_id == self._last_words
        )
        self._last_words = frame.id
        if frame.text and not is_copy:
            self.report_words(frame.text)

    def _on_key(self, _: Any, frame: Any) -> None:
        if isinstance(frame, self._frames.InputDTMFFrame):
            self.put("dtmf", digit=str(frame.button.value))

    def _on_frame(self, _: Any, frame: Any) -> None:
        see = self._seers.get(type(frame))
        if see is not None:
            see(frame)

    def _on_agent_starts(self, _: Any) -> None:
        self._is_speaking, self._is_cut = True, False
        self.put("state", state="speaking", who="agent")

    def _on_agent_stops(self, _: Any) -> None:
        self._is_speaking = False
        self.put("state", state="listening", who="agent")

    def _on_caller_starts(self, _: Any) -> None:
        self._is_heard = True
        self.put("state", state="speaking", who="caller")

    def _on_caller_stops(self, _: Any) -> None:
        self._is_heard = False
        self.put("state", state="listening", who="caller")

    def _on_interruption(self, _: Any) -> None:
        """It comes with every turn of the caller, and twice: only a cut of speech is one."""
        if self._is_speaking and self._is_heard and not self._is_cut and not self.is_ending:
            self._is_cut = True
            self.put("interruption")

    def _on_tool_call(self, frame: Any) -> None:
        self._questions.answer()
        self.put("tool_call", name=frame.function_name, args=frame.arguments)

    def _on_tool_result(self, frame: Any) -> None:
        self.put("tool_result", name=frame.function_name, result=frame.result, ok=True)

    def _on_tool_cancelled(self, frame: Any) -> None:
        self.put("tool_result", name=frame.function_name, result=None, ok=False)

    def _on_metrics(self, frame: Any) -> None:
        for name, value in measurements(frame):
            self.put("metric", name=name, value=value)

    def _on_reply(self, _: Any, message: Any) -> None:
        if message.content:  # empty: cut before a word was said
            extra = {"interrupted": True} if message.interrupted else {}
            self.put("agent_turn", text=message.content, **extra)

    # --- the reply waits for the hooks of the caller's words

    async def _process_held(self, frame: Any, direction: Any) -> None:
        """In front of the model's own `process_frame`; an interruption cancels the wait."""
        is_question = isinstance(frame, self._frames.LLMContextFrame)
        if not is_question or direction.name != "DOWNSTREAM":
            await self._model_process(frame, direction)
            return
        await self.hold()
        if self.is_ending:
            return
        follower = self._questions.ask()
        try:
            await self._model_process(frame, direction)
        finally:
            self.controls.tell_said()
        await self._questions.asked(self._model, follower)

    async def act(self, command: Command) -> None:
        """Do what a command says."""
        await self.controls.act(command)

    async def aclose(self) -> None:
        """Let go of the worker; one that Pipecat left running without its caller is cancelled."""
        self.is_ending = True
        await super().aclose()
        if self._model.process_frame == self._process_held:
            del self._model.process_frame
        if not self.was_ended and not self.worker.has_finished():
            await self.worker.cancel(reason="the call is over")


def _aggregators(parts: list[Any]) -> tuple[Any, Any]:
    listener, speaker = _first(parts, "LLMUserAggregator"), _first(parts, "LLMAssistantAggregator")
    if listener is None or speaker is None:
        raise UserError(
            "the pipeline has no LLMContextAggregatorPair, so there are no turns to hook into"
        )
    return listener, speaker


def _first(parts: list[Any], name: str) -> Any:
    """The first processor of a class, or of one derived from it, by name."""
    return next(iter(_all(parts, name)), None)


def _all(parts: list[Any], name: str) -> list[Any]:
    return [p for p in parts if any(c.__name__ == name for c in type(p).__mro__)]


def _is_unusable(processor: Any) -> bool:
    return processor is not None and not getattr(processor, "is_usable", True)


def _identity(client: Any) -> Any:
    """Who a client is: Daily gives a mapping anew each time, others the same object."""
    return client.get("id") if isinstance(client, Mapping) else client
