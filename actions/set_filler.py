"""`set_filler`: what to say while the agent thinks."""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestrator.action import NULL, Action, ActionContext, Shape

__all__ = ["SetFiller"]


class SetFiller(Action):
    """Set what the runtime says while the agent thinks; an empty text turns it off.

    ```yaml
    - set_filler: "One moment, please."
    ```
    """

    text: Annotated[str, "the filler; empty for none"]

    needs: ClassVar[frozenset[str]] = frozenset({"filler"})
    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    async def run(self, ctx: ActionContext) -> None:
        """Tell the runtime."""
        await ctx.set_filler(self.text)
