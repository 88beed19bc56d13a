"""`remember`: keep a value beyond the call."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from orchestrator.action import NULL, Action, ActionContext, Duration, Filled, Shape

__all__ = ["Remember"]


class Remember(Action):
    """Keep a value beyond the call, and count it.

    `memory.get(key)` gives it back in any later call; `memory.count(key, '5m')` says how often the
    key was remembered in that time, which makes a rate limit.

    ```yaml
    - remember: {key: "blocked:{{ call.user_number }}", for: 24h}
    - remember: paged
    ```
    """

    key: Annotated[str, "the name of the value", Filled]
    value: Annotated[Any, "the value"] = True
    for_: Annotated[Duration | None, "how long to keep it; for ever when left out"] = None

    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False

    def run(self, ctx: ActionContext) -> None:
        """Set and count the key."""
        ctx.memory.remember(self.key, self.value, lifetime=self.for_)
