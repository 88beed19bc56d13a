"""Tests of `orchestrator replay`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import run_cli, run_process
from tests.played import LOOKUP, SUPPORT

CALL = (
    '{"call": {"id": "c1"}}\n{"t": 1, "user_turn": "hello"}\n{"t": 2, "user_turn": "a human"}\n'
    '{"t": 3, "hangup": "caller"}\n'
)
SILENT = (
    '{"call": {"id": "c2"}}\n{"t": 1, "agent_turn": "How can I help?"}\n{"t": 40, "hangup": "x"}\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config, a changed one, and the journals of two calls under the first."""
    (tmp_path / "old.yaml").write_text(SUPPORT)
    (tmp_path / "new.yaml").write_text(
        SUPPORT.replace("matching('human')", "matching('human|hello')").replace("8s", "9s")
    )
    calls = tmp_path / "calls"
    calls.mkdir()
    (calls / "c1.jsonl").write_text(CALL)
    (calls / "c2.jsonl").write_text(SILENT)
    run_cli("run", tmp_path / "old.yaml", "--call", calls, "--journal-dir", tmp_path / "journals")
    return tmp_path


def report(folder: Path, *args: object) -> dict[str, object]:
    """The JSON report of a replay of the journals."""
    ran = run_cli("replay", *args, "--calls", folder / "journals", "--format", "json")
    found: dict[str, object] = json.loads(ran.out)
    return found


def test_the_same_config_changes_nothing(folder: Path) -> None:
    """A journal played again under its own config comes out as it was."""
    ran = run_cli("replay", folder / "old.yaml", "--calls", folder / "journals", "--fail-on", "any")
    assert ran.code == 0
    assert ran.out.startswith("2 calls under ")
    assert "nothing changes for callers" in ran.out.splitlines()[0]


def test_a_change_is_told_call_by_call(folder: Path) -> None:
    """What moved and how, with the call's name and file."""
    out = run_cli("replay", folder / "new.yaml", "--calls", folder / "journals").out
    assert "2 change for their callers" in out
    assert '  >     2.00  now at 1: transfer "tier-2"' in out
    assert '  >     9.00  now at 10: say "Are you still there?"' in out


def test_what_is_done_in_another_way_is_told_field_by_field(folder: Path) -> None:
    """In text, JSON and markdown."""
    text = SUPPORT.replace("queue: tier-2", "queue: tier-2, mode: warm")
    (folder / "how.yaml").write_text(text)
    args = ("replay", folder / "how.yaml", "--calls", folder / "journals")
    told = '"tier-2": mode not set -> "warm"'
    assert told in run_cli(*args).out
    assert "other at 2 s: transfer" in run_cli(*args, "--format", "markdown").out
    found = report(folder, folder / "how.yaml")
    (row,) = found["changes"]  # type: ignore[misc]
    (altered,) = row["altered"]
    assert altered["fields"] == [{"field": "mode", "before": None, "after": "warm"}]
    assert found["totals"]["transfers"] == {"before": 1, "after": 1, "others": 1}  # type: ignore[index]


def test_another_config_can_be_the_measure(folder: Path) -> None:
    """With --against, plain call scripts can be compared."""
    ran = run_cli("replay", folder / "new.yaml", "--calls", folder / "calls", "--against", folder / "old.yaml")  # fmt: skip
    assert ran.code == 0
    assert "2 change for their callers" in ran.out


def test_scripts_without_a_measure_are_refused(folder: Path) -> None:
    """A script does not say what happened."""
    ran = run_cli("replay", folder / "new.yaml", "--calls", folder / "calls")
    assert ran.code == 1
    assert "name the config to compare with: --against" in ran.err


def test_a_broken_rule_is_exit_code_1(folder: Path) -> None:
    """The rule and the number of calls are told."""
    new = folder / "new.yaml"
    new.write_text(SUPPORT.replace("escalate_transfer: {queue: tier-2}", "end_call: busy"))
    new.write_text(
        new.read_text().replace('          on_error:\n            - say: "Nobody is free."\n', "")
    )
    ran = run_cli("replay", new, "--calls", folder / "journals", "--fail-on", "fewer-transfers,more-waits")  # fmt: skip
    assert ran.code == 1
    assert "rule fewer-transfers is broken by 1 call" in ran.out
    assert "more-waits" not in ran.out
    assert "ends as ended, not hangup" in ran.out


def test_a_call_that_we_ended_stays_open_as_long_as_it_was(folder: Path) -> None:
    """Its journal has no hang-up: the line stays open until the recorded end."""
    silent = folder / "calls" / "c2.jsonl"
    silent.write_text(SILENT.replace("40", "300"))
    run_cli("run", folder / "old.yaml", "--call", silent, "--journal-dir", folder / "journals")
    found = report(folder, folder / "old.yaml")
    assert found["changed"] == 0
    found = report(folder, folder / "new.yaml")
    assert '"state": {"before": "ended", "after": "hangup"}' in json.dumps(found)


def test_recorded_answers_are_given_again(tmp_path: Path) -> None:
    """The new config meets the answers that the old one met, also under another step id."""
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(LOOKUP)
    new.write_text(LOOKUP.replace("id: find", "id: search").replace("Hello", "Welcome"))
    (tmp_path / "given.yaml").write_text("find: {after: 1s, answer: {name: Ada}}\n")
    (tmp_path / "c.jsonl").write_text(CALL)
    run_cli("run", old, "--call", tmp_path / "c.jsonl", "--given", tmp_path / "given.yaml",
            "--journal-dir", tmp_path / "journals")  # fmt: skip
    found = report(tmp_path, new)
    (change,) = found["changes"]  # type: ignore[misc]
    assert [effect["what"] for effect in change["new"]] == ["Welcome Ada"]
    assert found["unanswered"] == 0
    assert found["totals"]["waits"] == {"before": 2.0, "after": 2.0}  # type: ignore[index]


def test_a_malformed_recording_leaves_the_others_alone(folder: Path) -> None:
    """One message, and exit code 1."""
    (folder / "journals" / "x.jsonl").write_text("nothing\n")
    ran = run_cli("replay", folder / "old.yaml", "--calls", folder / "journals")
    assert ran.code == 1
    assert "x.jsonl:1: not JSON" in ran.err
    assert "2 calls under" in ran.out


def test_markdown_is_fit_for_a_pull_request(folder: Path) -> None:
    """A heading, a table, and calls to open; what is said in calls cannot break out of it."""
    new = folder / "new.yaml"
    new.write_text(SUPPORT.replace('"Connecting you now."', '"</details> | @team *now*"'))
    out = run_cli("replay", new, "--calls", folder / "journals", "--format", "markdown").out
    assert out.startswith("### 2 calls under ")
    assert "| words said | 17 | 18 | **+1** |" in out
    assert "</details> |" not in out
    assert "@team" not in out


def test_rules_given_one_by_one_all_hold(folder: Path) -> None:
    """None of them takes the place of another."""
    new = folder / "new.yaml"
    new.write_text(SUPPORT.replace("escalate_transfer: {queue: tier-2}", "end_call: busy"))
    new.write_text(
        new.read_text().replace('          on_error:\n            - say: "Nobody is free."\n', "")
    )
    args = ("replay", new, "--calls", folder / "journals")
    broken = run_cli(*args, "--fail-on", "fewer-transfers", "--fail-on", "more-waits")
    assert (broken.code, run_cli(*args, "--fail-on", "more-waits").code) == (1, 0)


def test_a_rule_that_does_not_exist_is_refused(folder: Path) -> None:
    """Before any call is played."""
    ran = run_cli("replay", folder / "old.yaml", "--calls", folder, "--fail-on", "more-transfer")
    assert ran.code == 2
    assert "did you mean 'more-transfers'" in ran.err


def test_every_run_gives_the_same_report(folder: Path) -> None:
    """In processes of their own, to the byte."""
    args = ("replay", "new.yaml", "--calls", "journals")
    ran = [run_process(*args, cwd=folder) for _ in range(2)]
    assert ran[0].returncode == 0
    assert ran[0].stdout == ran[1].stdout
    assert ran[0].stderr == ""


def test_recorded_calls_change_nothing_under_their_own_config(
    tmp_path: Path, recorded_calls: list[Path]
) -> None:
    """Phone calls between real people: played, recorded, and played again."""
    (tmp_path / "old.yaml").write_text(SUPPORT)
    run_cli("run", tmp_path / "old.yaml", "--segments", *recorded_calls,
            "--journal-dir", tmp_path / "journals")  # fmt: skip
    assert report(tmp_path, tmp_path / "old.yaml")["changed"] == 0


def test_only_malformed_recordings_give_no_report(folder: Path, tmp_path: Path) -> None:
    """That nothing changes would be a lie."""
    (tmp_path / "bad.jsonl").write_text("not a call")
    ran = run_cli("replay", folder / "old.yaml", "--calls", tmp_path / "bad.jsonl")
    assert (ran.code, ran.out) == (1, "")
