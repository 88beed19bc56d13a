"""What `--dialog` names: the dialog machines of calls."""

from __future__ import annotations

import os
from collections.abc import Callable

from orchestrator.dialog import Echo, from_callable
from orchestrator.dialog_http import HttpDialog, OpenAIDialog
from orchestrator.errors import UserError
from orchestrator.registry import import_name
from orchestrator.runtime import DialogMachine

__all__ = ["DIALOG_HELP", "dialog_maker"]

DIALOG_HELP = (
    "What writes the agent's replies: `echo` (default); MODULE:NAME of an object with "
    "`stream(text)`, of a class of such (one is made for each call), or of an async function; the "
    "URL of an endpoint, text in, text out; or openai:MODEL, with OPENAI_BASE_URL and "
    "OPENAI_API_KEY."
)


def dialog_maker(name: str | None) -> Callable[[], DialogMachine]:
    """What makes the dialog machine of a call; see `DIALOG_HELP`.

    Raises:
        UserError: the name is of something else.
        EnvironmentFailure: it cannot be imported, or needs a package that is missing.
    """
    if name is None or name == "echo":
        return Echo
    if name.startswith(("http://", "https://")):
        return lambda: HttpDialog(name)
    if name.startswith("openai:"):
        base_url = os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        key, model = os.environ.get("OPENAI_API_KEY", ""), name.removeprefix("openai:")
        OpenAIDialog(model, base_url=base_url)  # says now that a package is missing
        return lambda: OpenAIDialog(model, base_url=base_url, api_key=key)
    found = import_name(name)
    if isinstance(found, type):
        return found
    if isinstance(found, DialogMachine):
        return lambda: found
    if callable(found):
        machine = from_callable(found)
        return lambda: machine
    raise UserError(f"{name} is neither a dialog machine (`stream(text)`) nor an async function")
