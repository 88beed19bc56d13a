"""The conformance suite: it passes on our own runner, and it finds what is wrong with others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from orchestrator import Orchestrator
from orchestrator.runtime import (
    ALL_CAPABILITIES,
    Command,
    End,
    Filler,
    Inject,
    Interrupt,
    Play,
    Recording,
    ReplyDelta,
    ReplyEnd,
    Say,
    SendDigits,
    SetLanguage,
    Transfer,
)
from orchestrator.runtimes.script_bridge import ScriptBridge
from orchestrator.testing.conformance import (
    CASES,
    Case,
    FarSide,
    Result,
    ScriptCarrier,
    main,
    run_case,
    run_conformance,
    table,
)

SEEDS = CASES[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.partition(":")[0])
def test_our_runner_passes_every_case_that_applies(case: Case) -> None:
    """With and without outcomes of transfers."""
    results = run_conformance(
        [ScriptCarrier(), ScriptCarrier("quiet", ["transfer.outcome", "playback"])], [case]
    )
    assert [r.reason for r in results if r.status == "failed"] == []
    if not case.needs - ScriptCarrier().can:
        assert "passed" in [r.status for r in results]


class Faulty(ScriptCarrier):
    """A runtime that does something to a case before it plays it, or to what is attached."""

    def __init__(self, change: Callable[[Case], Case]) -> None:
        super().__init__("faulty")
        self._change = change

    async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
        return await super().play(orchestrator, self._change(case))


def without(kind: type[Command]) -> Callable[[Command], list[Command]]:
    return lambda command: [] if isinstance(command, kind) else [command]


def twice(kind: type[Command]) -> Callable[[Command], list[Command]]:
    return lambda command: [command] * (1 + isinstance(command, kind))


def changed(kind: type[Command], /, **fields: Any) -> Callable[[Command], list[Command]]:
    return lambda command: [replace(command, **fields) if isinstance(command, kind) else command]


def stale(command: Command) -> list[Command]:
    """The rest of a cut reply, all the same."""
    is_cut = isinstance(command, ReplyEnd) and command.was_interrupted
    return [command, ReplyDelta("eight nine ten")] if is_cut else [command]


def talkative(command: Command) -> list[Command]:
    return [command, Say("one more thing")] if isinstance(command, End) else [command]


@pytest.mark.parametrize(
    ("change", "case", "why"),
    [
        (without(End), "end: once", "expected 'end', got 'nothing more'"),
        (twice(End), "end: once", "got 'end' after the end"),
        (talkative, "end: once", "got 'one more thing' after the end"),
        (
            without(Transfer),
            "a transfer to a number is acc",
            "expected 'transfer number +15550142'",
        ),
        (changed(Transfer, kind="agent"), "a transfer to a queue is acc", "got 'transfer agent pe"),
        (
            changed(Transfer, mode="cold"),
            "transfer.warm: the queue",
            "expected 'transfer queue peo",
        ),
        (changed(Transfer, announcement=""), "transfer.warm: the number", "warm: a caller for you"),
        (without(Say), "a transfer to a number is refused", "the far side never heard"),
        (twice(Say), "order", "heard 'one' more than once"),
        (changed(Say, interruptible=True), "say.protected", "could cut 'mind the gap'"),
        (without(ReplyDelta), "the seven seed events", "never heard 'you said hello'"),
        (stale, "interruption", "the rest of a reply that was cut"),
        (without(Play), "play", "expected 'play https://sounds"),
        (changed(Play, loop=1), "play", "a.mp3 2'"),
        (without(Inject), "inject: a note that no", "expected 'note be kind'"),
        (without(Interrupt), "interrupt:", "expected 'interrupt'"),
        (without(SendDigits), "digits", "expected 'keys 12#'"),
        (without(SetLanguage), "language", "expected 'language de-DE de-DE'"),
        (without(Filler), "filler", "expected 'filler one moment'"),
        (without(Recording), "recording", "expected 'recording pause'"),
    ],
)
def test_a_runtime_that_passes_something_else_on_fails(
    change: Callable[[Command], list[Command]], case: str, why: str
) -> None:
    """Its journal is as expected: what counts is what reached the other end, and how often."""
    (found,) = [one for one in CASES if one.name.startswith(case)]
    take = FarSide.take

    def tampered(far: FarSide, command: Command) -> None:
        for one in change(command):
            take(far, one)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FarSide, "take", tampered)
        result = run_case(found, ScriptCarrier())
    assert result.status == "failed"
    assert why in result.reason


def test_speech_in_another_order_fails() -> None:
    """The far side tells in which it was heard, unless it says that it cannot."""

    class Late(ScriptCarrier):
        def __init__(self, *, is_ordered: bool) -> None:
            super().__init__()
            self._is_ordered = is_ordered

        async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
            far = await super().play(orchestrator, case)
            return FarSide(far.said[::-1], far.asked, is_ordered=self._is_ordered)

    (order,) = [one for one in CASES if one.name.startswith("order")]
    assert "too early" in run_case(order, Late(is_ordered=True)).reason
    assert "too early" not in run_case(order, Late(is_ordered=False)).reason


def without_events(*names: str) -> Callable[[Case], Case]:
    return lambda case: replace(case, script=tuple(
        event for event in case.script if not {*names} & {*event, event.get("event")}
    ))  # fmt: skip


def by_others(case: Case) -> Case:
    return replace(case, script=tuple({**e, "who": "caller"} if "state" in e else e
                                      for e in case.script))  # fmt: skip


@pytest.mark.parametrize(
    ("change", "case"),
    [(without_events("dtmf"), "dtmf"), (without_events("metric"), "metric"), (by_others, "state"),
     (without_events("tool_call"), "tools: a tool_call"), (without_events("voicemail"), "voicemail"),
     (without_events("tool_result"), "tools: a tool_result")],
)  # fmt: skip
def test_a_runtime_that_loses_what_it_declares_fails(
    change: Callable[[Case], Case], case: str
) -> None:
    """What a capability promises has a case of its own."""
    (found,) = [one for one in CASES if one.name.startswith(case)]
    assert run_case(found, Faulty(change)).status == "failed"


def test_every_capability_has_a_case_that_needs_it() -> None:
    """Whoever declares more is asked more."""
    needed = frozenset().union(*(case.needs | case.without for case in CASES))
    always = {"say", "end"}  # all runtimes can
    assert ALL_CAPABILITIES - needed - always == set()


def raise_on(command: Command) -> None:
    if command.name == "reply":
        raise RuntimeError("boom")


class Careless(ScriptCarrier):
    """A runtime whose bridges are wrong in a way that no journal tells."""

    async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
        send, init = ScriptBridge.send, ScriptBridge.__init__

        async def broken(bridge: ScriptBridge, command: Command) -> None:
            await send(bridge, command)
            raise_on(command)

        def nameless(bridge: ScriptBridge, *args: Any) -> None:
            init(bridge, *args)
            bridge.offer = replace(bridge.offer, **self.offer)

        with pytest.MonkeyPatch.context() as patch:
            if self.raises:
                patch.setattr(ScriptBridge, "send", broken)
            patch.setattr(ScriptBridge, "__init__", nameless)
            return await super().play(orchestrator, case)

    raises = False
    offer: ClassVar[dict[str, Any]] = {}


class Raises(Careless):
    raises = True


class Nameless(Careless):
    offer: ClassVar[dict[str, Any]] = {"call_id": ""}


class Unknown(Careless):
    offer: ClassVar[dict[str, Any]] = {"user_number": None}


@pytest.mark.parametrize(
    ("carrier", "case", "why"),
    [(Raises(), "the seven", "bridge raised on the end of a reply: RuntimeError('boom')"),
     (Nameless(), "the seven", "the call has no id"),
     (Unknown(), "who calls", "expected 'hook known'")],
)  # fmt: skip
def test_a_careless_bridge_fails(carrier: ScriptCarrier, case: str, why: str) -> None:
    """One that raises, and offers that say neither which call it is nor who calls."""
    (found,) = [one for one in CASES if one.name.startswith(case)]
    assert why in run_case(found, carrier).reason


def test_calls_that_share_what_is_said_fail() -> None:
    """A runtime that keeps for all what is one call's."""

    class Shared(ScriptCarrier):
        def __init__(self) -> None:
            super().__init__()
            self._all: list[str] = []

        async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
            far = await super().play(orchestrator, case)
            self._all += far.said
            return FarSide(self._all, far.asked)

    (found,) = [one for one in CASES if one.beside is not None]
    assert "the far side heard" in run_case(found, Shared()).reason


def test_what_a_far_side_cannot_tell_does_not_apply() -> None:
    """And the table says so."""

    class Blind(ScriptCarrier):
        untold = frozenset({"dtmf"})

    (found,) = [one for one in CASES if one.name.startswith("dtmf")]
    assert run_case(found, Blind()).reason == "its far side cannot tell dtmf"


FAULTS: dict[str, Callable[[Case], Case]] = {
    "loses an event": lambda case: replace(case, script=case.script[1:]),
    "repeats an event": lambda case: replace(case, script=(case.script[0], *case.script)),
    "changes words": lambda case: replace(
        case, script=({"t": 0.2, "user_turn": "hallo"}, *case.script[1:])
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_runtime_fails_with_the_first_difference(fault: str) -> None:
    """The reason names the line."""
    result = run_case(SEEDS, Faulty(FAULTS[fault]))
    assert result.status == "failed"
    assert result.reason.startswith("line ")


def test_a_runtime_that_plays_the_call_twice_fails() -> None:
    """One start and one end."""

    class Twice(ScriptCarrier):
        async def play(self, orchestrator: Orchestrator, case: Case) -> None:
            await super().play(orchestrator, case)
            await super().play(orchestrator, case)

    assert "was not expected" in run_case(SEEDS, Twice()).reason


def test_a_carrier_that_breaks_is_a_failed_case() -> None:
    """The other cases still run."""

    class Broken(ScriptCarrier):
        async def play(self, orchestrator: Orchestrator, case: Case) -> None:
            raise OSError("no route")

    assert run_case(SEEDS, Broken()).reason == "OSError: no route"


def test_the_table_has_a_row_a_case_and_a_column_a_runtime() -> None:
    """What failed or does not apply says why below."""
    results = [Result("a", "one", "passed"), Result("b", "one", "failed", "line 3"),
               Result("a", "two", "not applicable", "cannot say"), Result("b", "two", "passed")]  # fmt: skip
    assert table(results).splitlines() == [
        "     a  b", "one  pass  FAIL", "two  -  pass", "",
        "b: one: FAIL (line 3)", "a: two: - (cannot say)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [("adapter", "MODULE:CARRIERS"), ("no_such_module:X", "ModuleNotFoundError"),
     ("tests.test_conformance:NOPE", "AttributeError"), ("tests.test_conformance:NONE", "no name"),
     ("tests.test_conformance:ScriptCarrier", "is no carrier"), ("--nope", "MODULE:CARRIERS")],
)  # fmt: skip
def test_a_name_that_gives_no_carrier_is_wrong_usage(
    name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says why, and nothing is played."""
    assert main([name]) == 2
    shown = capsys.readouterr()
    assert said in shown.err.splitlines()[-1]
    assert "Traceback" not in shown.err + shown.out
    assert (main(["--help"]), "usage" in capsys.readouterr().out) == (0, True)


def test_rows_are_printed_as_they_come(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A runtime that hangs may take a minute over each case."""
    shown: list[int] = []

    class Looks(ScriptCarrier):
        async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
            shown.append(len(capsys.readouterr().out.splitlines()))
            return await super().play(orchestrator, case)

    monkeypatch.setattr(sys.modules[__name__], "OURS", Looks("looks"))
    monkeypatch.setattr("orchestrator.testing.conformance.CASES", CASES[:3])
    assert main([f"{__name__}:OURS"]) == 0
    assert shown == [1, 1, 1]


def test_the_command_prints_the_table_and_takes_carriers_of_others() -> None:
    """Exit code 0: nothing failed."""
    command = [
        sys.executable,
        "-m",
        "orchestrator.testing.conformance",
        "tests.test_conformance:OURS",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ours" in done.stdout.splitlines()[0]
    assert "FAIL" not in done.stdout
    assert done.stderr == ""


OURS: Any = ScriptCarrier("ours")
NONE: Any = None
