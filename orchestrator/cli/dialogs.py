"""What `--dialog` names: the dialog machines of calls."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.dialog import Dialogs, Echo, HttpDialog, OpenAIDialog, from_callable
from orchestrator.dialog.contract import is_superdialog
from orchestrator.errors import EnvironmentFailure, UserError
from orchestrator.registry import import_name
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
    return _imported(name)


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


def _imported(name: str) -> Dialogs:
    found = import_name(name)
    if not isinstance(found, type):
        if is_superdialog(found):
            raise click.UsageError(
                f"{name} holds one conversation, which callers must not share; name a class or "
                "function that makes one for each call"
            )
        if isinstance(found, DialogMachine):
            return Dialogs(name, lambda ctx: found, shared=found)
        if _is_async(found):
            machine = from_callable(found)
            return Dialogs(name, lambda ctx: machine, shared=machine)
        if not callable(found):
            raise click.UsageError(
                f"{name} is neither a dialog machine (`stream(text)`) nor a class or function that "
                "makes one nor an async function"
            )
    if _takes_call(name, found):
        return Dialogs(name, found)
    return Dialogs(name, lambda ctx: found(), is_for_any=True)


def _is_async(found: Any) -> bool:
    """Whether it is a function that writes replies: it answers with words, at once or in pieces."""
    if isinstance(found, functools.partial):
        return _is_async(found.func)
    functions = (found, getattr(found, "__call__", None))  # noqa: B004 - its kind is asked
    return any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in functions)


def _takes_call(name: str, factory: Callable[..., Any]) -> bool:
    """Whether what makes machines needs the call's context."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # written in C
        return False
    needed = [
        p for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    if len(needed) > 1:
        raise click.UsageError(
            f"{name} needs {len(needed)} arguments; it is given the call's context"
        )
    return bool(needed)
