"""`emit`: fire a custom event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from orchestrator.action import NULL, Action, ActionContext, EventName, Fault, Shape

__all__ = ["Emit"]


class Emit(Action):
    """Fire an event of your own; hooks under `session: custom.<name>` run after the present event.

    ```yaml
    - emit: {event: custom.verified, fields: {level: 2}}
    ```
    """

    event: Annotated[EventName, "custom.<name>"]
    fields: Annotated[dict[str, Any], "what `event.<field>` gives in its hooks"] = {}

    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """Only custom events may be emitted: the others are the runtime's."""
        event = str(options.get("event") or "custom.")
        if not event.startswith("custom."):
            return [Fault(f"`{event}` is reported by the runtime", "event", "emit `custom.<name>`")]
        return ()

    async def run(self, ctx: ActionContext) -> None:
        """Queue the event."""
        await ctx.emit(self.event, self.fields)
