"""Joining a plan to a runtime: order with handlers written by hand, reload, capabilities, redials."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.clock import run_virtual
from orchestrator.errors import ConfigError, NotSupported, UserError
from orchestrator.journal import encode
from orchestrator.runtime import ALL_CAPABILITIES
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from tests.hooks import forget
from tests.hooks import seen as order
from tests.kit import CALL, did, lines, run, script

CONFIG = """version: 1
runner:
  call_start: [{python: 'tests.hooks:mark'}]
session:
  user_turn: [{python: 'tests.hooks:mark'}]
"""


class Lines:
    """A sink that keeps encoded lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def put(self, call_id: str, records: Any, redactor: Any, began: float) -> None:
        self.lines += encode(records, redactor, began)

    def close(self) -> None:
        """Nothing to do."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A small config in a file."""
    forget()
    path = tmp_path / "hooks.yaml"
    path.write_text(CONFIG)
    return path


def carry(orchestrator: Orchestrator, runner: AgentRunner, *, events: Any = ()) -> Any:
    """Carry one played call to its end."""

    async def main() -> Any:
        context = await runner.handle(ScriptBridge(script(events), PlayOptions(linger=1)))
        await orchestrator.aclose()
        return context

    return run_virtual(main())


def test_handlers_by_hand_keep_their_order_around_the_config(config: Path) -> None:
    """Registered before attaching, they run before; registered after, they run after."""
    orchestrator, runner = Orchestrator.from_file(config), AgentRunner(entrypoint)

    @runner.on("call_start")
    async def before(ctx: Any) -> None:
        order.append("before")

    orchestrator.attach(runner)

    @runner.on("call_start")
    async def after(ctx: Any) -> None:
        order.append("after")

    carry(orchestrator, runner, events=[{"t": 1, "user_turn": "hi"}])
    assert order == ["before", "yaml", "after", "yaml", "entrypoint handler"]


async def entrypoint(ctx: Any) -> None:
    """An entrypoint as a user writes it, unaware of any config."""

    @ctx.session.on("user_turn")
    async def handler(text: str) -> None:
        order.append("entrypoint handler")

    await ctx.session.run()


def test_data_of_the_call_is_the_sessions_dict(config: Path) -> None:
    """What hooks save, agent code reads, and the other way round."""
    text = """
    session:
      call_start: [{set: {tier: gold}}, {say: '{{ data.name | default(1) }}'}]
    """
    played = run(text, call={**CALL, "data": {"name": "Ada"}})
    assert played.data["tier"] == "gold"
    assert did(played, "say") == [(0.0, "Ada")]


def test_a_plan_that_needs_what_a_runtime_lacks_is_refused_when_attaching(config: Path) -> None:
    """The message names the capability and the place that needs it."""
    config.write_text(
        "version: 1\nsession:\n  user_turn:\n    - recording: {pause: card, max: 9s}\n"
    )
    orchestrator = Orchestrator.from_file(config)
    runner = AgentRunner(capabilities=ALL_CAPABILITIES - {"recording"})
    with pytest.raises(NotSupported, match=r"recording .*hooks.yaml:4"):
        orchestrator.attach(runner)


def test_a_reload_validates_first_and_a_bad_file_changes_nothing(config: Path) -> None:
    """The old plan goes on serving."""
    orchestrator = Orchestrator.from_file(config)
    plan = orchestrator.plan
    config.write_text(CONFIG.replace("user_turn", "user_trun"))
    with pytest.raises(ConfigError):
        asyncio.run(orchestrator.reload())
    assert orchestrator.plan is plan


def test_a_reload_that_an_attached_runner_cannot_carry_changes_nothing(config: Path) -> None:
    """What `attach` would refuse, `reload` refuses as well."""
    orchestrator = Orchestrator.from_file(config)
    orchestrator.attach(AgentRunner(capabilities=frozenset({"say", "end"})))
    config.write_text("version: 1\nsession:\n  user_turn: [{send_dtmf: '1'}]\n")
    with pytest.raises(NotSupported, match="digits"):
        asyncio.run(orchestrator.reload())


def test_a_hook_that_never_stops_does_not_keep_the_process(config: Path) -> None:
    """In real time, in a process of its own: the call ends, and then the process."""
    import subprocess
    import sys

    config.write_text(
        "version: 1\nsession:\n  user_turn: [{python: 'tests.hooks:for_ever', timeout: 100ms}]\n"
    )
    script_file = config.with_suffix(".jsonl")
    script_file.write_text(
        '{"t": 0, "event": "user_turn", "text": "x"}\n{"t": 0.3, "event": "hangup"}\n'
    )
    for extra in ([], ["--realtime"]):
        command = [
            sys.executable,
            "-m",
            "orchestrator",
            "run",
            str(config),
            "--call",
            str(script_file),
        ]
        done = subprocess.run([*command, *extra], timeout=60, check=False, capture_output=True)
        assert done.returncode == 0, done.stderr


def test_a_call_keeps_the_plan_it_started_with(config: Path) -> None:
    """A reload in mid-call is for new calls."""
    sink = Lines()

    def rewrite(word: str) -> None:
        config.write_text(f"version: 1\nsession:\n  user_turn: [{{say: {word}}}]\n")

    rewrite("old")
    orchestrator = Orchestrator.from_file(config, journals=sink)

    async def entry(ctx: Any) -> None:
        rewrite("new")
        await orchestrator.reload()
        await ctx.session.run()

    runner = AgentRunner(entry)
    orchestrator.attach(runner)
    for _ in range(2):
        carry(orchestrator, runner, events=[{"t": 1, "user_turn": "hi"}])
    assert [line["text"] for line in sink.lines if line.get("do") == "say"] == ["old", "new"]


def test_a_redial_repeats_no_side_effect_id(config: Path) -> None:
    """The same call dispatched again gives its side effects the same ids."""
    sink = Lines()
    config.write_text("version: 1\nrunner:\n  call_end: [{python: 'tests.hooks:idem', save: id}]\n")
    orchestrator = Orchestrator.from_file(config, journals=sink)
    runner = AgentRunner()
    orchestrator.attach(runner)
    for _ in range(2):
        carry(orchestrator, runner)
    outputs = [line["output"] for line in sink.lines if line.get("step") == "python"]
    assert len(outputs) == 2
    assert outputs[0] == outputs[1]
    headers = [line["call"]["attempt"] for line in sink.lines if "call" in line]
    assert headers == [1, 2]


def test_the_journal_is_a_call_script_and_plays_the_same_again() -> None:
    """What was recorded, played again, is recorded the same."""
    import json

    from orchestrator.callscript import parse_script
    from orchestrator.replay import play
    from tests.kit import make_plan

    text = "session:\n  user_turn: [{say: 'you said {{ event.text }}'}, {emit: custom.x}]\n  custom.x: [{say: x}]\n"
    first = run(
        text, [{"t": 1, "user_turn": "hi"}, {"t": 2, "dtmf": "5"}, {"t": 3, "hangup": "bye"}]
    )
    recorded = parse_script("\n".join(json.dumps(line) for line in first.lines), "journal.jsonl")
    again = play(make_plan(text), recorded)
    assert again.lines == first.lines


def test_runner_and_session_events_are_recorded_once_each() -> None:
    """One start and one end, in their order."""
    played = run("session:\n  user_turn: [{say: hi}]\n", [{"t": 1, "hangup": "bye"}])
    marks = [(k, line[k]) for line in played.lines for k in ("runner", "session") if k in line]
    assert marks == [
        ("runner", "call_start"), ("session", "call_start"),
        ("session", "call_end"), ("runner", "call_end"),
    ]  # fmt: skip
    assert len(lines(played, event="hangup")) == 1


def test_attaching_works_without_taps_and_with_two_runners(config: Path) -> None:
    """One orchestrator serves several runners; a session without `tap` is served as well."""
    orchestrator = Orchestrator.from_file(config)
    runners = [AgentRunner(), AgentRunner()]
    for runner in runners:
        orchestrator.attach(runner)
    carry(orchestrator, runners[0])
    carry(orchestrator, runners[1])
    assert order == ["yaml", "yaml"]


class BareSession:
    """The smallest session that a foreign runtime may have."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.handlers: dict[str, list[Any]] = {}
        self.said: list[str] = []

    def on(self, event: str) -> Any:
        if event in ("voicemail", "tool_call"):
            raise ValueError(f"Unknown event {event!r}")
        return lambda handler: self.handlers.setdefault(event, []).append(handler) or handler

    async def say(self, text: str, interruptible: bool = True) -> None:
        self.said.append(text)

    async def fire(self, event: str, *args: Any) -> None:
        for handler in self.handlers.get(event, []):
            await handler(*args)


BareSession.fire_event = BareSession.fire  # type: ignore[attr-defined]


def test_a_foreign_session_needs_only_on_and_the_controls(config: Path) -> None:
    """Duck-typed: events without a tap arrive with their handler."""
    config.write_text(
        "version: 1\nsession:\n  call_start:\n    - silence_timer: {after: 1s, steps: [{say: hello?}, {end_call: x}]}\n"
        "  user_turn: [{say: 'you said {{ event.text }}'}]\n"
    )
    orchestrator = Orchestrator.from_file(config)
    session = BareSession()
    del BareSession.fire  # the attachment takes `fire` for a queue of its own

    class Context:
        call_id = session_id = "c"
        agent_id, direction, user_number, instructions = "a", "inbound", None, ""
        data: dict[str, Any] = {}

    class Runner:
        def __init__(self) -> None:
            self.handlers: dict[str, Any] = {}

        def on(self, event: str) -> Any:
            return lambda handler: self.handlers.__setitem__(event, handler)

    async def main() -> None:
        runner, ctx = Runner(), Context()
        ctx.session = session  # type: ignore[attr-defined]
        orchestrator.attach(runner)  # type: ignore[arg-type]
        await runner.handlers["call_start"](ctx)
        await session.fire_event("call_start")  # type: ignore[attr-defined]
        await session.fire_event("user_turn", "hi")  # type: ignore[attr-defined]
        await session.fire_event("agent_turn", "hello")  # type: ignore[attr-defined]
        await asyncio.sleep(2)
        await session.fire_event("call_end", "hangup")  # type: ignore[attr-defined]
        await runner.handlers["call_end"](ctx, "ended")
        await orchestrator.aclose()

    run_virtual(main())
    assert session.said == ["you said hi", "hello?"]


def test_the_same_hooks_are_attached_once(config: Path) -> None:
    """Twice on one runner, every hook would run twice; another config's may join."""
    orchestrator, runner = Orchestrator.from_file(config), AgentRunner()
    orchestrator.attach(runner)
    with pytest.raises(UserError, match="attached already"):
        orchestrator.attach(runner)
    Orchestrator.from_file(config).attach(runner)


def test_a_call_that_is_over_is_freed_at_once(config: Path) -> None:
    """No ring of references waits for a full garbage collection, which would stop other calls."""
    orchestrator, runner = Orchestrator.from_file(config), AgentRunner()
    orchestrator.attach(runner)
    handlers: list[weakref.ref[Any]] = []

    @runner.on("call_start")
    async def watch(ctx: Any) -> None:
        (entry,) = ctx.session._table.of("user_turn")
        handlers.append(weakref.ref(entry.function))

    gc.collect()
    gc.disable()
    try:
        carry(orchestrator, runner, events=[{"t": 1, "user_turn": "hi"}])
        assert [reference() for reference in handlers] == [None]
    finally:
        gc.enable()
