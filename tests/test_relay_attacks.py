"""Whoever is not the carrier gets nowhere; one caller who misbehaves harms no other."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import httpx
import pytest
from nacl.signing import SigningKey
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.relay_line import Line, line
from tests.relay_peer import PUBLIC, Telnyx, Twilio

HELLO = "session: {call_start: [{say: hello}]}"
FORM = {"CallSid": "CA1", "From": "+15550100", "To": "+15550199"}


def run(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work, 50))


#: What is sent, by what is wrong with it: (form that is signed, form that is sent, URL signed, key)
ATTACKS: dict[str, dict[str, Any]] = {
    "missing": {"headers": {}},
    "empty": {"headers": {"X-Twilio-Signature": ""}},
    "rubbish": {"headers": {"X-Twilio-Signature": b"\x80\xff"}},
    "another account": {"carrier": Twilio("another-token")},
    "another URL": {"url": f"{PUBLIC}/action"},
    "another host": {"url": "https://evil.example/phone/voice"},
    "another scheme": {"url": f"{PUBLIC}/voice".replace("https", "http")},
    "a query more": {"query": "?data=%7B%7D"},
    "a changed field": {"signed": {**FORM, "From": "+15550101"}},
    "a field less": {"signed": {**FORM, "Extra": "1"}},
    "a field more": {"signed": {"CallSid": "CA1"}},
    "signed as a handshake": {"url": f"{PUBLIC}/voice".replace("https", "wss")},
}


@pytest.mark.parametrize("name", ATTACKS)
def test_webhooks_that_twilio_did_not_sign(name: str) -> None:
    """403 and an empty body; no call is announced."""
    attack = {"carrier": Twilio(), "url": f"{PUBLIC}/voice", "signed": FORM, "query": "",
              **ATTACKS[name]}  # fmt: skip

    async def main() -> None:
        async with line(HELLO, max_calls=1) as server:
            headers = attack.get("headers")
            if headers is None:
                headers = attack["carrier"].sign(attack["url"], attack["signed"])
            address = f"{PUBLIC}/voice{attack['query']}"
            answer = await server.network.post(address, FORM, headers=headers)
            assert (answer.status_code, answer.content) == (403, b"")
            call = await server.ring("CA7")  # there is still room
            await call.until_heard("hello")

    run(main())


def test_webhooks_that_telnyx_did_not_sign() -> None:
    """Another key, a changed body, an old recording of a request."""

    async def main() -> None:
        carrier, url = Telnyx(), f"{PUBLIC}/voice"
        async with line(HELLO, carrier) as server:
            other = Telnyx(SigningKey.generate())
            old, now = carrier.sign(url, FORM, when=time.time() - 400), carrier.sign(url, FORM)
            for form, headers in ((FORM, {}), (FORM, other.sign(url, FORM)), (FORM, old),
                                  ({**FORM, "From": "1"}, now)):  # fmt: skip
                answer = await server.network.post(url, form, headers=headers)
                assert (answer.status_code, answer.content) == (403, b"")
            assert (await server.network.post(url, FORM, headers=now)).status_code == 200

    run(main())


@pytest.mark.parametrize("carrier", [Twilio(), Telnyx()], ids=lambda c: c.name)
def test_callbacks_to_paths_that_were_not_made_here(carrier: Any) -> None:
    """Signed, but with the seal of another call, or none: refused. The call goes on."""

    async def main() -> None:
        async with line(HELLO, carrier) as server:
            call = await server.ring()
            other = await server.ring("CA2")
            await other.until_heard("hello")
            mark = other.action.rpartition("/")[2]
            form = {**call.form, "SessionStatus": "failed"}
            for path in (f"action/CA1/{mark}", "action/CA1/x", f"dialled/CA1/{mark}",
                         f"whisper/CA1/{mark}", f"hold/CA%2F/{mark}"):  # fmt: skip
                answer = await server.network.post(f"{PUBLIC}/{path}", form)
                assert answer.status_code in (403, 404), path
            for caller in (call, other):
                await caller.say("hi")
                await caller.until_heard("You said: hi")

    run(main())


async def _refused(url: str, headers: dict[str, str]) -> int:
    try:
        async with connect(url, additional_headers=headers, proxy=None):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def test_handshakes_that_are_not_the_carriers() -> None:
    """Missing, wrong, another call's: refused before the socket opens."""

    async def main() -> None:
        carrier = Twilio()
        async with line(HELLO) as server:
            call = await server.ring()
            url = call.attributes["url"]
            local = server.network.local(url)
            for headers in ({}, {"X-Twilio-Signature": "AAAA"}, Twilio("other").sign(url, {}),
                            carrier.sign(f"{url}x", {})):  # fmt: skip
                assert await _refused(local, headers) == 403
            forged = url.replace("CA1", "CA2")
            assert await _refused(server.network.local(forged), carrier.sign(forged, {})) == 403
            bare = f"{PUBLIC}/relay".replace("https", "wss")
            assert await _refused(server.network.local(bare), carrier.sign(bare, {})) >= 400
            await call.say("hi")
            await call.until_heard("You said: hi")

    run(main())


def test_a_handshake_that_was_recorded() -> None:
    """The same URL and signature again: neither a live call nor one that is over is taken."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = await server.ring()
            await call.until_heard("hello")
            url = call.attributes["url"]
            headers = Twilio().sign(url, {})

            async def replay() -> None:
                async with connect(
                    server.network.local(url), additional_headers=headers, proxy=None
                ) as socket:
                    await socket.send(
                        json.dumps({"type": "setup", "callSid": "CA1", "sessionId": "VX1"})
                    )
                    with pytest.raises(ConnectionClosed):
                        await asyncio.wait_for(socket.recv(), 5)

            await replay()
            await call.say("mine")
            await call.until_heard("You said: mine")
            await call.hang_up()
            await server.idle()
            await replay()
            assert server.journals.story().count("session call_start") == 1

    run(main())


@pytest.mark.parametrize(
    "first",
    [None, "no json", '{"type": "prompt", "voicePrompt": "x"}', '{"type": "setup"}',
     '{"type": "setup", "callSid": "CA2", "sessionId": "VX"}', '{"type": "setup", "callSid": 7}'],
)  # fmt: skip
def test_a_socket_without_its_setup(first: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed in bounded time, and no call begins; the carrier may open another."""
    from orchestrator.relay import web

    monkeypatch.setattr(web, "SETUP_LIMIT", 0.3)

    async def main() -> None:
        async with line(HELLO) as server:
            form = dict(FORM)
            text = (await server.network.post(f"{PUBLIC}/voice", form)).text
            url = text.partition('url="')[2].partition('"')[0]
            headers = Twilio().sign(url, {})
            async with connect(
                server.network.local(url), additional_headers=headers, proxy=None
            ) as socket:
                if first is not None:
                    await socket.send(first)
                with pytest.raises(ConnectionClosed):
                    await asyncio.wait_for(socket.recv(), 5)
            assert len(server.board) == 0
            monkeypatch.undo()
            call = await server.ring()
            await call.until_heard("hello")

    run(main())


BODIES: dict[str, tuple[bytes, str, int]] = {
    "too large": (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
    "too many fields": (
        b"&".join(b"a=1" for _ in range(300)),
        "application/x-www-form-urlencoded",
        400,
    ),
    "no ascii": (b"a=\xff", "application/x-www-form-urlencoded", 400),
    "no json": (b"{", "application/json", 403),
    "xml": (b"<a/>", "text/xml", 403),
    "nothing": (b"", "", 403),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_none(name: str) -> None:
    """A status, nothing else, and the server goes on."""
    body, kind, status = BODIES[name]

    async def main() -> None:
        async with line(HELLO) as server:
            async with httpx.AsyncClient(trust_env=False) as client:
                for route in ("voice", "action/CA1/x"):
                    answer = await client.post(
                        f"{server.network.base}/{route}",
                        content=body,
                        headers={"content-type": kind},
                    )
                    assert (answer.status_code, answer.content) == (status, b""), route
                assert (await client.get(f"{server.network.base}/voice")).status_code == 405
                assert (await client.get(f"{server.network.base}/.env")).status_code == 404
            call = await server.ring()
            await call.until_heard("hello")

    run(main())


def test_a_signed_webhook_with_a_strange_call() -> None:
    """No CallSid, or one that is none."""

    async def main() -> None:
        async with line(HELLO) as server:
            for form in (
                {"From": "x"},
                {"CallSid": ""},
                {"CallSid": "a/../b"},
                {"CallSid": "x" * 200},
            ):
                answer = await server.network.post(f"{PUBLIC}/voice", form)
                assert (answer.status_code, answer.content) == (400, b"")

    run(main())


async def _misbehave(call: Any) -> None:
    """Everything that is no frame, and frames that lie."""
    frames: list[str | bytes] = [
        "", "null", "[]", "{", b"\x00\xff", '{"type": "nope"}', '{"type": {}}', "1" * 6000,
        '{"type": "prompt"}', '{"type": "prompt", "voicePrompt": 7}', '{"type": "dtmf", "digit": "99"}',
        '{"type": "dtmf"}', '{"type": "info"}', '{"type": "info", "name": "agentSpeaking", "value": 1}',
        '{"type": "interrupt", "durationUntilInterruptMs": "NaN", "utteranceUntilInterrupt": []}',
        '{"type": "setup", "callSid": "CA2"}', '{"type": "error", "description": {}}',
        '{"type": "prompt", "voicePrompt": "\\ud800", "last": true}', '{"type": "end"}', "[" * 50_000,
    ]  # fmt: skip
    for frame in frames * 3:
        await call.send_raw(frame)


def test_two_calls_of_which_one_misbehaves() -> None:
    """Every bad frame is passed over and noted; the call itself and its neighbour go on."""

    async def main() -> None:
        async with line(HELLO) as server:
            bad, good = await server.ring("CA1"), await server.ring("CA2")
            await good.until_heard("hello")
            mischief = asyncio.create_task(_misbehave(bad))
            for number in range(5):
                await good.say(f"turn {number}")
                await good.until_heard(f"You said: turn {number}")
            await mischief
            await bad.say("sorry")
            await bad.until_heard("You said: sorry")
            await bad.hang_up()
            await good.hang_up()
            await server.idle()
            notes = server.journals.notes("CA1")
            assert len(notes) == 20
            assert notes[0]["why"] == "no JSON, 0 long"
            assert "no more" in notes[-1]["note"]
            assert server.journals.notes("CA2") == []

    run(main())


def test_a_flood_of_frames_waits() -> None:
    """A socket is read no faster than a call can speak; others are not held up."""

    async def main() -> None:
        async with line(HELLO) as server:
            bad, good = await server.ring("CA1"), await server.ring("CA2")
            await good.until_heard("hello")
            for _ in range(1000):
                await bad.send("dtmf", digit="1")
            await good.say("hi")
            await good.until_heard("You said: hi")
            await bad.hang_up()
            await good.hang_up()
            await server.idle()
            digits = [
                found["t"] for found in server.journals.lines["CA1"] if found.get("event") == "dtmf"
            ]
            # The first second's worth is read at once, however slow this machine is.
            assert 200 < len(digits) <= 200 * (digits[-1] + 2), "200 frames a second"

    run(main())


def test_what_was_refused_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    """Neither path nor header nor number."""

    async def main() -> None:
        async with line(HELLO) as server:
            with caplog.at_level(logging.DEBUG, "orchestrator"):
                await _attack(server)

    run(main())
    told = [
        (r.getMessage(), vars(r).get("reason"))
        for r in caplog.records
        if "refused" in r.getMessage()
    ]
    assert told == [
        ("request refused", "no signature"),
        ("request refused", "the signature does not fit"),
    ]
    text = json.dumps([str(vars(record)) for record in caplog.records])
    for word in ("canary", "5550100", "AAAA"):
        assert word not in text


async def _attack(server: Line) -> None:
    for headers in ({}, {"X-Twilio-Signature": "AAAA"}):
        await server.network.post(f"{PUBLIC}/voice?canary=1", FORM, headers=headers)
