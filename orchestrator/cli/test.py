"""`orchestrator test`: run call tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from orchestrator.cli import FAILED
from orchestrator.cli.coverage import Measured, coverage_row, coverage_text, write_html
from orchestrator.cli.files import find_files
from orchestrator.cli.junit import Case, junit_xml
from orchestrator.cli.numbers import FiniteRange
from orchestrator.cli.progress import tracked
from orchestrator.errors import EnvironmentFailure, OrchestratorError
from orchestrator.testing.coverage import CoverageReport

__all__ = ["command"]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How one test went; `kind` is passed, failed or error (it could not be run)."""

    file: str
    line: int
    name: str
    kind: str
    report: str = ""
    is_unreadable: bool = False


@click.command("test")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("-k", "words", metavar="WORDS", help="Only tests whose name holds all these words.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "junit"]), default="text",
    help="How to report.",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Also list the tests that passed.")
@click.option("--coverage", is_flag=True,
              help="Say which hooks, conditions, steps, branches and failures no test exercised.",
              )  # fmt: skip
@click.option("--coverage-html", metavar="FILE", type=click.Path(path_type=Path),
              help="Write a page with the lines of the configs, coloured.")  # fmt: skip
@click.option("--fail-under", metavar="PERCENT", type=FiniteRange(0, 100), default=0.0,
              help="Exit 1 when less of a config is exercised.")  # fmt: skip
def command(
    paths: tuple[Path, ...],
    words: str | None,
    form: str,
    coverage_html: Path | None,
    fail_under: float,
    **flags: bool,
) -> int:
    """Run call tests: *.calltest.yaml, in files and folders.

    Calls are played in virtual time: ten minutes take milliseconds, nothing leaves the machine,
    and every run gives the same result. A failed test shows the first difference on the timeline.

    \b
    Example:
      orchestrator test configs/
      orchestrator test support-line.calltest.yaml -k "silent caller"
      orchestrator test configs/ --coverage --coverage-html coverage.html --fail-under 80

    Exit codes: 0 all passed, 1 a test failed or a file has mistakes, 2 wrong usage, 3 a file
    cannot be read.
    """
    paths = paths or (Path("."),)
    files = find_files(paths, ("*.calltest.yaml", "*.calltest.yml"))
    if not files:
        raise click.UsageError("no *.calltest.yaml there; `orchestrator init` writes a first one")
    measured = Measured()
    outcomes = list(_run_all(files, words, measured))
    if not outcomes and words:
        raise click.UsageError(f"no test has a name with {words!r} in it")
    is_measured = bool(flags["coverage"] or coverage_html or fail_under)
    if is_measured and not words:
        measured.add_untested(paths)
    reports = measured.reports() if is_measured else []
    click.echo(_FORMS[form](outcomes, reports, flags["verbose"]), nl=False)
    if coverage_html is not None:
        write_html(coverage_html, reports)
    low = [report for report in reports if report.percent < fail_under]
    for report in low:
        click.echo(f"{report.file}: {report.percent:g} % is under {fail_under:g} %", err=True)
    if any(outcome.is_unreadable for outcome in outcomes):
        return FAILED
    return int(bool(low) or any(outcome.kind != "passed" for outcome in outcomes))


def _run_all(files: list[Path], words: str | None, measured: Measured) -> Iterator[_Outcome]:
    for file in tracked(files, "call tests"):
        yield from _run_file(file, words, measured)


def _run_file(file: Path, words: str | None, measured: Measured) -> Iterator[_Outcome]:
    from orchestrator.testing import is_call_test, load_call_tests, run_call_test

    if not is_call_test(file):
        why = "its name does not end in .calltest.yaml"
        yield _Outcome(str(file), 1, "the file", "error", f"{file} is no file of call tests: {why}")
        return
    try:
        loaded = load_call_tests(file)
    except OrchestratorError as error:
        is_unreadable = isinstance(error.__cause__ or error, EnvironmentFailure)
        yield _Outcome(str(file), 1, "the file", "error", str(error), is_unreadable)
        return
    for test in loaded.tests:
        if words and not all(word in test.name.lower() for word in words.lower().split()):
            continue
        try:
            result = run_call_test(test, loaded.plan)
        except OrchestratorError as error:
            yield _Outcome(str(file), test.line, test.name, "error", str(error))
            continue
        measured.add(loaded.config, result.played.lines)
        kind = "passed" if result.has_passed else "failed"
        yield _Outcome(str(file), test.line, test.name, kind, result.report)


# --- reports


def _text(outcomes: Sequence[_Outcome], reports: Sequence[CoverageReport], is_verbose: bool) -> str:
    parts = []
    for outcome in outcomes:
        if outcome.kind == "passed":
            if is_verbose:
                parts.append(f"passed  {outcome.file}:{outcome.line}  {outcome.name}\n")
            continue
        head = f"{outcome.kind:6}  {outcome.file}:{outcome.line}  {outcome.name}\n"
        parts.append(head + "".join(f"  {line}".rstrip() + "\n" for line in _lines(outcome)) + "\n")
    return "".join(parts) + _totals(outcomes) + "\n" + "".join(map(coverage_text, reports))


def _lines(outcome: _Outcome) -> list[str]:
    return outcome.report.split("\n")


def _totals(outcomes: Sequence[_Outcome]) -> str:
    counts = {kind: sum(o.kind == kind for o in outcomes) for kind in ("passed", "failed", "error")}
    files = len({outcome.file for outcome in outcomes})
    is_all_bad = counts["error"] == len(outcomes) and bool(outcomes)
    texts = [] if is_all_bad else [f"{counts['passed']} passed"]
    texts += [f"{counts['failed']} failed"] if counts["failed"] else []
    texts += [f"{counts['error']} could not be run"] if counts["error"] else []
    return f"{', '.join(texts)} in {files} file{'s' if files != 1 else ''}"


def _json(outcomes: Sequence[_Outcome], reports: Sequence[CoverageReport], _: bool) -> str:
    rows: list[dict[str, Any]] = [
        {"file": o.file, "line": o.line, "name": o.name, "outcome": o.kind,
         **({"report": o.report} if o.report else {})}
        for o in outcomes
    ]  # fmt: skip
    report: dict[str, Any] = {"tests": rows}
    if reports:
        report["coverage"] = [coverage_row(found) for found in reports]
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def _junit(outcomes: Sequence[_Outcome], _: Sequence[CoverageReport], __: bool) -> str:
    return junit_xml(
        "call tests",
        [Case(o.file, o.name, "" if o.kind == "passed" else o.kind, o.report) for o in outcomes],
    )


_FORMS = {"text": _text, "json": _json, "junit": _junit}
