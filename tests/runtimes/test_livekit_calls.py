"""Hooks on the real `AgentSession`: what a caller hears and a journal tells."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import Agent, StopResponse, function_tool, llm
from livekit.agents.voice.agent_session import SessionConnectOptions

from orchestrator.errors import NotSupported, UserError
from orchestrator.runtime import End
from orchestrator.runtimes.callbacks import Waits
from orchestrator.runtimes.livekit import LIVEKIT_CAPABILITIES, LiveKit
from orchestrator.targets import TARGETS
from tests.runtimes.foreign import call_on
from tests.runtimes.livekit_peer import (
    E1,
    Participant,
    QuietRoom,
    ScriptedLLM,
    Silence,
    Speaker,
    Stage,
    make_job,
)
from tests.runtimes.sdk import one_call, orchestrate, played

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SHORT = Waits(hold=0.3, caller=0.2, rejoin=0.3, drain=1.0, finish=1.5, session_end=3.0)


def attach(stage: Stage) -> LiveKit:
    return LiveKit(stage.session, stage.job, waits=SHORT)


def call(text: str, folder: Path, stage: Stage, **start: Any) -> Any:
    return call_on(text, folder, stage, attach, **start)


# --- what it can do


def test_the_target_table_says_what_the_adapter_can_do() -> None:
    """`validate --target livekit` and `attach` agree."""
    assert TARGETS["livekit"] == LIVEKIT_CAPABILITIES


@pytest.mark.parametrize(
    "step",
    ["recording: {pause: card, max: 9s}", "set_filler: hm", "escalate_transfer: {queue: people}",
     "escalate_transfer: {agent_id: other}"],
)  # fmt: skip
def test_what_livekit_cannot_do_is_refused_when_attaching(step: str, tmp_path: Path) -> None:
    """No egress can be paused, and no agents were named to hand over to."""

    async def main() -> None:
        orchestrator, _ = orchestrate(f"session: {{user_turn: [{{{step}}}]}}", tmp_path)
        with pytest.raises(NotSupported, match="livekit cannot do"):
            orchestrator.attach(attach(Stage()))

    played(main())


def test_hooks_are_attached_before_the_start_and_once(tmp_path: Path) -> None:
    """Afterwards the start is missed, and twice they would run twice: both are refused."""

    async def main() -> None:
        orchestrator, _ = orchestrate("session: {user_turn: [{say: hm}]}", tmp_path)
        stage = Stage()
        first = attach(stage)
        orchestrator.attach(first)
        with pytest.raises(UserError, match="attached already"):
            orchestrator.attach(attach(stage))
        await stage.session.start(Agent(instructions="x"))
        with pytest.raises(UserError, match=r"before `session\.start`"):
            attach(stage)
        await stage.session.aclose()
        await first.finished(5)
        await orchestrator.aclose()

    played(main())


def test_without_a_job_there_is_no_room_to_transfer_in(tmp_path: Path) -> None:
    """The session alone still carries speech."""

    async def main() -> None:
        text = "session: {user_turn: [{escalate_transfer: {number: '+15550142'}}]}"
        orchestrator, _ = orchestrate(text, tmp_path)
        with pytest.raises(NotSupported, match=r"transfer\.number"):
            orchestrator.attach(LiveKit(Stage().session))
        speech, lines = orchestrate("session: {call_start: [{say: hello}]}", tmp_path)
        stage = Stage()
        call = LiveKit(stage.session, call_id="mine", user_number="+15550111", waits=SHORT)
        speech.attach(call)
        await stage.start()
        await stage.until(lambda: lines.of(do="say"))
        await stage.close()
        assert await call.finished(5)
        assert lines.lines[0]["call"]["id"] == "mine"
        assert lines.lines[0]["call"]["user_number"] == "+15550111"

    played(main())


# --- who calls


def test_the_caller_comes_from_sip_and_the_data_from_the_job(tmp_path: Path) -> None:
    """Before the first hook runs, though the caller joins after the hooks were attached."""

    async def main() -> None:
        room = QuietRoom()
        job = make_job(room, metadata='{"tier": "gold"}')
        async with call(
            "runner: {call_start: [{log: x}]}", tmp_path, Stage(job=job, room=room)
        ) as on:
            await on.stage.until(lambda: on.lines.of(session="call_start"))
            header = on.lines.lines[0]["call"]
            assert (header["id"], header["session_id"]) == ("SCL_1", "call-1")
            assert (header["user_number"], header["direction"]) == ("+15550100", "inbound")
            assert header["data"] == {"tier": "gold", "called_number": "+15550199"}
            assert header["called_number"] == "+15550199"

    played(main())


@pytest.mark.parametrize("metadata", ["", "not json", "[1]", "{" * 70_000])
def test_other_metadata_and_a_web_caller_are_no_hindrance(metadata: str, tmp_path: Path) -> None:
    """The room's own id names the call, since names of rooms are used again."""

    async def main() -> None:
        room = QuietRoom()
        stage = Stage(job=make_job(room, metadata=metadata), room=room)
        stage.caller = Participant(
            kind=rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, attributes={}
        )
        async with call("session: {call_start: [{log: x}]}", tmp_path, stage) as on:
            await on.stage.until(lambda: on.lines.of(session="call_start"))
            header = on.lines.lines[0]["call"]
            assert (header["id"], header["user_number"], header["data"]) == ("RM_1", "", {})

    played(main())


# --- the reply waits for the hooks of the caller's words

LOOKS_UP = """
session:
  user_turn:
    - do: [{wait: 100ms}, {inject: 'caller is gold'}, {say: one moment}]
"""


def test_the_reply_waits_for_the_hooks_and_knows_their_notes(tmp_path: Path) -> None:
    """In voice mode, through `on_user_turn_completed`; the agent's own one still runs, after."""
    seen: list[str] = []

    class Bot(Agent):
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            seen.append(new_message.text_content)

    async def main() -> None:
        async with call(LOOKS_UP, tmp_path, Stage(), agent=Bot(instructions="be brief")) as on:
            await on.stage.say("hello")
            await on.stage.until(on.turns)
            assert on.stage.model.contexts[-1].count("caller is gold") == 1
            assert on.said() == ["one moment"]
            assert on.turns() == ["you said hello"]
            assert seen == ["hello"]
            t = {line["event"]: line["t"] for line in on.lines.lines if "event" in line}
            assert t["agent_turn"] - t["user_turn"] >= 0.1

    played(main())


def test_typed_words_wait_for_their_hooks_too(tmp_path: Path) -> None:
    """In text mode LiveKit does not ask `on_user_turn_completed`."""

    async def main() -> None:
        async with call(LOOKS_UP, tmp_path, Stage()) as on:
            await on.stage.session.run(user_input="hello")
            await on.stage.until(on.turns)
            assert on.stage.model.contexts[-1].count("caller is gold") == 1
            assert on.story().index("user_turn") < on.story().index("agent_turn")
            assert len(on.lines.of(event="user_turn")) == 1

    played(main())


def test_a_note_given_before_the_first_words_is_there_once_and_stays(tmp_path: Path) -> None:
    """It is part of the conversation from then on, as on every runtime."""

    async def main() -> None:
        text = "session: {call_start: [{inject: caller is gold}]}"
        async with call(text, tmp_path, Stage()) as on:
            for words in ("hello", "again"):
                await on.stage.session.run(user_input=words)
                assert on.stage.model.contexts[-1].count("caller is gold") == 1

    played(main())


def test_words_are_told_once_whoever_asks_the_model_and_when(tmp_path: Path) -> None:
    """A greeting that code asked for, words answered ahead of the turn's end, typed words."""

    async def main() -> None:
        async with call("session: {user_turn: [{log: x}]}", tmp_path, Stage()) as on:
            await on.stage.session.generate_reply(instructions="greet")
            await on.stage.say("hello")
            await on.stage.until(lambda: "you said hello" in on.turns())
            await on.stage.session.generate_reply(instructions="go on")
            await on.stage.session.run(user_input="typed")
            await on.stage.say("bye")
            await on.stage.until(lambda: "you said bye" in on.turns())
            told = [line["text"] for line in on.lines.of(event="user_turn")]
            assert told == ["hello", "typed", "bye"]

    played(main())


BAD = """
session:
  user_turn:
    - {{python: 'tests.hooks:{0}', timeout: 400ms}}
    - say: next
"""


@pytest.mark.parametrize("bad", ["boom", "hang", "cancelled", "plain_function", "garbage"])
def test_a_bad_hook_never_harms_the_call(bad: str, tmp_path: Path) -> None:
    """It raises, hangs, or returns rubbish: the turn is answered, the next hook runs."""

    async def main() -> None:
        async with call(BAD.format(bad), tmp_path, Stage()) as on:
            await on.stage.say("hello")
            await on.stage.until(on.turns, 2.0)
            await on.stage.until(on.said, 2.0)
            on.stage.hang_up()
            await on.over()
            assert on.end() == ("hangup", "ended")
            one_call(on.lines)

    played(main())


def test_the_reply_does_not_wait_for_ever(tmp_path: Path) -> None:
    """Past the hold the turn goes on, and the journal says so."""

    async def main() -> None:
        config = "session: {user_turn: [{wait: 1s}, {say: late}]}"
        async with call(config, tmp_path, Stage()) as on:
            await on.stage.say("hello")
            await on.stage.until(on.turns, 1.0)
            assert on.said() == []
            assert on.lines.of(note="the runtime went on without its hooks")
            await on.stage.until(on.said)

    played(main())


# --- what goes wrong in what is reported


def test_a_malformed_report_reaches_neither_the_session_nor_another_report(tmp_path: Path) -> None:
    """LiveKit raises a handler's TypeError into the session; ours raise nothing."""

    async def main() -> None:
        async with call("session: {user_turn: [{say: ok}]}", tmp_path, Stage()) as on:
            for event in ("conversation_item_added", "agent_state_changed", "user_state_changed",
                          "user_input_transcribed", "tool_execution_updated", "speech_created",
                          "error"):  # fmt: skip
                on.stage.session.emit(event, SimpleNamespace())  # type: ignore[arg-type]
            await on.stage.until(lambda: on.lines.of(note="a report was passed over"))
            await on.stage.say("hello")
            await on.stage.until(on.turns)
            on.stage.hang_up()
            await on.over()
            assert len(on.lines.of(note="a report was passed over")) == 6
            (error,) = on.lines.of(event="error")  # this one can be told, whatever it is
            assert error["source"] == "session"
            assert on.end() == ("hangup", "ended")

    played(main())


# --- interruptions


def test_a_barge_in_is_one_interruption_and_ours_is_none(tmp_path: Path) -> None:
    """Only the caller's own is told, once."""

    async def main() -> None:
        config = "session: {dtmf: [{interrupt: {}}], interruption: [{log: x}]}"
        async with call(config, tmp_path, Stage()) as on:
            on.stage.aside(1.0)
            await on.stage.until(lambda: on.stage.session.agent_state == "speaking")
            on.stage.room.press("1", on.stage.caller)
            await on.stage.until(lambda: on.stage.session.agent_state != "speaking")
            assert on.lines.of(event="interruption") == []
            await on.stage.barge_in()
            await on.stage.until(lambda: on.lines.of(event="interruption"))
            await on.stage.say("hello")
            await on.stage.until(on.turns)
            assert len(on.lines.of(event="interruption")) == 1

    played(main())


def test_protected_speech_is_heard_to_its_end(tmp_path: Path) -> None:
    """The caller's noise does not cut it."""

    async def main() -> None:
        config = "session: {dtmf: [{say: {text: aside 0.5, interruptible: false}}]}"
        async with call(config, tmp_path, Stage()) as on:
            on.stage.room.press("1", on.stage.caller)
            await on.stage.until(lambda: on.stage.session.agent_state == "speaking")
            speech = on.stage.session.current_speech
            noise = asyncio.create_task(on.stage.barge_in())
            await asyncio.wait_for(speech.wait_for_playout(), 2)
            await noise
            assert not speech.interrupted
            assert on.lines.of(event="interruption") == []

    played(main())


# --- keys, tools, measurements


def test_keys_go_both_ways_and_other_peoples_are_not_the_callers(tmp_path: Path) -> None:
    """`w` waits half a second."""

    async def main() -> None:
        config = "session: {dtmf: [{send_dtmf: '1w#'}]}"
        async with call(config, tmp_path, Stage()) as on:
            on.stage.room.press("5", Participant("stranger"))
            on.stage.room.press("nonsense", on.stage.caller)
            on.stage.room.press("7", on.stage.caller)
            await on.stage.until(lambda: len(on.stage.room.tones.played) == 2)
            assert on.stage.room.tones.played == [(1, "1"), (11, "#")]
            assert [line["digit"] for line in on.lines.of(event="dtmf")] == ["7"]

    played(main())


class Finder(Agent):
    @function_tool
    async def lookup(self, q: str) -> str:
        """Look something up."""
        return f"found {q}"


def test_tools_and_measurements_are_told(tmp_path: Path) -> None:
    """A turn with a tool is still one turn of the agent."""
    used = llm.FunctionToolCall(name="lookup", arguments='{"q": "rome"}', call_id="c1")

    async def main() -> None:
        model = ScriptedLLM({"weather": used, "found rome": "sunny"})
        config = "session: {tool_result: [{say: '{{ event.result }}'}], metric: [{log: x}]}"
        async with call(config, tmp_path, Stage(model), agent=Finder(instructions="x")) as on:
            await on.stage.say("weather")
            await on.stage.until(on.turns)
            (started,) = on.lines.of(event="tool_call")
            assert (started["name"], started["args"]) == ("lookup", {"q": "rome"})
            (ended,) = on.lines.of(event="tool_result")
            assert (ended["name"], ended["ok"]) == ("lookup", True)
            await on.stage.until(lambda: on.lines.of(event="metric", name="turn.llm_node_ttft"))

    played(main())


# --- errors


def patient(most: int) -> dict[str, Any]:
    return {"conn_options": SessionConnectOptions(max_unrecoverable_errors=most)}


def test_the_last_failure_is_told_before_the_session_closes(tmp_path: Path) -> None:
    """LiveKit would close without a word; a hook may say one first."""

    async def main() -> None:
        config = "session: {error: [{when: event.severity == 'fatal', do: [{say: sorry}]}]}"
        async with call(config, tmp_path, Stage(**patient(1))) as on:
            on.stage.stt.fail(E1("a"), recoverable=True)
            on.stage.stt.fail(E1("b"))
            on.stage.stt.fail(E1("c"))
            await on.over()
            told = [line["severity"] for line in on.lines.of(event="error")]
            assert told == ["warn", "error", "fatal"]
            assert on.said() == ["sorry"]
            assert on.end() == ("error", "failed")
            await asyncio.wait_for(on.stage.closed.wait(), 2)

    played(main())


def test_without_hooks_for_errors_livekit_closes_by_itself(tmp_path: Path) -> None:
    """The call failed all the same, with one error told."""

    async def main() -> None:
        async with call("session: {call_start: [{log: x}]}", tmp_path, Stage()) as on:
            on.stage.stt.fail(E1("gone"))
            await on.over()
            (error,) = on.lines.of(event="error")
            assert (error["code"], error["severity"], error["source"]) == ("E1", "fatal", "stt")
            assert on.end() == ("error", "failed")

    played(main())


# --- the end


def test_the_goodbye_is_heard_and_the_job_shut_down(tmp_path: Path) -> None:
    """`end_call` after speech: the speech is not cut, then the job may go."""

    async def main() -> None:
        config = "session: {user_turn: [{say: aside 0.4}, {end_call: bye}]}"
        async with call(config, tmp_path, Stage()) as on:
            await on.stage.say("hello")
            await on.stage.until(on.said)
            speech = on.stage.session.current_speech
            await on.over()
            assert on.end() == ("ended", "ended")
            await asyncio.wait_for(on.stage.closed.wait(), 3)
            assert speech.done()
            assert not speech.interrupted
            assert on.stage.shutdowns == ["call ended"]
            assert on.turns() == []

    played(main())


def test_a_close_that_hangs_does_not_keep_the_job(tmp_path: Path) -> None:
    """The end was told at once; the job is let go after the drain time."""

    async def main() -> None:
        config = "session: {dtmf: [{end_call: bye}]}"
        async with call(config, tmp_path, Stage()) as on:
            stuck = asyncio.Event()

            async def hangs() -> None:
                await stuck.wait()

            activity: Any = on.stage.session._activity
            drain, activity.drain = activity.drain, hangs
            on.stage.room.press("1", on.stage.caller)
            await on.over(1.0)
            await on.stage.until(lambda: on.stage.shutdowns, 3.0)
            assert not on.stage.closed.is_set()
            activity.drain = drain
            stuck.set()

    played(main())


@pytest.mark.parametrize(
    ("reason", "is_at_once"),
    [("CLIENT_INITIATED", True), ("USER_REJECTED", True), ("SIGNAL_CLOSE", False),
     ("CONNECTION_TIMEOUT", False)],
)  # fmt: skip
def test_a_caller_who_is_gone_ends_the_call(reason: str, is_at_once: bool, tmp_path: Path) -> None:
    """Whatever LiveKit makes of it: one who might come back is waited for."""

    async def main() -> None:
        async with call("session: {call_end: [{log: x}]}", tmp_path, Stage()) as on:
            on.stage.hang_up(rtc.DisconnectReason.Value(reason))
            if not is_at_once:
                assert not await on.call.finished(0.1)
            await on.over()
            assert on.end() == ("hangup", "ended")
            await asyncio.wait_for(on.stage.closed.wait(), 2)

    played(main())


async def speak(ctx: Any) -> None:
    await ctx.say("too late")


def test_speech_after_the_close_fails_its_step_and_nothing_else(tmp_path: Path) -> None:
    """In LiveKit's close handler it would raise into the user's code."""

    async def main() -> None:
        config = """
        session: {state: [{log: x}]}
        runner: {call_end: [{python: 'tests.runtimes.test_livekit_calls:speak'}, {name: told, do: [{log: x}]}]}
        """
        async with call(config, tmp_path, Stage()) as on:
            await on.stage.session.aclose()
            await on.over()
            assert on.lines.of(step="python", status="failed")
            assert on.lines.of(hook="told", ran=True)
            assert on.end() == ("ended", "ended")

    played(main())


def test_a_session_that_never_starts_is_a_failed_call(tmp_path: Path) -> None:
    """The entrypoint crashed before `session.start`: the runner's events, and no session's."""

    async def main() -> None:
        orchestrator, lines = orchestrate("runner: {call_end: [{log: x}]}", tmp_path)
        stage = Stage()
        call = attach(stage)
        orchestrator.attach(call)
        for callback in stage.job._shutdown_callbacks:
            await callback("job crashed")
        assert call.is_over
        assert lines.scopes == [("runner", "call_start"), ("runner", "call_end")]
        assert lines.of(runner="call_end", final_state="failed")
        await orchestrator.aclose()

    played(main())


@pytest.mark.parametrize("is_started", [True, False])
def test_the_orchestrators_end_ends_a_call_that_is_on(is_started: bool, tmp_path: Path) -> None:
    """Whether or not its session ran: one end, in the journal."""

    async def main() -> None:
        orchestrator, lines = orchestrate("runner: {call_end: [{log: x}]}", tmp_path)
        stage = Stage()
        call = attach(stage)
        orchestrator.attach(call)
        if is_started:
            await stage.start()
        await orchestrator.aclose()
        assert call.is_over
        (told,) = lines.of(runner="call_end")
        assert told["final_state"] == ("ended" if is_started else "failed")
        await stage.close()

    played(main())


def test_the_agents_own_methods_are_given_back(tmp_path: Path) -> None:
    """Nothing of ours stays on an agent that outlives the call."""

    async def main() -> None:
        agent = Agent(instructions="x")
        async with call("session: {user_turn: [{log: x}]}", tmp_path, Stage(), agent=agent) as on:
            assert "llm_node" in vars(agent)
            on.stage.hang_up()
            await on.over()
            await on.stage.closed.wait()
            assert "llm_node" not in vars(agent)
            assert "on_user_turn_completed" not in vars(agent)

    played(main())


# --- turns that nobody answers


class Unwilling(Agent):
    """Answers nothing, in the ways that LiveKit has for it."""

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        if new_message.text_content == "mhm":
            raise StopResponse
        if new_message.text_content == "fail":
            raise ValueError("the agent's own")


@pytest.mark.parametrize("words", ["mhm", "fail", "empty"])
def test_a_turn_that_is_left_without_a_reply_gives_the_floor_back(
    words: str, tmp_path: Path
) -> None:
    """The silence clock does not wait for an answer that nobody gives."""

    async def main() -> None:
        config = """
        session:
          call_start:
            - silence_timer: {after: 500ms, steps: [{say: are you there}, {end_call: silent}]}
        """
        stage = Stage(ScriptedLLM({"empty": ""}))
        agent = Unwilling(instructions="x")
        async with call(config, tmp_path, stage, agent=agent) as on:
            await on.stage.say(words)
            await on.over(20)
            assert on.said() == ["are you there"]
            assert on.lines.of(event="state", reply="none", state="idle")

    played(main())


def test_a_turn_that_tools_work_on_is_not_left_without_a_reply(tmp_path: Path) -> None:
    """The reply comes when they are done."""

    class Own(Agent):
        @function_tool
        async def lookup(self) -> str:
            """Look it up."""
            await asyncio.sleep(0.2)
            return "found"

    async def main() -> None:
        wish = llm.FunctionToolCall(name="lookup", arguments="{}", call_id="c1")
        stage = Stage(ScriptedLLM({"look": wish, "found": "it is there"}))
        agent = Own(instructions="x")
        async with call("session: {user_turn: [{log: x}]}", tmp_path, stage, agent=agent) as on:
            await on.stage.say("look")
            await on.stage.until(lambda: "it is there" in on.turns())
            assert not on.lines.of(event="state", reply="none")
            on.stage.hang_up()
            await on.over()

    played(main())


# --- a session that is started again


@pytest.mark.parametrize("hooked_again", [False, True])
@pytest.mark.parametrize("same_agent", [False, True])
@pytest.mark.parametrize("gone", ["close", "end", "both attached"])
def test_a_session_that_is_started_again_answers(
    gone: str, same_agent: bool, hooked_again: bool, tmp_path: Path
) -> None:
    """The call that is over holds nothing any more: neither replies nor the session's next run."""

    async def main() -> None:
        config = "session: {user_turn: [{say: 'heard {{ event.text }}'}]}"
        orchestrator, lines = orchestrate(config, tmp_path)
        other, _ = orchestrate("session: {user_turn: [{log: x}]}", tmp_path / "other")
        stage, agent = Stage(), Agent(instructions="x")
        calls = [attach(stage)]
        orchestrator.attach(calls[0])
        if gone == "both attached":
            calls.append(attach(stage))
            other.attach(calls[1])
        await stage.start(agent)
        await stage.say("one")
        await stage.until(lambda: "you said one" in stage.voice.spoken)
        if gone == "end":
            await calls[0].bridge.send(End())
            await stage.closed.wait()
        await stage.session.aclose()
        if hooked_again:
            await calls[0].finished(5)
            calls.append(attach(stage))
            orchestrator.attach(calls[-1])
        stage.session.input.audio, stage.session.output.audio = Silence(), Speaker()
        await stage.session.start(agent if same_agent else Agent(instructions="y"), record=False)
        await stage.say("two")
        await stage.until(lambda: "you said two" in stage.voice.spoken)
        assert ("heard two" in stage.voice.spoken) == hooked_again
        assert calls[0].is_over
        await stage.session.aclose()
        for one in calls:
            assert await one.finished(5)
        await orchestrator.aclose()
        await other.aclose()
        assert len(lines.of(runner="call_end")) == 1 + hooked_again

    played(main())


def test_a_method_that_somebody_gave_the_agent_is_given_back(tmp_path: Path) -> None:
    """Ours is put in front of it, not in its place."""

    async def main() -> None:
        agent = Agent(instructions="x")

        async def mine(turn_ctx: Any, new_message: Any) -> None:
            heard.append(new_message.text_content)

        heard: list[str] = []
        agent.on_user_turn_completed = mine  # type: ignore[method-assign]
        async with call("session: {user_turn: [{log: x}]}", tmp_path, Stage(), agent=agent) as on:
            await on.stage.say("hello")
            await on.stage.until(lambda: on.turns())
            on.stage.hang_up()
            await on.over()
            await on.stage.closed.wait()
        assert (heard, agent.on_user_turn_completed) == (["hello"], mine)

    played(main())


# --- handing over to another agent


def test_another_agent_takes_over_and_the_hooks_stay(tmp_path: Path) -> None:
    """The call goes on: no end, and the next words meet the same hooks."""

    class Billing(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="billing")

    def make(stage: Stage) -> LiveKit:
        return LiveKit(stage.session, stage.job, agents={"billing": Billing}, waits=SHORT)

    async def main() -> None:
        config = """
        session:
          user_turn:
            - {when: event.text == 'bill', do: [{escalate_transfer: {agent_id: billing}}]}
            - {when: event.text == 'who', do: [{escalate_transfer: {agent_id: nobody}}]}
            - say: heard
        """
        async with call_on(config, tmp_path, Stage(), make) as on:
            ears = on.stage.vad.last
            await on.stage.say("bill")
            await on.stage.until(lambda: isinstance(on.stage.session.current_agent, Billing))
            await on.stage.until(lambda: on.stage.vad.last is not ears)
            (told,) = on.lines.of(event="transfer")
            assert (told["outcome"], told["stays"]) == ("answered", True)
            await on.stage.say("again")
            await on.stage.until(lambda: "you said again" in on.turns())
            await on.stage.say("who")
            await on.stage.until(lambda: on.lines.of(step="escalate_transfer", status="failed"))
            on.stage.hang_up()
            await on.over()
            assert on.end() == ("hangup", "ended")
            assert on.said() == ["heard"] * 3

    played(main())
