"""Tests of the coverage of call tests, in Python and on the command line."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from orchestrator.testing import load_call_tests, run_call_test
from orchestrator.testing.coverage import Coverage, CoverageReport
from tests.cli import run_cli
from tests.played import one, write

CONFIG = """\
version: 1
name: "<b>cov</b> & more"
chains:
  bye:
    - if: event.text is matching('x')
      then:
        - say: "short"
      else:
        - say: "long <script>alert(1)</script>"
session:
  user_turn:
    - name: asked
      when: event.text is matching('a')
      do:
        - python: tests.played:nothing
          on_error:
            - say: "oops"
        - if: event.text is matching('b')
          then:
            - say: "b"
        - {say: "c", when: "event.text is matching('c')"}
        - run: bye
"""


def turns(*texts: str, given: str = "{python: null}") -> str:
    """A file of one test with these turns."""
    events = ", ".join(f'{{t: {i}, user_turn: "{text}"}}' for i, text in enumerate(texts, 1))
    return one(f"    given: {given}\n    events: [{events}]\n    expect: []\n")


def cover(folder: Path, *tests: str, config: str = CONFIG) -> CoverageReport:
    """The coverage of a config, by default the one above, by some tests."""
    reports = []
    for text in tests:
        loaded = load_call_tests(write(folder, text, config))
        reports.append((loaded, [run_call_test(test, loaded.plan) for test in loaded.tests]))
    coverage = Coverage(reports[0][0].config)
    for _, results in reports:
        for result in results:
            coverage.add(result.played.lines)
    return coverage.report()


def missing(report: CoverageReport) -> set[tuple[int, str]]:
    """Line and words of what is not covered."""
    return {(item.line, item.what) for item in report.missing}


def test_nothing_is_covered_by_a_call_without_turns(tmp_path: Path) -> None:
    """Every hook, condition, step, branch and failure is listed."""
    report = cover(tmp_path, one("    call: {ends: 1}\n    expect: []\n"))
    assert report.percent == 0
    assert {item.kind for item in report.items} == {
        "hook", "condition", "step", "branch", "failure",
    }  # fmt: skip


def test_both_ways_of_a_condition_count(tmp_path: Path) -> None:
    """A condition that was never false is not proved."""
    report = cover(tmp_path, turns("a b c", "a b x c"))
    assert missing(report) == {
        (13, "hook 'asked' does not run, its `when` being false"),
        (15, "step python fails"),
        (17, "step say runs"),
        (18, "the condition of `if` is false"),
        (21, "step say is left out, its `when` being false"),
    }


def test_everything_can_be_covered(tmp_path: Path) -> None:
    """Both ways of all, and the failure."""
    failing = turns("a", given='{python: {error: "no"}}')
    report = cover(tmp_path, turns("a b c", "a x", "no"), failing)
    assert (missing(report), report.percent) == (set(), 100)


@pytest.mark.parametrize("outcome", ["no_answer", "refused"])
def test_a_transfer_that_fails_later_is_a_failure(outcome: str, tmp_path: Path) -> None:
    """Its step was done: what the far side reports counts."""
    tests = f"""tests:
  - name: nobody takes it
    call: {{transfer_outcome: {{q: {outcome}}}, ends: 60}}
    events: [{{t: 1, user_turn: hi}}]
    expect: [{{say: "Nobody is free."}}]
"""
    config = """
version: 1
session:
  user_turn:
    - escalate_transfer: {queue: q}
      on_error: [{say: "Nobody is free."}]
"""
    assert missing(cover(tmp_path, tests, config=config)) == set()


def test_steps_of_a_chain_count_wherever_it_runs(tmp_path: Path) -> None:
    """They are written once, so they are one item."""
    report = cover(tmp_path, turns("a x"))
    assert (7, "step say runs") not in missing(report)
    assert (9, "step say runs") in missing(report)


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """A file of call tests that leaves something open."""
    return write(tmp_path, turns("a b c"), CONFIG)


def test_the_command_lists_what_is_missing(tests: Path) -> None:
    """With file and line, after the results."""
    out = run_cli("test", tests, "--coverage").out
    config = tests.parent / "support.yaml"
    assert f"{config}: 10 of 17 exercised, 58.8 %" in out
    assert f"  {config}:15: never: step python fails" in out


def test_json_has_the_coverage(tests: Path) -> None:
    """Only when it was asked for."""
    assert "coverage" not in json.loads(run_cli("test", tests, "--format", "json").out)
    report = json.loads(run_cli("test", tests, "--format", "json", "--coverage").out)
    (row,) = report["coverage"]
    assert (row["items"], row["covered"]) == (17, 10)
    assert {"kind", "what", "key", "file", "line", "column"} == row["missing"][0].keys()


def test_too_little_is_exit_code_1(tests: Path) -> None:
    """--fail-under makes it a check."""
    assert run_cli("test", tests, "--fail-under", 58).code == 0
    ran = run_cli("test", tests, "--fail-under", 60)
    assert ran.code == 1
    assert "58.8 % is under 60 %" in ran.err


class _Reader(HTMLParser):
    """Collects tags, and the text of each coloured line."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_colours_lines_and_escapes_everything(tests: Path, tmp_path: Path) -> None:
    """What a config says is text; the page has no script and loads nothing."""
    page = tmp_path / "cov.html"
    run_cli("test", tests, "--coverage-html", page)
    text = page.read_text()
    reader = _Reader()
    reader.feed(text)
    assert "script" not in reader.tags
    assert "<script>alert(1)</script>" in reader.text
    assert "<b>cov</b>" in reader.text
    assert "src=" not in text
    targets = re.findall(r'href="([^"]*)"', text)
    assert targets  # the lines of the page itself
    assert all(f'id="{target.removeprefix("#")}"' in text for target in targets)
    rows = dict(
        re.findall(r'<span [^>]*class="(\w+)"[^>]*><i>(\d+)</i>', text)[i][::-1] for i in range(14)
    )
    assert (rows["7"], rows["9"], rows["15"], rows["17"]) == ("none", "full", "part", "none")


def test_a_page_that_cannot_be_written_is_exit_code_3(tests: Path, tmp_path: Path) -> None:
    """The environment failed."""
    assert run_cli("test", tests, "--coverage-html", tmp_path / "no" / "x.html").code == 3


def test_a_config_is_no_file_of_call_tests(tests: Path) -> None:
    """A slip of a shell pattern is one clear message."""
    ran = run_cli("test", tests.parent / "support.yaml")
    assert ran.code == 1
    assert "is no file of call tests: its name does not end in .calltest.yaml" in ran.out
