"""`orchestrator validate`: check configs and report every mistake."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from orchestrator.cli.find_configs import find_configs
from orchestrator.cli.parts import (
    find_includers,
    is_nameless,
    missing_names,
    spelled,
    spot,
    used_elsewhere,
    wholes_of,
    without_parts,
)
from orchestrator.cli.reporter import Painter, frame, plural, summary, wants_color
from orchestrator.errors import ConfigError, EnvironmentFailure, Problem
from orchestrator.targets import TARGETS
from orchestrator.validation import Checked, Settings, check_file, check_text
from orchestrator.validation.fixes import mend

__all__ = ["command"]

#: So many missing names, and a file is perhaps a part of another one.
_MANY = 2
_FORMATS = ("text", "json", "github", "sarif", "junit")


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, metavar="FILES|FOLDERS...")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="text",
    show_default=True,
    help="For people, scripts, GitHub annotations, code scanning, or CI.",
)
@click.option("--deny-warnings", is_flag=True, help="Warnings count as errors.")
@click.option(
    "--check-env",
    is_flag=True,
    help="Also check plugins, Python functions and environment variables.",
)
@click.option(
    "--allow-unknown-actions",
    is_flag=True,
    help="Let actions pass that are not installed here.",
)
@click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    metavar="NAME",
    help=f"The runtime that carries the calls: {', '.join(TARGETS)}.",
)
@click.option(
    "--fix",
    "is_fixing",
    is_flag=True,
    help="Mend what can be mended safely; comments and layout stay.",
)
def command(
    paths: tuple[str, ...],
    *,
    form: str,
    deny_warnings: bool,
    check_env: bool,
    allow_unknown_actions: bool,
    target: str | None,
    is_fixing: bool,
) -> int:
    """Check configs and report every mistake, with its place and how to mend it.

    Folders are searched for configs; call tests (*.calltest.yaml) are not configs. `-` reads the
    standard input. Nothing is needed but the files: no network, no secrets, no plugins.

    Exit code: 0 clean or warnings only, 1 findings, 2 wrong usage, 3 a file could not be read.

    \b
    orchestrator validate configs/
    orchestrator validate support.yaml --target livekit
    orchestrator validate configs/ --format sarif > findings.sarif
    """
    variables = os.environ if check_env else None
    settings = Settings(variables, allow_unknown_actions, target)
    found = find_configs(paths)
    lost = [f"no such file or folder: {path!r}" for path in found.missing]
    if not found.configs and not lost:
        raise EnvironmentFailure(f"no config in {', '.join(paths)}")
    if is_fixing:
        _fix_files(found.configs, settings)
    checked = [one for file in found.configs if (one := _check(file, settings, lost)) is not None]
    roots, notes = _whole(without_parts(checked), settings)
    problems = _problems(roots, settings)
    if found.configs or form != "text":
        names = [_STDIN if file == "-" else file for file in found.configs]
        _report(form, problems, names, found.skipped)
    for note in notes if form == "text" else ():
        click.echo(note, err=True)
    if lost:  # what could be checked was reported before
        raise EnvironmentFailure("\nerror: ".join(lost))
    is_bad = any(problem.is_error for problem in problems) or (deny_warnings and bool(problems))
    return 1 if is_bad else 0


#: What the standard input is called in findings.
_STDIN = "<stdin>"


def _check(file: str, settings: Settings, lost: list[str]) -> Checked | None:
    """The findings of a file; None, and why in `lost`, when it cannot be read."""
    if file == "-":
        return check_text(sys.stdin.read(), _STDIN, settings)
    try:
        return check_file(file, settings)
    except EnvironmentFailure as error:
        lost.append(str(error))
        return None


def _whole(checked: Sequence[Checked], settings: Settings) -> tuple[list[Checked], list[str]]:
    """Parts as parts of the configs near them that include them; and what to say of each."""
    found: list[Checked] = []
    notes: list[str] = []
    for one in checked:
        missing = missing_names(one) if one.file != _STDIN else 0
        includers = find_includers(one.file) if missing else []
        found += [check_file(file, settings) for file in includers] or [one]
        if includers:
            notes.append(f"{one.file}: checked as part of {', '.join(includers)}")
        elif missing >= _MANY and is_nameless(one):
            notes.append(f"{one.file}: if another file includes it, check that one")
    return found, notes


def _problems(checked: Sequence[Checked], settings: Settings) -> list[Problem]:
    """All findings in order; a file that several configs include is reported once."""
    found: dict[object, Problem] = {}
    denied = used_elsewhere(checked, settings)
    for one in checked:
        for problem in (*one.problems, *_environment_problems(one)):
            if (at := spot(problem)) not in denied:
                found.setdefault(at, problem)
    return list(found.values())


def _environment_problems(checked: Checked) -> Sequence[Problem]:
    """Values of the environment that do not fit where they are used."""
    is_whole = checked.is_good and not checked.skipped  # nothing can be made of unknown actions
    if not checked.reads_environment or checked.config is None or not is_whole:
        return ()
    from orchestrator.compiler import compile_config

    try:
        compile_config(checked.config, os.environ)
    except ConfigError as error:
        return error.problems
    return ()


def _fix_files(files: Sequence[str], settings: Settings) -> None:
    """Mend configs and the files that they include, each for all that include it."""
    checked = [check_file(file, settings) for file in files if Path(file).is_file()]
    mains = {Path(d.file).resolve(): (d.file, one) for one in checked for d in one.documents}
    for part, main in mains.values():
        others = wholes_of(part, checked, settings)
        _fix_file(part, main, [one for one in others if one is not main], settings)


def _fix_file(part: str, main: Checked, others: Sequence[Checked], settings: Settings) -> None:
    """Mend a file of a config where no other that includes it gets new findings."""
    names = [(main.file, part), *((one.file, spelled(part, one) or part) for one in others)]

    def problems(text: str) -> Sequence[Problem]:
        return [
            problem for file, name in names
            for problem in check_file(file, replace(settings, texts={name: text})).problems
        ]  # fmt: skip

    for document in (d for d in check_file(main.file, settings).documents if d.file == part):
        mended, count, refused = mend(document.text, part, problems)
        if refused:
            what = plural(refused, "place")
            click.echo(f"{part}: mend {what} by hand: a fix brings other findings", err=True)
        if count:
            mark = b"\xef\xbb\xbf" if Path(part).read_bytes().startswith(b"\xef\xbb\xbf") else b""
            Path(part).write_bytes(mark + mended.encode("utf-8"))
            click.echo(f"{part}: mended {plural(count, 'place')}", err=True)


def _report(
    form: str, problems: Sequence[Problem], files: Sequence[str], skipped: Sequence[str]
) -> None:
    if form != "text":
        from orchestrator.cli.formats import FORMATS

        click.echo(FORMATS[form](problems, files))
        return
    painter = Painter(is_on=wants_color())
    for problem in problems:
        click.echo(frame(problem, painter) + "\n", color=painter.is_on)
    click.echo(summary(problems, len(files), skipped))
