"""`cancel_timer`: cancel a timer or a silence ladder."""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestrator.action import BOOL, Action, ActionContext, Filled, Shape, record

__all__ = ["CancelTimer"]


class CancelTimer(Action):
    """Cancel a `timer` or `silence_timer` by its name; harmless when it is not armed.

    ```yaml
    - cancel_timer: one moment
    ```
    """

    name: Annotated[str, "the timer's name", Filled]

    output: ClassVar[Shape] = record({"was_armed": BOOL})
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    def run(self, ctx: ActionContext) -> dict[str, bool]:
        """Cancel it; the output tells whether it was armed."""
        return {"was_armed": ctx.cancel_timer(self.name)}
