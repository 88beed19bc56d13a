"""Tests of `orchestrator test`."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from tests.cli import run_cli, run_process
from tests.played import write

TESTS = """\
tests:
  - name: a nudge
    expect: [{t: 8, say: any}]
  - name: no <nudge>
    call: {ends: 9}
    never: [say]
"""


def test_all_passed_is_exit_code_0(tmp_path: Path) -> None:
    """One line of totals."""
    write(tmp_path, TESTS)
    ran = run_cli("test", tmp_path, "-k", "A NUDGE")
    assert (ran.code, ran.out) == (0, "1 passed in 1 file\n")


def test_a_failure_is_exit_code_1(tmp_path: Path) -> None:
    """The failed test is named with its place and its first difference."""
    path = write(tmp_path, TESTS)
    ran = run_cli("test", path)
    assert ran.code == 1
    assert ran.out.startswith(f"failed  {path}:5  no <nudge>\n  say must never happen")
    assert ran.out.endswith("1 passed, 1 failed in 1 file\n")


def test_a_file_with_mistakes_leaves_the_others_alone(tmp_path: Path) -> None:
    """Its mistakes are told, the other files are run."""
    write(tmp_path, TESTS)
    (tmp_path / "a.calltest.yaml").write_text("config: support.yaml\ntsts: []\n")
    ran = run_cli("test", tmp_path)
    assert ran.code == 1
    assert "a.calltest.yaml:2:1: unknown key `tsts`" in ran.out
    assert "1 passed, 1 failed, 1 could not be run in 2 files" in ran.out


def test_json_has_one_row_a_test(tmp_path: Path) -> None:
    """Outcome, place and report of each."""
    path = write(tmp_path, TESTS)
    report = json.loads(run_cli("test", path, "--format", "json").out)
    assert [row["outcome"] for row in report["tests"]] == ["passed", "failed"]
    assert report["tests"][0] == {
        "file": str(path), "line": 3, "name": "a nudge", "outcome": "passed",
    }  # fmt: skip


def test_junit_is_well_formed(tmp_path: Path) -> None:
    """Names are escaped, and the failure carries the report."""
    out = run_cli("test", write(tmp_path, TESTS), "--format", "junit").out
    root = ElementTree.fromstring(out)
    cases = root.findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == ["a nudge", "no <nudge>"]
    assert "must never happen" in str(cases[1].find("failure").text)  # type: ignore[union-attr]


def test_a_folder_without_tests_is_wrong_usage(tmp_path: Path) -> None:
    """Nothing to run is no success."""
    ran = run_cli("test", tmp_path)
    assert ran.code == 2
    assert "no *.calltest.yaml there" in ran.err


def test_words_that_no_test_has_are_wrong_usage(tmp_path: Path) -> None:
    """A filter that leaves nothing is a slip."""
    assert run_cli("test", write(tmp_path, TESTS), "-k", "zzz").code == 2


def test_a_path_that_does_not_exist_is_exit_code_3(tmp_path: Path) -> None:
    """The environment failed, not the tests."""
    assert run_cli("test", tmp_path / "none").code == 3


def test_it_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    """As users run it: with warnings as errors, and no path named."""
    write(tmp_path, TESTS)
    ran = run_process("test", "-k", "a nudge", cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "1 passed in 1 file\n", "")


def test_a_config_that_does_not_exist_is_exit_code_3(tmp_path: Path) -> None:
    """The environment failed, not the tests; nothing is said to have passed."""
    path = tmp_path / "a.calltest.yaml"
    path.write_text("config: nope.yaml\ntests:\n  - name: a\n    expect: []\n")
    ran = run_cli("test", path)
    assert ran.code == 3
    assert "passed" not in ran.out


def test_a_config_without_tests_counts_as_not_covered(tmp_path: Path) -> None:
    """Of a folder; a file that another one includes is counted there."""
    hook = "{do: [{log: x}]}"
    (tmp_path / "a.yaml").write_text(
        f"version: 1\ninclude: [part.yaml]\nsession: {{call_start: [{hook}]}}\n"
    )
    (tmp_path / "part.yaml").write_text(f"version: 1\nsession: {{call_end: [{hook}]}}\n")
    (tmp_path / "b.yaml").write_text(f"version: 1\nsession: {{call_start: [{hook}]}}\n")
    test = "config: a.yaml\ntests: [{name: t, events: [{t: 1, hangup: x}], expect: []}]\n"
    (tmp_path / "a.calltest.yaml").write_text(test)
    args = ("test", tmp_path, "--coverage", "--fail-under", "50")
    ran = run_cli(*args)
    assert ran.code == 1
    assert "b.yaml: 0 % is under 50 %" in ran.err
    assert "part.yaml: " not in ran.err
    assert f"{tmp_path / 'a.yaml'}: 4 of 4 exercised" in ran.out
    assert run_cli("test", tmp_path / "a.calltest.yaml", "--fail-under", "50").code == 0
    assert run_cli(*args, "-k", "t").code == 0
