"""Dialog machines: what answers a caller, a reply at a time, behind `stream(text)`.

Here are those that need nothing; `http` has the ones behind an endpoint.
"""

from orchestrator.dialog.machines import Dialogs, Echo, from_callable

__all__ = ["Dialogs", "Echo", "from_callable"]
