"""The runtimes in the conformance suite; Unpod's here: the SDK with our hooks, and our own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from orchestrator import AgentRunner, Orchestrator
from orchestrator.callscript import event_from_mapping
from orchestrator.runtimes.unpod import UNPOD_CAPABILITIES
from orchestrator.runtimes.unpod.native import UnpodExchange
from orchestrator.testing.conformance import MACHINE, NOTES, REDIAL, Case, FarSide, entrypoint
from tests.runtimes import livekit_carrier, pipecat_carrier
from tests.runtimes.unpod_peer import Call, Peer

#: The frame that stands for an event.
FRAMES = {
    "user_turn": lambda fields: ("user.text", {"text": fields["text"]}),
    "interruption": lambda fields: (
        "user.interrupted",
        {"turn_id": 1, "heard_prefix": fields.get("heard")},
    ),
    "state": lambda fields: ("state", {"state": fields["state"]}),
    "error": lambda fields: ("error", dict(fields)),
}


class UnpodCarrier:
    """A call over real WebSockets between a runner and our peer."""

    can = UNPOD_CAPABILITIES | {REDIAL, MACHINE}
    # The wire stops speech with the word that ends a reply, and our peer measures nothing.
    untold = frozenset({NOTES, "interrupt", "metric"})

    def __init__(self, name: str, *, is_sdk: bool, is_guarded: bool = False) -> None:
        self.name = name
        self._is_sdk = is_sdk
        self._is_guarded = is_guarded

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        asyncio.run(main)

    async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
        async with Peer() as peer:
            runner = self._runner(peer)
            attachment = orchestrator.attach(runner)
            running = asyncio.create_task(runner.run())
            try:
                call = await peer.connect()
                await self._act(call, case)
                await call.until_left()
                while attachment.calls:
                    await asyncio.sleep(0.02)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        return _seen(call)

    def _runner(self, peer: Peer) -> Any:
        if self._is_sdk:
            from tests.runtimes.sdk import make_runner

            return make_runner(
                peer, Orchestrator.guard(entrypoint) if self._is_guarded else entrypoint
            )
        exchange = UnpodExchange("agent", url=peer.url, token="t", org_handle="o")
        return AgentRunner(entrypoint, exchange=exchange, capabilities=UNPOD_CAPABILITIES)

    async def _act(self, call: Call, case: Case) -> None:
        """Do what the script says, as long as the line is there."""
        began = call.now()
        acts = [(e.t, e.event.name, e.event.fields) for e in map(event_from_mapping, case.script)]
        if case.drop is not None:
            acts.append((case.drop, "drop", {}))
        for t, name, fields in sorted(acts, key=lambda act: act[0]):
            left = began + t - call.now()
            if await self._ended_within(call, left):
                return
            await self._do(call, name, fields)

    async def _ended_within(self, call: Call, seconds: float) -> bool:
        try:
            await call.until(lambda: call.is_over, max(seconds, 0.001))
        except TimeoutError:
            return False
        return True

    async def _do(self, call: Call, name: str, fields: Any) -> None:
        if name == "hangup":
            await call.hang_up()
        elif name == "drop":
            await call.drop()
        else:
            frame, values = FRAMES[name](fields)
            await call.send(frame, **values)


def _seen(call: Call) -> FarSide:
    """The verbs that came, in the suite's words."""
    far = FarSide()
    for verb in call.verbs():
        kind, text = verb["event"], str(verb.get("text", ""))
        if "end" in far.asked and kind != "agent.text.end":
            far.late.append(str(verb))
        if kind in ("agent.say", "agent.text.delta"):
            far.said.append(text)
        elif kind == "agent.end_call":
            far.asked.append("end")
        elif kind == "agent.transfer":
            to = verb["transfer_type"].replace("human", "queue")
            warm = f", warm: {verb['announcement']}" if verb["mode"] == "warm" else ""
            far.asked.append(f"transfer {to} {verb['target']}{warm}")
    return far


CARRIERS = [
    UnpodCarrier("unpod attached", is_sdk=True),
    UnpodCarrier("unpod attached, guard", is_sdk=True, is_guarded=True),
    UnpodCarrier("unpod native", is_sdk=False),
    *livekit_carrier.CARRIERS,
    *pipecat_carrier.CARRIERS,
]
