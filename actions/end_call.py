"""`end_call`: end the call."""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestrator.action import NULL, Action, ActionContext, Filled, Shape

__all__ = ["EndCall"]


class EndCall(Action):
    """End the call once speech that is already queued was heard.

    Steps and hooks after it still run. The reason becomes `call.end_reason`; a second `end_call`
    changes nothing.

    ```yaml
    - end_call: no_response
    ```
    """

    reason: Annotated[str, "why; becomes `call.end_reason`", Filled] = "completed"

    needs: ClassVar[frozenset[str]] = frozenset({"end"})
    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    async def run(self, ctx: ActionContext) -> None:
        """Ask the runtime to end the call."""
        await ctx.end(self.reason)
