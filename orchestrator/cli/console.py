"""`orchestrator console`: be the caller."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from orchestrator.app import Orchestrator
from orchestrator.cli.dialogs import DIALOG_HELP, INSTRUCTIONS, dialogs_named
from orchestrator.dialog import Dialogs
from orchestrator.journal import Redactor, encode
from orchestrator.review.story import tell_line
from orchestrator.runtime import CallOffer
from orchestrator.runtimes.console_bridge import COMMANDS, ConsoleBridge, read_lines
from orchestrator.runtimes.native import AgentRunner
from orchestrator.testing.given import Given
from orchestrator.testing.givenreader import load_given
from orchestrator.validation import load_config
from orchestrator.written import printable

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("console")
@click.argument("config", metavar="FILE", type=_PATH)
@click.option("--dialog", metavar="MACHINE", help=DIALOG_HELP)
@INSTRUCTIONS
@click.option("--given", "given_file", metavar="FILE", type=_PATH,
              help="What outside systems answer, as `given` in call tests.")  # fmt: skip
@click.option("--from", "number", metavar="NUMBER", default="+15550100", show_default=True,
              help="The caller's number.")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Also show what the hooks do.")
def command(
    config: Path, dialog: str | None, instructions: Path | None, given_file: Path | None,
    number: str, *, verbose: bool,
) -> None:  # fmt: skip
    """Be the caller: each line that you type is what you say; /help lists what else can be done.

    The call runs in real time, and what hooks send is really sent, except for what --given
    answers. The end of the input hangs up, so it works on a pipe too.

    \b
    Example:
      orchestrator console support-line.yaml --verbose
      printf 'hello\\n/wait 9\\n' | orchestrator console support-line.yaml
    """
    loaded = load_config(config)
    given = Given(load_given(given_file, loaded)) if given_file is not None else None
    dialogs = dialogs_named(dialog, instructions)
    app = Orchestrator(loaded, journals=_Printer() if verbose else None, given=given)
    if sys.stdin.isatty():
        click.echo(f"{loaded.name}: you are the caller. {', '.join(COMMANDS)}")
    asyncio.run(_carry(app, dialogs, number))


async def _carry(app: Orchestrator, dialogs: Dialogs, number: str) -> None:
    dialogs.prepare()
    runner = AgentRunner(dialogs.carry)
    app.attach(runner)
    offer = CallOffer("console", user_number=number)
    try:
        await runner.handle(ConsoleBridge(read_lines(sys.stdin.fileno()), _Screen(), offer))
    finally:
        await app.aclose()
        await dialogs.aclose()


def _show(
    text: str = "", color: str | None = None, *, is_dim: bool = False, ends: bool = True
) -> None:
    """Print; when nobody reads any more, the call goes on unseen."""
    lines = "\n".join(map(printable, text.split("\n")))
    try:
        click.secho(lines, fg=color, dim=is_dim or None, nl=ends)
    except BrokenPipeError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end


class _Screen:
    """Shows what the agent says; the pieces of a reply come on one line."""

    def __init__(self) -> None:
        self._is_in_reply = False

    def __call__(self, who: str, text: str) -> None:
        if who == "reply":
            self._reply(text)
            return
        self._end_reply()
        color = {"agent": "green", "note": "yellow"}.get(who)
        for line in text.split("\n"):
            _show(f"{who}: {line}" if who == "agent" else f"* {line}", color)

    def _reply(self, text: str) -> None:
        if not text:
            self._end_reply()
            return
        head = "" if self._is_in_reply else "agent: "
        self._is_in_reply = True
        _show(head + text, "green", ends=False)

    def _end_reply(self) -> None:
        if self._is_in_reply:
            self._is_in_reply = False
            _show()


class _Printer:
    """A sink that tells the journal as it grows."""

    def put(self, call_id: str, records: Sequence[Any], redactor: Redactor, began: float) -> None:
        """Print what is new."""
        for line in encode(records, redactor, began):
            _show(tell_line(line), is_dim=True)

    def close(self) -> None:
        """Nothing to write."""
