"""Frames that are too large or come first, and replies to a line that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from websockets.asyncio.client import connect

from orchestrator.relay.parts import Limits
from tests.relay_line import line
from tests.relay_peer import PUBLIC, PhoneCall

HELLO = "session: {call_start: [{say: hello}]}"


def run(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work, 50))


def test_a_frame_that_is_too_large_is_passed_over() -> None:
    """The call goes on, and its journal says what came."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = await server.ring("CA1")
            await call.until_heard("hello")
            await call.send("info", name="tokensPlayed", value="x" * 70_000)
            await call.say("hi")
            await call.until_heard("You said: hi")
            await call.hang_up()
            await server.idle()
            (note,) = server.journals.notes("CA1")
            assert "too long, 70" in note["why"]

    run(main())


def test_a_message_that_the_server_does_not_take_ends_its_own_call_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The socket is closed, journal and log say why; the other call goes on."""

    async def main() -> None:
        async with line(HELLO, limits=Limits(callback=0.2)) as server:
            bad, good = await server.ring("CA1"), await server.ring("CA2")
            await good.until_heard("hello")
            await bad.until_heard("hello")
            await bad.send_raw("x" * 1_100_000)
            await bad.until(lambda: bad.socket is None)
            await good.say("hi")
            await good.until_heard("You said: hi")
            await good.hang_up()
            await server.idle()
            (note,) = server.journals.notes("CA1")
            assert "larger than the server takes" in note["why"]
            assert "socket closed" in caplog.messages

    run(main())


@pytest.mark.parametrize(
    ("frame", "why"),
    [('{"type": "prompt"}', "expected setup"), ('{"type": "setup", "callSid": "CA2"}', "another")],
)
def test_a_first_frame_that_is_no_setup_is_named(
    frame: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what came instead."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = PhoneCall(server.network, "CA1")
            document = (await server.network.post(f"{PUBLIC}/voice", call.form)).text
            url = ET.fromstring(document)[0][0].attrib["url"]
            headers = server.network.carrier.sign(url, {}, is_handshake=True)
            async with connect(
                server.network.local(url), additional_headers=headers, proxy=None
            ) as socket:
                await socket.send(frame)
                await socket.wait_closed()
            refused = next(r for r in caplog.records if r.message == "socket refused")
            assert why in vars(refused)["reason"]

    run(main())


class Steps:
    """A reply whose second piece is written when the test says so."""

    def __init__(self) -> None:
        self.more = asyncio.Event()
        self.written = 0

    async def stream(self, text: str) -> AsyncIterator[str]:
        for piece in ("one", " two", " three"):
            self.written += 1
            yield piece
            await self.more.wait()


def test_a_reply_stops_when_the_socket_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """The journal claims what was sent and no more; one log line, which names the call."""
    caplog.set_level("INFO", "orchestrator")

    async def main() -> None:
        machine = Steps()
        limits = Limits(callback=5)
        async with line(HELLO, machine=lambda: machine, limits=limits) as server:
            call = await server.ring("CA1")
            await call.until_heard("hello")
            await call.say("count")
            await call.until_heard("one...")
            bridge = server.board.find("CA1")
            await call.drop()
            async with asyncio.timeout(5):
                while bridge.phase.value != "lost":  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.01)
            machine.more.set()
            await call.session_ends("completed", CallStatus="completed")
            await server.idle()
            turns = [x for x in server.journals.lines["CA1"] if x.get("event") == "agent_turn"]
            assert machine.written == 2, "the second piece waits, a third is not asked for"
            assert [(x["text"], x["interrupted"]) for x in turns] == [("one", True)]
            lines = [r for r in caplog.records if r.message.startswith("reply ended")]
            assert [vars(r)["call_id"] for r in lines] == ["CA1"]

    run(main())


def test_half_a_character_is_sent_as_a_mark() -> None:
    """What the caller said may hold one; the carrier gets whole characters only."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = await server.ring("CA1")
            await call.send_raw('{"type": "prompt", "voicePrompt": "\\ud800 x", "last": true}')
            await call.until_heard("You said: \ufffd x")
            await call.hang_up()

    run(main())
