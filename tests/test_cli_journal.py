"""Tests of `orchestrator journal`, and of the call tests that it makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import run_cli, run_process
from tests.played import LOOKUP, SUPPORT

CALL = (
    '{"call": {"id": "c1", "user_number": "+15550100"}}\n{"t": 1, "user_turn": "hello"}\n'
    '{"t": 2, "user_turn": "a human"}\n{"t": 3, "hangup": "caller"}\n'
)


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    """A folder with the journal of one call."""
    (tmp_path / "support.yaml").write_text(SUPPORT)
    (tmp_path / "call.jsonl").write_text(CALL)
    run_cli("run", tmp_path / "support.yaml", "--call", tmp_path / "call.jsonl",
            "--journal-dir", tmp_path / "journals")  # fmt: skip
    return tmp_path / "journals"


def test_a_call_is_told_line_by_line(journals: Path) -> None:
    """Who spoke, which hooks ran, what went out."""
    ran = run_cli("journal", "show", "c1", "--journal-dir", journals)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].startswith("call c1 · inbound from +15550100 · support (")
    assert "    1.000  caller: hello" in lines
    assert "    2.000    hook 'asks for a human' runs, for the 1st time" in lines
    assert '    2.000      we say text="Connecting you now."' in lines


def test_why_answers_for_each_time_the_hook_was_asked(journals: Path) -> None:
    """The event, the verdict, and the values that decided."""
    ran = run_cli("journal", "show", journals / "c1.jsonl", "--why", "asks for a human")
    assert ran.out.splitlines() == [
        "    1.000  on caller: hello",
        "           it did not run: `when` is false: event.text is matching('human') "
        '(event.text was "hello")',
        "    2.000  on caller: a human",
        "           it ran, for the 1st time",
    ]


def test_one_hook_is_shown_with_its_steps(journals: Path) -> None:
    """Its decisions, steps and commands, and nothing else."""
    out = run_cli("journal", "show", journals / "c1.jsonl", "--hook", "asks for a human").out
    assert "step remember ok" in out
    assert "silence" not in out


def test_a_hook_that_was_not_asked_is_told(journals: Path) -> None:
    """With the near miss, and the hooks that were."""
    ran = run_cli("journal", "show", journals / "c1.jsonl", "--why", "asks for a humn")
    assert ran.code == 1
    assert "did you mean 'asks for a human'" in ran.err


def test_json_gives_the_lines(journals: Path) -> None:
    """The journal's own lines, as one list."""
    out = run_cli("journal", "show", journals / "c1.jsonl", "--format", "json").out
    assert [dict(line) for line in json.loads(out)] == [
        json.loads(line) for line in (journals / "c1.jsonl").read_text().splitlines()
    ]


def test_a_call_without_a_journal_is_exit_code_3(journals: Path) -> None:
    """Neither a file nor an id."""
    ran = run_cli("journal", "show", "nobody", "--journal-dir", journals)
    assert ran.code == 3
    assert "no journal of the call 'nobody'" in ran.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: the journal is empty"),
        ("hello\n", ":1: not JSON"),
        ('{"call": {}}\n{"step": "say", "at": "x", "status": "ok"}\n', ":2: the line has no time"),
        ('{"call": {}}\n{"t": 1, "step": "say"}\n', ":2: a line with 'step' needs 'at'"),
        ('{"call": {}}\n{"t": 1, "hook": 5, "at": "x"}\n', ":2: 'hook' must be text"),
        ('{"call": {}}\n{"t": 1, "act": "log", "at": "x", "with": 5}\n', ":2: 'with' must be"),
    ],
)
def test_a_malformed_journal_is_one_message(tmp_path: Path, text: str, words: str) -> None:
    """File, line, and what is wrong."""
    (tmp_path / "j.jsonl").write_text(text)
    ran = run_cli("journal", "show", tmp_path / "j.jsonl")
    assert ran.code == 1
    assert f"j.jsonl{words}" in ran.err


def test_journals_are_listed_with_their_counts(journals: Path) -> None:
    """One row a call; a malformed file is told beside them."""
    (journals / "x.jsonl").write_text("nothing\n")
    ran = run_cli("journal", "list", "--journal-dir", journals)
    assert ran.code == 1
    assert ran.out.splitlines()[2].split()[:3] == ["c1", "3.0", "2"]
    assert "x.jsonl:1: not JSON" in ran.err


def test_a_recorded_call_becomes_a_test_that_passes(journals: Path) -> None:
    """Events, and the commands that they led to."""
    test = journals.parent / "c1.calltest.yaml"
    ran = run_cli("journal", "to-test", journals / "c1.jsonl", "-o", test)
    assert ran.code == 0
    assert 'say: "Connecting you now."' in test.read_text()
    assert run_cli("test", test).out == "1 passed in 1 file\n"


def test_a_call_that_a_hook_ended_needs_no_hang_up(tmp_path: Path) -> None:
    """At the moment of its end the test would hang up before the hook ends it."""
    (tmp_path / "support.yaml").write_text(SUPPORT)
    call = tmp_path / "c2.jsonl"
    call.write_text('{"t": 1, "agent_turn": "How can I help?"}\n{"t": 90, "hangup": "x"}\n')
    run_cli("run", tmp_path / "support.yaml", "--call", call, "--journal-dir", tmp_path / "j")
    test = tmp_path / "c2.calltest.yaml"
    run_cli("journal", "to-test", tmp_path / "j" / "c2.jsonl", "-o", test)
    text = test.read_text()
    assert "state: ended" in text
    assert "ends:" not in text
    assert run_cli("test", test).out == "1 passed in 1 file\n"


@pytest.mark.parametrize(
    "given",
    [
        "find: {name: Ada}",
        "find: {error: no such luck}",
        "find: {after: 45s}",
        "find: {after: 250ms, answer: {name: 'true', n: null, list: [1, 'x: y']}}",
        "find: null",
    ],
)
def test_recorded_answers_are_given_again(tmp_path: Path, given: str) -> None:
    """Outputs, failures, time-outs and delays are those of the record."""
    (tmp_path / "lookup.yaml").write_text(LOOKUP)
    (tmp_path / "given.yaml").write_text(given + "\n")
    call = tmp_path / "call.jsonl"
    call.write_text(
        '{"t": 1, "user_turn": "Ada: \\"quoted\\" {{ x }}"}\n{"t": 90, "hangup": "x"}\n'
    )
    run_cli("run", tmp_path / "lookup.yaml", "--call", call, "--given", tmp_path / "given.yaml",
            "--journal-dir", tmp_path / "j")  # fmt: skip
    test = tmp_path / "call.calltest.yaml"
    run_cli("journal", "to-test", tmp_path / "j" / "call.jsonl", "-o", test)
    assert run_cli("test", test).out == "1 passed in 1 file\n", test.read_text()


def test_it_runs_in_a_process_of_its_own(journals: Path) -> None:
    """As users run it, with the folder of journals in its usual place."""
    ran = run_process("journal", "show", "c1", cwd=journals.parent)
    assert ran.returncode == 0
    assert ran.stdout.startswith("call c1")
