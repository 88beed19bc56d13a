"""`orchestrator replay`: play recorded calls and say what changes for callers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from orchestrator.callscript import CallScript, holds_segments, import_segments, parse_script
from orchestrator.cli.files import find_files
from orchestrator.cli.progress import tracked
from orchestrator.cli.replay_report import FORMS
from orchestrator.compiler import compile_config
from orchestrator.errors import OrchestratorError, ScriptError, UserError
from orchestrator.memory import Memory
from orchestrator.plan import Plan
from orchestrator.replay import play
from orchestrator.review.comparison import (
    RULES,
    Change,
    Comparison,
    broken_rules,
    check_rules,
    compare,
)
from orchestrator.review.effects import Effects, effects_of
from orchestrator.review.journals import JournalFile, parse_journal
from orchestrator.runtimes.script_bridge import PlayOptions
from orchestrator.scriptevent import read_text
from orchestrator.testing.given import Given
from orchestrator.testing.recorded import given_of, remembered_in, written_in
from orchestrator.testing.variables import StandIns
from orchestrator.validation import load_config

__all__ = ["Recorded", "command", "read_recorded", "replay_calls"]

_PATH = click.Path(path_type=Path)


@click.command("replay")
@click.argument("config", metavar="NEW", type=_PATH)
@click.option("--calls", metavar="DIR", type=_PATH, required=True, multiple=True,
              help="Recorded calls: journals, call scripts or speech segments.")  # fmt: skip
@click.option("--against", metavar="OLD", type=_PATH,
              help="Compare with this config; by default with what the journals recorded.",
              )  # fmt: skip
@click.option("--fail-on", "rules", metavar="RULES", multiple=True,
              help=f"Exit 1 when a call breaks one of these rules: {', '.join(RULES)}. Several "
              "with commas between, or given again.")  # fmt: skip
@click.option("--limit", metavar="N", type=click.IntRange(0), default=20, show_default=True,
              help="How many changed calls to tell, worst first.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(list(FORMS)), default="text",
              help="markdown is fit for a pull request.")  # fmt: skip
def command(
    config: Path,
    calls: tuple[Path, ...],
    against: Path | None,
    rules: tuple[str, ...],
    limit: int,
    form: str,
) -> int:
    """Play recorded calls through a changed config, and say what changes for callers.

    Each call is played in virtual time with the answers that outside systems gave when it was
    recorded; nothing leaves the machine. It is compared with the same call under --against, or with
    its own journal: transfers, ends, words said, requests and waits, worst first.

    \b
    Example:
      orchestrator replay new.yaml --calls journals
      orchestrator replay new.yaml --calls recordings --against old.yaml --fail-on more-transfers
      orchestrator replay new.yaml --calls journals --format markdown > summary.md

    Exit codes: 0 no rule is broken, 1 one is, or a recording is malformed, 2 wrong usage, 3 a file
    cannot be read.
    """
    names = _names(rules)
    problems: list[str] = []
    files = find_files(calls, ("*.jsonl",))
    if not files:
        raise click.UsageError("no *.jsonl there")
    new, old = _plan(config), _plan(against) if against is not None else None
    changes = tuple(replay_calls(_read_all(files, problems), new, old, problems))
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    comparison = Comparison(changes)
    broken = broken_rules(comparison, names)
    baseline = str(against) if against is not None else "their journals"
    if changes or not problems or form == "json":
        click.echo(FORMS[form](comparison, f"{config}", baseline, limit, broken))
    return int(bool(broken or problems))


def _names(rules: Sequence[str]) -> tuple[str, ...]:
    try:
        return check_rules(",".join(rules))
    except UserError as error:
        raise click.UsageError(f"--fail-on: {error}") from None


def _plan(path: Path) -> Plan:
    config = load_config(path)
    return compile_config(config, StandIns(os.environ, config))


@dataclass(frozen=True, slots=True)
class Recorded:
    """A call to play again; `journal` has what happened, where that was recorded."""

    script: CallScript
    journal: JournalFile | None = None


def read_recorded(path: Path) -> Recorded:
    """Read a journal, a call script or speech segments, told by what is in the file.

    Raises:
        ScriptError: it is malformed.
        EnvironmentFailure: it cannot be read.
    """
    text = read_text(path)
    if holds_segments(text):
        return Recorded(import_segments(text, str(path)))
    head = text[:65536]
    if '"runner":"call_start"' in head or '"runner": "call_start"' in head:
        journal = parse_journal(text, str(path))
        if journal.is_redacted:
            raise ScriptError(
                f"{path}:1: recorded under `privacy: redact`: its words and numbers are masked, so "
                "that it cannot be played as it was; leave it out"
            )
        return Recorded(journal.script, journal)
    return Recorded(parse_script(text, str(path)))


def _read_all(files: Sequence[Path], problems: list[str]) -> Iterator[Recorded]:
    for file in tracked(files, "calls"):
        try:
            yield read_recorded(file)
        except OrchestratorError as error:
            problems.append(str(error))


def replay_calls(
    calls: Iterator[Recorded], new: Plan, old: Plan | None, problems: list[str]
) -> Iterator[Change]:
    """Play each call and compare it with what it was, or with itself under the old plan.

    Each config has a cross-call memory of its own, in the order of the calls. What a call read
    there of calls that are not among the recordings comes from its journal.

    Raises:
        UserError: a call has no journal and there is no old plan.
    """
    memories = (Memory(), Memory())
    written: set[str] = set()
    for call in calls:
        lines = call.journal.lines if call.journal is not None else ()
        for key, left in remembered_in(lines).items():
            for memory in memories if key not in written else ():
                left.put_into(memory, key)
        written |= written_in(lines)
        try:
            before = _before(call, old, memories[0])
            # What the journal does not show of its pauses is compared between two configs only.
            after = _play(call, new, memories[1], is_whole=old is not None)
        except UserError:
            raise
        except OrchestratorError as error:
            problems.append(f"{call.script.source}: {error}")
            continue
        change = compare(call.script.call_id, call.script.source, before, after)
        yield replace(change, has_pause=call.journal is not None and call.journal.has_pause)


def _before(call: Recorded, old: Plan | None, memory: Memory) -> Effects:
    if old is not None:
        return _play(call, old, memory, is_whole=True)
    if call.journal is None:
        raise UserError(
            f"{call.script.source} records no hooks; name the config to compare with: --against"
        )
    return effects_of(call.journal.lines)


def _play(call: Recorded, plan: Plan, memory: Memory, *, is_whole: bool) -> Effects:
    script = call.script
    given = given_of(call.journal.lines) if call.journal is not None else Given()
    played = play(
        plan,
        script,
        options=PlayOptions(linger=_linger(call)),
        given=given,
        memory=memory,
        start=script.started,
    )
    return effects_of(played.clear if is_whole else played.lines)


def _linger(call: Recorded) -> float:
    """A call that our side ended has no hang-up: its line stays open as long as it was."""
    end = call.journal.end if call.journal is not None else None
    last = max((event.t for event in call.script.events), default=0.0)
    return max(0.0, end - last) if end is not None else 0.0
