"""`orchestrator run`: play calls through a config."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from orchestrator.cli.progress import tracked
from orchestrator.cli.runs import (
    Inputs,
    Ran,
    open_run,
    read_inputs,
    run_in_real_time,
    write_journal,
)
from orchestrator.cli.tables import table
from orchestrator.errors import OrchestratorError, UserError
from orchestrator.review.summary import CallSummary, add_up

__all__ = ["ManyFiles", "command"]


class ManyFiles(click.Command):
    """A command whose options `--call` and `--segments` take several files each: `--call *.jsonl`.

    What stands behind such an option is its own, up to the next option or to a YAML file.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its files."""
        spread: list[str] = []
        option = ""
        for arg in args:
            if arg in ("--call", "--segments"):
                option = arg
            elif arg.startswith("-") or arg.endswith((".yaml", ".yml")) or not option:
                option = ""
                spread.append(arg)
            else:
                spread += [option, arg]
        return super().parse_args(ctx, spread)


_PATH = click.Path(path_type=Path)


@click.command("run", cls=ManyFiles)
@click.argument("config", metavar="FILE", type=_PATH)
@click.option("--call", "scripts", metavar="SCRIPT...", multiple=True, type=_PATH,
              help="Call scripts or journals to play; folders of *.jsonl too.")  # fmt: skip
@click.option("--segments", metavar="FILE...", multiple=True, type=_PATH,
              help="Recorded speech segments to play; folders of *.jsonl too.")  # fmt: skip
@click.option("--journal-dir", metavar="DIR", type=_PATH, help="Write one journal a call there.")
@click.option("--given", "given_file", metavar="FILE", type=_PATH,
              help="What outside systems answer, as `given` in call tests.")  # fmt: skip
@click.option("--realtime", is_flag=True,
              help="Play at the speed of life, and really send what hooks send.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def command(
    config: Path,
    scripts: tuple[Path, ...],
    segments: tuple[Path, ...],
    journal_dir: Path | None,
    given_file: Path | None,
    form: str,
    *,
    realtime: bool,
) -> int:
    """Play call scripts or recorded calls through a config, and say what its hooks did.

    In virtual time, unless told otherwise: a call takes milliseconds and nothing leaves the
    machine. Outside systems answer what --given says; what else would be sent is marked `not_sent`
    in the journal. Calls share the cross-call memory, in the order given.

    \b
    Example:
      orchestrator run support-line.yaml --call calls/*.jsonl --journal-dir journals
      orchestrator run support-line.yaml --segments recordings/ --given answers.yaml

    Exit codes: 0 all calls were played, 1 an input is malformed or the config has mistakes,
    2 wrong usage, 3 a file cannot be read or written.
    """
    if not scripts and not segments:
        raise click.UsageError("name calls to play, with --call or --segments")
    run = open_run(config, given_file, is_real=realtime)
    inputs = read_inputs(scripts, segments)
    if realtime:
        calls = run_in_real_time(run, inputs, journal_dir)
    else:
        calls = _play_all(run, inputs, journal_dir)
    for problem in inputs.problems:
        click.echo(f"error: {problem}", err=True)
    if form == "json":
        click.echo(_json(calls, inputs))
    elif calls or not inputs.problems:
        click.echo(_text(calls))
    return inputs.exit_code


def _play_all(run: Ran, inputs: Inputs, journal_dir: Path | None) -> list[CallSummary]:
    summaries = []
    taken: set[str] = set()
    for script in tracked(inputs.scripts, "calls"):
        try:
            played = run.play(script)
        except UserError:
            raise  # the config cannot be played at all
        except OrchestratorError as error:
            inputs.problems.append(f"{script.source}: {error}")
            continue
        summaries.append(run.summary(played))
        if journal_dir is not None:
            write_journal(journal_dir, played.call_id, played.lines, taken)
    if run.stand_ins:
        click.echo(f"note: not set, so played with stand-ins: {', '.join(run.stand_ins)}", err=True)
    return summaries


_COLUMNS = ("call", "seconds", "turns", "hooks", "steps", "failed", "not sent", "says",
            "transfers", "ends", "acts", "state")  # fmt: skip


def _text(calls: list[CallSummary]) -> str:
    rows = [[str(value) for value in _cells(call)] for call in calls]
    return table(_COLUMNS, rows, [str(value) for value in _cells(add_up(calls))])


def _cells(call: CallSummary) -> list[object]:
    values = asdict(call)
    values["seconds"] = f"{call.seconds:.1f}"
    return list(values.values())


def _json(calls: list[CallSummary], inputs: Inputs) -> str:
    report = {
        "calls": [asdict(call) for call in calls],
        "totals": asdict(add_up(calls)),
        "problems": inputs.problems,
    }
    return json.dumps(report, indent=2, ensure_ascii=False)
