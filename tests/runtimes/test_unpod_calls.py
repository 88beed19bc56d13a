"""Calls on the real Unpod SDK that take a turn: redials, barge-ins, silence, ends, transfers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator
from tests.runtimes.sdk import (
    Words,
    entrypoint,
    make_runner,
    one_call,
    orchestrate,
    played,
    running,
    scene,
)  # fmt: skip
from tests.runtimes.unpod_peer import Call, Peer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own

SAYS = """
session:
  call_start: [{say: welcome}]
  user_turn: [{say: 'heard {{ event.text }}'}]
"""
SLOW_WORDS = "one two three four five six seven eight nine ten"


def raising_once() -> Any:
    """An entrypoint whose own handler fails in the first run of the call."""
    state = {"runs": 0}

    async def enter(ctx: Any) -> None:
        state["runs"] += 1
        ctx.session.dialog_machine = Words()
        run = state["runs"]

        async def users(text: str) -> None:
            if run == 1:
                raise ValueError("the user's own handler")

        ctx.session.on("user_turn")(users)
        await ctx.session.run()

    return enter


# --- redials


def test_a_redial_goes_on_with_the_same_call(tmp_path: Path) -> None:
    """One start and one end, the same data, counts and journal, over two runs of the SDK."""
    text = """
    session:
      call_start: [{set: {seen: 1}}, {say: welcome}]
      user_turn: [{say: 'turn {{ call.count("user_turn") }} of {{ data.seen }}'}]
    """

    async def main() -> None:
        async with scene(text, tmp_path, raising_once()) as on:
            call = await on.peer.connect()
            await call.say("first")
            await call.until_connected(2)
            await call.say("second")
            await call.until_verb("agent.text.end")
            await call.hang_up()
            await on.settle()
            assert call.said == ["welcome", "turn 1 of 1", "turn 2 of 1"]
            one_call(on.lines)
            assert len(on.lines.of(note="the runtime dialled the call again", run=2)) == 1
            assert on.lines.of(runner="call_end")[0]["final_state"] == "ended"

    played(main())


def test_data_that_agent_code_left_is_there_after_a_redial(tmp_path: Path) -> None:
    """The SDK makes a new session with nothing in it; ours gives it the call's dict."""
    seen: list[Any] = []

    async def enter(ctx: Any) -> None:
        seen.append(dict(ctx.session.data))
        ctx.session.data["mine"] = len(seen)
        if len(seen) == 1:
            raise ValueError("the user's own mistake")
        await ctx.session.run()

    async def main() -> None:
        async with scene("session: {call_start: [{set: {ours: 1}}]}", tmp_path, enter) as on:
            call = await on.peer.connect()
            await call.until(lambda: call.dials == 2)
            await asyncio.sleep(0.3)
            await call.hang_up()
            await on.settle()
            assert seen[1]["mine"] == 1
            one_call(on.lines)

    played(main())


def test_a_connection_that_breaks_in_a_reply_is_dialled_and_resumed(tmp_path: Path) -> None:
    """Also with `guard`, which takes only a goodbye for the end."""

    async def main() -> None:
        enter = entrypoint(Words(SLOW_WORDS, 0.1))
        async with scene(SAYS, tmp_path, enter, guarded=True) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await call.until_verb("agent.text.delta", 2)
            await call.drop()
            await call.until_connected(2)
            await call.say("again")
            await call.until_verb("agent.text.end")
            await call.hang_up()
            await on.settle()
            assert call.said == ["welcome", "heard hello", "heard again"]
            one_call(on.lines)

    played(main())


def test_a_call_whose_entrypoint_never_works_ends_once_as_failed(tmp_path: Path) -> None:
    """Three dials, no session; the runner's end is told after the last."""

    async def enter(ctx: Any) -> None:
        raise ValueError("the user's own mistake")

    async def main() -> None:
        async with scene(SAYS, tmp_path, enter) as on:
            call = await on.peer.connect()
            await call.until(lambda: call.dials == 3)
            await on.settle()
            assert on.lines.scopes == [("runner", "call_start"), ("runner", "call_end")]
            assert on.lines.of(runner="call_end")[0]["final_state"] == "failed"

    played(main())


# --- the end


@pytest.mark.parametrize(("guarded", "refused", "failed"), [(False, 2, 1), (True, 0, 0)])
def test_a_hang_up_in_a_reply_is_a_hang_up(
    guarded: bool, refused: int, failed: int, tmp_path: Path
) -> None:
    """The SDK counts it as failed and dials twice more; our end says what it was. `guard` mends both."""

    async def main() -> None:
        enter = entrypoint(Words(SLOW_WORDS, 0.1))
        async with scene(SAYS, tmp_path, enter, guarded=guarded) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await call.until_verb("agent.text.delta", 2)
            await call.hang_up()
            await on.settle()
            await asyncio.sleep(1.0)
            one_call(on.lines)
            assert on.lines.of(session="call_end")[0]["state"] == "hangup"
            assert on.lines.of(runner="call_end")[0]["final_state"] == "ended"
            assert call.refused == refused
            assert on.runner.stats().failed_last_hour == failed

    played(main())


def test_slow_hooks_of_the_end_hold_no_slot(tmp_path: Path) -> None:
    """With room for one call, the next one is taken while the last one's end is worked on."""
    text = """
    session:
      call_end: [{wait: 2s}]
    runner:
      call_end: [{log: done}]
    """

    async def main() -> None:
        async with scene(text, tmp_path, max_concurrent_calls=1) as on:
            call = await on.peer.connect()
            await call.hang_up()
            await asyncio.sleep(0.3)
            assert not on.lines.of(runner="call_end")
            again = await on.peer.connect()
            assert on.peer.frames("job.ack")[-1]["accepted"]
            await again.hang_up()
            await on.settle()

    played(main())


def test_ending_a_call_is_sent_once_and_nothing_is_said_after(tmp_path: Path) -> None:
    """The SDK would answer this turn and send `end` again; the call's reason is ours."""
    text = """
    session:
      user_turn: [{end_call: done}]
      agent_turn: [{say: too late}]
    """

    async def main() -> None:
        async with scene(text, tmp_path) as on:
            call = await on.peer.connect(call=Call("c", answers_end=False))
            await call.say("bye")
            await call.until_verb("agent.end_call")
            await call.say("bye bye")
            await asyncio.sleep(0.5)
            await call.hang_up()
            await on.settle()
            assert [v["reason"] for v in call.verbs("agent.end_call")] == ["done"]
            assert call.verbs("agent.text.delta", "agent.say") == []
            assert on.lines.of(session="call_end")[0]["state"] == "ended"

    played(main())


def test_a_verb_on_a_closed_socket_fails_its_step_only(tmp_path: Path) -> None:
    """Speech after the hang-up is a failed step, the runner's end is told, nobody dials."""
    text = """
    session:
      user_turn: [{wait: 1s}, {say: too late}]
    runner:
      call_end: [{log: told}]
    """

    async def main() -> None:
        async with scene(text, tmp_path) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await asyncio.sleep(0.2)
            await call.hang_up()
            await on.settle()
            assert (call.dials, call.refused, call.said) == (1, 0, [])
            one_call(on.lines)

    played(main())


def test_an_error_of_the_worker_lets_a_hook_apologise(tmp_path: Path) -> None:
    """The SDK ends the call after its hooks; ours is waited for."""
    text = "session: {error: [{say: 'sorry: {{ event.code }}'}]}"

    async def main() -> None:
        async with scene(text, tmp_path) as on:
            call = await on.peer.connect()
            await call.send("error", severity="fatal", source="stt", code="down", message="m")
            await on.settle()
            assert call.said == ["sorry: down"]
            assert on.lines.of(session="call_end")[0]["state"] == "error"

    played(main())


def test_a_cancelled_job_is_told_as_a_shutdown(tmp_path: Path) -> None:
    """The hooks of the end run all the same."""

    async def main() -> None:
        async with scene(SAYS, tmp_path) as on:
            await on.peer.connect()
            await asyncio.sleep(0.2)
            await on.peer.send("job.cancel", job_id="job-1")
            await on.settle()
            one_call(on.lines)
            assert on.lines.of(session="call_end")[0]["state"] == "shutdown"

    played(main())


@pytest.mark.parametrize(
    ("number", "on_interrupt"),
    [
        (signal.SIGTERM, "default_int_handler"),
        (signal.SIGTERM, "SIG_IGN"),  # as of `agent &` in a script
        (signal.SIGINT, "default_int_handler"),
    ],
)
def test_a_process_that_is_stopped_tells_the_end_of_its_calls(
    number: int, on_interrupt: str, tmp_path: Path
) -> None:
    """By itself the SDK dies of SIGTERM without any hook; with us the journal is whole."""
    config = tmp_path / "hooks.yaml"
    config.write_text("version: 1\nrunner: {call_end: [{wait: 300ms}, {log: told}]}\n")
    program = tmp_path / "agent.py"
    program.write_text(
        textwrap.dedent(f"""
        import signal
        import sys
        signal.signal(signal.SIGINT, signal.{on_interrupt})
        from orchestrator import Orchestrator
        from orchestrator.runtimes.unpod import UnpodRunner, Waits
        from types import SimpleNamespace
        from tests.runtimes.sdk import make_runner

        async def enter(ctx):
            await ctx.session.run()

        runner = make_runner(SimpleNamespace(url=sys.argv[1]), enter)
        quick = UnpodRunner(runner, Waits(drain=0.5))
        orchestrator = Orchestrator.from_file({str(config)!r}, journals={str(tmp_path / "j")!r})
        orchestrator.attach(quick)
        runner.start()
    """)
    )

    async def main() -> None:
        async with Peer() as peer:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(program), peer.url, env={**os.environ, "PYTHONPATH": os.getcwd()},
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                await peer.connect()
                await asyncio.sleep(0.5)
                process.send_signal(number)
                async with asyncio.timeout(10):
                    _, words = await process.communicate()
                if number == signal.SIGTERM:  # Ctrl-C is the SDK's own
                    assert (process.returncode, words) == (0, b"")
            finally:
                if process.returncode is None:
                    process.kill()
        (journal,) = (tmp_path / "j").glob("*.jsonl")
        text = journal.read_text()
        assert '"session":"call_end","state":"shutdown"' in text
        assert '"runner":"call_end"' in text
        assert text.rstrip().rpartition("\n")[2].find('"end"') > 0

    played(main())


# --- turns


def test_hooks_that_wait_let_words_and_barge_ins_pass(tmp_path: Path) -> None:
    """A slow hook of `state`, `agent_turn` or `interruption` never holds the SDK's loop."""
    text = """
    session:
      state: [{wait: 2s}]
      agent_turn: [{wait: 2s}]
      interruption: [{wait: 2s}]
    """

    async def main() -> None:
        async with scene(text, tmp_path, entrypoint(Words(SLOW_WORDS, 0.05))) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await call.until_verb("agent.text.delta", 2)
            began = call.now()
            await call.state("speaking")
            await call.until_verb("agent.text.delta", 6)
            await call.barge_in()
            await call.until_verb("agent.text.end")
            assert call.now() - began < 1.0
            await call.hang_up()

    played(main())


def test_gating_hooks_hold_a_turn_for_a_bounded_time(tmp_path: Path) -> None:
    """Then the turn goes on, the hook goes on beside it, and the journal says so."""
    text = "session: {user_turn: [{wait: 4s}, {say: at last}]}"

    async def main() -> None:
        async with scene(text, tmp_path) as on:
            call = await on.peer.connect()
            began = call.now()
            await call.say("hello")
            await call.until_verb("agent.text.end")
            assert 2.9 < call.now() - began < 3.6
            await call.until_verb("agent.say")
            await call.hang_up()
            await on.settle()
            assert len(on.lines.of(note="the runtime went on without its hooks", after=3.0)) == 1

    played(main())


def test_a_barge_in_marks_the_turn_and_hooks_keep_their_order(tmp_path: Path) -> None:
    """What was generated is told as interrupted; events are told in the order of the wire."""
    text = """
    session:
      user_turn: [{log: turn}]
      agent_turn: [{say: 'cut {{ event.interrupted | default(false) }}'}]
      interruption: [{say: 'number {{ call.count("interruption") }}'}]
    """

    async def main() -> None:
        async with scene(text, tmp_path, entrypoint(Words(SLOW_WORDS, 0.05))) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await call.until_verb("agent.text.delta", 3)
            await call.barge_in("one two")
            await call.until_verb("agent.say", 2)
            await call.say("go on")
            await call.until_verb("agent.say", 3)
            await call.hang_up()
            await on.settle()
            assert call.said == ["number 1", "cut true", "cut false"]
            events = [line["event"] for line in on.lines.lines if "event" in line]
            assert events == [
                "user_turn",
                "interruption",
                "agent_turn",
                "user_turn",
                "agent_turn",
                "hangup",
            ]

    played(main())


def test_handlers_in_code_keep_their_place_around_hooks(tmp_path: Path) -> None:
    """The config's hooks of a turn run before what the entrypoint registers."""
    order: list[str] = []

    async def enter(ctx: Any) -> None:
        async def users(text: str) -> None:
            order.append("code")

        ctx.session.on("user_turn")(users)
        ctx.session.dialog_machine = Words()
        await ctx.session.run()

    async def main() -> None:
        async with scene(
            "session: {user_turn: [{wait: 200ms}, {say: yaml}]}", tmp_path, enter
        ) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await call.until_verb("agent.text.end")
            assert [v["event"] for v in call.verbs()][1:3] == ["agent.say", "agent.text.delta"]
            assert order == ["code"]
            await call.hang_up()

    played(main())


def test_silence_is_measured_on_the_workers_states(tmp_path: Path) -> None:
    """The ladder climbs after `listening`, and not while the agent speaks."""
    text = """
    session:
      call_start:
        - silence_timer:
            after: 1s
            steps: [{say: still there?}, {end_call: no_response}]
    """

    async def main() -> None:
        async with scene(text, tmp_path) as on:
            call = await on.peer.connect()
            await call.state("speaking")
            await asyncio.sleep(1.5)
            assert call.said == []
            await call.state("listening")
            began = call.now()
            await call.until_verb("agent.say")
            assert 0.9 < call.now() - began < 1.4
            await call.state("speaking")
            await call.state("listening")
            await call.until_verb("agent.end_call")
            await on.settle()
            assert [v["reason"] for v in call.verbs("agent.end_call")] == ["no_response"]
            assert on.lines.of(session="call_end")[0]["state"] == "ended"

    played(main())


def test_a_transfer_is_asked_for_once(tmp_path: Path) -> None:
    """A second request while the first may still be answered is refused; the close is its outcome."""
    text = """
    allow: {numbers: ['+15550123']}
    session:
      user_turn: [{escalate_transfer: {queue: tier-2, mode: warm, announcement: help}}]
    """

    async def main() -> None:
        async with scene(text, tmp_path) as on:
            call = await on.peer.connect()
            for number in (1, 2):
                await call.say("human please")
                await call.until_verb("agent.text.end", number)
            await call.hang_up()
            await on.settle()
            assert call.verbs("agent.transfer") == [
                {"event": "agent.transfer", "transfer_type": "human", "target": "tier-2",
                 "mode": "warm", "announcement": "help"}
            ]  # fmt: skip
            assert [s["status"] for s in on.lines.of(step="escalate_transfer")] == ["ok", "failed"]
            assert on.lines.of(session="call_end")[0]["state"] == "transferred"

    played(main())


def test_notes_reach_the_dialog_machine_for_this_very_turn(tmp_path: Path) -> None:
    """`inject` is the adapter's `assist`."""
    machine = Words()

    async def main() -> None:
        async with scene(
            "session: {user_turn: [{inject: be brief}]}", tmp_path, entrypoint(machine)
        ) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await call.until_verb("agent.text.end")
            await call.hang_up()
        assert machine.notes == ["be brief"]

    played(main())


def test_a_turns_measurements_are_told_once_and_are_its_own(tmp_path: Path) -> None:
    """The SDK reports a turn twice, at first with the turn before's `ttfa_ms`."""

    async def main() -> None:
        async with scene(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            await call.send("metric", ttfa_ms=11, turns=1)
            await call.say("hello")
            await call.until_verb("agent.text.end")
            await call.send("turn.metrics", call_id=call.id, turn_id=1, ttfa_ms=22, asr_ms=33)
            await asyncio.sleep(0.2)
            await call.hang_up()
            await on.settle()
            values = [(m["name"], m["value"]) for m in on.lines.of(event="metric")]
            assert ("turn.ttfa_ms", 11) not in values
            assert [v for v in values if v[0] == "turn.ttfa_ms"] == [("turn.ttfa_ms", 22)]
            assert ("turn.asr_ms", 33) in values
            assert ("ttfa_ms", 11) in values

    played(main())


def test_two_calls_do_not_hear_of_each_other(tmp_path: Path) -> None:
    """One hook's hang stays in its own call."""
    text = """
    session:
      user_turn:
        - {when: "event.text == 'hang'", do: [{python: 'tests.hooks:hang'}]}
        - say: 'heard {{ event.text }}'
    """

    async def main() -> None:
        async with scene(text, tmp_path) as on:
            one, two = await on.peer.connect(), await on.peer.connect()
            await one.say("hang")
            began = two.now()
            await two.say("hello")
            await two.until_verb("agent.text.end")
            assert two.now() - began < 0.5
            await one.until_verb("agent.text.end")
            assert (one.said, two.said) == (["heard hang"], ["heard hello"])
            await one.hang_up()
            await two.hang_up()

    played(main())


def test_a_frame_that_the_sdk_does_not_know_ends_the_call_with_a_reason(tmp_path: Path) -> None:
    """The SDK takes it for a hang-up without a word; the end is told, once."""

    async def main() -> None:
        async with scene(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            await call.send("dtmf", digit="5")
            await call.until_left()
            await on.settle()
            one_call(on.lines)

    played(main())


def test_a_runner_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    """Only the SDK's own is wrapped."""
    from orchestrator import AgentRunner
    from orchestrator.runtimes.unpod import UnpodRunner, adapt

    assert not isinstance(adapt(AgentRunner()), UnpodRunner)

    async def main() -> None:
        orchestrator, _ = orchestrate(SAYS, tmp_path)
        async with Peer() as peer:
            runner = make_runner(peer)
            attachment = orchestrator.attach(runner)
            assert isinstance(attachment.runner, UnpodRunner)
            assert attachment.runtime_name == "unpod"
            async with running(runner):
                await peer.until(lambda: peer.registrations)
        await orchestrator.aclose()

    played(main())


def test_a_second_socket_for_a_live_call_is_one_call(tmp_path: Path) -> None:
    """The end of the run that was left behind is not the end of the call."""

    async def main() -> None:
        async with scene(SAYS, tmp_path) as on:
            call = await on.peer.connect(call=Call("twice"))
            first = call.socket
            await call.say("one")
            await call.until_verb("agent.text.end")
            await on.peer.assign(call=call)
            await call.until(lambda: call.dials == 2 and call.socket is not first)
            assert first is not None
            await first.close()
            await asyncio.sleep(0.3)
            await call.say("two")
            await call.until_verb("agent.text.end", 2)
            await call.hang_up()
            await on.settle()
            assert call.said == ["welcome", "heard one", "heard two"]
            one_call(on.lines)

    played(main())


def test_the_journal_says_how_long_the_line_was_quiet_before_it_closed(tmp_path: Path) -> None:
    """A bridge that dies looks like a hang-up; the pause before it tells them apart."""

    async def main() -> None:
        async with scene(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            await call.state("listening")
            await asyncio.sleep(0.5)
            await call.hang_up()
            await on.settle()
            (note,) = on.lines.of(note="the line closed")
            assert 0.4 < note["quiet_for"] < 1.0

    played(main())


def test_guard_lets_mistakes_through() -> None:
    """Only a goodbye of the line is no failure."""

    async def broken(ctx: Any) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(Orchestrator.guard(broken)(None))  # type: ignore[arg-type]
