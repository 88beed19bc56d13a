"""Everything that a dialog machine may have, on our own runner; the SDK's adapters have it too."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import click
import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.callscript import CallScript, TimedEvent
from orchestrator.cli.dialogs import dialogs_named
from orchestrator.dialog.contract import Machine
from orchestrator.runtime import CallEvent, ReplyDelta
from orchestrator.runtimes.script_bridge import ScriptBridge
from orchestrator.runtimes.session import Session
from orchestrator.testing.conformance import _Lines
from orchestrator.validation import check_text
from tests.wire import Wire, at, virtual

HOOKS = """
version: 1
session:
  call_start: [{say: welcome}]
"""


class Full:
    """A machine with everything, that writes down what it is asked."""

    def __init__(self, reply: str = "one two three", delay: float = 0.0) -> None:
        self.log: list[Any] = []
        self.reply, self.delay, self.is_complete = reply, delay, False

    async def stream(self, text: str, context: Any = None, language: str | None = None) -> Any:
        self.log.append(("words", text, language))
        for word in self.reply.split():
            await asyncio.sleep(self.delay)
            yield f"{word} "
        self.is_complete = text == "finish"

    def assist(self, note: str) -> None:
        self.log.append(("note", note))

    def mark_interrupted(self, heard: str | None = None) -> None:
        self.log.append(("interrupted", heard))

    def said(self, text: str) -> None:
        self.log.append(("said", text))


class Plain:
    """A machine that can only answer and take notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    async def stream(self, text: str) -> Any:
        yield "one two three"

    def assist(self, note: str) -> None:
        self.notes.append(note)


class Chunk:
    def __init__(self, text: str) -> None:
        self.text = text


class DialogMachine:
    """The shape of superdialog's: no `stream`; its `turn` gives chunks."""

    def __init__(self) -> None:
        self.is_complete = False
        self.log: list[Any] = []

    async def turn(self, text: str, stream: bool = False, language: str | None = None) -> Any:
        self.log.append((text, stream, language))

        async def chunks() -> Any:
            yield Chunk("super ")
            yield Chunk(text)
            self.is_complete = text == "finish"

        return chunks()

    def assist(self, note: str) -> None:
        self.log.append(note)

    def mark_interrupted(self, heard: str | None = None) -> None:
        self.log.append(("interrupted", heard))


DialogMachine.__module__ = "superdialog.machine"


async def played(machine: Any, *events: Any, hooks: str = HOOKS) -> tuple[Any, list[Any], Any]:
    """A call with this machine: its context, the journal's lines, the bridge."""
    config = check_text(hooks, "c.yaml").config
    assert config is not None

    async def enter(ctx: Any) -> None:
        ctx.session.dialog_machine = machine
        await ctx.session.run()

    sink = _Lines()
    runner, app = AgentRunner(enter), Orchestrator(config, variables={}, journals=sink)
    app.attach(runner)
    timed = tuple(TimedEvent(t, CallEvent(name, fields)) for t, name, fields in events)
    bridge = ScriptBridge(CallScript({"id": "c"}, timed))
    ctx = await runner.handle(bridge)
    await app.aclose()
    return ctx, sink.lines, bridge


def replies(lines: list[Any]) -> list[str]:
    return [line["text"] for line in lines if line.get("event") == "agent_turn"]


@virtual
async def test_a_machine_is_told_the_language_and_what_hooks_said() -> None:
    """As the SDK does the one; the other keeps a model from greeting twice."""
    machine = Full()
    await played(machine, (1.0, "user_turn", {"text": "hi", "language": "de"}), (2.0, "hangup", {}))
    assert machine.log == [("said", "welcome"), ("words", "hi", "de")]


@virtual
async def test_a_machine_is_told_what_was_heard_once_it_stopped_writing() -> None:
    """Also when it had written all before the caller cut in; unknown is told only of a cut reply."""
    machine = Full(delay=0.4)
    await played(
        machine, (1.0, "user_turn", {"text": "hi"}), (1.5, "interruption", {"heard": "one"}),
        (3.0, "user_turn", {"text": "and"}), (3.5, "interruption", {}),
        (5.0, "user_turn", {"text": "all"}), (9.0, "interruption", {"heard": "one two"}),
        (10.0, "interruption", {}), (11.0, "hangup", {}), hooks="version: 1\nsession: {}\n",
    )  # fmt: skip
    assert machine.log == [
        ("words", "hi", None), ("interrupted", "one"), ("words", "and", None),
        ("interrupted", None), ("words", "all", None), ("interrupted", "one two"),
    ]  # fmt: skip


@virtual
async def test_a_machine_that_only_takes_notes_is_told_in_one() -> None:
    """Better than that it believes all of it was heard."""
    machine = Plain()
    await played(machine, (1.0, "user_turn", {"text": "hi"}),
                 (2.0, "interruption", {"heard": "one"}), (3.0, "hangup", {}))  # fmt: skip
    assert machine.notes == ["The caller cut your last reply short; they heard only: one"]


@pytest.mark.parametrize("make", [Full, DialogMachine])
def test_a_machine_that_is_complete_ends_the_call(make: Any) -> None:
    """After its last words, which are an agent turn all the same."""

    @virtual
    async def check() -> None:
        ctx, lines, bridge = await played(
            make(), (1.0, "user_turn", {"text": "finish"}), (5.0, "user_turn", {"text": "more"}),
            (9.0, "hangup", {}),
        )  # fmt: skip
        assert (ctx.session.state, ctx.final_state) == ("ended", "ended")
        assert [c.reason for _, c in bridge.commands if c.name == "end_call"] == ["completed"]
        assert len(replies(lines)) == 1

    check()


@virtual
async def test_a_machine_of_superdialog_is_accepted_as_the_sdk_accepts_it() -> None:
    """By the name of its class and package; its `turn` stands for `stream`."""
    machine = DialogMachine()
    _, lines, _ = await played(
        machine, (1.0, "user_turn", {"text": "hello", "language": "en"}),
        (2.0, "interruption", {"heard": "super"}), (3.0, "hangup", {}),
    )  # fmt: skip
    assert replies(lines) == ["super hello"]
    assert machine.log == [("hello", True, "en"), ("interrupted", "super")]


def test_what_is_no_machine_is_refused_at_once() -> None:
    """Not at the caller's first words."""
    with pytest.raises(TypeError, match="stream"):
        Machine(object())


@pytest.mark.parametrize("broken", ["mark_interrupted", "said", "is_complete"])
def test_a_machine_that_breaks_there_ends_no_call(broken: str) -> None:
    """Whatever it raises, the next words are answered."""

    class Broken(Full):
        pass

    def fails(*_: Any) -> None:
        raise RuntimeError("boom")

    setattr(Broken, broken, property(fails) if broken == "is_complete" else fails)
    if broken == "is_complete":
        Broken.is_complete = Broken.is_complete.setter(lambda self, value: None)

    @virtual
    async def check() -> None:
        _, lines, _ = await played(
            Broken(), (1.0, "user_turn", {"text": "a"}), (2.0, "interruption", {"heard": "one"}),
            (3.0, "user_turn", {"text": "b"}), (4.0, "hangup", {}),
        )  # fmt: skip
        assert len(replies(lines)) == 2

    check()


@pytest.mark.parametrize("raised", [KeyError("history"), SystemExit(1)])
@virtual
async def test_what_telling_a_machine_raises_is_an_error_once(raised: BaseException) -> None:
    """Hooks of `error` say something, which the machine is told: that would never end."""

    class Broken(Full):
        def said(self, text: str) -> None:
            raise raised

    hooks = "version: 1\nsession: {call_start: [{say: hello}], error: [{say: sorry}]}\n"
    _, lines, bridge = await played(
        Broken(), (1.0, "user_turn", {"text": "hi"}), (2.0, "hangup", {}), hooks=hooks
    )
    assert [c.text for _, c in bridge.commands if c.name == "say"] == ["hello", "sorry"]
    assert [line["code"] for line in lines if line.get("event") == "error"] == [
        type(raised).__name__
    ]
    assert len(replies(lines)) == 1


@virtual
async def test_a_machine_that_hangs_there_holds_nothing_up() -> None:
    """Neither what hooks say nor the next reply waits for it."""

    class Stuck(Full):
        async def said(self, text: str) -> None:  # type: ignore[override]
            await asyncio.Event().wait()

        async def mark_interrupted(self, heard: str | None = None) -> None:  # type: ignore[override]
            await asyncio.Event().wait()

    _, lines, _ = await played(
        Stuck(), (1.0, "user_turn", {"text": "a"}), (2.0, "interruption", {"heard": "one"}),
        (5.0, "user_turn", {"text": "b"}), (9.0, "hangup", {}),
    )  # fmt: skip
    assert len(replies(lines)) == 2
    assert not [line for line in lines if line.get("status") == "timed_out"]


class Hangs(Full):
    """Hangs before its reply, in it, or swallows that it is to stop, as the words say."""

    async def stream(self, text: str) -> Any:  # type: ignore[override]
        if text == "inside":
            yield "Let me see."
        while text == "swallow":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
        if text != "ok":
            await asyncio.sleep(3600)
        yield "fine"


def failures(lines: list[Any]) -> list[tuple[float, str]]:
    return [(round(x["t"]), x["message"]) for x in lines if x.get("event") == "error"]


@pytest.mark.parametrize(
    ("word", "patience", "when"),
    [("before", ..., 16), ("inside", ..., 16), ("swallow", ..., 16), ("before", 4, 5),
     ("before", None, None), ("before", "odd", 16), ("before", 0, 16), ("before", -1, 16)],
)  # fmt: skip
@virtual
async def test_a_machine_that_writes_nothing_is_given_up(
    word: str, patience: Any, when: Any
) -> None:
    """An `error` event, after which the floor is the caller's; a machine may say how long."""
    machine = Hangs()
    if patience is not ...:
        machine.patience = patience
    _, lines, _ = await played(machine, (1.0, "user_turn", {"text": word}), (60.0, "hangup", {}))
    limit = patience if patience == 4 else 15
    expected = [(when, f"the dialog machine wrote nothing for {limit} s")] if when else []
    assert failures(lines) == expected


@pytest.mark.parametrize("patience", [15.0, None])
@virtual
async def test_newer_words_do_not_wait_for_a_reply_that_has_not_begun(patience: Any) -> None:
    """Some seconds, for a machine that is only slow; then they are answered. That is no error."""
    machine = Hangs()
    machine.patience = patience
    _, lines, _ = await played(
        machine, (1.0, "user_turn", {"text": "hang"}), (2.0, "user_turn", {"text": "hang"}),
        (4.0, "user_turn", {"text": "ok"}), (60.0, "hangup", {}),
    )  # fmt: skip
    assert [round(x["t"]) for x in lines if x.get("event") == "agent_turn"] == [8]
    assert failures(lines) == []


@virtual
async def test_a_slow_machine_answers_all_words() -> None:
    """What has begun is not cut, nor what begins soon."""
    machine = Full(delay=2.0)
    _, lines, _ = await played(
        machine, (1.0, "user_turn", {"text": "a"}), (2.0, "user_turn", {"text": "b"}),
        (4.0, "user_turn", {"text": "c"}), (60.0, "hangup", {}),
    )  # fmt: skip
    assert replies(lines) == ["one two three "] * 3


@virtual
async def test_a_line_that_takes_its_time_is_no_silence_of_the_machine() -> None:
    """A carrier's socket may be away while a reply is written."""

    class Stalls(Wire):
        async def send(self, command: Any) -> None:
            if isinstance(command, ReplyDelta):
                await asyncio.sleep(40)
            await super().send(command)

    wire = Stalls()
    session = Session(wire)
    session.dialog_machine = Plain()
    at(1, wire.say, "hi")
    at(90, wire.feed, "hangup")
    await session.run()
    await session.aclose()
    assert wire.replies == [("one two three", False)]


@virtual
async def test_a_reply_without_words_gives_the_floor_back() -> None:
    """The silence clock does not wait for an agent that has nothing to say."""
    hooks = """
    version: 1
    session:
      call_start: [{silence_timer: {after: 3s, steps: [{say: hello?}]}}]
    """
    config = (1.0, "user_turn", {"text": "hm"}), (9.0, "hangup", {})
    _, lines, _ = await played(Full(reply=""), *config, hooks=hooks)
    assert [round(line["t"], 1) for line in lines if line.get("do") == "say"] == [4.0]


def test_one_conversation_is_not_shared_by_callers(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--dialog` takes what makes a machine for each call, never one of superdialog itself."""
    (tmp_path / "superdialog.py").write_text(
        "class DialogMachine:\n"
        "    async def turn(self, text, stream=False): ...\n"
        "machine = DialogMachine()\n"
        "def make():\n"
        "    return DialogMachine()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(click.UsageError, match="one conversation"):
        dialogs_named("superdialog:machine")
    dialogs_named("superdialog:make").prepare()


class Unsure(Hangs):
    """Cannot say how long it may take."""

    @property
    def patience(self) -> float:
        raise RuntimeError("no settings yet")


@virtual
async def test_a_machine_that_cannot_say_its_patience_is_an_error_of_its_turn() -> None:
    """As anything else that it raises: hooks of `error` hear of it, and the call goes on."""
    words = [(1.0, "user_turn", {"text": "ok"}), (2.0, "user_turn", {"text": "ok"})]
    _, lines, _ = await played(Unsure(), *words, (5.0, "hangup", {}))
    assert [t for t, _ in failures(lines)] == [1, 2]
