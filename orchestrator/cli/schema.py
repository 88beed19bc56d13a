"""`orchestrator schema`: print the JSON Schema of configs, for editors."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.plugins import registry_with
from orchestrator.errors import EnvironmentFailure, UserError
from orchestrator.schema import schema_text

__all__ = ["command"]


@click.command("schema")
@click.option(
    "--with",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Also the actions of this plugin module; may be repeated.",
)
@click.option(
    "--check",
    "file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Do not print it; fail if FILE is not exactly this schema.",
)
def command(modules: tuple[str, ...], file: str | None) -> None:
    """Print the JSON Schema of configs: one file, for editors and CI.

    It knows the actions that are built in or installed, and with --with those of your own.

    \b
    orchestrator schema > orchestrator.schema.json
    orchestrator schema --with my_company.actions > my.schema.json
    """
    text = schema_text(registry_with(modules))
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        found = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailure(f"cannot read {file!r}: {error.strerror}") from error
    if found != text:
        raise UserError(f"{file} is not what `orchestrator schema` prints; write it anew")
    click.echo(f"{file} is up to date")
