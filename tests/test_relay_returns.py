"""Calls whose socket comes back: after a transfer, after a loss, in a drain; and which number it was."""

from __future__ import annotations

import asyncio
import json
import textwrap
from typing import Any, cast

import pytest

from orchestrator.relay.switchboard import ANNOUNCED_LIMIT, Switchboard
from tests.relay_line import line
from tests.relay_peer import PhoneCall
from tests.test_relay_calls import HELLO, TRANSFERS, greeted, run
from tests.wire import virtual

SPEAKS = """
session:
  call_start: [{say: hello}]
  user_turn:
    - {when: "event.text == 'deutsch'", do: [{set_language: {speech: de-DE, transcription: de-DE}}]}
    - when: event.text == 'human'
      do: [{escalate_transfer: {number: "+442079460123"}, on_error: [{say: nobody is free}]}]
"""


async def transferred_in_vain(call: PhoneCall) -> None:
    await call.say("human")
    await call.until_doing("dialling")
    await call.dial_ends("busy")
    await call.until_heard("nobody is free")


def test_who_comes_back_is_not_greeted_again_and_keeps_the_language() -> None:
    """The document's language is that of a new call; what the call had set is sent first."""

    async def main() -> None:
        async with line(SPEAKS, relay={"welcomeGreeting": "Hi!", "language": "en-US"}) as server:
            call = await greeted(server)
            assert call.attributes["welcomeGreeting"] == "Hi!"
            await call.say("deutsch")
            await call.until(lambda: call.sent("language"))
            await transferred_in_vain(call)
            assert "welcomeGreeting" not in call.attributes
            back = [frame["type"] for number, frame in call.frames if number == 2]
            assert back[0] == "language"
            first, again = call.sent("language")
            assert first == again
            assert again["ttsLanguage"] == again["transcriptionLanguage"] == "de-DE"
            await call.hang_up()
            await server.idle()

    run(main())


def test_without_a_language_set_none_is_sent() -> None:
    """The document says it."""

    async def main() -> None:
        async with line(TRANSFERS % "") as server:
            call = await greeted(server)
            await transferred_in_vain(call)
            assert not call.sent("language")
            await call.hang_up()
            await server.idle()

    run(main())


def test_a_lost_socket_that_comes_back_goes_on_with_its_call() -> None:
    """Within the time that a lost one has; one start, one end."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = await greeted(server)
            await call.drop()
            await server.until_phase(call.id, "lost")
            await call.open(call.attributes["url"])
            await call.say("back")
            await call.until_heard("You said: back")
            await call.hang_up()
            await server.idle()
            story = server.journals.story()
            assert story.count("session call_start") == story.count("session call_end hangup") == 1
            assert any("came back" in note["note"] for note in server.journals.notes())

    run(main())


def test_a_call_answered_before_a_drain_is_carried() -> None:
    """Its caller heard no busy tone; new ones do."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = PhoneCall(server.network, "CA1")
            public = server.network.public
            document = (await server.network.post(f"{public}/voice", call.form)).text
            stopping = asyncio.create_task(server.runner.shutdown(20))
            await asyncio.sleep(0.1)
            assert "Reject" in (await server.ring("CA2")).documents[0]
            assert (await server.network.post(f"{public}/voice", call.form)).text == document
            await call.follow(document)
            await call.until_heard("hello")
            await call.say("still there?")
            await call.until_heard("You said: still there?")
            assert not stopping.done()
            await call.hang_up()
            await asyncio.wait_for(stopping, 10)
            assert "session call_end hangup" in server.journals.story()

    run(main())


def test_a_drain_does_not_wait_for_a_caller_who_left() -> None:
    """The carrier says so in the callback of a session that never was."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = PhoneCall(server.network, "CA1")
            await server.network.post(f"{server.network.public}/voice", call.form)
            stopping = asyncio.create_task(server.runner.shutdown(20))
            await asyncio.sleep(0.1)
            action = server.board.directions.url("action", "CA1")
            await server.network.post(action, {**call.form, "SessionStatus": "failed"})
            await asyncio.wait_for(stopping, 5)

    run(main())


FAILED = {"SessionStatus": "failed", "ErrorCode": "64102"}


@pytest.mark.parametrize(
    ("form", "level"),
    [(FAILED, "WARNING"), ({"SessionStatus": "failed"}, "WARNING"),
     ({"SessionStatus": "completed"}, "INFO")],
)  # fmt: skip
def test_why_a_call_did_not_connect_is_a_warning(
    form: dict[str, str], level: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the carrier's code and words, and without the seal: most first trials fail so."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = PhoneCall(server.network, "CA1")
            await server.network.post(f"{server.network.public}/voice", call.form)
            action = server.board.directions.url("action", "CA1")
            seal = action.rpartition("/")[2]
            message = (
                {"ErrorMessage": f"Unable to connect to wss://x/{seal}"} if form is FAILED else {}
            )
            await server.network.post(action, {**call.form, **form, **message})
            assert seal not in caplog.text

    with caplog.at_level("INFO", "orchestrator.relay.web"):
        run(main())
    (record,) = caplog.records
    assert (record.levelname, vars(record)["call_id"]) == (level, "CA1")
    if form is FAILED:
        assert vars(record)["reason"] == "64102 Unable to connect to wss://x/***"


def test_a_late_callback_of_a_call_that_was_on_is_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It did connect."""

    async def main() -> None:
        async with line(HELLO) as server:
            call = await greeted(server)
            await call.hang_up()
            await server.board.settle(5)
            await server.network.post(call.action, {**call.form, **FAILED})

    with caplog.at_level("INFO", "orchestrator.relay.web"):
        run(main())
    assert [r.levelname for r in caplog.records] == ["INFO"]


@virtual
async def test_a_call_of_which_nothing_more_is_heard_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without another call, and without a word of its carrier."""
    board = Switchboard(cast(Any, None))
    assert board.announce("CA1")
    await asyncio.sleep(ANNOUNCED_LIMIT + 1)
    (record,) = caplog.records
    assert vars(record)["call_id"] == "CA1"
    assert "did not connect" in record.message


@pytest.mark.parametrize("direction", ["inbound", "outbound-api"])
def test_numbers_are_told_apart(direction: str) -> None:
    """Ours is `call.called_number`, whichever way the call went."""
    config = """
    session:
      call_start:
        - {when: "call.called_number == '+15550199'", do: [{say: sales}]}
        - say: "{{ call.user_number }} {{ data.forwarded_from | default('-') }}"
    """
    numbers = {"From": "+15550100", "To": "+15550199"}
    if direction != "inbound":
        numbers = {"From": "+15550199", "To": "+15550100"}

    async def main() -> None:
        async with line(textwrap.dedent(config)) as server:
            call = PhoneCall(server.network, "CA1")
            call.form.update(numbers, Direction=direction)
            call.more["forwardedFrom"] = "+15550777"
            answer = await server.network.post(f"{server.network.public}/voice", call.form)
            await call.follow(answer.text)
            await call.until_heard("+15550100 +15550777")
            assert call.heard[0] == "sales"
            await call.hang_up()
            await server.idle()
            header: Any = server.journals.header()
            assert header["called_number"] == "+15550199"
            assert json.dumps(header["data"]) == '{"forwarded_from": "+15550777"}'

    run(main())
