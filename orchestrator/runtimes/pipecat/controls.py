"""What a call on Pipecat can be asked to do."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from orchestrator.errors import CommandRefused
from orchestrator.runtime import (
    Command,
    End,
    Inject,
    Interrupt,
    Recording,
    Say,
    SendDigits,
    Transfer,
)
from orchestrator.runtimes.callbacks import CallbackBridge

__all__ = ["PIPECAT_CAPABILITIES", "PipecatControls"]

#: What calls on Pipecat can do, where the transport and the pipeline have what it takes.
PIPECAT_CAPABILITIES = frozenset(
    {"say", "say.protected", "interrupt", "end", "transfer.number", "transfer.agent", "recording",
     "digits", "inject", "playback", "state", "dtmf", "error", "metric", "tools"}
)  # fmt: skip
#: Seconds that a `w` among key tones waits.
_PAUSE = 0.5


class PipecatControls:
    """Commands to one `PipelineWorker`: frames, mostly, so that they keep their order.

    Args:
        listener: the aggregator of the caller's words, which has the model's context.
        recorder: the `AudioBufferProcessor`, if the pipeline has one.
        agents: names of workers on the bus of which one answers at a time.
    """

    def __init__(
        self, worker: Any, transport: Any, listener: Any, recorder: Any, agents: Sequence[str]
    ) -> None:
        self._frames = importlib.import_module("pipecat.frames.frames")
        self._worker = worker
        self._transport = transport
        self._listener = listener
        self._recorder = recorder
        self._agents = tuple(agents)
        self._said: list[dict[str, str]] = []
        self._is_recording = self._was_recording = False
        self._line: CallbackBridge

    @property
    def capabilities(self) -> frozenset[str]:
        """What this transport and this pipeline have what it takes for."""
        lacking = set()
        if not hasattr(self._transport, "sip_call_transfer"):  # Daily's
            lacking.add("transfer.number")
        if not self._agents:
            lacking.add("transfer.agent")
        if self._recorder is None:
            lacking.add("recording")
        return PIPECAT_CAPABILITIES - lacking

    def begin(self, line: CallbackBridge) -> None:
        """The call whose controls these are."""
        self._line = line
        if self._recorder is not None:
            add = self._recorder.add_event_handler
            add("on_recording_started", line.guarded(lambda *_: self._recorded(is_on=True)))
            add("on_recording_stopped", line.guarded(lambda *_: self._recorded(is_on=False)))

    def _recorded(self, *, is_on: bool) -> None:
        self._is_recording = is_on

    async def act(self, command: Command) -> None:
        """Do what a command says."""
        await _ACTS[type(command)](self, command)

    def tell_said(self) -> None:
        """Put into the model's context what was said while its reply was held."""
        said, self._said = self._said, []
        if said:
            self._listener.add_messages(said)

    # --- the commands

    async def _say(self, command: Say) -> None:
        # Told to the model by us: put into the context by Pipecat it would be a turn of the agent.
        frame = self._frames.TTSSpeakFrame(command.text, append_to_context=False)
        frame.interruptible = command.interruptible
        self._said.append({"role": "assistant", "content": command.text})
        if self._line.is_holding:  # the question waits there, and with it all that comes behind
            await self._listener.next.push_frame(frame)
            return
        self.tell_said()  # not while it waits: a context that ends so asks some models to go on
        await self._worker.queue_frame(frame)

    async def _interrupt(self, _: Interrupt) -> None:
        await self._worker.queue_frame(self._frames.InterruptionWorkerFrame())

    async def _inject(self, command: Inject) -> None:
        self._listener.add_messages([{"role": "developer", "content": command.note}])

    async def _send_digits(self, command: SendDigits) -> None:
        parts = command.digits.lower().split("w")
        tones = [self._frames.OutputDTMFFrame.from_string(keys) if keys else None for keys in parts]
        self._line.tasks.start(self._play(tones))

    async def _play(self, tones: list[Any]) -> None:
        for number, frame in enumerate(tones):
            if number:
                await asyncio.sleep(_PAUSE)
            if frame is not None:
                await self._worker.queue_frame(frame)

    async def _record(self, command: Recording) -> None:
        """At once: what was queued before must not be recorded any more."""
        if command.change == "pause":
            self._was_recording |= self._is_recording
            await self._recorder.stop_recording()
        elif self._was_recording:
            self._was_recording = False
            await self._recorder.start_recording()

    async def _end(self, command: End) -> None:
        self._line.was_ended = self._line.is_ending = True
        await self._worker.queue_frame(self._frames.EndFrame(reason=command.reason))

    async def _hand_over(self, name: str) -> None:
        if name not in self._agents:
            raise CommandRefused(f"there is no agent {name!r}; known: {', '.join(self._agents)}")
        for other in self._agents:
            if other != name:
                await self._worker.deactivate_worker(other)
        await self._worker.activate_worker(name)
        self._line.put("transfer", outcome="answered", target=name, stays=True)

    async def _transfer(self, command: Transfer) -> None:
        if command.kind == "agent":
            await self._hand_over(command.target)
            return
        module = sys.modules[type(self._transport).__module__]
        frame = getattr(module, "DailySIPTransferFrame", None)
        if frame is None:
            raise CommandRefused("this transport cannot transfer after queued speech")
        await self._worker.queue_frame(frame(settings={"toEndPoint": command.target}))


_ACTS: Mapping[type[Command], Callable[[PipecatControls, Any], Awaitable[None]]] = {
    Say: PipecatControls._say,
    Interrupt: PipecatControls._interrupt,
    Inject: PipecatControls._inject,
    SendDigits: PipecatControls._send_digits,
    Recording: PipecatControls._record,
    End: PipecatControls._end,
    Transfer: PipecatControls._transfer,
}
