"""The conformance suite: it passes on our own runner, and it finds what is wrong with others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.runtime import Command, End, ReplyDelta, Say, Transfer
from orchestrator.testing.conformance import (
    FarSide,
    Result,
    ScriptCarrier,
    main,
    run_case,
    run_conformance,
    table,
)
from orchestrator.testing.conformance_cases import CASES, Case

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


class Mute(ScriptCarrier):
    """A runtime that takes everything it is asked, and passes part of it on."""

    def __init__(self, loses: type[Command]) -> None:
        super().__init__("mute")
        self._loses = loses

    async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
        seen = await super().play(orchestrator, case)
        if self._loses is End:
            seen.asked = [asked for asked in seen.asked if asked != "end"]
        elif self._loses is Transfer:
            seen.asked = [asked for asked in seen.asked if not asked.startswith("transfer")]
        else:
            seen.said = []
        return seen


@pytest.mark.parametrize(
    ("loses", "case", "why"),
    [
        (End, "end: once", "the far side was never told that the call ends"),
        (
            Transfer,
            "a transfer to a number is accepted",
            "was never asked for 'transfer +15550142'",
        ),
        (Say, "a transfer to a number is refused", "the far side never heard"),
        (ReplyDelta, "the seven seed events", "the far side never heard ' hello'"),
    ],
)
def test_a_runtime_that_passes_nothing_on_fails(loses: type[Command], case: str, why: str) -> None:
    """Its journal is as expected: what counts is what reached the other end."""
    (found,) = [one for one in CASES if one.name.startswith(case)]
    result = run_case(found, Mute(loses))
    assert result.status == "failed"
    assert why in result.reason


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
