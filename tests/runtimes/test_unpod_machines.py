"""Our own dialog machines on the real SDK: the entrypoint of README moved there as it stands."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.dialog import Echo, HttpDialog, OpenAIDialog, from_callable
from tests.runtimes.sdk import entrypoint, played, scene
from tests.servers import Reply, Server

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SAYS = "session: {call_start: [{say: welcome}], user_turn: [{inject: be brief}]}"


async def answer(text: str) -> str:
    return f"you said {text}"


async def pieces(text: str) -> AsyncIterator[str]:
    for word in ("you said ", text):
        yield word


class Plain:
    async def stream(self, text: str) -> AsyncIterator[str]:
        yield f"you said {text}"


def model(url: str) -> OpenAIDialog:
    return OpenAIDialog("m", base_url=url)


STREAM = Reply(
    body=f"data: {json.dumps({'choices': [{'delta': {'content': 'you said hello'}}]})}\n\n"
    "data: [DONE]\n\n",
    headers={"content-type": "text/event-stream"},
)


@pytest.mark.parametrize(
    ("make", "reply", "takes_notes"),
    [
        (lambda url: Echo(), "You said: hello", False),
        (lambda url: from_callable(answer), "you said hello", False),
        (lambda url: from_callable(pieces), "you said hello", False),
        (lambda url: from_callable(Plain().stream), "you said hello", False),
        (HttpDialog, "you said hello", True),
        (model, "you said hello", True),
    ],
    ids=["echo", "function", "generator", "stream of another", "endpoint", "model"],
)
def test_our_machines_answer_on_the_sdk(
    make: Callable[[str], Any], reply: str, takes_notes: bool, tmp_path: Path
) -> None:
    """One dial, turns answered before and after a barge-in, and notes only to those who take them."""

    async def main() -> None:
        answers = STREAM if make is model else Reply(body="you said hello")
        async with Server(answers) as server:
            machine = make(server.url)
            async with scene(SAYS, tmp_path, entrypoint(machine)) as on:
                call = await on.peer.connect()
                for number in (1, 2):
                    await call.say("hello")
                    await call.until_verb("agent.text.end", number)
                    await call.send("user.interrupted", heard_prefix="you")
                await call.hang_up()
                await on.settle()
                assert (call.dials, call.refused) == (1, 0)
                assert call.replies == [reply] * 2
                status = "ok" if takes_notes else "failed"
                assert [s["status"] for s in on.lines.of(step="inject")] == [status] * 2
            with contextlib.suppress(AttributeError):
                await machine.aclose()

    played(main())


def test_a_whole_turn_is_the_reply() -> None:
    """The SDK's contract has it, for whoever calls it outside of a call."""
    assert asyncio.run(Echo().turn("hi", context={})) == "You said: hi"
