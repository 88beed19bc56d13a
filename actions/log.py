"""`log`: write a line to the log."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from orchestrator.action import NULL, Action, ActionContext, Filled, Shape

__all__ = ["Log"]


class Log(Action):
    """Write a structured line to the log.

    It goes through Python's `logging`, logger `orchestrator.hooks`, with the call's id, so it ends
    up wherever the host program sends its logs; `ORCHESTRATOR_LOG=json` prints JSON lines. Secrets
    are masked, and under `privacy: redact` speech and numbers too.

    ```yaml
    - log: "call {{ call.id }} from {{ call.user_number }}"
    - log: {message: transcript, level: debug, fields: {turns: "{{ call.transcript }}"}}
    ```
    """

    message: Annotated[str, "what to write", Filled]
    fields: Annotated[dict[str, Any], "further values, kept apart from the message"] = {}
    level: Annotated[Literal["debug", "info", "warning", "error"], "how loud"] = "info"

    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False

    def run(self, ctx: ActionContext) -> None:
        """Hand the line to logging."""
        ctx.write_log(self.level, self.message, self.fields)
