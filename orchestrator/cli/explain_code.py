"""`orchestrator explain-code`: what a finding's code means and how to mend it."""

from __future__ import annotations

import click

from orchestrator.cli.reporter import Painter, wants_color
from orchestrator.codes import CODES
from orchestrator.errors import UserError
from orchestrator.events import near_miss

__all__ = ["command"]


@click.command("explain-code")
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """What the code of a finding means, why it matters and how to mend it.

    Without CODE, all codes with their titles.

    \b
    orchestrator explain-code HK105
    """
    paint = Painter(is_on=wants_color())
    if code is None:
        for name, known in CODES.items():
            click.echo(f"{paint('bold', name)}  {known.title}", color=paint.is_on)
        return
    known_code = CODES.get(code.strip().upper())
    if known_code is None:
        near = near_miss(code, CODES)
        hint = f"did you mean {near}?" if near else "`orchestrator explain-code` lists them"
        raise UserError(f"there is no code {code!r}; {hint}")
    title, why, mend = known_code
    click.echo(
        f"{paint('bold', code.strip().upper())}: {title}\n\n{why}\n\n{mend}", color=paint.is_on
    )
