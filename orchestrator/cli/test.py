"""`orchestrator test`: run call tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.files import find_files
from orchestrator.cli.junit import Case, junit_xml
from orchestrator.cli.progress import tracked
from orchestrator.errors import OrchestratorError

__all__ = ["command"]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How one test went; `kind` is passed, failed or error (it could not be run)."""

    file: str
    line: int
    name: str
    kind: str
    report: str = ""


@click.command("test")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("-k", "words", metavar="WORDS", help="Only tests whose name holds all these words.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "junit"]), default="text",
    help="How to report.",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Also list the tests that passed.")
def command(paths: tuple[Path, ...], words: str | None, form: str, *, verbose: bool) -> int:
    """Run call tests: *.calltest.yaml, in files and folders.

    Calls are played in virtual time: ten minutes take milliseconds, nothing leaves the machine,
    and every run gives the same result. A failed test shows the first difference on the timeline.

    \b
    Example:
      orchestrator test configs/
      orchestrator test support-line.calltest.yaml -k "silent caller"

    Exit codes: 0 all passed, 1 a test failed or a file has mistakes, 2 wrong usage, 3 a file
    cannot be read.
    """
    files = find_files(paths or (Path("."),), ("*.calltest.yaml", "*.calltest.yml"))
    if not files:
        raise click.UsageError("no *.calltest.yaml there; `orchestrator init` writes a first one")
    outcomes = list(_run_all(files, words))
    if not outcomes and words:
        raise click.UsageError(f"no test has a name with {words!r} in it")
    click.echo(_FORMS[form](outcomes, verbose), nl=False)
    return int(any(outcome.kind != "passed" for outcome in outcomes))


def _run_all(files: list[Path], words: str | None) -> Iterator[_Outcome]:
    for file in tracked(files, "call tests"):
        yield from _run_file(file, words)


def _run_file(file: Path, words: str | None) -> Iterator[_Outcome]:
    from orchestrator.testing import load_call_tests, run_call_test

    try:
        loaded = load_call_tests(file)
    except OrchestratorError as error:
        yield _Outcome(str(file), 1, "the file", "error", str(error))
        return
    for test in loaded.tests:
        if words and not all(word in test.name.lower() for word in words.lower().split()):
            continue
        try:
            result = run_call_test(test, loaded.plan)
        except OrchestratorError as error:
            yield _Outcome(str(file), test.line, test.name, "error", str(error))
            continue
        kind = "passed" if result.has_passed else "failed"
        yield _Outcome(str(file), test.line, test.name, kind, result.report)


# --- reports


def _text(outcomes: Iterable[_Outcome], is_verbose: bool) -> str:
    outcomes = list(outcomes)
    parts = []
    for outcome in outcomes:
        if outcome.kind == "passed":
            if is_verbose:
                parts.append(f"passed  {outcome.file}:{outcome.line}  {outcome.name}\n")
            continue
        head = f"{outcome.kind:6}  {outcome.file}:{outcome.line}  {outcome.name}\n"
        parts.append(head + "".join(f"  {line}".rstrip() + "\n" for line in _lines(outcome)) + "\n")
    return "".join(parts) + _totals(outcomes) + "\n"


def _lines(outcome: _Outcome) -> list[str]:
    return outcome.report.split("\n")


def _totals(outcomes: list[_Outcome]) -> str:
    counts = {kind: sum(o.kind == kind for o in outcomes) for kind in ("passed", "failed", "error")}
    files = len({outcome.file for outcome in outcomes})
    texts = [f"{counts['passed']} passed"]
    texts += [f"{counts['failed']} failed"] if counts["failed"] else []
    texts += [f"{counts['error']} could not be run"] if counts["error"] else []
    return f"{', '.join(texts)} in {files} file{'s' if files != 1 else ''}"


def _json(outcomes: Iterable[_Outcome], _: bool) -> str:
    rows: list[dict[str, Any]] = [
        {"file": o.file, "line": o.line, "name": o.name, "outcome": o.kind,
         **({"report": o.report} if o.report else {})}
        for o in outcomes
    ]  # fmt: skip
    return json.dumps({"tests": rows}, indent=2, ensure_ascii=False) + "\n"


def _junit(outcomes: Iterable[_Outcome], _: bool) -> str:
    return junit_xml(
        "call tests",
        [Case(o.file, o.name, "" if o.kind == "passed" else o.kind, o.report) for o in outcomes],
    )


_FORMS = {"text": _text, "json": _json, "junit": _junit}
