"""How often transfers, outbound calls and webhooks may leave: in one call, and over all calls."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.clock import VIRTUAL_START
from orchestrator.limits import Rate
from orchestrator.memory import Memory
from orchestrator.outline import outline
from orchestrator.replay import play
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import check_text
from tests import limited
from tests.kit import did, lines, make_plan, run, script
from tests.servers import Server
from tests.test_attachment import Lines

TURNS = [{"t": t, "user_turn": "a human"} for t in (1, 2, 3, 4, 5, 6)]
TRANSFER = """
session:
  user_turn:
    - escalate_transfer: support
      on_error: [{say: "{{ error.message }}"}]
    - say: still here
"""


def failures(played: Any) -> list[str]:
    return [line["error"] for line in lines(played, status="failed")]


def test_a_step_over_the_limit_fails_and_the_call_goes_on() -> None:
    """`on_error` runs, the next hook runs, and the journal says which limit it was and where."""
    played = run("limits: {transfers: {per_call: 2}}\n" + TRANSFER, TURNS[:3])
    assert len(did(played, "transfer")) == 2
    reason = "the limit `transfers: per_call` is reached: 2 a call (set in test.yaml:2:22)"
    assert failures(played) == [reason]
    texts = [text for t, text in did(played, "say") if t < 4]
    assert texts == ["still here", "still here", reason, "still here"]
    assert played.state == "hangup"


def test_limits_hold_without_being_asked_for() -> None:
    """A config that says nothing has those of the actions."""
    played = run(TRANSFER, TURNS)
    assert len(did(played, "transfer")) == 5
    assert "(the default; `limits` sets another)" in failures(played)[0]


def test_what_one_field_sets_leaves_the_other_as_it_is() -> None:
    """The default of `all_calls` stays when only `per_call` is written."""
    checked = check_text("version: 1\nlimits: {transfers: {per_call: 9}}\n" + TRANSFER)
    assert checked.config is not None
    assert outline(checked.config)["limits"]["transfers"]["in_words"] == (
        "9 a call, 300 within 60s over all calls"
    )


OVER_ALL = "limits: {transfers: {all_calls: {count: 2, within: 1m}}}\n" + TRANSFER


def test_calls_share_what_all_calls_have() -> None:
    """The memory counts; after the time there is room again."""
    plan, memory = make_plan(OVER_ALL), Memory()
    first = play(plan, script(TURNS[:2]), memory=memory)
    after = VIRTUAL_START + timedelta(seconds=30)
    second = play(plan, script(TURNS[:1]), memory=memory, start=after)
    assert (len(did(first, "transfer")), len(did(second, "transfer"))) == (2, 0)
    assert failures(second) == [
        "the limit `transfers: all_calls` is reached: 2 within 60s over all calls "
        "(set in test.yaml:2:22)"
    ]
    later = play(plan, script([{"t": 40, "user_turn": "a human"}]), memory=memory, start=after)
    assert len(did(later, "transfer")) == 1


def test_played_calls_count_for_themselves() -> None:
    """`test` and `replay` give each call a memory of its own: the same journal every time."""
    plan = make_plan(OVER_ALL)
    first, second = (play(plan, script(TURNS[:3])) for _ in range(2))
    assert first.lines == second.lines
    assert len(did(first, "transfer")) == 2


def test_configs_that_share_a_memory_count_apart(tmp_path: Path) -> None:
    """A limit is one config's; the name tells them apart."""

    async def main() -> list[bool]:
        memory, taken = Memory(), []
        for name in ("sales", "support", "sales"):
            checked = check_text(f"version: 1\nname: {name}\n{OVER_ALL.replace('2', '1', 1)}")
            assert checked.config is not None
            app = Orchestrator(checked.config, memory=memory, outbox="memory:")
            taken.append(await app.services().take("transfers", Rate(1, 60)))
        return taken

    assert asyncio.run(main()) == [True, True, False]


PLUGIN = "plugins: [tests.limited]\nsession:\n  user_turn:\n"


def test_a_plugin_takes_part() -> None:
    """Its kind is known under `limits`; retries of one step count once."""
    limited.tries.clear()
    text = f"limits: {{texts: {{per_call: 2}}}}\n{PLUGIN}    - send_text: fails\n      retry: {{times: 2, backoff: 10ms}}\n"
    played = run(text, TURNS[:3])
    assert limited.tries == ["fails"] * 6
    assert failures(played)[-1].startswith("the limit `texts: per_call` is reached: 2 a call")


def test_steps_side_by_side_do_not_share_the_last_place() -> None:
    """A place is taken before anything is awaited."""
    limited.tries.clear()
    steps = "".join(f"        - send_text: t{n}\n" for n in range(5))
    run(f"limits: {{texts: {{per_call: 2}}}}\n{PLUGIN}    - parallel:\n{steps}", TURNS[:1])
    assert limited.tries == ["t0", "t1"]


def test_a_limit_of_an_unknown_plugin_is_not_judged() -> None:
    """Whether the kind is known shows where the plugin is installed."""
    text = "version: 1\nplugins: [not_installed_here]\nlimits: {faxes: {per_call: 1}}\nsession: {call_start: [{say: hi}]}\n"
    assert [p.code for p in check_text(text).problems] == []


def test_nothing_leaves_over_the_limit() -> None:
    """The receiver sees what the limit allows, and no more; the refused one is in the journal."""
    text = "version: 1\nlimits: {webhooks: {per_call: 2}}\nsession:\n  user_turn: [{webhook: {url: '%s/in'}}]\n"

    async def main() -> tuple[int, list[dict[str, Any]]]:
        sink = Lines()
        async with Server() as server:
            checked = check_text(text % server.url)
            assert checked.config is not None
            app = Orchestrator(checked.config, journals=sink, outbox="memory:")
            runner = AgentRunner()
            app.attach(runner)
            turns = [{"t": n / 50, "user_turn": "x"} for n in range(4)]
            events = script([*turns, {"t": 0.2, "hangup": ""}])
            await runner.handle(ScriptBridge(events, PlayOptions()))
            await app.aclose()
            return len(server.seen), sink.lines

    seen, journal = asyncio.run(main())
    assert seen == 2
    refused = [line["error"] for line in journal if line.get("status") == "failed"]
    assert (
        refused == ["the limit `webhooks: per_call` is reached: 2 a call (set in <text>:2:21)"] * 2
    )


TAKE = """
import asyncio, sys
from pathlib import Path
from orchestrator.clock import VIRTUAL_START
from orchestrator.limits import Rate
from orchestrator.memory import Memory

async def main():
    memory = Memory(Path(sys.argv[1]))
    print(sum([await memory.take("k", Rate(50, 60)) for _ in range(40)]))
    memory.close()

asyncio.run(main())
"""


def test_processes_of_one_file_count_together(tmp_path: Path) -> None:
    """Three processes want forty each of fifty: fifty is what they get."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE, str(tmp_path / "m.db")], stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    taken = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert sum(taken) == 50, taken


def test_a_file_that_does_not_answer_leaves_each_process_its_own_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No step waits for it for long, none runs without a limit, and the log says it once."""

    async def main() -> list[bool]:
        memory = Memory(tmp_path / "m.db")
        lock = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
        lock.execute("begin immediate")
        began = time.monotonic()
        taken = [await memory.take("k", Rate(2, 60)) for _ in range(4)]
        assert time.monotonic() - began < 5  # the lock lasts for ever
        lock.execute("rollback")
        lock.close()
        await asyncio.to_thread(memory.close)
        return taken

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(main()) == [True, True, False, False]
    assert len([r for r in caplog.records if "does not answer" in r.message]) == 1


def test_a_clock_that_is_set_back_opens_the_limit_and_never_closes_it() -> None:
    """Times in the future count for nothing."""
    memory = Memory(wall=lambda: 1_000_000.0)
    assert [memory.take_here("k", Rate(1, 60)) for _ in range(2)] == [True, False]
    memory.wall = lambda: 900_000.0
    assert memory.take_here("k", Rate(1, 60))


def test_the_memory_file_is_its_owners(tmp_path: Path) -> None:
    """As the outbox's: neither folder nor files are readable by others."""
    memory = Memory(tmp_path / "deep" / "m.db")
    memory.remember("k", "what a caller said")
    memory.close()
    again = Memory(tmp_path / "deep" / "m.db")
    again.remember("k", 2)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "deep").iterdir()}
    again.close()
    assert modes == {0o600}
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700
