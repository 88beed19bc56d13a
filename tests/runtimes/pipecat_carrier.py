"""Pipecat in the conformance suite: the real pipeline, offline, with our hooks attached."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import DataFrame, Frame
from pipecat.processors.frame_processor import FrameDirection

from orchestrator import Orchestrator
from orchestrator.callscript import event_from_mapping
from orchestrator.runtimes.callbacks import Waits
from orchestrator.runtimes.pipecat import PIPECAT_CAPABILITIES, Pipecat
from orchestrator.testing.conformance import CALLER, Case, FarSide
from tests.runtimes.pipecat_peer import E1, Line, Stage


@dataclass
class DailySIPTransferFrame(DataFrame):
    """Named as Daily's own, whose module needs its native package."""

    settings: Mapping[str, Any] = field(default_factory=dict)


class DailyLine(Line):
    """A line that can transfer, as far as an adapter sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.transfers: list[Mapping[str, Any]] = []
        spoken: Any = self.output()
        process = spoken.process_frame

        async def process_frame(frame: Frame, direction: FrameDirection) -> None:
            if isinstance(frame, DailySIPTransferFrame):
                self.transfers.append(frame.settings)
            await process(frame, direction)

        spoken.process_frame = process_frame

    async def sip_call_transfer(self, settings: Mapping[str, Any]) -> None:
        """What tells an adapter that transfers are possible."""


class PipecatCarrier:
    """A call through a transport that is connected to nothing."""

    name = "pipecat"
    can = PIPECAT_CAPABILITIES - {"transfer.agent", "recording"}
    # A voice that is heard tells neither what cannot be cut nor why it stops; see test_pipecat_calls.
    untold = frozenset({"say.protected", "interrupt", "digits", "metric", "tools"})

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        asyncio.run(main)

    async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
        line = DailyLine()
        stage = Stage(transport=line)
        call = Pipecat(stage.worker, stage.transport, ends_when_unusable=True,
                       waits=Waits(drain=2.0), user_number=CALLER)  # fmt: skip
        orchestrator.attach(call)
        await stage.start()
        try:
            was_left = await self._act(stage, call, case)
            await call.finished(10)
        finally:
            await stage.close()
        asked = [f"transfer number {settings['toEndPoint']}" for settings in line.transfers]
        return FarSide(stage.voice.spoken, [*asked, *([] if was_left else ["end"])])

    async def _act(self, stage: Stage, call: Pipecat, case: Case) -> bool:
        """Do what the script says, as long as the call is on; whether the caller left."""
        began = asyncio.get_running_loop().time()
        for entry in map(event_from_mapping, case.script):
            left = began + entry.t - asyncio.get_running_loop().time()
            if await call.finished(max(left, 0.001)):
                return False
            await self._do(stage, entry.event.name, entry.event.fields)
        return case.script[-1].get("hangup") is not None

    async def _do(self, stage: Stage, name: str, fields: Mapping[str, Any]) -> None:
        if name == "user_turn":
            await stage.say(fields["text"])
        elif name == "interruption":
            await stage.barge_in()
        elif name == "state":
            if fields["state"] == "speaking":
                await stage.aside(0.3)
        elif name == "dtmf":
            await stage.press(fields["digit"])
        elif name == "error":
            await stage.model.fail(E1(fields["message"]), for_good=True)
        else:
            await stage.transport.disconnect()


CARRIERS = [PipecatCarrier()]
