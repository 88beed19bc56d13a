"""Faults in hooks: many calls, each with every fault; no call is harmed, every fault is recorded.

`make faults` plays 1,000 calls with every fault, which is more than 10,000; the suite a tenth of it.
`HOOK_FAULT_CALLS` sets another number of calls.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.call import Call
from orchestrator.replay import play
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import check_text
from tests.faults.record import Fault, size
from tests.kit import make_plan, script
from tests.test_attachment import Lines

CALLS = int(os.environ.get("HOOK_FAULT_CALLS") or size(100, 1000))
FAULTS = {
    "boom": ("failed", "ValueError"), "hang": ("timed_out", "no answer"),
    "stubborn": ("timed_out", "ignores being stopped"), "garbage": ("failed", "not plain data"),
    "huge": ("failed", "characters"), "cancelled": ("failed", "SelfCancelled"),
    "leave": ("failed", "SystemExit"), "odd": ("failed", "BaseException"),
    "nan": ("failed", "JSON"), "flood": ("failed", "is it a loop"),
    "close": ("failed", "GeneratorExit"), "close_later": ("failed", "GeneratorExit"),
    "mute": ("failed", "cannot say"), "mute_failure": ("failed", "cannot say"),
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
    fault = Fault(f"{len(FAULTS)} kinds of faults in hooks, {CALLS:,} calls")
    fault.injected, fault.survived = CALLS * len(FAULTS), sum(found.values())
    fault.check()


BLOCKS = ("block", "block_later")
#: The six kinds of faults, and what injects each.
KINDS = {
    "raise": {"boom", "leave", "odd", "cancelled", "close", "close_later", "mute",
              "mute_failure"}, "hang": {"hang"}, "swallow cancellation": {"stubborn"},
    "return garbage": {"garbage", "nan"}, "exhaust a limit": {"huge", "flood"}, "block the loop": set(BLOCKS),
}  # fmt: skip
REAL = CONFIG.replace("version: 1\n", "") + "".join(
    f"    - {{python: 'tests.hooks:{name}'}}\n    - say: 'after {name}'\n" for name in BLOCKS
)


def carry(text: str, calls: int) -> tuple[list[Lines], float]:
    """Carry calls side by side in real time; the journal of each."""
    checked = check_text("version: 1\n" + text)
    assert checked.config is not None
    sinks = [Lines() for _ in range(calls)]

    async def one(sink: Lines, number: int) -> None:
        app = Orchestrator(checked.config, journals=sink, outbox="memory:")
        runner = AgentRunner()
        app.attach(runner)
        events = [{"t": 0, "user_turn": "x"}, {"t": 0.05, "agent_turn": "y"}]
        bridge = ScriptBridge(script(events, {"id": f"c{number}"}), PlayOptions(linger=4.0))
        await runner.handle(bridge)
        await app.aclose()

    async def main() -> None:
        await asyncio.gather(*[one(sink, number) for number, sink in enumerate(sinks)])

    started = time.monotonic()
    asyncio.run(main())
    return sinks, time.monotonic() - started


def test_every_kind_of_fault_is_injected() -> None:
    """None is forgotten when the list of faults changes."""
    assert set().union(*KINDS.values()) == {*FAULTS, *BLOCKS}


def test_in_real_time_too_every_fault_is_recorded_and_who_blocks_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls side by side, each with all six kinds: journal and log name the blocking steps only."""
    monkeypatch.setattr(Call.drain, "__defaults__", (0.5,))  # what is stubborn is waited for
    with caplog.at_level(logging.WARNING, "orchestrator"):
        sinks, took = carry(REAL, calls=3)
    assert took < 30
    keys = {f"session.user_turn[{2 * n}]" for n in range(len(FAULTS), len(FAULTS) + len(BLOCKS))}
    for sink in sinks:
        said = [line["text"] for line in sink.lines if line.get("do") == "say"]
        assert said == [f"after {name}" for name in (*FAULTS, *BLOCKS)]
        notes = [x for x in sink.lines if x.get("note") == "a step blocked the event loop"]
        assert {note["at"] for note in notes} == keys
        assert all(note["seconds"] >= 0.1 for note in notes)
        assert [x["end"]["final_state"] for x in sink.lines if "end" in x] == ["ended"]
    named = [r for r in caplog.records if r.getMessage() == "a step blocked the event loop"]
    assert {vars(record)["step"] for record in named} == keys
    assert all(vars(record)["place"].startswith("<text>:") for record in named)
