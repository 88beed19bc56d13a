"""Transfers that come back more than once, or are given up while the announcement is heard."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.relay.parts import Limits
from tests.relay_line import line
from tests.test_relay_calls import QUEUES, TRANSFERS, greeted

WARM = TRANSFERS % ", mode: warm, announcement: a caller"


def run(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work, 50))


def test_a_queue_may_be_left_again_and_again() -> None:
    """Its id is the same each time; which transfer it was, our own URL tells."""

    async def main() -> None:
        async with line(QUEUES % "7s") as server:
            call = await greeted(server)
            call.form["QueueSid"] = "QU1"
            for times in (1, 2, 3):
                await call.say("human")
                await call.until_doing("queued")
                left = {**call.form, "QueueResult": "leave"}
                answer = (await server.network.post(call.after, left)).text
                assert (await server.network.post(call.after, left)).text == answer
                await call.follow(answer)
                await call.until(lambda n=times: call.heard.count("nobody is free") == n)
            await call.hang_up()
            await server.idle()
            story = server.journals.story()
            assert story.count("event transfer no_answer") == 3
            assert "event transfer answered" not in story

    run(main())


def test_what_an_earlier_transfer_is_told_late_is_not_of_this_one() -> None:
    """A second transfer is not answered because the first was."""

    async def main() -> None:
        async with line(TRANSFERS % "") as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("dialling")
            late = call.dialled["statusCallback"]
            await call.dial_ends("busy")
            await call.until_heard("nobody is free")
            await call.say("human")
            await call.until_doing("dialling")
            await server.network.post(late, {"CallSid": "CAleg"})
            await call.dial_ends("busy")
            await call.until(lambda: call.heard.count("nobody is free") == 2)
            await call.hang_up()
            await server.idle()
            assert "event transfer answered" not in server.journals.story()

    run(main())


@pytest.mark.parametrize("status", ["no-answer", "completed"])
def test_who_leaves_in_the_announcement_has_not_answered(status: str) -> None:
    """The caller, who was never connected, comes back to us."""

    async def main() -> None:
        async with line(WARM) as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("dialling")
            await call.ask("url")
            await call.dial_ends(status, DialBridged="false")
            await call.until_heard("nobody is free")
            await call.hang_up()
            await server.idle()
            assert "event transfer no_answer" in server.journals.story()

    run(main())


def test_who_hears_the_announcement_out_has_answered() -> None:
    """By what the carrier says, or because it says nothing else."""

    async def main() -> None:
        async with line(WARM, limits=Limits(whispered=0.1)) as server:
            told, silent = await greeted(server, "CA1"), await greeted(server, "CA2")
            for call in (told, silent):
                await call.say("human")
                await call.until_doing("dialling")
                await call.ask("url")
            await told.dial_ends("completed", DialBridged="true")
            await server.idle()
            for name in ("CA1", "CA2"):
                assert "session call_end transferred" in server.journals.story(name)

    run(main())


def test_a_reply_to_a_caller_who_is_passed_on_was_not_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No turn of the agent, and one line in the log, with the call and why."""
    caplog.set_level("INFO", "orchestrator")

    async def main() -> None:
        async with line(TRANSFERS % "") as server:
            call = await greeted(server)
            await call.say("human")
            await call.until_doing("dialling")
            await call.ask("statusCallback")
            await server.idle()
            events = [x.get("event") for x in server.journals.lines["CA1"]]
            assert "agent_turn" not in events

    run(main())
    (ended,) = [r for r in caplog.records if r.message.startswith("reply ended")]
    assert vars(ended)["call_id"] == "CA1"
    assert "transferred" in vars(ended)["reason"]
