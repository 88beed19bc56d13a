"""ConversationRelay in the conformance suite: calls through real webhooks and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from orchestrator import AgentRunner, Orchestrator
from orchestrator.callscript import event_from_mapping
from orchestrator.relay.dialects import DIALECTS, RELAY_CAPABILITIES
from orchestrator.relay.listener import Listener, open_socket
from orchestrator.relay.signatures import Seal, TelnyxSignatures, TwilioSignatures
from orchestrator.relay.switchboard import Switchboard
from orchestrator.relay.twiml import Directions
from orchestrator.relay.web import RelayWeb
from orchestrator.testing.conformance import MACHINE, NOTES, Case, FarSide, entrypoint
from tests.relay_peer import PUBLIC, TOKEN, Network, PhoneCall, Telnyx, Twilio

#: How a queue and a dial end, for the outcome of a case.
QUEUE_ENDS = {"answered": "bridged", "refused": "queue-full"}
DIAL_ENDS = {"answered": "completed", "busy": "busy"}


@contextlib.asynccontextmanager
async def serving(
    carrier: Any, runner_of: Any, relay: Any = (), **options: Any
) -> AsyncIterator[Any]:
    """Our server in this loop: yields the network that reaches it, the runner and the board."""
    dialect = DIALECTS[carrier.name]
    directions = Directions(PUBLIC, Seal(b"secret"), {**dialect.attributes, **dict(relay)}, {})
    board = Switchboard(directions, carrier=carrier.name, **options)
    verifier = (
        TwilioSignatures([TOKEN])
        if carrier.name == "twilio"
        else TelnyxSignatures(carrier.public_key, time.time)
    )
    runner = runner_of(board)
    listener = Listener(RelayWeb(board, verifier).app, open_socket("127.0.0.1", 0))
    await listener.start()
    running = asyncio.create_task(runner.run())
    try:
        yield Network(carrier, listener.url), runner, board
    finally:
        await board.aclose()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await board.settle(0.1)
        await listener.aclose()


class RelayCarrier:
    """A call between our server and a carrier of ours."""

    can = RELAY_CAPABILITIES | {MACHINE}
    untold = frozenset({NOTES, "transfer.warm"})  # see test_relay_transfers

    def __init__(self, name: str, carrier: Any) -> None:
        self.name = name
        self._carrier = carrier

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        asyncio.run(main)

    async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
        def runner_of(board: Any) -> AgentRunner:
            runner = AgentRunner(entrypoint, exchange=board)
            orchestrator.attach(runner)
            return runner

        async with serving(self._carrier(), runner_of) as (network, runner, _):
            call = await network.ring("call")
            began = time.monotonic()
            for event in map(event_from_mapping, case.script):
                if await self._over_within(call, began + event.t - time.monotonic()):
                    break
                await self._do(call, event.event.name, event.event.fields)
            await runner.shutdown(10)
            return _seen(call)

    async def _over_within(self, call: PhoneCall, seconds: float) -> bool:
        try:
            await call.until(lambda: call.doing == "over", max(seconds, 0.001))
        except AssertionError:
            return False
        return True

    async def _do(self, call: PhoneCall, name: str, fields: Any) -> None:
        if name == "user_turn":
            await call.say(fields["text"])
        elif name == "interruption":
            heard = fields.get("heard", "x")
            await call.send(
                "interrupt", utteranceUntilInterrupt=heard, durationUntilInterruptMs="9.5"
            )
        elif name == "state":
            value = "on" if fields["state"] == "speaking" else "off"
            await call.send("info", name="agentSpeaking", value=value)
        elif name == "error":
            await call.session_ends("failed", ErrorCode=fields["code"])
        elif name == "transfer":
            await call.until(lambda: call.doing in ("queued", "dialling"))
            if call.doing == "queued":
                await call.queue_ends(QUEUE_ENDS[fields["outcome"]])
            else:
                await call.dial_ends(DIAL_ENDS[fields["outcome"]])
        elif name == "dtmf":
            await call.send("dtmf", digit=fields["digit"])
        elif name == "hangup":
            await call.hang_up()


def _last_words(call: PhoneCall) -> list[str]:
    """What a document has the carrier say itself, once no session can."""
    documents = map(ET.fromstring, call.documents)
    return [verb.text or "" for document in documents for verb in document.iter("Say")]


def _seen(call: PhoneCall) -> FarSide:
    """What the carrier had on its sockets, in the suite's words."""
    far = FarSide([*call.heard, *_last_words(call)])
    for _, frame in call.frames:
        kind = frame["type"]
        if kind == "text" and frame.get("interruptible") is False:
            far.protected.append(frame["token"])
        if "end" in far.asked:
            far.late.append(str(frame))
        if kind in _ASKED:
            far.asked.append(_ASKED[kind](call, frame))
    return far


def _end(call: PhoneCall, frame: dict[str, Any]) -> str:
    """Why the line is given back is in its handoff; whither, in the next document."""
    target = json.loads(frame["handoffData"]).get("transfer")
    kind = "queue" if "queue" in call.dialled else "number"
    return f"transfer {kind} {target}" if target else "end"


_ASKED: dict[str, Callable[[PhoneCall, dict[str, Any]], str]] = {
    "end": _end,
    "sendDigits": lambda _, frame: f"keys {frame['digits']}",
    "play": lambda _, frame: f"play {frame['source']} {frame['loop']}",
    "language": lambda _, frame: (
        f"language {frame['ttsLanguage']} {frame['transcriptionLanguage']}"
    ),
}


CARRIERS = [
    RelayCarrier("conversation relay", Twilio),
    RelayCarrier("conversation relay, Telnyx", Telnyx),
]
