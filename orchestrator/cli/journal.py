"""`orchestrator journal`: read the records of calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from orchestrator.cli.files import find_files
from orchestrator.cli.tables import table
from orchestrator.errors import EnvironmentFailure, OrchestratorError, UserError
from orchestrator.events import near_miss
from orchestrator.journal import file_name
from orchestrator.review.journals import JournalFile, read_journal
from orchestrator.review.story import tell, tell_why
from orchestrator.review.summary import CallSummary, summarize

__all__ = ["command"]

_PATH = click.Path(path_type=Path)
_DIRECTORY = click.option(
    "--journal-dir", metavar="DIR", type=_PATH, default=Path("journals"), show_default=True,
    help="Where journals are.",
)  # fmt: skip
_FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")


@click.group("journal")
def command() -> None:
    """Read the record of a call: what was said, which hooks ran, and why others did not.

    \b
    Example:
      orchestrator journal list --journal-dir journals
      orchestrator journal show 0002f70f --why "asks for a human"
      orchestrator journal to-test journals/0002f70f.jsonl --config support-line.yaml
    """


@command.command("show")
@click.argument("call")
@_DIRECTORY
@click.option("--hook", metavar="NAME", help="Only what concerns this hook.")
@click.option("--why", metavar="NAME", help="Why this hook ran, or did not run, each time.")
@_FORMAT
def show(call: str, journal_dir: Path, hook: str | None, why: str | None, form: str) -> None:
    """Show the timeline of a call: a file, or the id of a call in --journal-dir.

    \b
    Example:
      orchestrator journal show journals/c1.jsonl
      orchestrator journal show c1 --why "asks for a human"
    """
    journal = read_journal(_file(call, journal_dir))
    name = why or hook
    if name is not None:
        _check_hook(journal, name)
    lines = journal.of_hook(name) if name is not None else journal.lines
    if form == "json":
        kept = [line for line in lines if not why or line in journal.hook_lines]
        click.echo(json.dumps([dict(line) for line in kept], indent=2))
        return
    for text in tell_why(journal.lines, why) if why else tell(lines):
        click.echo(text)


def _file(call: str, directory: Path) -> Path:
    path = Path(call)
    if path.is_file():
        return path
    inside = directory / file_name(call)
    if inside.is_file():
        return inside
    begun = sorted(directory.glob(f"{file_name(call).removesuffix('.jsonl')}*.jsonl"))
    if len(begun) == 1:
        return begun[0]
    if begun:
        names = ", ".join(file.stem for file in begun[:5])
        raise UserError(f"several calls begin with {call!r}: {names}")
    raise EnvironmentFailure(f"no journal of the call {call!r}: neither a file nor in {directory}")


def _check_hook(journal: JournalFile, name: str) -> None:
    keys = [str(line["at"]) for line in journal.hook_lines]
    if name in journal.hook_names or name in keys:
        return
    near = near_miss(name, [*journal.hook_names, *keys])
    known = ", ".join(repr(n) for n in journal.hook_names) or "none"
    hint = f"; did you mean {near!r}?" if near else ""
    raise UserError(
        f"no hook {name!r} was asked in this call{hint}; its event did not happen, or the hook has "
        f"another name. Hooks that were asked: {known}"
    )


@command.command("list")
@_DIRECTORY
@_FORMAT
def list_(journal_dir: Path, form: str) -> int:
    """List the journals of a folder, with the counts of each call.

    \b
    Example:
      orchestrator journal list --journal-dir journals
    """
    problems: list[str] = []
    rows = list(_summaries(find_files([journal_dir], ("*.jsonl",)), problems))
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if form == "json":
        report = [{"file": str(file), **asdict(row)} for file, row in rows]
        click.echo(json.dumps(report, indent=2))
    else:
        click.echo(table(_COLUMNS, [_cells(row) for _, row in rows]))
    return int(bool(problems))


_COLUMNS = ("call", "seconds", "turns", "hooks", "failed", "says", "transfers", "ends", "state")


def _cells(row: CallSummary) -> list[str]:
    values = {**asdict(row), "seconds": f"{row.seconds:.1f}"}
    return [str(values[name]) for name in _COLUMNS]


def _summaries(files: Sequence[Path], problems: list[str]) -> Iterator[tuple[Path, CallSummary]]:
    for file in files:
        try:
            yield file, summarize(read_journal(file).lines, file.stem)
        except OrchestratorError as error:
            problems.append(str(error))


@command.command("to-test")
@click.argument("journal", type=_PATH)
@click.option("--config", "config", metavar="FILE",
              help="The config to test, as the test names it; by default NAME.yaml.")  # fmt: skip
@click.option("-o", "--output", metavar="FILE", type=_PATH, help="Write it there.")
def to_test(journal: Path, config: str | None, output: Path | None) -> None:
    """Turn a recorded call into a call test.

    The test plays the call's events, gives the answers that outside systems gave, and expects the
    commands that went out. Trim it to what matters.

    \b
    Example:
      orchestrator journal to-test journals/c1.jsonl --config support-line.yaml -o c1.calltest.yaml
    """
    from orchestrator.testing.totest import call_test_of

    recorded = read_journal(journal)
    text = call_test_of(recorded, config or f"{recorded.config_name or 'config'}.yaml")
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailure(f"cannot write {output}: {error.strerror}") from error
    click.echo(f"wrote {output}; run it with: orchestrator test {output}")
