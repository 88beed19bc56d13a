"""`inject`: a note to the dialog machine."""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestrator.action import NULL, Action, ActionContext, Filled, Shape

__all__ = ["Inject"]


class Inject(Action):
    """Give the dialog machine a note; the caller does not hear it.

    It is part of the conversation from the next reply on. An endpoint that keeps the conversation
    itself is told it once.

    ```yaml
    - inject: "Verify the date of birth before anything else."
    ```
    """

    note: Annotated[str, "what the dialog machine should know", Filled]

    needs: ClassVar[frozenset[str]] = frozenset({"inject"})
    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    async def run(self, ctx: ActionContext) -> None:
        """Hand over the note."""
        await ctx.inject(self.note)
