"""LiveKit in the conformance suite: the real session, offline, with our hooks attached."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from livekit import rtc
from livekit.api.twirp_client import SipCallError

from orchestrator import Orchestrator
from orchestrator.callscript import event_from_mapping
from orchestrator.runtimes.callbacks import Waits
from orchestrator.runtimes.livekit import LIVEKIT_CAPABILITIES, LiveKit
from orchestrator.testing.conformance import REDIAL, Case, FarSide
from tests.runtimes.livekit_peer import E1, Stage

#: Seconds after which a caller whose connection broke is back.
BACK_AFTER = 0.6


#: What the other side answers, for the outcome of a case.
SIP_STATUS = {"busy": "486", "refused": "603"}


class LiveKitCarrier:
    """A call in a room that is connected to nothing, with a scripted model and a puppet's voice."""

    name = "livekit"
    can = (LIVEKIT_CAPABILITIES - {"transfer.agent"}) | {REDIAL}
    # A voice that is heard tells neither what cannot be cut nor why it stops; see test_livekit_calls.
    untold = frozenset({"say.protected", "interrupt", "metric", "tools"})

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        asyncio.run(main)

    async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
        stage, far = Stage(), FarSide(is_ordered=False)
        far.said = stage.voice.spoken
        call = LiveKit(stage.session, stage.job, waits=Waits(drain=2.0))
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def transfer(_: Any, to: str, *__: Any) -> asyncio.Future[Any]:
            far.asked.append(f"transfer number {to.removeprefix('tel:')}")
            return outcome

        stage.job.transfer_sip_participant = transfer  # type: ignore[method-assign,assignment]
        orchestrator.attach(call)
        await stage.start()
        try:
            await self._act(stage, call, case, outcome)
            await call.finished(10)
        finally:
            await stage.close()
        if keys := "".join(key for _, key in stage.room.tones.played):
            far.asked.append(f"keys {keys}")
        far.asked += [] if stage.was_left or "transfer" in str(far.asked) else ["end"]
        return far

    async def _act(
        self, stage: Stage, call: LiveKit, case: Case, outcome: asyncio.Future[Any]
    ) -> None:
        """Do what the script says, as long as the call is on."""
        began = asyncio.get_running_loop().time()
        acts = [(e.t, e.event.name, e.event.fields) for e in map(event_from_mapping, case.script)]
        if case.drop is not None:
            acts += [(case.drop, "drop", {}), (case.drop + BACK_AFTER, "back", {})]
        for t, name, fields in sorted(acts, key=lambda act: act[0]):
            left = began + t - asyncio.get_running_loop().time()
            if await call.finished(max(left, 0.001)):
                return
            if name == "transfer":
                _answer(outcome, fields["outcome"])
            else:
                await self._do(stage, name, fields)

    async def _do(self, stage: Stage, name: str, fields: Mapping[str, Any]) -> None:
        if name == "user_turn":
            await stage.say(fields["text"])
        elif name == "interruption":
            await stage.barge_in()
        elif name == "state":
            if fields["state"] == "speaking":
                stage.aside(0.3)
        elif name == "error":
            stage.stt.fail(E1(fields["message"]))
        elif name == "dtmf":
            stage.room.press(fields["digit"], stage.caller)
        elif name == "drop":
            stage.hang_up(rtc.DisconnectReason.SIGNAL_CLOSE)
        elif name == "back":
            stage.come_back()
        else:
            stage.hang_up()


def _answer(transfer: asyncio.Future[Any], outcome: str) -> None:
    if outcome == "answered":
        transfer.set_result(None)
    else:
        error = SipCallError("unknown", "declined", status=500,
                             metadata={"sip_status_code": SIP_STATUS[outcome]})  # fmt: skip
        transfer.set_exception(error)


CARRIERS = [LiveKitCarrier()]
