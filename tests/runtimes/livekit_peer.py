"""A LiveKit call on this machine: the real `AgentSession`, with a scripted model, speech and caller.

Nothing is connected: the room is a `rtc.Room` whose participants a test puts in by hand, the voice
stack is played by a puppet, and the server's API may be a stub on the loopback interface.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, JobContext, llm, stt, tts, vad
from livekit.agents.job import JobAcceptArguments, JobExecutorType, JobProcess, RunningJobInfo
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.protocol import agent as agent_proto
from livekit.protocol import models

RATE = 16_000
#: An answer that takes half a second to be spoken.
SLOW = "one two three four five six seven eight nine ten"
ASIDE = "aside"


class E1(Exception):
    """A failure of a speech service."""


# --- the model


class ScriptedLLM(llm.LLM):
    """Answers the last message by `replies`: a text, a tool call, or an exception to raise."""

    def __init__(self, replies: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.replies = {"slow": SLOW, **(replies or {})}
        self.contexts: list[list[str]] = []

    def chat(self, *, chat_ctx: Any, tools: Any = None,
             conn_options: Any = DEFAULT_API_CONNECT_OPTIONS, **_: Any) -> Any:  # fmt: skip
        return _Answer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        model: Any = self._llm
        spoken = [i for i in self.chat_ctx.items if getattr(i, "role", "") != "system"]
        model.contexts.append([str(getattr(i, "text_content", "")) for i in self.chat_ctx.items])
        last: Any = spoken[-1]
        said = getattr(last, "output", "") or getattr(last, "text_content", "")
        answer = model.replies.get(said, f"you said {said}")
        if isinstance(answer, Exception):
            raise answer
        delta = llm.ChoiceDelta(role="assistant")
        if isinstance(answer, llm.FunctionToolCall):
            delta.tool_calls = [answer]
        else:
            delta.content = answer
        self._event_ch.send_nowait(llm.ChatChunk(id="answer", delta=delta))


# --- the voice


class PuppetVAD(vad.VAD):
    """Hears voice when the puppet says so."""

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.05))
        self.last: Any = None

    def stream(self) -> Any:
        self.last = _DeafVADStream(self)
        return self.last

    def tell(self, kind: vad.VADEventType, spoke: float = 0.0, quiet: float = 0.0) -> None:
        self.last._event_ch.send_nowait(
            vad.VADEvent(type=kind, samples_index=0, timestamp=time.time(), speech_duration=spoke,
                         silence_duration=quiet, speaking=not quiet, raw_accumulated_speech=spoke,
                         raw_accumulated_silence=quiet)
        )  # fmt: skip


class _DeafVADStream(vad.VADStream):
    async def _main_task(self) -> None:
        async for _ in self._input_ch:
            pass


class PuppetSTT(stt.STT):
    """Understands what the puppet says."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.last: Any = None

    async def _recognize_impl(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def stream(self, *, language: Any = NOT_GIVEN,
               conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> Any:  # fmt: skip
        self.last = _DeafSTTStream(stt=self, conn_options=conn_options)
        return self.last

    def tell(self, text: str) -> None:
        heard = stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            alternatives=[stt.SpeechData(text=text, language="en")],
        )
        self.last._event_ch.send_nowait(heard)

    def fail(self, error: Exception, *, recoverable: bool = False) -> None:
        self.emit("error", stt.STTError(timestamp=time.time(), label="puppet", error=error,
                                        recoverable=recoverable))  # fmt: skip


class _DeafSTTStream(stt.RecognizeStream):
    async def _run(self) -> None:
        async for _ in self._input_ch:
            pass


class SilentTTS(tts.TTS):
    """Silence: 50 ms a word of `SLOW`, what an aside says, else 60 ms."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1
        )
        self.spoken: list[str] = []

    def synthesize(self, text: str, *, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> Any:
        self.spoken.append(text)
        return _Silence(tts=self, input_text=text, conn_options=conn_options)


def seconds_of(text: str) -> float:
    if text.startswith(ASIDE):
        return float(text.split()[1])
    return 0.05 * len(text.split()) if text.strip() == SLOW else 0.06


class _Silence(tts.ChunkedStream):
    async def _run(self, output_emitter: Any) -> None:
        output_emitter.initialize(
            request_id="t", sample_rate=RATE, num_channels=1, mime_type="audio/pcm"
        )
        for _ in range(max(int(seconds_of(self._input_text) * 100), 1)):
            output_emitter.push(bytes(2 * RATE // 100))
        output_emitter.flush()


class Silence(AudioInput):
    """A microphone in a quiet room."""

    def __init__(self) -> None:
        super().__init__(label="silence")

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.sleep(0.02)
        return rtc.AudioFrame(bytes(2 * RATE // 50), RATE, 1, RATE // 50)


class Speaker(AudioOutput):
    """Plays against the clock; cannot pause, so that a barge-in cuts at once."""

    def __init__(self) -> None:
        super().__init__(
            label="speaker", sample_rate=RATE, capabilities=AudioOutputCapabilities(pause=False)
        )
        self._pushed = 0.0
        self._began: float | None = None
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._pushed += frame.duration
        if self._began is None:
            self._began = time.time()
            self.on_playback_started(created_at=self._began)

    def flush(self) -> None:
        super().flush()
        if self._began is not None:
            left = self._pushed - (time.time() - self._began)
            self._end = asyncio.get_running_loop().call_later(max(left, 0), self._stop, False)

    def clear_buffer(self) -> None:
        if self._began is not None:
            self._stop(True)

    def _stop(self, interrupted: bool) -> None:
        if self._end is not None:
            self._end.cancel()
        played = min(time.time() - (self._began or 0.0), self._pushed)
        self._pushed, self._began, self._end = 0.0, None, None
        self.on_playback_finished(playback_position=played, interrupted=interrupted)


# --- the room


@dataclass(eq=False)
class Participant:
    """Somebody in the room."""

    identity: str = "caller"
    kind: int = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
    attributes: dict[str, str] = field(default_factory=lambda: dict(SIP))
    disconnect_reason: int | None = None
    name: str = ""


SIP = {
    "sip.callID": "SCL_1",
    "sip.phoneNumber": "+15550100",
    "sip.trunkPhoneNumber": "+15550199",
    "sip.ruleID": "SDR_1",
}


class Tones:
    """The agent in the room, as far as it plays key tones."""

    identity = "agent"

    def __init__(self) -> None:
        self.played: list[tuple[int, str]] = []

    async def publish_dtmf(self, *, code: int, digit: str) -> None:
        self.played.append((code, digit))


class QuietRoom(rtc.Room):
    """A room that is connected to nothing; participants come and go by hand."""

    def __init__(self, name: str = "call-1") -> None:
        super().__init__()
        self._called = name
        self.people: dict[str, Participant] = {}
        self.tones = Tones()

    @property
    def name(self) -> str:
        return self._called

    @property
    def remote_participants(self) -> Any:
        return self.people

    @property
    def local_participant(self) -> Any:
        return self.tones

    async def disconnect(self, *_: Any, **__: Any) -> None:
        pass

    def join(self, who: Participant | None = None) -> Participant:
        who = who or Participant()
        self.people[who.identity] = who
        self.emit("participant_connected", who)
        return who

    def leave(self, who: Participant, reason: int) -> None:
        self.people.pop(who.identity, None)
        who.disconnect_reason = reason
        self.emit("participant_disconnected", who)

    def press(self, key: str, who: Participant | None) -> None:
        self.emit("sip_dtmf_received", rtc.SipDTMF(code=0, digit=key, participant=who))  # type: ignore[arg-type]


def make_job(
    room: QuietRoom,
    *,
    is_fake: bool = False,
    metadata: str = "",
    on_shutdown: Callable[[str], None] = lambda _: None,
) -> JobContext:
    """A real `JobContext` that no worker runs."""
    info = RunningJobInfo(
        accept_arguments=JobAcceptArguments(identity="agent", name="", metadata=""),
        job=agent_proto.Job(
            id="AJ_1", room=models.Room(name=room.name, sid="RM_1"), agent_name="support",
            type=agent_proto.JobType.JT_ROOM, metadata=metadata,
        ),
        url="", token="", worker_id="w", fake_job=is_fake,
    )  # fmt: skip
    process = JobProcess(executor_type=JobExecutorType.THREAD, user_arguments=None, http_proxy=None)
    job = JobContext(proc=process, info=info, room=room, on_connect=lambda: None,
                     on_shutdown=on_shutdown, inference_executor=None)  # type: ignore[arg-type]  # fmt: skip
    job._connected = True
    job._tempdir.cleanup()
    return job


# --- one call


class Stage:
    """One call: what the far side can do, and what a test looks at."""

    def __init__(self, model: ScriptedLLM | None = None, job: JobContext | None = None,
                 room: QuietRoom | None = None, **options: Any) -> None:  # fmt: skip
        self.room = room or QuietRoom()
        self.shutdowns: list[str] = []
        self.job = job or make_job(self.room, on_shutdown=self.shutdowns.append)
        self.model = model or ScriptedLLM()
        self.vad, self.stt, self.voice = PuppetVAD(), PuppetSTT(), SilentTTS()
        self.closed = asyncio.Event()
        self.was_left = False
        self.last_words = ""
        self.caller: Participant | None = None
        turns = {
            "turn_detection": None,
            "endpointing": {"min_delay": 0.03, "max_delay": 0.1},
            "interruption": {
                "mode": "vad",
                "min_duration": 0.02,
                "resume_false_interruption": False,
            },
        }
        self.session: AgentSession[Any] = AgentSession(
            llm=self.model, stt=self.stt, tts=self.voice, vad=self.vad,
            **{"user_away_timeout": None, "aec_warmup_duration": None,
               "session_close_transcript_timeout": 0.05, "turn_handling": turns,
               "conn_options": SessionConnectOptions(max_unrecoverable_errors=0), **options},
        )  # fmt: skip
        self.session.on("close", lambda _: self.closed.set())

    async def start(self, agent: Agent | None = None) -> None:
        self.session.input.audio, self.session.output.audio = Silence(), Speaker()
        self.caller = self.room.join(self.caller)
        await self.session.start(agent or Agent(instructions="be brief"), record=False)

    async def say(self, text: str) -> None:
        """The caller speaks."""
        self.last_words = text
        kind = vad.VADEventType
        self.vad.tell(kind.START_OF_SPEECH, 0.05)
        await asyncio.sleep(0.02)
        self.vad.tell(kind.INFERENCE_DONE, 0.1)
        self.stt.tell(text)
        await asyncio.sleep(0.02)
        self.vad.tell(kind.END_OF_SPEECH, 0.1, 0.05)

    async def barge_in(self) -> None:
        """The caller makes a sound while the agent speaks; it speaks an aside if it is silent.

        A short answer is heard first, however long the machine takes over it.
        """
        kind = vad.VADEventType
        if self.last_words not in ("", "slow"):
            await self.until(lambda: self._answered() and self.session.agent_state == "listening")
        if self.session.agent_state != "speaking":
            self.aside(1.0)
            await self.until(lambda: self.session.agent_state == "speaking")
        self.vad.tell(kind.START_OF_SPEECH, 0.05)
        await asyncio.sleep(0.02)
        self.vad.tell(kind.INFERENCE_DONE, 0.2)
        await self.until(lambda: self.session.agent_state != "speaking")
        self.vad.tell(kind.END_OF_SPEECH, 0.2, 0.05)

    def _answered(self) -> bool:
        last: Any = self.session.history.items[-1]
        return bool(getattr(last, "role", "") == "assistant")

    def aside(self, seconds: float) -> Any:
        """The agent speaks without taking a turn."""
        return self.session.say(f"{ASIDE} {seconds}", add_to_chat_ctx=False)

    def hang_up(self, reason: int = rtc.DisconnectReason.CLIENT_INITIATED) -> None:
        assert self.caller is not None
        self.was_left = True
        self.room.leave(self.caller, reason)

    def come_back(self) -> None:
        self.room.join(self.caller)

    async def until(self, is_so: Callable[[], object], seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not is_so():
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self.session.aclose()
        for callback in self.job._shutdown_callbacks:
            await callback("test is over")
