"""Tests of the public test kit: played calls, and stand-ins for action authors."""

from __future__ import annotations

import asyncio
import inspect
from datetime import UTC, datetime

import pytest

from actions.escalate_transfer import EscalateTransfer
from actions.remember import Remember
from actions.say import Say
from orchestrator.action import Action, ActionContext
from orchestrator.clock import run_virtual
from orchestrator.context import StepContext
from orchestrator.errors import ActionFailed, ConfigError, NotSent, ScriptError
from orchestrator.memory import Memory
from orchestrator.runtimes.script_bridge import PlayOptions
from orchestrator.testing import FakeContext, Stage, play_call, run_action
from tests.played import SUPPORT

TURN = [{"t": 1, "user_turn": "a human"}]


def test_a_played_call_tells_what_happened() -> None:
    """Commands by their word, with times and fields; the data and state at the end."""
    played = play_call(SUPPORT, TURN, call={"data": {"tier": "gold"}}, ends=5)
    assert played.said == ["Connecting you now."]
    assert [(t.t, t.value["queue"]) for t in played.of("transfer")] == [(1.0, "tier-2")]
    assert (played.data["tier"], played.state) == ("gold", "hangup")


def test_a_stage_sets_the_far_side_and_the_time() -> None:
    """Refusals, memory and the time of day are those of the stage."""
    memory = Memory()
    start = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    stage = Stage(memory, start, far_side=PlayOptions(refuses=frozenset({"transfer"})))
    played = play_call(SUPPORT, TURN, stage=stage, ends=5)
    assert played.said == ["Connecting you now.", "Nobody is free."]
    assert played.journal[0]["started_at"] == "2026-03-01T09:00:00+00:00"
    assert memory.get("asked") == "a human"


def test_mistakes_of_a_config_are_raised() -> None:
    """A config text is checked like a file."""
    with pytest.raises(ConfigError):
        play_call("version: 1\nsesion: {}\n")


def test_a_malformed_event_is_raised() -> None:
    """An event has the form of call scripts."""
    with pytest.raises(ScriptError, match="unknown event"):
        play_call(SUPPORT, [{"t": 1, "event": "user_trun"}])


def test_an_action_is_run_with_its_options() -> None:
    """The output is returned; what it asked for is written down."""
    context = FakeContext()
    assert run_action(Say, context, text="Hello") == {"text": "Hello"}
    assert context.asked == [("say", {"text": "Hello", "interruptible": True})]


def test_durations_are_given_as_in_yaml() -> None:
    """Options are converted to the types of their fields."""
    context = FakeContext()
    run_action(EscalateTransfer, context, queue="q", answer_within="20s")
    assert context.asked[0][1]["answer_within"] == 20.0


def test_an_action_that_needs_no_waiting_runs_too() -> None:
    """Plain `run` functions are as good as async ones."""
    context = FakeContext()
    run_action(Remember, context, key="k", value=1)
    assert context.memory.get("k") == 1


def test_an_option_that_does_not_exist_is_refused() -> None:
    """A slip in a test is told at once."""
    with pytest.raises(TypeError, match="no option txet"):
        run_action(Say, txet="Hello")


def test_an_option_that_is_missing_is_named() -> None:
    """Options without a default are required, as in a config."""
    with pytest.raises(TypeError, match="needs the option text"):
        run_action(Say)


def test_a_number_of_the_caller_needs_an_allow_list() -> None:
    """The stand-in guards destinations as a call does."""
    with pytest.raises(ActionFailed):
        run_action(EscalateTransfer, number="+15550100")


class Slow(Action):
    """Waits an hour, then knocks on a server's door."""

    async def run(self, ctx: ActionContext) -> None:
        """Wait and connect."""
        await asyncio.sleep(3600)
        await asyncio.open_connection("127.0.0.1", 9)


def test_an_action_under_test_cannot_reach_the_network() -> None:
    """An hour takes no time, and sockets are refused."""
    with pytest.raises(NotSent):
        run_action(Slow)


def _members(cls: type) -> dict[str, list[str]]:
    public = {name for name in dir(cls) if not name.startswith("_")}
    return {
        name: list(inspect.signature(getattr(cls, name)).parameters)
        for name in public
        if callable(getattr(cls, name))
    }


def test_the_stand_in_has_what_the_real_context_has() -> None:
    """Every method of `ActionContext` is there, with the parameters of the real one."""
    real, fake = _members(StepContext), _members(FakeContext)
    wanted = {name for name in dir(ActionContext) if not name.startswith("_")}
    assert wanted <= set(dir(FakeContext())) & set(dir(StepContext))
    assert {name: real[name] for name in wanted & real.keys()} == {
        name: fake[name] for name in wanted & real.keys()
    }


def test_virtual_time_is_over_after_a_test() -> None:
    """Another loop starts at zero again."""

    async def now() -> float:
        return asyncio.get_running_loop().time()

    assert run_virtual(now()) == 0.0
