"""Faults in hooks: many calls, each with every fault; no call is harmed, every fault is recorded.

`HOOK_FAULT_CALLS=1000` injects 10,000 faults; the suite runs a tenth of that.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.replay import play
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import check_text
from tests.kit import make_plan, script
from tests.test_attachment import Lines

CALLS = int(os.environ.get("HOOK_FAULT_CALLS", "100"))
FAULTS = {
    "boom": ("failed", "ValueError"), "hang": ("timed_out", "no answer"),
    "stubborn": ("timed_out", "ignores being stopped"), "garbage": ("failed", "not plain data"),
    "huge": ("failed", "characters"), "cancelled": ("failed", "SelfCancelled"),
    "leave": ("failed", "SystemExit"), "odd": ("failed", "BaseException"),
    "nan": ("failed", "JSON"), "flood": ("failed", "is it a loop"),
}  # fmt: skip
CONFIG = "session:\n  user_turn:\n" + "".join(
    f"    - {{python: 'tests.hooks:{name}', timeout: 200ms}}\n    - say: 'after {name}'\n" for name in FAULTS
)  # fmt: skip


def test_no_call_is_harmed_by_any_fault_and_each_is_in_its_journal() -> None:
    """Every hook after a faulty one runs, the call ends as it should, the journal names the fault."""
    plan = make_plan(CONFIG)
    found: dict[str, int] = dict.fromkeys(FAULTS, 0)
    for number in range(CALLS):
        events = [{"t": 1, "user_turn": "x"}, {"t": 9, "hangup": "bye"}]
        played = play(plan, script(events, {"id": f"c{number}"}), options=PlayOptions())
        said = [command.text for _, command in played.commands if command.name == "say"]
        assert said == [f"after {name}" for name in FAULTS]
        assert (played.state, played.final_state) == ("hangup", "ended")
        steps = [line for line in played.lines if line.get("step") == "python"]
        for (name, (status, words)), step in zip(FAULTS.items(), steps, strict=True):
            assert step["status"] == status
            assert words in step["error"]
            found[name] += 1
    assert sum(found.values()) == CALLS * len(FAULTS)


@pytest.mark.parametrize("name", ["block", "block_later"])
def test_a_callable_that_blocks_the_loop_is_named(name: str) -> None:
    """Nobody can stop it, but the journal says which it was."""
    text = f"version: 1\nsession:\n  user_turn: [{{python: 'tests.hooks:{name}'}}]\n"
    checked = check_text(text)
    assert checked.config is not None
    sink = Lines()

    async def main() -> Any:
        app = Orchestrator(checked.config, journals=sink, outbox="memory:")
        runner = AgentRunner()
        app.attach(runner)
        events = [{"t": 0, "user_turn": "x"}, {"t": 0.05, "hangup": ""}]
        await runner.handle(ScriptBridge(script(events)))
        await app.aclose()

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < 20
    (note,) = [line for line in sink.lines if line.get("note") == "a step blocked the event loop"]
    assert note["at"] == "session.user_turn[0]"
    assert note["seconds"] >= 0.1
