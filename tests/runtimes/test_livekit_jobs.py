"""LiveKit's jobs: transfers through its API, and the end of a call against its shutdown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobExecutorType

from orchestrator.runtimes.callbacks import Waits
from orchestrator.runtimes.livekit import LiveKit, wrap_on_session_end
from tests.runtimes import livekit_entry
from tests.runtimes.foreign import On, call_on
from tests.runtimes.livekit_peer import Participant, QuietRoom, ScriptedLLM, Stage, make_job
from tests.runtimes.livekit_server import Server
from tests.runtimes.sdk import Lines, orchestrate, played

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SHORT = Waits(caller=0.2, rejoin=0.3, drain=1.0, finish=1.5, session_end=6.0)
ASKS = """
session:
  user_turn:
    - escalate_transfer: {number: '+15550142', answer_within: 1s}
      on_error: [{say: 'not reached'}]
"""


def attach(stage: Stage) -> LiveKit:
    return LiveKit(stage.session, stage.job, waits=SHORT)


def with_server(monkeypatch: pytest.MonkeyPatch, main: Callable[[Server], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Server() as server:
            for name, value in server.env.items():
                monkeypatch.setenv(name, value)
            await main(server)

    played(run())


# --- transfers


def test_a_transfer_that_is_answered_ends_the_call_as_transferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was queued is heard first."""

    async def main(server: Server) -> None:
        config = ASKS.replace("    - escalate", "    - say: aside 0.3\n    - escalate")
        async with call_on(config, tmp_path, Stage(), attach) as on:
            await on.stage.say("human")
            await on.stage.until(on.said)
            speech = on.stage.session.current_speech
            await on.stage.until(lambda: server.transfers)
            assert speech is None or speech.done()
            await on.over()
            assert server.transfers == [("caller", "tel:+15550142")]
            assert on.end() == ("transferred", "ended")
            assert server.deleted == 0  # the caller is elsewhere, and others may be in the room

    with_server(monkeypatch, main)


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [({"sip_status_code": "486"}, "busy"), ({"sip_status_code": "600"}, "busy"),
     ({"sip_status_code": "408"}, "no_answer"), ({"sip_status_code": "480"}, "no_answer"),
     ({"sip_status_code": "603"}, "refused"), ({"sip_status_code": "403"}, "refused"),
     ({"sip_status_code": "500"}, "failed"), ({"sip_status_code": "what"}, "failed"),
     ({"sip_transfer_reason": "STR_REJECTED"}, "refused"),
     ({"sip_transfer_reason": "STR_RINGING_TIMEOUT"}, "no_answer"), ({}, "failed")],
)  # fmt: skip
def test_a_transfer_that_fails_says_how_and_the_call_goes_on(
    failure: dict[str, str], outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SIP status is the outcome; `on_error` runs."""

    async def main(server: Server) -> None:
        server.failure = failure
        async with call_on(ASKS, tmp_path, Stage(), attach) as on:
            await on.stage.say("human")
            await on.stage.until(on.said)
            assert [line["outcome"] for line in on.lines.of(event="transfer")] == [outcome]
            assert on.said() == ["not reached"]
            on.stage.hang_up()
            await on.over()
            assert on.end() == ("hangup", "ended")

    with_server(monkeypatch, main)


def test_a_transfer_that_nobody_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `answer_within`."""

    async def main(server: Server) -> None:
        server.answers.clear()
        async with call_on(ASKS, tmp_path, Stage(), attach) as on:
            await on.stage.say("human")
            await on.stage.until(on.said)
            (told,) = on.lines.of(event="transfer")
            assert told["outcome"] == "no_answer"
            server.answers.set()

    with_server(monkeypatch, main)


@pytest.mark.parametrize("kind", ["web", "console"])
def test_who_cannot_be_transferred_is_refused_with_a_reason(kind: str, tmp_path: Path) -> None:
    """A web caller; and a console, where LiveKit does nothing and reports success."""

    async def main() -> None:
        room = QuietRoom()
        stage = Stage(job=make_job(room, is_fake=kind == "console"), room=room)
        if kind == "web":
            stage.caller = Participant(kind=0, attributes={})
        async with call_on(ASKS, tmp_path, stage, attach) as on:
            await on.stage.say("human")
            await on.stage.until(on.said)
            (step,) = on.lines.of(step="escalate_transfer")
            why = {"web": "did not come by phone", "console": "has no room"}[kind]
            assert why in step["error"]
            assert on.lines.of(event="transfer") == []

    played(main())


# --- the end


def test_the_room_is_deleted_when_we_ended_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the shutdown callback, once; a room of a call that others ended is left alone."""

    async def main(server: Server) -> None:
        config = "session: {user_turn: [{end_call: bye}]}"
        async with call_on(config, tmp_path, Stage(), attach) as on:
            await on.stage.say("bye")
            await on.stage.until(lambda: on.stage.shutdowns)
            assert server.deleted == 0
        assert server.deleted == 1
        async with call_on(config, tmp_path, Stage(), attach) as on:
            on.stage.hang_up()
        assert server.deleted == 1

    with_server(monkeypatch, main)


SLOW_END = """
runner:
  call_end:
    - {timeout: 9s, do: [{wait: 2s}]}
    - {name: told, do: [{log: x}]}
"""


async def shut_down(on: On, reason: str = "shutdown") -> float:
    began = time.monotonic()
    (callback,) = on.stage.job._shutdown_callbacks
    await callback(reason)
    return time.monotonic() - began


def test_hooks_of_the_end_have_the_budget_of_the_shutdown_callback(tmp_path: Path) -> None:
    """They are left behind in time, with a note, and the callback raises nothing."""

    async def main() -> None:
        waits = Waits(caller=0.2, finish=0.8)

        def make(stage: Stage) -> LiveKit:
            return LiveKit(stage.session, stage.job, waits=waits)

        async with call_on(SLOW_END, tmp_path, Stage(), make) as on:
            assert await shut_down(on) < 1.5
            assert on.lines.of(hook="told") == []
            assert on.end() == ("shutdown", "ended")
            assert on.lines.of(note="the runtime ended before the hooks of the end")

    played(main())


def test_in_the_slot_of_the_session_s_end_they_have_their_time(tmp_path: Path) -> None:
    """`wrap_on_session_end` is awaited by LiveKit before the callbacks; one's own runs after."""
    order: list[Any] = []

    async def main() -> None:
        async def mine(job: Any) -> None:
            order.append(on.call.is_over)

        async with call_on(SLOW_END, tmp_path, Stage(), attach) as on:
            await on.stage.session.aclose()
            await wrap_on_session_end(mine)(on.stage.job)
            assert order == [True]
            assert on.lines.of(hook="told", ran=True)
            assert await shut_down(on) < 0.5
            assert on.end() == ("ended", "ended")

    played(main())


def test_a_host_that_cannot_close_does_not_reach_the_shutdown(tmp_path: Path) -> None:
    """One callback that raises makes LiveKit drop all the others."""

    async def main() -> None:
        async def broken() -> None:
            raise OSError("disk full")

        def make(stage: Stage) -> LiveKit:
            return LiveKit(stage.session, stage.job, closes=True, waits=SHORT)

        async with call_on("runner: {call_end: [{log: x}]}", tmp_path, Stage(), make) as on:
            aclose, on.orchestrator.aclose = on.orchestrator.aclose, broken  # type: ignore[method-assign]
            await shut_down(on)
            on.orchestrator.aclose = aclose  # type: ignore[method-assign]

    played(main())


# --- a whole job, run by LiveKit's own server

Entry = Callable[[JobContext], Awaitable[None]]


def run_job(
    entry: Entry, until: Callable[[], object], kind: JobExecutorType = JobExecutorType.THREAD
) -> None:
    """One job, as `AgentServer` runs it."""

    async def main() -> None:
        server = AgentServer(job_executor_type=kind, num_idle_processes=0,
                             host="127.0.0.1", port=0, load_fnc=lambda: 0.0,
                             ws_url="ws://127.0.0.1:9", api_key="k", api_secret="s" * 32)  # fmt: skip
        server.rtc_session(entry, on_session_end=wrap_on_session_end())
        running = asyncio.create_task(server.run(devmode=True, unregistered=True))
        try:
            await asyncio.sleep(0.1)
            await server.simulate_job("call-1", fake_job=True)
            async with asyncio.timeout(20):
                while not until():
                    await asyncio.sleep(0.05)
        finally:
            await server.aclose()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    played(main())


@pytest.mark.parametrize("crash", ["before", "after", "never"])
@pytest.mark.filterwarnings("ignore")  # of the server's threads
def test_a_whole_job_ends_its_call_once(crash: str, tmp_path: Path) -> None:
    """Also when the entrypoint raises, before the session started or after."""
    found: list[Lines] = []
    ended: list[bool] = []

    async def entry(ctx: JobContext) -> None:
        orchestrator, lines = orchestrate("runner: {call_end: [{log: x}]}", tmp_path)
        found.append(lines)
        session: AgentSession[Any] = AgentSession(llm=ScriptedLLM(), vad=None,
                                             turn_handling={"turn_detection": None})  # fmt: skip
        orchestrator.attach(LiveKit(session, ctx, closes=True, waits=SHORT))

        async def done(_: str) -> None:
            while not lines.of(runner="call_end"):
                await asyncio.sleep(0.02)
            ended.append(True)

        ctx.add_shutdown_callback(done)
        if crash == "before":
            raise ValueError("before the start")
        await session.start(Agent(instructions="x"), record=False)
        await session.run(user_input="hello")
        if crash == "after":
            raise ValueError("after the start")
        ctx.shutdown("done")

    run_job(entry, lambda: bool(ended))
    (lines,) = found
    (end,) = lines.of(runner="call_end")
    assert end["final_state"] == ("ended" if crash == "never" else "failed")
    if crash == "before":
        assert lines.of(session="call_start") == []
    else:
        assert [line["text"] for line in lines.of(event="user_turn")] == ["hello"]
        assert len(lines.of(session="call_end")) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_process_that_ends_with_its_job_leaves_a_whole_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The `Orchestrator` is closed in the job's shutdown, within its budget."""
    config, journals = tmp_path / "hooks.yaml", tmp_path / "journals"
    config.write_text(
        "version: 1\nrunner: {call_end: [{background: true, do: [{wait: 500ms}, {log: late}]}]}"
    )
    monkeypatch.setenv(livekit_entry.CONFIG, str(config))
    monkeypatch.setenv(livekit_entry.JOURNALS, str(journals))

    def written() -> list[str]:
        return [text for path in journals.glob("*.jsonl")
                if '"end"' in (text := path.read_text())]  # fmt: skip

    run_job(livekit_entry.entry, written, JobExecutorType.PROCESS)
    (journal,) = written()
    assert '"text": "hello"' in journal.replace('":"', '": "')
    assert "late" in journal
    assert "cut off" not in journal
