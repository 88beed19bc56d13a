"""Hooks on the real Unpod SDK, against a peer over real WebSockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import NotSupported
from orchestrator.runtimes.unpod import UNPOD_CAPABILITIES
from orchestrator.targets import TARGETS
from tests.runtimes.sdk import Words, make_runner, one_call, orchestrate, played, running, scene
from tests.runtimes.unpod_peer import Call, Peer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


SAYS = """
session:
  call_start: [{say: welcome}]
  user_turn: [{say: 'heard {{ event.text }}'}]
"""


def test_attach_is_one_line_and_the_entrypoint_unchanged(tmp_path: Path) -> None:
    """Hooks speak on a call of the real SDK, and the agent answers as before."""

    async def main() -> None:
        async with scene(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await call.until_verb("agent.text.end")
            await call.hang_up()
            await on.settle()
            assert call.said == ["welcome", "heard hello"]
            assert call.replies == ["you said hello"]
            one_call(on.lines)
            (end,) = on.lines.of(session="call_end")
            assert end["state"] == "hangup"
            assert on.lines.of(event="hangup")

    played(main())


def test_the_target_table_says_what_the_adapter_can_do() -> None:
    """`validate --target unpod` and `attach` agree."""
    assert TARGETS["unpod"] == UNPOD_CAPABILITIES


@pytest.mark.parametrize(
    "step",
    [
        "set_filler: hm",
        "recording: {pause: card, max: 9s}",
        "send_dtmf: '5'",
        "say: {text: x, interruptible: false}",
    ],
)
def test_what_the_sdk_cannot_do_is_refused_when_attaching(step: str, tmp_path: Path) -> None:
    """What it would speak aloud, or silently not do, never reaches a call."""

    async def main() -> None:
        orchestrator, _ = orchestrate(f"session: {{user_turn: [{{{step}}}]}}", tmp_path)
        async with Peer() as peer:
            with pytest.raises(NotSupported, match="unpod cannot do"):
                orchestrator.attach(make_runner(peer))

    played(main())


# --- a hook that misbehaves, with us and without

BAD = """
session:
  user_turn:
    - python: 'tests.hooks:{0}'
    - say: next
"""


@pytest.mark.parametrize("bad", ["boom", "hang", "slow5", "cancelled", "plain_function", "garbage"])
def test_a_bad_hook_never_harms_the_call(bad: str, tmp_path: Path) -> None:
    """It raises, hangs or sleeps 5 s: one dial, the turn is answered, the next hook runs."""

    async def main() -> None:
        async with scene(BAD.format(bad), tmp_path) as on:
            call = await on.peer.connect()
            began = call.now()
            await call.say("hello")
            await call.until_verb("agent.text.end")
            assert call.now() - began < 2.5
            assert call.replies == ["you said hello"]
            await call.hang_up()
            await on.settle()
            assert (call.dials, call.refused) == (1, 0)
            one_call(on.lines)
            stats = on.runner.stats()
            assert (stats.completed_last_hour, stats.failed_last_hour) == (1, 0)

    played(main())


async def bare(hook: Any, after: Any) -> tuple[Call, Any]:
    """A call on the SDK alone with one hook on `user_turn`."""

    async def enter(ctx: Any) -> None:
        ctx.session.dialog_machine = Words()
        ctx.session.on("user_turn")(hook)
        await ctx.session.run()

    async with Peer() as peer:
        runner = make_runner(peer, enter)
        async with running(runner):
            call = await peer.connect()
            await call.say("hello")
            await after(call)
            stats = runner.stats()
    return call, stats


def test_without_us_a_raising_hook_costs_the_turn_and_redials() -> None:
    """What our isolation is measured against."""

    async def boom(text: str) -> None:
        raise ValueError("boom")

    async def after(call: Call) -> None:
        await call.until_connected(2)
        await call.say("are you there")
        await call.until_connected(3)
        await call.say("anybody")
        await call.until_left()
        await asyncio.sleep(0.5)

    async def main() -> None:
        call, stats = await bare(boom, after)
        assert call.dials == 3
        assert call.replies == []
        assert stats.failed_last_hour == 3

    played(main())


def test_without_us_a_sleeping_hook_freezes_the_call() -> None:
    """Neither an answer nor the caller's barge-in passes for 5 s."""

    async def sleepy(text: str) -> None:
        await asyncio.sleep(5)

    async def after(call: Call) -> None:
        await asyncio.sleep(1.0)
        await call.barge_in()
        with pytest.raises(TimeoutError):
            await call.until(lambda: call.verbs("agent.text.end"), 3.0)
        await call.hang_up()

    async def main() -> None:
        call, _ = await bare(sleepy, after)
        assert call.replies == []

    played(main())


def test_without_us_a_hanging_hook_silences_the_call_for_good() -> None:
    """The SDK has no time limit."""

    async def hang(text: str) -> None:
        await asyncio.Event().wait()

    async def after(call: Call) -> None:
        with pytest.raises(TimeoutError):
            await call.until(lambda: call.verbs("agent.text.end"), 6.0)

    async def main() -> None:
        call, _ = await bare(hang, after)
        assert call.replies == []

    played(main())
