"""`forget`: drop what `remember` kept."""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestrator.action import BOOL, Action, ActionContext, Filled, Shape, record

__all__ = ["Forget"]


class Forget(Action):
    """Drop a value that `remember` kept, and its counts.

    ```yaml
    - forget: "blocked:{{ call.user_number }}"
    ```
    """

    key: Annotated[str, "the name of the value", Filled]

    output: ClassVar[Shape] = record({"was_there": BOOL})
    waits: ClassVar[bool] = False

    def run(self, ctx: ActionContext) -> dict[str, bool]:
        """Drop it; the output tells whether it was there."""
        return {"was_there": ctx.memory.forget(self.key)}
