"""Dialog machines: what answers a caller, a reply at a time, behind `stream(text)`."""

from orchestrator.dialog.http import HttpDialog
from orchestrator.dialog.machines import Dialogs, Echo, from_callable
from orchestrator.dialog.openai import OpenAIDialog

__all__ = ["Dialogs", "Echo", "HttpDialog", "OpenAIDialog", "from_callable"]
