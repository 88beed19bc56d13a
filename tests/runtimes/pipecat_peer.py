"""A Pipecat call on this machine: the real pipeline, with a scripted model, speech and caller.

No network, no model, no audio device: the transport plays against the clock, the caller is a puppet
that pushes the frames which a transport and a speech recogniser would.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from loguru import logger as pipecat_logger
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import (
    Frame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InputDTMFFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

pipecat_logger.remove()  # it writes to stderr by itself
pipecat_logger.add(lambda line: logging.getLogger("pipecat").warning(line), level="WARNING")

RATE = 16_000
#: An answer that takes half a second to be spoken, in two sentences: Pipecat reports whole ones.
SLOW = "One two. Three four five six seven eight nine ten."
ASIDE = "aside"


class E1(Exception):
    """A failure of a speech service."""


def seconds_of(text: str) -> float:
    if text.startswith(ASIDE):
        return float(text.split()[1])
    return 0.05 * len(text.split()) if text.strip() in SLOW else 0.1


# --- the line


class _Input(BaseInputTransport):
    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)


class _Output(BaseOutputTransport):
    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.seconds = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        seconds = len(frame.audio) / 2 / RATE
        self.seconds += seconds
        await asyncio.sleep(seconds)
        return True


class Line(BaseTransport):
    """A transport that is connected to nothing."""

    def __init__(self) -> None:
        super().__init__()
        params = TransportParams(
            audio_out_enabled=True, audio_out_sample_rate=RATE, audio_out_10ms_chunks=2,
            audio_out_end_silence_secs=0,
        )  # fmt: skip
        self._heard, self._spoken = _Input(params), _Output(params)
        self._register_event_handler("on_client_connected")
        self._register_event_handler("on_client_disconnected")

    def input(self) -> FrameProcessor:
        return self._heard

    def output(self) -> FrameProcessor:
        return self._spoken

    async def connect(self, client: Any = "caller") -> None:
        await self._call_event_handler("on_client_connected", client)

    async def disconnect(self, client: Any = "caller") -> None:
        await self._call_event_handler("on_client_disconnected", client)


# --- the services


class ScriptedLLM(FrameProcessor):
    """Answers the caller's last words by `replies`: a text, or an exception to fail with."""

    def __init__(self, replies: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.replies = {"slow": SLOW, **(replies or {})}
        self.contexts: list[list[str]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame) or direction is not FrameDirection.DOWNSTREAM:
            await self.push_frame(frame, direction)
            return
        messages: list[Any] = list(frame.context.get_messages())
        self.contexts.append([f"{m['role']}: {m.get('content')}" for m in messages])
        said = next(m["content"] for m in reversed(messages) if m["role"] == "user")
        answer = self.replies.get(said, f"you said {said}")
        if isinstance(answer, Exception):
            await self.fail(answer)
            return
        if said == "tool":
            await self._use_tool()
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(LLMTextFrame(answer))
        await self.push_frame(LLMFullResponseEndFrame())

    async def _use_tool(self) -> None:
        call = {"function_name": "lookup", "tool_call_id": "c1", "arguments": {"q": "rome"}}
        await self.push_frame(FunctionCallInProgressFrame(**call))
        await self.push_frame(FunctionCallResultFrame(**call, result="found"))

    async def fail(self, error: Exception, *, for_good: bool = False) -> None:
        await self.push_error(str(error), exception=error, force_treat_as_permanent=for_good)


class SilentTTS(TTSService):
    """Silence of the length that the text has."""

    def __init__(self) -> None:
        super().__init__(
            sample_rate=RATE, push_start_frame=True, push_stop_frames=True,
            stop_frame_timeout_s=0.05, settings=TTSSettings(model=None, voice=None, language=None),
        )  # fmt: skip
        self.spoken: list[str] = []

    def can_generate_metrics(self) -> bool:
        return False

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        self.spoken.append(text)
        for _ in range(int(seconds_of(text) * 100)):
            yield TTSAudioRawFrame(bytes(2 * RATE // 100), RATE, 1, context_id=context_id)


class Passing(FrameProcessor):
    """Lets frames through, but for those it was told to swallow, or to hold for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.swallows: tuple[type[Frame], ...] = ()
        self.hangs_on: tuple[type[Frame], ...] = ()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, self.hangs_on):
            await asyncio.Event().wait()
        if not isinstance(frame, self.swallows):
            await self.push_frame(frame, direction)


# --- one call


class Stage:
    """One call: what the far side can do, and what a test looks at."""

    def __init__(self, *, transport: Any = None, model: ScriptedLLM | None = None,
                 before: list[FrameProcessor] | None = None,
                 after: list[FrameProcessor] | None = None, **options: Any) -> None:  # fmt: skip
        self.transport = transport or Line()
        self.model = model or ScriptedLLM()
        self.gate, self.voice = Passing(), SilentTTS()
        self.context = LLMContext()
        self.started = asyncio.Event()
        self.last_words = ""
        stop = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.05)
        params = LLMUserAggregatorParams(
            user_turn_stop_timeout=1.0, user_turn_strategies=UserTurnStrategies(stop=[stop])
        )
        pair = LLMContextAggregatorPair(self.context, user_params=params)
        self.user, self.agent = pair.user(), pair.assistant()
        parts = [self.transport.input(), self.gate, self.user, *(before or []), self.model, self.voice,
                 self.transport.output(), *(after or []), self.agent]  # fmt: skip
        self.worker = PipelineWorker(
            Pipeline(parts),
            params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
            **{"enable_rtvi": False, "idle_timeout_secs": None, **options},
        )
        self.worker.add_event_handler("on_pipeline_started", lambda *_: self.started.set())
        self.runner = WorkerRunner(handle_sigint=False)
        self.running: asyncio.Task[None] | None = None

    async def start(self, *, connects: bool = True) -> None:
        await self.runner.add_workers(self.worker)
        self.running = asyncio.create_task(self.runner.run())
        async with asyncio.timeout(5):
            await self.started.wait()
        if connects:
            await self.transport.connect()

    async def say(self, text: str) -> None:
        """The caller speaks."""
        self.last_words = text
        await self._push(VADUserStartedSpeakingFrame(start_secs=0.0))
        await asyncio.sleep(0.02)
        await self._push(TranscriptionFrame(text, "caller", "now", finalized=True))
        await self._push(VADUserStoppedSpeakingFrame(stop_secs=0.0))

    async def noise(self, seconds: float = 0.05) -> None:
        await self._push(VADUserStartedSpeakingFrame(start_secs=0.0))
        await asyncio.sleep(seconds)
        await self._push(VADUserStoppedSpeakingFrame(stop_secs=0.0))

    async def barge_in(self) -> None:
        """The caller makes a sound while the agent speaks; it speaks an aside if it is silent.

        A short answer is heard first, however long the machine takes over it.
        """
        if self.last_words not in ("", "slow"):
            await self.until(lambda: self._answered() and not self.agent._bot_speaking)
        if not self.agent._bot_speaking:
            await self.aside(1.0)
            await self.until(lambda: self.agent._bot_speaking)
        await self.noise()

    def _answered(self) -> bool:
        messages: list[Any] = list(self.context.get_messages())
        return bool(messages) and messages[-1]["role"] == "assistant"

    async def aside(self, seconds: float) -> None:
        """The agent speaks without taking a turn."""
        await self.worker.queue_frame(TTSSpeakFrame(f"{ASIDE} {seconds}", append_to_context=False))

    async def press(self, key: str) -> None:
        await self._push(InputDTMFFrame(button=KeypadEntry(key)))

    async def _push(self, frame: Frame) -> None:
        await self.transport.input().push_frame(frame)

    async def until(self, is_so: Callable[[], object], seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not is_so():
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        if self.running is not None:
            if not self.running.done():
                await self.worker.cancel(reason="test is over")
            _, late = await asyncio.wait({self.running}, timeout=5)
            for task in late:
                task.cancel()
