"""LiveKit and Pipecat with hooks written by hand: what ours are measured against.

A hook that is to act before the agent answers is `on_user_turn_completed` on LiveKit and a processor
in front of the model on Pipecat; the rest are event handlers.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit.agents import Agent
from pipecat.frames.frames import EndFrame, Frame, LLMContextFrame
from pipecat.processors.frame_processor import FrameDirection

from tests.runtimes import livekit_peer, pipecat_peer
from tests.runtimes.sdk import played

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Hook = Callable[[], Awaitable[None]]


async def raises() -> None:
    raise ValueError("boom")


async def sleeps() -> None:
    await asyncio.sleep(1.0)


_hanging: list[asyncio.Event] = []


async def hangs() -> None:
    """Until the test lets go: Pipecat cannot be made to end before."""
    _hanging.append(asyncio.Event())
    await _hanging[-1].wait()


def let_go() -> None:
    while _hanging:
        _hanging.pop().set()


# --- LiveKit


class Hooked(Agent):
    def __init__(self, hook: Hook) -> None:
        super().__init__(instructions="x")
        self._hook = hook

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        await self._hook()


async def livekit_answers(hook: Hook, words: list[str], within: float) -> tuple[list[str], float]:
    """What the agent answers, and how long the first answer took."""
    stage = livekit_peer.Stage()
    answers: list[str] = []

    def on_item(event: Any) -> None:
        if getattr(event.item, "role", "") == "assistant":
            answers.append(event.item.text_content)

    stage.session.on("conversation_item_added", on_item)
    await stage.start(Hooked(hook))
    began = time.monotonic()
    for text in words:
        await stage.say(text)
        try:
            await stage.until(lambda: answers, within)
        except TimeoutError:
            continue
    took = time.monotonic() - began
    given = [*answers]
    let_go()
    await stage.close()
    return given, took


def test_livekit_a_hook_that_raises_costs_the_turn() -> None:
    async def main() -> None:
        answers, _ = await livekit_answers(raises, ["hello"], 1.0)
        assert answers == []

    played(main())


def test_livekit_a_hook_that_sleeps_delays_the_answer_as_long() -> None:
    async def main() -> None:
        answers, took = await livekit_answers(sleeps, ["hello"], 3.0)
        assert answers == ["you said hello"]
        assert took > 1.0

    played(main())


def test_livekit_a_hook_that_hangs_silences_the_agent_for_good() -> None:
    """The next turn waits for the one before."""

    async def main() -> None:
        answers, _ = await livekit_answers(hangs, ["hello", "are you there"], 1.0)
        assert answers == []

    played(main())


@pytest.mark.parametrize(("error", "is_answered"), [(ValueError, True), (TypeError, False)])
def test_livekit_a_handler_s_type_error_costs_the_reply(
    error: type[Exception], is_answered: bool
) -> None:
    """Other exceptions are logged and skipped."""

    async def main() -> None:
        stage = livekit_peer.Stage()

        def handler(event: Any) -> None:
            if event.item.type == "message":
                raise error("boom")

        stage.session.on("conversation_item_added", handler)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # it lands there too
        await stage.start()
        run = stage.session.run(user_input="hello")
        await asyncio.wait([asyncio.ensure_future(_quietly(run))], timeout=2.0)
        said = [getattr(item, "text_content", "") for item in stage.session.history.items]
        assert ("you said hello" in said) == is_answered
        await stage.close()

    played(main())


async def _quietly(work: Any) -> None:
    with contextlib.suppress(Exception):  # how it fails is LiveKit's
        await work


# --- Pipecat


class Before(pipecat_peer.Passing):
    """A hook in front of the model."""

    def __init__(self, hook: Hook) -> None:
        super().__init__()
        self._hook = hook

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, LLMContextFrame):
            await self._hook()
        await super().process_frame(frame, direction)


async def pipecat_answers(
    hook: Hook, within: float, *, is_handler: bool = False
) -> tuple[list[str], float, bool]:
    """What the agent answers, how long it took, and whether the pipeline then ends when asked."""
    stage = pipecat_peer.Stage(before=[] if is_handler else [Before(hook)])
    answers: list[str] = []
    stage.agent.add_event_handler(
        "on_assistant_turn_stopped", lambda _, message: answers.append(message.content)
    )
    if is_handler:

        async def handler(*_: Any) -> None:
            await hook()

        stage.user.add_event_handler("on_user_turn_stopped", handler)
    await stage.start()
    began = time.monotonic()
    await stage.say("hello")
    with contextlib.suppress(TimeoutError):
        await stage.until(lambda: answers, within)
    took = time.monotonic() - began
    assert stage.running is not None
    await stage.worker.queue_frame(EndFrame())
    done, _ = await asyncio.wait({stage.running}, timeout=1.5)
    given = [*answers]
    let_go()
    await asyncio.wait({stage.running}, timeout=5)
    return given, took, bool(done)


def test_pipecat_a_hook_that_raises_costs_the_turn() -> None:
    async def main() -> None:
        answers, _, ends = await pipecat_answers(raises, 1.0)
        assert (answers, ends) == ([], True)

    played(main())


def test_pipecat_a_hook_that_sleeps_delays_the_answer_as_long() -> None:
    async def main() -> None:
        answers, took, _ = await pipecat_answers(sleeps, 3.0)
        assert answers == ["you said hello"]
        assert took > 1.0

    played(main())


def test_pipecat_a_hook_that_hangs_silences_the_agent_and_keeps_the_pipeline() -> None:
    async def main() -> None:
        answers, _, ends = await pipecat_answers(hangs, 1.0)
        assert (answers, ends) == ([], False)

    played(main())


def test_pipecat_a_handler_cannot_act_before_the_answer_and_a_hanging_one_keeps_the_bot() -> None:
    """Handlers run beside the pipeline; it waits for them in the end, without limit."""

    async def main() -> None:
        answers, took, ends = await pipecat_answers(hangs, 2.0, is_handler=True)
        assert answers == ["you said hello"]
        assert took < 1.0
        assert not ends

    played(main())
