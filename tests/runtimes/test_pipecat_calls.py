"""Hooks on the real `PipelineWorker`: what a caller hears and a journal tells."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pipecat.frames.frames import (
    EndFrame,
    InterruptionFrame,
    LLMContextFrame,
    StartFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker, ProcessorUnusablePolicy
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.runner.types import CallData, RunnerArguments
from pipecat.workers.base_worker import BaseWorker

from orchestrator.errors import NotSupported, UserError
from orchestrator.runtimes.callbacks import Waits
from orchestrator.runtimes.pipecat import PIPECAT_CAPABILITIES, Pipecat
from orchestrator.targets import TARGETS
from tests.runtimes.foreign import call_on
from tests.runtimes.pipecat_carrier import DailyLine
from tests.runtimes.pipecat_peer import E1, Passing, ScriptedLLM, Stage
from tests.runtimes.sdk import one_call, orchestrate, played

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SHORT = Waits(hold=0.3, drain=0.6, finish=1.5)


def attach(stage: Stage) -> Pipecat:
    return Pipecat(stage.worker, stage.transport, waits=SHORT)


def call(text: str, folder: Path, stage: Stage, **start: Any) -> Any:
    return call_on(text, folder, stage, attach, **start)


# --- what it can do


def test_the_target_table_says_what_the_adapter_can_do() -> None:
    """`validate --target pipecat` and the most that `attach` takes agree."""
    assert TARGETS["pipecat"] == PIPECAT_CAPABILITIES


@pytest.mark.parametrize(
    "step",
    ["recording: {pause: card, max: 9s}", "set_filler: hm", "escalate_transfer: {queue: people}",
     "escalate_transfer: {number: '+15550142'}", "escalate_transfer: {agent_id: other}"],
)  # fmt: skip
def test_what_this_pipeline_cannot_do_is_refused_when_attaching(step: str, tmp_path: Path) -> None:
    """No recorder, no transport that transfers, no bus with other workers."""

    async def main() -> None:
        orchestrator, _ = orchestrate(f"session: {{user_turn: [{{{step}}}]}}", tmp_path)
        with pytest.raises(NotSupported, match="pipecat cannot do"):
            orchestrator.attach(attach(Stage()))

    played(main())


def test_a_pipeline_without_turns_is_refused() -> None:
    """There would be nothing to hook into."""

    async def main() -> None:
        worker = PipelineWorker(Pipeline([Passing()]), enable_rtvi=False)
        with pytest.raises(UserError, match="LLMContextAggregatorPair"):
            Pipecat(worker)

    played(main())


# --- who calls


def arguments(**options: Any) -> RunnerArguments:
    return RunnerArguments(**options)


@pytest.mark.parametrize(
    ("given", "header"),
    [
        (arguments(call_data=CallData(call_id="CA1", from_number="+15550100", to_number="+15550199",
                                      body={"tier": "gold"}), session_id="s1"),
         {"id": "CA1", "session_id": "s1", "user_number": "+15550100",
          "called_number": "+15550199",
          "data": {"tier": "gold", "called_number": "+15550199"}}),
        (arguments(body={"daily_api_key": "secret", "dialin_settings":
                         {"call_id": "D1", "From": "+15550100", "To": "+15550199"}}),
         {"id": "D1", "user_number": "+15550100", "called_number": "+15550199",
          "data": {"called_number": "+15550199"}}),
        (arguments(body={"dialin_settings": "odd"}), {"user_number": "", "data": {}}),
        (arguments(body="odd"), {"user_number": "", "data": {}}),
        (None, {"user_number": "", "data": {}}),
    ],
)  # fmt: skip
def test_the_caller_comes_from_the_runners_arguments(
    given: Any, header: dict[str, Any], tmp_path: Path
) -> None:
    """Of telephony handshakes and Daily's dial-in; credentials stay out of it."""

    def make(stage: Stage) -> Pipecat:
        return Pipecat(stage.worker, stage.transport, given, agent_id="a", waits=SHORT)

    async def main() -> None:
        async with call_on("session: {call_start: [{log: x}]}", tmp_path, Stage(), make) as on:
            await on.stage.until(lambda: on.lines.of(session="call_start"))
            told = on.lines.lines[0]["call"]
            assert {name: told[name] for name in header} == header
            assert told["agent_id"] == "a"
            assert "secret" not in str(told)

    played(main())


# --- the reply waits for the hooks of the caller's words

LOOKS_UP = """
session:
  user_turn:
    - do: [{wait: 100ms}, {inject: 'caller is gold'}, {say: one moment}]
"""


def test_the_reply_waits_for_the_hooks_and_knows_their_notes(tmp_path: Path) -> None:
    """What hooks said comes before the reply in the conversation, and not last in the question."""

    async def main() -> None:
        async with call(LOOKS_UP, tmp_path, Stage()) as on:
            await on.stage.say("hello")
            await on.stage.until(on.turns)
            asked = on.stage.model.contexts[-1]
            assert asked == ["user: hello", "developer: caller is gold"]
            assert on.turns() == ["you said hello"]
            messages = [m["content"] for m in on.stage.context.get_messages()]
            assert messages == ["hello", "caller is gold", "one moment", "you said hello"]

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
            await on.stage.transport.disconnect()
            await on.over()
            assert on.end() == ("hangup", "ended")
            one_call(on.lines)

    played(main())


def test_a_barge_in_cuts_the_wait_of_the_reply(tmp_path: Path) -> None:
    """The turn that is held is given up for the one that follows."""

    async def main() -> None:
        waits = Waits(hold=3.0)

        def make(stage: Stage) -> Pipecat:
            return Pipecat(stage.worker, stage.transport, waits=waits)

        config = "session: {user_turn: [{when: event.text == 'one', do: [{wait: 400ms}]}]}"
        async with call_on(config, tmp_path, Stage(), make) as on:
            await on.stage.say("one")
            await asyncio.sleep(0.15)
            await on.stage.say("two")
            await on.stage.until(on.turns)
            assert on.turns() == ["you said two"]

    played(main())


# --- what goes wrong in what is reported


def test_a_malformed_report_harms_nothing(tmp_path: Path) -> None:
    """Whatever an aggregator or a transport hands over."""

    async def main() -> None:
        async with call("session: {user_turn: [{say: ok}]}", tmp_path, Stage()) as on:
            agent, worker = on.stage.agent, on.stage.worker
            await agent._call_event_handler("on_assistant_turn_stopped", SimpleNamespace())
            await worker._call_event_handler("on_pipeline_error", SimpleNamespace())
            await on.stage.until(lambda: len(on.lines.of(note="a report was passed over")) == 2)
            await on.stage.say("hello")
            await on.stage.until(on.turns)
            await on.stage.transport.disconnect()
            await on.over()
            assert on.end() == ("hangup", "ended")

    played(main())


# --- interruptions


def test_only_speech_that_was_cut_by_the_caller_is_an_interruption(tmp_path: Path) -> None:
    """An interruption comes with every turn, twice; and code interrupts too."""

    async def main() -> None:
        config = "session: {interruption: [{log: x}], dtmf: [{interrupt: {}}]}"
        async with call(config, tmp_path, Stage()) as on:
            await on.stage.say("hello")
            await on.stage.until(on.turns)
            await on.stage.aside(1.0)
            await on.stage.until(lambda: on.stage.agent._bot_speaking)
            await on.stage.press("1")
            await on.stage.until(lambda: not on.stage.agent._bot_speaking)
            assert on.lines.of(event="interruption") == []
            await on.stage.barge_in()
            await on.stage.until(lambda: on.lines.of(event="interruption"))
            await on.stage.agent.queue_frame(InterruptionFrame())
            await on.stage.say("hello again")
            await on.stage.until(lambda: "you said hello again" in on.turns())
            assert len(on.lines.of(event="interruption")) == 1
            assert [line["digit"] for line in on.lines.of(event="dtmf")] == ["1"]

    played(main())


def test_protected_speech_is_heard_to_its_end(tmp_path: Path) -> None:
    """And no turn of the agent comes of it, now or merged into the next one."""

    async def main() -> None:
        config = "session: {dtmf: [{say: {text: aside 0.5, interruptible: false}}]}"
        async with call(config, tmp_path, Stage()) as on:
            await on.stage.press("1")
            await on.stage.until(lambda: on.stage.agent._bot_speaking)
            before = on.stage.transport.output().seconds
            await on.stage.noise()
            await on.stage.until(lambda: not on.stage.agent._bot_speaking)
            assert on.stage.transport.output().seconds - before > 0.3
            await on.stage.say("hello")
            await on.stage.until(on.turns)
            assert on.turns() == ["you said hello"]

    played(main())


class Choosy(Passing):
    """Drops the turns that it does not like, as filters of bots do."""

    async def process_frame(self, frame: Any, direction: Any) -> None:
        if isinstance(frame, LLMContextFrame) and "mhm" in str(frame.context.get_messages()[-1]):
            self.swallows = (LLMContextFrame,)
        await super().process_frame(frame, direction)


@pytest.mark.parametrize("is_far", [False, True])
@pytest.mark.parametrize("words", ["mhm", "empty"])
def test_a_turn_that_is_left_without_a_reply_gives_the_floor_back(
    words: str, is_far: bool, tmp_path: Path
) -> None:
    """Wherever it is dropped, the silence clock does not wait for an answer that nobody gives."""

    async def main() -> None:
        config = """
        session:
          call_start:
            - silence_timer: {after: 500ms, steps: [{say: are you there}, {end_call: silent}]}
        """
        before = [Passing(), Choosy()] if is_far else [Choosy()]
        stage = Stage(model=ScriptedLLM({"empty": ""}), before=before)
        async with call(config, tmp_path, stage) as on:
            await on.stage.say(words)
            await on.over(20)
            assert on.said() == ["are you there"]
            assert on.lines.of(event="state", reply="none", state="idle")

    played(main())


@pytest.mark.parametrize("words", ["hello", "slow", "tool"])
def test_a_turn_that_is_answered_is_not_reported_as_left(words: str, tmp_path: Path) -> None:
    """With words or with a tool, whose result is a question of its own."""

    async def main() -> None:
        async with call("session: {user_turn: [{log: x}]}", tmp_path, Stage()) as on:
            await on.stage.say(words)
            await on.stage.until(lambda: on.turns())
            assert not on.lines.of(event="state", reply="none")
            await on.stage.transport.disconnect()
            await on.over()

    played(main())


def test_a_turn_that_was_cut_before_a_word_is_no_turn(tmp_path: Path) -> None:
    """Pipecat reports an empty one."""

    async def main() -> None:
        async with call("session: {agent_turn: [{log: x}]}", tmp_path, Stage()) as on:
            empty = SimpleNamespace(content="", interrupted=True, timestamp="")
            await on.stage.agent._call_event_handler("on_assistant_turn_stopped", empty)
            await on.stage.say("hello")
            await on.stage.until(on.turns)
            assert on.turns() == ["you said hello"]

    played(main())


# --- keys, tools, the recording


def test_tools_are_told(tmp_path: Path) -> None:
    """With their arguments and results."""

    async def main() -> None:
        config = "session: {tool_result: [{say: '{{ event.result }}'}]}"
        async with call(config, tmp_path, Stage(model=ScriptedLLM({"tool": "done"}))) as on:
            await on.stage.say("tool")
            await on.stage.until(on.said)
            (started,) = on.lines.of(event="tool_call")
            assert (started["name"], started["args"]) == ("lookup", {"q": "rome"})
            assert on.said() == ["found"]

    played(main())


def test_keys_are_played_to_the_caller(tmp_path: Path) -> None:
    """As tones in the audio, where the transport has no other way."""

    async def main() -> None:
        config = "session: {dtmf: [{send_dtmf: '1w2'}]}"
        async with call(config, tmp_path, Stage()) as on:
            before = on.stage.transport.output().seconds
            await on.stage.press("5")
            await on.stage.until(lambda: on.stage.transport.output().seconds > before, 3.0)

    played(main())


def test_a_pause_of_the_recording_is_at_once_and_resumes(tmp_path: Path) -> None:
    """The recorder is in the pipeline; one that was not on is not turned on."""

    async def main() -> None:
        recorder = AudioBufferProcessor(auto_start_recording=True)
        config = """
        session:
          dtmf:
            - {when: event.digit == '1', do: [{recording: pause}]}
            - {when: event.digit == '2', do: [{recording: resume}]}
        """
        async with call(config, tmp_path, Stage(after=[recorder])) as on:
            await on.stage.until(lambda: recorder._recording)
            await on.stage.press("1")
            await on.stage.until(lambda: not recorder._recording)
            await on.stage.press("2")
            await on.stage.until(lambda: recorder._recording)
            await recorder.stop_recording()
            await on.stage.until(lambda: not recorder._recording)
            await on.stage.press("1")
            await on.stage.press("2")
            await on.stage.until(lambda: len(on.lines.of(do="recording")) == 4)
            assert not recorder._recording

    played(main())


# --- errors


def test_a_service_that_fails_is_an_error_and_the_call_goes_on(tmp_path: Path) -> None:
    """Also one that can do no more, where the pipeline is to continue."""

    async def main() -> None:
        config = "session: {error: [{say: 'sorry, {{ event.code }}'}]}"
        async with call(config, tmp_path, Stage(model=ScriptedLLM({"bad": E1("no")}))) as on:
            await on.stage.say("bad")
            await on.stage.until(on.said)
            (error,) = on.lines.of(event="error")
            assert (error["code"], error["severity"], error["source"]) == (
                "E1",
                "error",
                "ScriptedLLM",
            )
            await on.stage.model.fail(E1("for good"), for_good=True)
            await on.stage.until(lambda: len(on.said()) == 2)
            assert not on.call.is_over

    played(main())


def test_a_pipeline_that_stops_on_an_error_is_a_failed_call(tmp_path: Path) -> None:
    """Pipecat is cancelling already: hooks run, and nothing can be said."""

    async def main() -> None:
        stage = Stage(processor_unusable_policy=ProcessorUnusablePolicy.CANCEL)
        async with call("session: {error: [{say: sorry}]}", tmp_path, stage) as on:
            await on.stage.model.fail(E1("for good"), for_good=True)
            await on.over()
            assert on.said() == []
            assert on.end() == ("error", "failed")

    played(main())


# --- the end


def test_the_goodbye_is_heard_before_the_end(tmp_path: Path) -> None:
    """`EndFrame` keeps its place behind the speech; the reply to the same words is not spoken."""

    async def main() -> None:
        config = "session: {user_turn: [{say: aside 0.4}, {end_call: bye}]}"
        async with call(config, tmp_path, Stage()) as on:
            await on.stage.say("bye")
            await on.over()
            assert on.end() == ("ended", "ended")
            async with asyncio.timeout(3):
                await on.stage.running
            assert on.stage.transport.output().seconds >= 0.4
            assert on.stage.model.contexts == []

    played(main())


@pytest.mark.parametrize("how", ["end", "cancel", "reason", "cancel at once"])
def test_an_end_of_the_bots_own_is_told(how: str, tmp_path: Path) -> None:
    """Whoever ended the pipeline; of one that is cancelled while it starts Pipecat tells nothing."""

    async def main() -> None:
        async with call("session: {call_end: [{log: x}]}", tmp_path, Stage()) as on:
            if how != "cancel at once":
                await on.stage.say("hello")
                await on.stage.until(on.turns)
            if how == "end":
                await on.stage.worker.queue_frames([TTSSpeakFrame("bye"), EndFrame()])
            else:
                await on.stage.worker.cancel(reason="policy" if how == "reason" else None)
            await on.over()
            assert on.end() == ("shutdown" if "cancel" in how else "ended", "ended")

    played(main())


@pytest.mark.parametrize("whose", ["ours", "the bot's"])
def test_a_processor_that_swallows_the_end_does_not_keep_the_call(
    whose: str, tmp_path: Path
) -> None:
    """Pipecat waits for it for ever, and cannot be cancelled either."""

    async def main() -> None:
        async with call("session: {dtmf: [{end_call: bye}]}", tmp_path, Stage()) as on:
            on.stage.gate.swallows = (EndFrame,)
            if whose == "ours":
                await on.stage.press("1")
            else:
                await on.stage.worker.queue_frame(EndFrame())
            await on.over(3.0)
            good, bad = ("ended", "ended"), ("error", "failed")
            assert on.end() == (good if whose == "ours" else bad)
            if whose != "ours":
                assert on.lines.of(note="the pipeline did not drain")
            assert not on.stage.worker.has_finished()
            on.stage.gate.swallows = ()
            await on.stage.worker.pipeline.queue_frame(EndFrame())

    played(main())


def test_a_caller_who_hangs_up_ends_the_pipeline(tmp_path: Path) -> None:
    """Pipecat goes on by itself; somebody else who leaves does not matter."""

    async def main() -> None:
        async with call("session: {call_end: [{log: x}]}", tmp_path, Stage()) as on:
            await on.stage.transport.disconnect("another")
            await on.stage.until(lambda: on.lines.of(note="another participant left"))
            await on.stage.transport.disconnect()
            await on.over()
            assert on.end() == ("hangup", "ended")
            async with asyncio.timeout(3):
                await on.stage.running

    played(main())


@pytest.mark.parametrize("when", ["setup", "start"])
def test_a_pipeline_that_never_starts_is_a_failed_call(when: str, tmp_path: Path) -> None:
    """No event but a time-out's comes; the session's hooks do not run."""

    async def main() -> None:
        stage = Stage(setup_timeout_secs=0.3, start_timeout_secs=0.3)
        if when == "start":
            stage.gate.hangs_on = (StartFrame,)
        else:

            async def hangs(_: Any) -> None:
                await asyncio.Event().wait()

            stage.gate.setup = hangs  # type: ignore[method-assign]
        orchestrator, lines = orchestrate("session: {call_start: [{say: hello}]}", tmp_path)
        call = attach(stage)
        orchestrator.attach(call)
        await stage.runner.add_workers(stage.worker)
        stage.running = asyncio.create_task(stage.runner.run())
        assert await call.finished(5)
        await stage.close()
        await orchestrator.aclose()
        assert lines.scopes == [("runner", "call_start"), ("runner", "call_end")]
        assert lines.of(runner="call_end", final_state="failed")

    played(main())


def test_a_bot_that_fails_before_its_worker_runs_has_one_end(tmp_path: Path) -> None:
    """Nothing of Pipecat reports it; the orchestrator's own end does."""

    async def main() -> None:
        orchestrator, lines = orchestrate("runner: {call_end: [{log: x}]}", tmp_path)
        stage = Stage()
        call = attach(stage)
        orchestrator.attach(call)
        await asyncio.sleep(0.05)  # here the bot raises
        await orchestrator.aclose()
        assert call.is_over
        assert lines.scopes == [("runner", "call_start"), ("runner", "call_end")]
        assert lines.of(runner="call_end", final_state="failed")
        assert lines.of(event="error", code="NeverStarted")

    played(main())


def test_slow_hooks_of_the_end_do_not_hold_the_bot(tmp_path: Path) -> None:
    """Pipecat awaits handlers of `on_pipeline_finished` without limit; ours has one."""

    async def main() -> None:
        config = "runner: {call_end: [{timeout: 9s, do: [{wait: 5s}]}]}"
        async with call(config, tmp_path, Stage()) as on:
            began = time.monotonic()
            await on.stage.worker.queue_frame(EndFrame())
            await on.stage.running
            assert time.monotonic() - began < 3.0
            assert on.lines.of(note="the runtime ended before the hooks of the end")

    played(main())


def test_the_models_own_method_is_given_back(tmp_path: Path) -> None:
    """Nothing of ours stays in a pipeline."""

    async def main() -> None:
        async with call("session: {user_turn: [{log: x}]}", tmp_path, Stage()) as on:
            assert "process_frame" in vars(on.stage.model)
            await on.stage.transport.disconnect()
            await on.over()
            assert "process_frame" not in vars(on.stage.model)

    played(main())


# --- transfers


def test_daily_transfers_after_the_speech_and_any_line_s_end_is_the_outcome(tmp_path: Path) -> None:
    """A frame in the queue, so that what was said is heard."""

    async def main() -> None:
        config = "session: {dtmf: [{say: aside 0.2}, {escalate_transfer: {number: '+15550142'}}]}"
        line = DailyLine()
        async with call(config, tmp_path, Stage(transport=line)) as on:
            await on.stage.press("0")
            await on.stage.until(lambda: line.transfers)
            assert line.transfers == [{"toEndPoint": "+15550142"}]
            await line.disconnect()
            await on.over()
            assert on.end() == ("transferred", "ended")

    played(main())


class Colleague(BaseWorker):
    """Another worker on the bus."""

    def __init__(self, name: str, *, active: bool) -> None:
        super().__init__(name, active=active)
        self.changes: list[str] = []

    async def on_activated(self, args: dict[str, Any] | None) -> None:
        await super().on_activated(args)
        self.changes.append("on")

    async def on_deactivated(self) -> None:
        await super().on_deactivated()
        self.changes.append("off")


def test_another_worker_takes_over_and_the_hooks_stay(tmp_path: Path) -> None:
    """The call goes on; a hang-up later is one."""

    def make(stage: Stage) -> Pipecat:
        return Pipecat(stage.worker, stage.transport, agents=["sales", "billing"], waits=SHORT)

    async def main() -> None:
        config = """
        session:
          dtmf:
            - {when: event.digit == '1', do: [{escalate_transfer: {agent_id: billing}}]}
            - {when: event.digit == '2', do: [{escalate_transfer: {agent_id: nobody}}]}
        """
        async with call_on(config, tmp_path, Stage(), make) as on:
            sales, billing = Colleague("sales", active=True), Colleague("billing", active=False)
            await on.stage.runner.add_workers(sales, billing)
            await on.stage.press("1")
            await on.stage.until(lambda: "on" in billing.changes)
            await on.stage.until(lambda: "off" in sales.changes)
            await on.stage.press("2")
            await on.stage.until(lambda: on.lines.of(step="escalate_transfer", status="failed"))
            await on.stage.say("hello")
            await on.stage.until(on.turns)
            await on.stage.transport.disconnect()
            await on.over()
            assert on.end() == ("hangup", "ended")
            await on.stage.runner.cancel()

    played(main())
