"""Our own runner on the Unpod wire, and beside the SDK's: the same frames for the same calls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AgentRunner
from orchestrator.errors import EnvironmentFailure
from orchestrator.runtimes.unpod import UNPOD_CAPABILITIES
from orchestrator.runtimes.unpod.control import backoff
from orchestrator.runtimes.unpod.native import UnpodExchange
from tests.runtimes.sdk import Scene, Words, entrypoint, one_call, orchestrate, played, scene
from tests.runtimes.unpod_peer import Call, Peer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own
SLOW_WORDS = "one two three four five six seven eight nine ten"
SAYS = """
session:
  call_start: [{say: welcome}]
  user_turn: [{say: 'heard {{ event.text }}'}]
"""


def make_native(
    peer: Peer, enter: Any = None, *, max_concurrent: int = 50, token: str = "t"
) -> AgentRunner:
    """Our runner, pointed at the peer."""
    exchange = UnpodExchange(
        "agent", url=peer.url, token=token, org_handle="o", max_concurrent=max_concurrent
    )
    return AgentRunner(
        enter or entrypoint(), agent_id="agent", exchange=exchange, capabilities=UNPOD_CAPABILITIES
    )


@contextlib.asynccontextmanager
async def native(
    text: str, folder: Path, enter: Any = None, *, peer: Peer | None = None, **options: Any
) -> AsyncIterator[Scene]:
    """A peer and our runner with a config attached."""
    orchestrator, lines = orchestrate(text, folder)
    async with peer or Peer() as peer:
        runner = make_native(peer, enter, **options)
        orchestrator.attach(runner)
        task = asyncio.create_task(runner.run())
        try:
            yield Scene(peer, runner, orchestrator, lines)
        finally:
            await runner.shutdown(0.1)
            await asyncio.wait_for(task, 10)


def test_a_call_needs_no_sdk(tmp_path: Path) -> None:
    """Registered, assigned, dialled, greeted, answered, hung up."""

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await call.until_verb("agent.text.end")
            await call.hang_up()
            await on.settle()
            assert call.said == ["welcome", "heard hello"]
            assert call.replies == ["you said hello"]
            one_call(on.lines)
            assert on.lines.of(session="call_end")[0]["state"] == "hangup"

    played(main())


# --- the same frames

Script = Callable[[Call], Awaitable[None]]


async def _greeting(call: Call) -> None:
    await call.until_verb("agent.say")
    await call.hang_up()


async def _turns(call: Call) -> None:
    for number, words in enumerate(("hello", "a card", "thanks"), 1):
        await call.say(words)
        await call.until_verb("agent.text.end", number)
    await call.hang_up()


async def _barge_in(call: Call) -> None:
    await call.say("slow")
    await call.until_verb("agent.text.delta", 3)
    await call.barge_in("one two")
    await call.until_verb("agent.text.end")
    await call.until_verb("agent.say", 3)
    await call.hang_up()


async def _end(call: Call) -> None:
    await call.say("bye")
    await call.until_verb("agent.end_call")
    await call.until_left()


async def _transfer(call: Call) -> None:
    await call.say("human")
    await call.until_verb("agent.transfer")
    await call.until_verb("agent.text.end")
    await call.hang_up()


async def _number(call: Call) -> None:
    await call.say("number")
    await call.until_verb("agent.text.end")
    await call.hang_up()


async def _silence(call: Call) -> None:
    await call.state("speaking")
    await call.state("listening")
    await call.until_verb("agent.say", 2)
    await call.hang_up()


async def _between_turns(call: Call) -> None:
    await call.send("metric", ttfa_ms=4, turns=0)
    await call.state("listening")
    await call.barge_in()
    await call.until_verb("agent.say", 2)
    await call.hang_up()


async def _interrupt(call: Call) -> None:
    await call.say("stop")
    await call.until_verb("agent.text.end", 2)
    await call.hang_up()


SCRIPTS: dict[str, Script] = {
    "greeting": _greeting, "turns": _turns, "barge-in": _barge_in, "end": _end,
    "transfer to a queue": _transfer, "transfer to a number": _number, "silence": _silence,
    "between turns": _between_turns, "interrupt": _interrupt,
}  # fmt: skip

ALL = """
allow: {numbers: ['+15550123']}
session:
  call_start:
    - say: welcome
    - silence_timer: {after: 1s, max: 1, steps: [{say: still there?}]}
  user_turn:
    - {when: "event.text == 'bye'", do: [{end_call: done}]}
    - {when: "event.text == 'human'", do: [{escalate_transfer: {queue: q, mode: warm, announcement: a}}]}
    - {when: "event.text == 'number'", do: [{escalate_transfer: {number: '+15550123'}}]}
    - {when: "event.text == 'stop'", do: [{interrupt: {}}]}
    - {when: "event.text != 'bye'", do: [{say: 'heard {{ event.text }}'}]}
  interruption: [{say: pardon}]
"""


class Replies(Words):
    """Quick replies, but one that can be talked into."""

    async def stream(self, text: str, context: Any = None, language: str | None = None) -> Any:
        self.reply, self.delay = (SLOW_WORDS, 0.1) if text == "slow" else ("you said {text}", 0)
        async for piece in super().stream(text):
            yield piece


@pytest.mark.parametrize("name", SCRIPTS)
def test_both_runners_send_the_same_frames(name: str, tmp_path: Path) -> None:
    """Event for event: the SDK with our hooks attached, and ours."""

    async def frames(make: Any, folder: Path) -> list[Any]:
        async with make(ALL, folder, entrypoint(Replies())) as on:
            call = await on.peer.connect(call=Call("same-call"))
            await SCRIPTS[name](call)
            await on.settle()
            return call.verbs()

    async def main() -> None:
        theirs = await frames(scene, tmp_path / "sdk")
        ours = await frames(native, tmp_path / "ours")
        assert len(theirs) > 1
        assert ours == theirs

    played(main())


def test_both_runners_register_acknowledge_and_beat_alike(tmp_path: Path) -> None:
    """Control frames have the same fields, and the same values where they are not a machine's."""

    async def control(make: Any, folder: Path) -> tuple[list[Any], dict[str, str]]:
        async with make(SAYS, folder) as on:
            call = await on.peer.connect()
            await on.peer.assign("somebody-else")
            await on.peer.until(
                lambda: len(on.peer.frames("job.ack")) == 2 and on.peer.frames("heartbeat")
            )
            await call.hang_up()
            on.peer.control.sort(key=lambda frame: frame["type"] == "heartbeat")
            headers = {k.lower(): v for k, v in on.peer.headers[0].items()}
            return on.peer.control[:4], headers

    def plain(frame: Any) -> Any:
        frame = dict(frame)
        for key in ("worker_id",):
            if key in frame:
                frame[key] = frame[key].partition("#")[0]
        if "capabilities" in frame:
            frame["capabilities"] = {**frame["capabilities"], "address": None, "region": None}
        return frame

    async def main() -> None:
        theirs, their_headers = await control(scene, tmp_path / "sdk")
        ours, our_headers = await control(native, tmp_path / "ours")
        assert [plain(f) for f in ours] == [plain(f) for f in theirs]
        for name in ("authorization", "org-handle"):
            assert our_headers[name] == their_headers[name]

    played(main())


# --- what the wire does to us


def test_a_broken_connection_is_dialled_again_and_the_session_goes_on(tmp_path: Path) -> None:
    """Also between turns, where the SDK never does; nothing that the call knew is lost."""
    text = "session: {user_turn: [{say: 'turn {{ call.count(\"user_turn\") }}'}]}"

    async def main() -> None:
        async with native(text, tmp_path) as on:
            call = await on.peer.connect()
            await call.say("one")
            await call.until_verb("agent.text.end")
            await call.drop()
            await call.until_connected(2)
            await call.say("two")
            await call.until_verb("agent.text.end", 2)
            await call.hang_up()
            await on.settle()
            assert call.said == ["turn 1", "turn 2"]
            one_call(on.lines)

    played(main())


@pytest.mark.parametrize(
    ("breaks", "why"),
    [(lambda call: call.drop(), "no close frame"),
     (lambda call: call.send("user.text", text="x" * 2_000_000), "close code 1009")],
    ids=["dropped", "too large"],
)  # fmt: skip
def test_a_connection_that_broke_leaves_one_line_in_the_journal(
    breaks: Any, why: str, tmp_path: Path
) -> None:
    """What was on it is lost: who reads the journal sees where and why."""

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            await breaks(call)
            await call.until_connected(2)
            await call.say("hello")
            await call.until_verb("agent.text.end")
            await call.hang_up()
            await on.settle()
            notes = [note for note in on.lines.lines if "dialled again" in note.get("note", "")]
            assert [note["why"].partition(": ")[2] for note in notes] == [why]

    played(main())


def test_a_reply_goes_on_over_a_connection_that_broke(tmp_path: Path) -> None:
    """What is being written waits for the redial."""

    async def main() -> None:
        async with native(SAYS, tmp_path, entrypoint(Words(SLOW_WORDS, 0.05))) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await call.until_verb("agent.text.delta", 3)
            await call.drop()
            await call.until_verb("agent.text.end")
            assert call.dials == 2
            assert call.replies[0].endswith("nine ten")
            await call.hang_up()

    played(main())


def test_a_worker_that_is_gone_ends_the_call_with_one_reason(tmp_path: Path) -> None:
    """Three refused dials, then a hang-up."""

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            call.is_over = True
            await call.drop()
            await on.settle()
            assert call.refused == 3
            one_call(on.lines)
            (hangup,) = on.lines.of(event="hangup")
            assert "could not be reached" in hangup["reason"]

    played(main())


@pytest.mark.parametrize(
    "frame",
    ["not json", "[]", "{}", '{"event": 5}', '{"event": "dtmf", "digit": "5"}', '{"event": "silence"}',
     '{"event": "user.text"}', '{"event": "state", "state": "asleep"}', '{"event": "error"}',
     '{"event": "metric", "ttfa_ms": "fast"}', "[" * 5000],
)  # fmt: skip
def test_a_bad_frame_never_harms_the_call(frame: str, tmp_path: Path) -> None:
    """The SDK would leave the caller on a line without an agent."""

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            await call.send_raw(frame)
            await call.say("hello")
            await call.until_verb("agent.text.end")
            assert call.replies == ["you said hello"]
            await call.hang_up()

    played(main())


def test_a_bad_frame_leaves_one_line_without_what_was_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What came is named, not quoted."""

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            await call.send_raw("my card is 4111")
            await call.say("hello")
            await call.until_verb("agent.text.end")
            await call.hang_up()
            await on.settle()
            (note,) = [line for line in on.lines.lines if "note" in line]
            assert note["why"] == "no JSON, 15 long"

    with caplog.at_level(logging.WARNING):
        played(main())
    (record,) = [r for r in caplog.records if r.message == "frame passed over"]
    assert record.why == "no JSON, 15 long"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "frame", ["x", "{}", '{"type": "novelty"}', '{"type": "job.assign"}', '{"type": "job.cancel"}']
)
def test_a_bad_control_frame_keeps_the_link(frame: str, tmp_path: Path) -> None:
    """The SDK would drop the link and register anew."""

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            await on.peer.until(lambda: on.peer.registrations)
            await on.peer.send_raw(frame)
            call = await on.peer.connect()
            assert on.peer.registrations == 1
            await call.hang_up()

    played(main())


def test_a_lost_control_link_is_made_again_and_calls_go_on(tmp_path: Path) -> None:
    """Calls have sockets of their own; the runner registers under the same name."""

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            await on.peer.close_control(1011)
            await call.say("hello")
            await call.until_verb("agent.text.end")
            await on.peer.until(lambda: on.peer.registrations == 2)
            ids = {frame["worker_id"] for frame in on.peer.frames("register")}
            assert len(ids) == 1
            again = await on.peer.connect()
            await call.hang_up()
            await again.hang_up()

    played(main())


def test_backoff_doubles_up_to_thirty_seconds_with_jitter() -> None:
    """1 s, 2 s, 4 s ... give or take half."""
    assert [backoff(n, 0.5) for n in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    assert (backoff(1, 0.0), backoff(1, 0.99), backoff(9, 0.99)) == (0.5, 1.49, 30)


@pytest.mark.parametrize("code", [4001, 1008])
def test_a_refused_credential_is_not_tried_again(code: int) -> None:
    """It says what to check, and not the token."""

    async def main() -> None:
        async with Peer() as peer:
            runner = make_native(peer, token="very-secret")
            task = asyncio.create_task(runner.run())
            await peer.until(lambda: peer.registrations)
            await peer.close_control(code)
            with pytest.raises(EnvironmentFailure, match=f"close {code}") as raised:
                await asyncio.wait_for(task, 5)
            assert "very-secret" not in str(raised.value)
            assert peer.registrations == 1

    played(main())


def test_an_orchestrator_that_is_too_old_is_refused() -> None:
    """It must let runners dial out."""

    async def main() -> None:
        async with Peer(transport_ack="serve") as peer:
            with pytest.raises(EnvironmentFailure, match="dial out"):
                await asyncio.wait_for(make_native(peer).run(), 5)

    played(main())


def test_jobs_beyond_the_capacity_are_refused(tmp_path: Path) -> None:
    """And taken again once there is room."""

    async def main() -> None:
        async with native(SAYS, tmp_path, max_concurrent=1) as on:
            call = await on.peer.connect()
            await on.peer.assign()
            await on.peer.until(lambda: len(on.peer.frames("job.ack")) == 2)
            ack = on.peer.frames("job.ack")[1]
            assert (ack["accepted"], ack["reason"]) == (False, "at_capacity")
            await call.hang_up()
            await on.settle()
            await asyncio.sleep(0.1)
            again = await on.peer.connect()
            await again.hang_up()

    played(main())


def test_the_capacity_is_the_runner_s_if_it_is_smaller(tmp_path: Path) -> None:
    """It is what is registered, and what refuses: no job is taken that nobody carries."""

    async def main() -> None:
        orchestrator, _ = orchestrate(SAYS, tmp_path)
        async with Peer() as peer:
            exchange = UnpodExchange("agent", url=peer.url, token="t", org_handle="o")
            runner = AgentRunner(entrypoint(), exchange=exchange, max_concurrent=1)
            orchestrator.attach(runner)
            task = asyncio.create_task(runner.run())
            call = await peer.connect()
            await call.until_verb("agent.say")
            assert peer.frames("register")[0]["capabilities"]["max_concurrent"] == 1
            await peer.assign()
            await peer.until(lambda: len(peer.frames("job.ack")) == 2)
            assert peer.frames("job.ack")[1]["reason"] == "at_capacity"
            await call.hang_up()
            await runner.shutdown(5)
            await asyncio.wait_for(task, 5)
        await orchestrator.aclose()

    played(main())


def test_hooks_of_an_end_hold_no_room(tmp_path: Path) -> None:
    """The next job is carried at once, though the last call's hooks go on."""
    text = """
    runner: {call_end: [{wait: 1500ms}]}
    session: {call_start: [{say: welcome}]}
    """

    async def main() -> None:
        async with native(text, tmp_path, max_concurrent=1) as on:
            first = await on.peer.connect()
            await first.until_verb("agent.say")
            await first.hang_up()
            await first.until_left()
            second = await on.peer.connect()
            await second.until_verb("agent.say")
            assert second.frames[-1][1] < 1.0
            await second.hang_up()

    played(main())


def test_a_second_transfer_is_refused_while_the_first_may_be_answered(tmp_path: Path) -> None:
    """As on the SDK with our hooks: nothing tells how it ended, so it is not sent twice."""
    text = """
    session:
      user_turn:
        - escalate_transfer: {number: "+15550142", mode: warm, announcement: one caller}
    """

    async def main() -> None:
        async with native(text, tmp_path) as on:
            call = await on.peer.connect()
            await call.say("human")
            await call.until_verb("agent.text.end")
            await call.say("human again")
            await call.until_verb("agent.text.end", 2)
            await call.hang_up()
            await on.settle()
            assert len(call.verbs("agent.transfer")) == 1
            assert on.lines.of(step="escalate_transfer", status="failed")

    played(main())


def test_the_runtime_is_called_unpod(tmp_path: Path) -> None:
    """As on the SDK: one config means the same on both."""

    async def main() -> None:
        async with native("session: {call_start: [{say: '{{ call.runtime }}'}]}", tmp_path) as on:
            call = await on.peer.connect()
            await call.until_verb("agent.say")
            assert call.said == ["unpod"]
            await call.hang_up()
            await on.settle()
            assert on.lines.lines[0]["call"]["runtime"] == "unpod"

    played(main())


def test_a_cancelled_job_ends_its_call(tmp_path: Path) -> None:
    """Whether it is live or still being dialled."""

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            await on.peer.connect()
            await on.peer.send("job.cancel", job_id="job-1")
            await on.settle()
            one_call(on.lines)
            assert on.lines.of(event="hangup")[0]["reason"] == "cancelled by the orchestrator"

    played(main())


def test_a_shutdown_lets_calls_end_refuses_jobs_and_goes_on_beating(tmp_path: Path) -> None:
    """The SDK stops its heartbeats, takes a job and never dials it."""

    async def main() -> None:
        orchestrator, lines = orchestrate(SAYS, tmp_path)
        async with Peer(heartbeat=0.1) as peer:
            runner = make_native(peer)
            orchestrator.attach(runner)
            task = asyncio.create_task(runner.run())
            call = await peer.connect()
            await call.until_verb("agent.say")
            stopping = asyncio.create_task(runner.shutdown(10))
            await asyncio.sleep(0.1)
            beats = len(peer.frames("heartbeat"))
            await peer.assign()
            await peer.until(lambda: len(peer.frames("job.ack")) == 2)
            assert peer.frames("job.ack")[1]["accepted"] is False
            await call.say("hello")
            await call.until_verb("agent.text.end")
            await peer.until(lambda: len(peer.frames("heartbeat")) > beats + 1)
            await call.hang_up()
            await asyncio.wait_for(stopping, 5)
            await asyncio.wait_for(task, 5)
            one_call(lines)
        await orchestrator.aclose()

    played(main())


def test_the_call_token_is_never_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in logs nor in the journal, also when dials fail."""

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            call = await on.peer.connect(call=Call("c", token="hush-hush"))
            call.is_over = True
            await call.drop()
            await on.settle()
            assert "hush-hush" not in str(on.lines.lines)

    with caplog.at_level(logging.DEBUG):
        played(main())
    ours = [r.getMessage() for r in caplog.records if r.name != "websockets.server"]  # the peer's
    assert not [text for text in ours if "hush-hush" in text or "Token t" in text]


@pytest.mark.parametrize("make", ["native", "scene"])
def test_the_number_called_is_known_where_it_is_told(tmp_path: Path, make: str) -> None:
    """In the call's data on both; the SDK drops the metadata that ours reads beside."""
    text = "session: {call_start: [{say: 'to {{ call.called_number }}'}]}"

    async def main() -> None:
        async with {"native": native, "scene": scene}[make](text, tmp_path) as on:
            call = await on.peer.connect(data={"called_number": "+15550199"})
            await call.until_verb("agent.say")
            assert call.said == ["to +15550199"]
            await call.hang_up()
            if make == "native":
                other = await on.peer.connect(to_number="+15550142")
                await other.until_verb("agent.say")
                assert other.said == ["to +15550142"]
                await other.hang_up()

    played(main())


def test_what_call_started_tells_is_in_the_context(tmp_path: Path) -> None:
    """Numbers, direction, instructions and data, with the dispatcher's identity on top."""
    seen: list[Any] = []

    async def enter(ctx: Any) -> None:
        seen.append((ctx.user_number, ctx.direction, ctx.instructions, dict(ctx.data)))
        await ctx.session.run()

    async def main() -> None:
        for make in (native, scene):
            folder = tmp_path / make.__name__
            async with make(SAYS, folder, enter) as on:
                call = await on.peer.connect(
                    direction="outbound", user_number="", to_number="+15550199",
                    instructions="be brief", data={"a": 1, "agent_id": "mine"}, playbook_id="p",
                )  # fmt: skip
                await call.hang_up()
                await on.settle()
        assert seen[0] == seen[1]
        assert seen[0] == (
            "+15550199",
            "outbound",
            "be brief",
            {"a": 1, "agent_id": "mine", "playbook_id": "p"},
        )

    played(main())
