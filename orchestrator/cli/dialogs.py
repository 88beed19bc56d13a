"""What `--dialog` names: the dialog machines of calls."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.dialogs_imported import imported
from orchestrator.dialog import Dialogs, Echo, HttpDialog, OpenAIDialog
from orchestrator.errors import EnvironmentFailure, UserError
from orchestrator.runtime import DialogMachine
from orchestrator.scriptevent import read_text

if TYPE_CHECKING:
    from orchestrator.runtimes.native import CallContext

__all__ = ["DIALOG_HELP", "INSTRUCTIONS", "dialogs_named"]

DIALOG_HELP = (
    "What writes the agent's replies: `echo` (default); MODULE:NAME of an object with "
    "`stream(text)`, of a class or function that makes one for each call (with one parameter it is "
    "given the call's context), or of an async function; the URL of an endpoint, text in, text "
    "out; or openai:MODEL, with OPENAI_BASE_URL and OPENAI_API_KEY."
)
#: The option for a model's system prompt.
INSTRUCTIONS = click.option(
    "--instructions", envvar="ORCHESTRATOR_INSTRUCTIONS", show_envvar=True, metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A text file with the instructions (system prompt) of openai:MODEL.",
)  # fmt: skip


def dialogs_named(name: str | None, instructions: Path | None = None) -> Dialogs:
    """The dialog machines that a name stands for; see `DIALOG_HELP`.

    Raises:
        UsageError: the name is of something else, can never work, or takes no instructions.
        EnvironmentFailure: it cannot be imported, needs a package that is missing, or a variable
            that goes with it can never work.
    """
    name = name or "echo"
    if name.startswith("openai:"):
        return _models(name, read_text(instructions) if instructions is not None else "")
    if instructions is not None:
        raise click.UsageError(f"--instructions are for openai:MODEL, not for {name}")
    if name == "echo":
        return Dialogs(name, lambda ctx: Echo())
    if name.startswith(("http://", "https://")):
        try:
            HttpDialog(name)  # says now that it can never be asked
        except UserError as error:
            raise click.UsageError(f"--dialog: {error}") from None
        return Dialogs("of the endpoint", lambda ctx: HttpDialog(name, call=_about(ctx)))
    return imported(name)


def _about(ctx: CallContext | None) -> dict[str, Any]:
    """What an endpoint is told of a call: enough to tell calls apart, and nobody's number."""
    if ctx is None:
        return {}
    return {"id": ctx.call_id, "session_id": ctx.session_id, "direction": ctx.direction}


def _models(name: str, instructions: str) -> Dialogs:
    base_url = os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
    key, model = os.environ.get("OPENAI_API_KEY", ""), name.removeprefix("openai:")
    if not model.strip():
        raise click.UsageError("--dialog: openai:MODEL names a model, such as openai:gpt-4.1-mini")
    for variable, checked in (("OPENAI_BASE_URL", ""), ("OPENAI_API_KEY", key)):
        try:  # says now what can never work, or that a package is missing
            OpenAIDialog(model, base_url=base_url, api_key=checked)
        except UserError as error:
            raise EnvironmentFailure(f"{variable}: {error}") from None

    def make(ctx: CallContext | None) -> DialogMachine:
        parts = (instructions.strip(), ctx.instructions.strip() if ctx is not None else "")
        system = "\n\n".join(part for part in parts if part)
        return OpenAIDialog(model, base_url=base_url, api_key=key, system=system)

    return Dialogs(name, make)
