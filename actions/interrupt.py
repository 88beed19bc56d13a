"""`interrupt`: stop the agent's speech."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.action import NULL, Action, ActionContext, Shape

__all__ = ["Interrupt"]


class Interrupt(Action):
    """Stop the agent's speech at once, and drop what is queued.

    ```yaml
    - interrupt: {}
    ```
    """

    needs: ClassVar[frozenset[str]] = frozenset({"interrupt"})
    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    async def run(self, ctx: ActionContext) -> None:
        """Ask the runtime to stop speaking."""
        await ctx.interrupt()
