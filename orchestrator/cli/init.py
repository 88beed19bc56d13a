"""`orchestrator init`: a first config with its call test."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from orchestrator.errors import EnvironmentFailure, UserError

__all__ = ["STARTER_FILES", "command"]

#: What is written, from the package's folder `starter`.
STARTER_FILES = ("hooks.yaml", "hooks.calltest.yaml")


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def command(directory: Path, *, force: bool) -> None:
    """Write a commented starter config, hooks.yaml, with call tests that pass.

    \b
    Example:
      orchestrator init my-agent
      cd my-agent && orchestrator test
    """
    there = [name for name in STARTER_FILES if (directory / name).exists()]
    if there and not force:
        raise UserError(
            f"{', '.join(str(directory / name) for name in there)} exists already; "
            "use --force to overwrite, or name another folder"
        )
    for name in STARTER_FILES:
        _write(directory / name, files("orchestrator").joinpath("starter", name).read_bytes())
        click.echo(f"wrote {directory / name}")
    path = directory / "hooks.yaml"
    click.echo(
        "\nNext: read hooks.yaml, then\n"
        f"  orchestrator validate {path}\n"
        f"  orchestrator test {directory}\n"
        f"  orchestrator console {path}"
    )


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise EnvironmentFailure(f"cannot write {path}: {error.strerror}") from error
