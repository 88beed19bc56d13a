"""`timer`: do something later in the call."""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestrator.action import (
    NULL,
    Action,
    ActionContext,
    Duration,
    EventName,
    Filled,
    Shape,
    Steps,
)

__all__ = ["Timer"]


class Timer(Action):
    """Run steps after a time, unless one of `cancel_on` happens before.

    Arming a timer of the same name again restarts it. In its steps, `event` is the event of the
    hook that armed it. A timer ends with the call.

    ```yaml
    - timer:
        name: wrap up
        after: 8m
        steps:
          - inject: "Come to an end within two minutes."
    ```
    """

    after: Annotated[Duration, "how long to wait"]
    steps: Annotated[Steps, "what to do then"]
    name: Annotated[str, "the name, for `cancel_timer` and restarts", Filled] = "timer"
    cancel_on: Annotated[EventName | list[EventName], "events that cancel it", Filled] = []

    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    def run(self, ctx: ActionContext) -> None:
        """Arm it."""
        events = [self.cancel_on] if isinstance(self.cancel_on, str) else self.cancel_on
        ctx.start_timer(self.name, self.after, self.steps, cancel_on=events)
