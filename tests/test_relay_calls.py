"""Calls over ConversationRelay: every row of its tables, transfers, ends, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from orchestrator.compiler import compile_config
from orchestrator.errors import NotSupported
from orchestrator.relay import listener as listener_module
from orchestrator.relay.parts import Limits
from orchestrator.validation import check_text
from tests.relay_line import Line, line
from tests.relay_peer import Telnyx, Twilio
from tests.servers import Reply, Server

HELLO = "session: {call_start: [{say: hello}]}"
TRANSFERS = """
session:
  call_start: [{say: hello}]
  user_turn:
    - when: event.text == 'human'
      do:
        - escalate_transfer: {number: "+442079460123", answer_within: 20s%s}
          on_error: [{say: nobody is free}]
  call_end: [{name: case ended, do: [{log: x}]}]
"""
QUEUES = """
session:
  call_start: [{say: hello}]
  user_turn:
    - when: event.text == 'human'
      do:
        - escalate_transfer: {queue: people, mode: warm, announcement: soon, answer_within: %s}
          on_error: [{say: nobody is free}]
"""
ENDS = ["session call_end transferred", "hook ended", "runner call_end ended"]


def run(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work, 50))


async def greeted(server: Line, call_id: str = "CA1", *, is_quick: bool = True) -> Any:
    call = await server.ring(call_id)
    await call.until_heard("hello")
    call.is_quick = is_quick
    if is_quick:
        await call.speak()
    return call


# --- the tables


@pytest.mark.parametrize("carrier", [Twilio(), Telnyx()], ids=lambda c: c.name)
def test_setup_starts_the_call(carrier: Any) -> None:
    """Direction, numbers and custom parameters; `to` is the caller's number when we called."""

    async def main() -> None:
        async with line(HELLO, carrier) as server:
            call = await greeted(server)
            assert call.attributes["url"].startswith("wss://calls.example.com/phone/relay/CA1/")
            assert call.attributes["dtmfDetection"] == "true"
            placed = await server.ring("CA2", "?data=%7B%22a%22%3A+1%7D&agent=reminder",
                                       Direction="outbound-api")  # fmt: skip
            await placed.until_heard("hello")
            await call.hang_up()
            await placed.hang_up()
            await server.idle()
            first, second = server.journals.header("CA1"), server.journals.header("CA2")
            assert (first["direction"], first["user_number"]) == ("inbound", "+15550100")
            assert first["runtime"] == "conversation_relay"
            assert (second["direction"], second["user_number"]) == ("outbound", "+15550199")
            assert (second["data"], second["agent_id"]) == ({"a": 1}, "reminder")

    run(main())


def test_what_the_carrier_reports() -> None:
    """prompt, dtmf, interrupt, error and info, each as our event with its fields."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = await greeted(server, is_quick=False)
            await call.send("info", name="agentSpeaking", value="on", ts=1)
            await call.send("info", name="agentSpeaking", value="off")
            await call.send("info", name="clientSpeaking", value="on")
            await call.send("info", name="tokensPlayed", value="hello")
            await call.send("prompt", voicePrompt="good", lang="en-US", last=False)
            await call.send("prompt", voicePrompt="good day", lang="de-DE", last=True)
            await call.until_heard("You said: good day")
            await call.send("dtmf", digit="#")
            await call.send(
                "interrupt", utteranceUntilInterrupt="You", durationUntilInterruptMs="1.5"
            )
            await call.send("error", description="TTS is slow")
            await call.hang_up()
            await server.idle()
            events = [
                {k: v for k, v in found.items() if k not in ("t", "origin")}
                for found in server.journals.lines["CA1"] if "event" in found
            ]  # fmt: skip
            agent, caller = {"who": "agent"}, {"who": "caller"}
            assert [e for e in events if e["event"] != "agent_turn"] == [
                {"event": "state", "state": "speaking", **agent},
                {"event": "state", "state": "listening", **agent},
                {"event": "state", "state": "speaking", **caller},
                {"event": "state", "state": "speaking", **caller},
                {"event": "user_turn", "text": "good day", "language": "de-DE"},
                {"event": "dtmf", "digit": "#"},
                {"event": "interruption", "heard": "You", "ms": 1},
                {
                    "event": "error",
                    "code": "relay",
                    "message": "TTS is slow",
                    "severity": "error",
                    "source": "conversation_relay",
                },
                {"event": "hangup", "reason": "completed"},
            ]

    run(main())


def test_what_we_ask_of_the_carrier() -> None:
    """text, play, sendDigits, language and end."""

    async def main() -> None:
        config = """
session:
  call_start:
    - say: {text: hello, interruptible: false}
    - play: {source: "https://example.com/a.mp3", loop: 2, lasts: 100ms}
    - send_dtmf: "1w2"
    - set_language: de-DE
    - set_language: {transcription: en-US}
    - end_call: done
"""
        async with line(config) as server:
            call = await server.ring()
            await call.until_doing("over")
            assert [frame for _, frame in call.frames] == [
                {"type": "text", "token": "hello", "last": True, "interruptible": False,
                 "preemptible": False},
                {"type": "play", "source": "https://example.com/a.mp3", "loop": 2,
                 "interruptible": True},
                {"type": "sendDigits", "digits": "1w2"},
                {"type": "language", "ttsLanguage": "de-DE", "transcriptionLanguage": "de-DE"},
                {"type": "language", "transcriptionLanguage": "en-US"},
                {"type": "end", "handoffData": '{"reason": "done"}'},
            ]  # fmt: skip
            assert "<Hangup" in call.documents[-1]
            await server.idle()
            assert server.journals.story()[-2:] == [
                "session call_end ended",
                "runner call_end ended",
            ]

    run(main())


def test_goodbyes_are_heard_before_the_end() -> None:
    """With reports, `end` waits for the agent's audio to stop, and no longer."""

    async def main() -> None:
        config = "session: {user_turn: [{say: goodbye then}, {end_call: done}]}"
        async with line(config) as server:
            call = await server.ring()
            await call.send("info", name="agentSpeaking", value="off")
            await call.say("bye")
            await call.until_heard("goodbye then")
            await call.send("info", name="agentSpeaking", value="on")
            await server.idle()
            assert call.sent("end") == []
            await call.send("info", name="agentSpeaking", value="off")
            await call.until_doing("over")

    run(main())


# --- the end


@pytest.mark.parametrize("is_told", [True, False])
def test_a_socket_that_is_lost(is_told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback says why; without one the call ends all the same, once."""
    limits = Limits(callback=5.0 if is_told else 0.2)

    async def main() -> None:
        async with line(HELLO, limits=limits) as server:
            call = await greeted(server)
            await call.drop()
            if is_told:
                call.form["CallStatus"] = "completed"
                await call.session_ends("completed")
            await server.idle()
            assert server.journals.story()[-3:] == [
                "event hangup", "session call_end hangup", "runner call_end ended"
            ]  # fmt: skip
            assert len(server.board) == 0
            again = await call.session_ends("completed", follow=False)
            assert "<Hangup" in again

    run(main())


def test_a_session_that_failed() -> None:
    """The call fails, and what its hooks say is spoken in the carrier's voice."""

    async def main() -> None:
        config = HELLO[:-1] + ", error: [{say: 'sorry & bye'}]}"
        async with line(config) as server:
            call = await greeted(server)
            await call.session_ends("failed", ErrorCode="64105", ErrorMessage="gone")
            assert call.said == ["sorry & bye"]
            await server.idle()
            assert server.journals.story()[-4:] == [
                "event error 64105", "do say sorry & bye", "session call_end error",
                "runner call_end failed",
            ]  # fmt: skip

    run(main())


def test_a_peer_that_is_silently_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No goodbye, no packet: pings find out, and the call ends."""
    monkeypatch.setattr(listener_module, "PING", 0.2)
    monkeypatch.setattr(listener_module, "PONG", 1.0)
    limits = Limits(callback=0.2)

    async def main() -> None:
        async with line(HELLO, limits=limits) as server:
            call = await greeted(server)
            call.socket.transport.pause_reading()
            await server.board.settle(10)
            await server.idle()
            assert "session call_end hangup" in server.journals.story()
            call.socket.transport.abort()

    run(main())


# --- transfers


def test_a_cold_transfer_is_answered() -> None:
    """Dialled with its limit; once the other side took it, the call is over for us."""

    async def main() -> None:
        async with line(TRANSFERS % "") as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("dialling")
            assert json.loads(call.sent("end")[0]["handoffData"])["transfer"] == "+442079460123"
            assert (call.dialled["number"], call.dialled["timeout"]) == ("+442079460123", "20")
            await call.ask("statusCallback")
            await server.idle()
            assert server.journals.story()[-4:] == ["event transfer answered", *ENDS]
            await call.dial_ends("completed")
            assert call.doing == "over"

    run(main())


def test_a_warm_transfer_is_announced() -> None:
    """The other side hears the announcement when it picks up; then the caller is connected."""

    async def main() -> None:
        config = TRANSFERS % ", mode: warm, announcement: 'a caller <3'"
        async with line(config) as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("dialling")
            assert "<Say>a caller &lt;3</Say>" in await call.ask("url")
            await server.idle()
            assert server.journals.story()[-5:] == [
                "event transfer answered",
                "event hangup",
                *ENDS,
            ]
            assert "<Say" not in await call.ask("url"), "asked again it has nothing to say"

    run(main())


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("busy", "busy"), ("no-answer", "no_answer"), ("failed", "failed"), ("odd", "failed")],
)
def test_a_transfer_that_fails_resumes_the_same_call(status: str, outcome: str) -> None:
    """A new socket, no new start; `on_error` speaks; then another transfer may be made."""

    async def main() -> None:
        async with line(TRANSFERS % "") as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("dialling")
            await call.dial_ends(status)
            await call.until_heard("nobody is free")
            assert call.sockets == 2
            await call.say("well then")
            await call.until_heard("You said: well then")
            await call.say("human")
            await call.until_doing("dialling")
            await call.dial_ends(status, DialCallSid="CAother")
            await call.until(lambda: call.heard.count("nobody is free") == 2)
            await call.hang_up()
            await server.idle()
            story = server.journals.story()
            assert story.count(f"event transfer {outcome}") == 2
            assert story.count("session call_start") == story.count("runner call_start") == 1
            assert story[-3:] == ["session call_end hangup", *ENDS[1:]]

    run(main())


@pytest.mark.parametrize("result", ["leave", "queue-full", "system-error"])
def test_a_queue_is_left(result: str) -> None:
    """Whoever waited long enough leaves it, and is told so."""

    async def main() -> None:
        async with line(QUEUES % "7s") as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("queued")
            assert call.dialled["queue"] == "people"
            wait = await call.ask("waitUrl")
            assert '<Pause length="7" /><Leave />' in wait
            await call.queue_ends(result)
            await call.until_heard("nobody is free")
            await call.hang_up()
            await server.idle()
            assert any("announcement" in note["note"] for note in server.journals.notes())

    run(main())


def test_who_has_not_left_a_queue_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No carrier tells when somebody takes the call, only when it is over or the wait is."""
    limits = Limits(queued=0.1)

    async def main() -> None:
        async with line(QUEUES % "200ms", limits=limits) as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("queued")
            await server.idle()
            assert "event transfer answered" in server.journals.story()
            await call.queue_ends("bridged")
            assert call.doing == "over"

    run(main())


def test_a_caller_who_hangs_up_in_a_transfer() -> None:
    """The transfer failed, and the call ends as a hang-up."""

    async def main() -> None:
        async with line(TRANSFERS % "") as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("dialling")
            call.form["CallStatus"] = "completed"
            await call.dial_ends("no-answer")
            assert call.doing == "over"
            await server.idle()
            assert "session call_end hangup" in server.journals.story()

    run(main())


def test_a_caller_who_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded time the outcome is told and the call ends."""
    limits = Limits(resume=0.2)

    async def main() -> None:
        async with line(TRANSFERS % "", limits=limits) as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("dialling")
            form = {**call.form, "DialCallStatus": "busy"}
            await server.network.post(call.after, form)  # and its document is not followed
            await server.idle()
            story = server.journals.story()
            assert "event transfer busy" in story
            assert "session call_end hangup" in story

    run(main())


def test_a_carrier_that_never_calls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `end`, and after `<Dial>`: no call waits for ever."""
    limits = Limits(callback=0.2, dialled=-19.8)

    async def main() -> None:
        async with line(TRANSFERS % "", limits=limits) as server:
            deaf = await greeted(server, "CA1")
            deaf.answers_end = False
            await deaf.say("human")
            dialling = await greeted(server, "CA2")
            await dialling.say("human")
            await dialling.until_doing("dialling")
            await server.idle()
            first, second = server.journals.story("CA1"), server.journals.story("CA2")
            assert "event transfer failed" in first
            assert "session call_end hangup" in first
            assert "event transfer answered" in second, "else it would have asked again"
            assert "session call_end transferred" in second

    run(main())


def test_what_the_carrier_asks_twice_is_answered_the_same() -> None:
    """Its first answer may be lost; late callbacks of an earlier session change nothing."""

    async def main() -> None:
        async with line(TRANSFERS % "") as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("dialling")
            dial, first = (
                call.documents[-1],
                {**call.form, "SessionId": "VX1", "SessionStatus": "ended"},
            )
            assert (await server.network.post(call.action, first)).text == dial
            await call.dial_ends("busy", DialCallSid="CAd")
            busy = {**call.form, "DialCallStatus": "busy", "DialCallSid": "CAd"}
            assert (await server.network.post(call.after, busy)).text == call.documents[-1]
            assert (await server.network.post(call.action, first)).text == dial
            await call.until_heard("nobody is free")
            await call.say("still here")
            await call.until_heard("You said: still here")
            unknown = {**call.form, "SessionId": "VX9", "SessionStatus": "failed"}
            await server.network.post(call.action, unknown)
            await call.say("and now")
            await call.until_heard("You said: and now")
            await call.hang_up()
            await server.idle()
            assert any("callback" in note["note"] for note in server.journals.notes())

    run(main())


# --- sounds


@pytest.mark.parametrize("kind", [Twilio, Telnyx])
@pytest.mark.parametrize("then", ["end_call: done", "escalate_transfer: {number: '+15550142'}"])
def test_a_sound_is_heard_to_its_end_before_the_line_is_given_back(kind: Any, then: str) -> None:
    """Neither the end nor a transfer cuts it; other calls of no carrier report sounds."""

    async def main() -> None:
        sound = "play: {source: 'https://x.example/a.mp3', lasts: 700ms, loop: 2}"
        config = f"session: {{call_start: [{{say: hello}}], dtmf: [{{{sound}}}, {{{then}}}]}}"
        async with line(config, kind()) as server:
            call = await greeted(server)
            await call.send("dtmf", digit="1")
            await call.until(lambda: call.sent("play"))
            began = asyncio.get_running_loop().time()
            await call.until(lambda: call.sent("end"))
            assert asyncio.get_running_loop().time() - began >= 1.4
            await call.hang_up()
            await server.idle()

    run(main())


# --- recording


RECORDS = """
connections: {phone: {kind: twilio, account_sid: AC%s, auth_token: "${T:-t}", base_url: "%s"%s}}
session:
  call_start: [{say: hello}]
  user_turn: [{when: "event.text == 'card'", do: [{recording: {pause: card, max: %s}}]},
              {when: "event.text == 'done'", do: [{recording: resume}]}]
"""


def test_a_recording_is_paused_through_the_api() -> None:
    """What the API refuses fails its step, and the call goes on."""

    async def main() -> None:
        api = Server(Reply(200), Reply(500))
        async with api, line(RECORDS % ("1", api.url, "", "30s")) as server:
            call = await greeted(server)
            for word in ("card", "done"):
                await call.say(word)
                await call.until_heard(f"You said: {word}")
            await call.hang_up()
            await server.idle()
            asked = [(seen.target, seen.body) for seen in api.seen[:2]]
            assert all("/AC1/Calls/CA1/Recordings/" in target for target, _ in asked)
            assert b"Status=paused" in asked[0][1]
            assert b"Status=in-progress" in asked[1][1]
            assert "step recording failed" in server.journals.story()

    run(main())


@pytest.mark.parametrize("after", [RECORDS % ("2", "%s", "", "30s"), HELLO])
def test_a_reload_leaves_the_recordings_of_live_calls_alone(after: str) -> None:
    """A pause is resumed where it was made, also when the new config has no such connection."""

    async def main() -> None:
        async with Server(Reply(200)) as api, line(RECORDS % ("1", api.url, "", "900ms")) as server:
            call = await greeted(server)
            await call.say("card")
            await call.until_heard("You said: card")
            text = f"version: 1\n{after.replace('%s', api.url)}"
            config = check_text(text, "line.yaml").config
            assert config is not None
            server.app._take(config, compile_config(config, {}))  # what `reload` does with a file
            await api.until(2)
            assert all("/AC1/Calls/CA1/Recordings/" in seen.target for seen in api.seen)
            assert b"Status=in-progress" in api.seen[1].body
            await call.hang_up()
            await server.idle()

    run(main())


def test_a_pause_that_cannot_be_ended_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The journal says so too; the operator sees it without one."""

    async def main() -> None:
        api = Server(Reply(200), Reply(500))
        async with api, line(RECORDS % ("1", api.url, "", "300ms")) as server:
            call = await greeted(server)
            await call.say("card")
            await api.until(2)
            await call.hang_up()
            await server.idle()
            assert any("could not be resumed" in note["note"] for note in server.journals.notes())
            assert "a paused recording could not be resumed" in caplog.text

    run(main())


@pytest.mark.parametrize("carrier", [Twilio, Telnyx])
def test_only_a_connection_to_the_calls_own_carrier_lends_recordings(carrier: Any) -> None:
    """One of the other kind is refused when the config is attached, not in a call."""

    async def main() -> None:
        config = RECORDS % ("1", "https://api.example.com", "", "30s")
        if carrier is Twilio:
            async with line(config, carrier()):
                return
        with pytest.raises(NotSupported, match=r"recording .* kind telnyx would .* kind twilio"):
            async with line(config, carrier()):
                raise AssertionError("attached")

    run(main())


TWO = """
connections:
  sales: {kind: twilio, account_sid: AC%s, auth_token: "${T:-t}", base_url: "%s"}
  phone: {kind: twilio, account_sid: AC%s, auth_token: "${T:-t}", base_url: "%s"}
session:
  call_start: [{say: hello}]
  user_turn: [{recording: {pause: card, max: 30s}}]
"""


@pytest.mark.parametrize(
    ("accounts", "setup", "form", "asked", "status"),
    [
        (("2", "1"), {}, {}, "AC1", "ok"),  # it is not the first that counts
        (("2", "1"), {"accountSid": None}, {"AccountSid": "AC2"}, "AC2", "ok"),
        (("2", "3"), {}, {}, "", "failed"),
        (("2", "3"), {"accountSid": None}, {"AccountSid": ""}, "", "failed"),
        (("2", "2"), {}, {}, "AC2", "ok"),  # the one that there is may be it
    ],
    ids=["setup", "webhook", "neither fits", "not told", "only one"],
)  # fmt: skip
def test_a_recording_is_changed_by_the_connection_of_the_calls_account(
    accounts: tuple[str, str], setup: dict[str, Any], form: dict[str, str], asked: str, status: str
) -> None:
    """With several connections to a carrier, the account that brings the call decides."""

    class Other(Twilio):
        def setup(self, call: Any) -> dict[str, Any]:
            return {**super().setup(call), **setup}

    async def main() -> None:
        first, second = accounts
        async with Server(Reply(200)) as api:
            config = TWO % (first, api.url, second, api.url)
            async with line(config, Other()) as server:
                call = await server.ring("CA1", **form)
                await call.until_heard("hello")
                await call.say("card")
                await call.until_heard("You said: card")
                await call.hang_up()
                await server.idle()
                lines = server.journals.lines["CA1"]
                steps = [found for found in lines if found.get("step") == "recording"]
                assert [step["status"] for step in steps] == [status]
                assert ("sales, phone" in str(steps)) is not bool(asked)
            paths = {seen.target.split("/")[3] for seen in api.seen}
            assert paths == ({asked} if asked else set())

    run(main())


def test_a_pause_that_failed_says_why_in_words() -> None:
    """Digits are starred while a recording is paused, those of the status too."""

    async def main() -> None:
        api = Server(Reply(403))
        async with api, line(RECORDS % ("1", api.url, "", "30s")) as server:
            call = await greeted(server)
            await call.say("card")
            await call.until_heard("You said: card")
            await call.hang_up()
            await server.idle()
            steps = [li for li in server.journals.lines["CA1"] if li.get("step") == "recording"]
            assert "(Forbidden)" in str(steps[0])

    run(main())


# --- what a webhook is told


def test_a_call_that_is_over_is_not_connected_again(caplog: pytest.LogCaptureFixture) -> None:
    """Its socket would be refused, and the end of the process would wait for it."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = await greeted(server)
            await call.hang_up()
            await server.idle()
            answer = await server.network.post(f"{server.network.public}/voice", call.form)
            assert answer.status_code == 200
            assert "<Connect" not in answer.text
            assert "<Hangup" in answer.text
            assert not server.board._announced  # what a drain waits for
            assert "a call that is over was to be connected" in caplog.text

    run(main())


def test_a_webhook_set_to_get_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is one choice in the carrier's console, and the caller hears a bare hang-up."""

    async def main() -> None:
        async with line(HELLO) as server, httpx.AsyncClient(trust_env=False) as client:
            for path in ("voice", "voice", "healthz"):
                url = server.network.local(f"{server.network.public}/{path}")
                method = "POST" if path == "healthz" else "GET"
                answer = await client.request(method, url)
                assert answer.status_code == 405
                assert "allow" in answer.headers

    run(main())
    told = [vars(r)["reason"] for r in caplog.records if "wrong method" in r.getMessage()]
    assert told == ["/voice takes HTTP POST: set the webhook to it"]


# --- room


def test_a_full_line_is_busy() -> None:
    """And free again once a call has ended."""

    async def main() -> None:
        async with line(HELLO, max_calls=1) as server:
            call = await greeted(server)
            other = await server.ring("CA2")
            assert other.documents == [
                '<?xml version="1.0" encoding="UTF-8"?><Response><Reject reason="busy" /></Response>'
            ]
            placed = await server.ring("CA3", Direction="outbound-api")
            assert "<Hangup" in placed.documents[0]
            await call.hang_up()
            await server.board.settle(5)
            await greeted(server, "CA4")

    run(main())
