"""`play`: play a sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from orchestrator.action import (
    NULL,
    Action,
    ActionContext,
    ActionFailed,
    Filled,
    Shape,
    Url,
)

__all__ = ["Play"]


class Play(Action):
    """Play a sound to the caller, after whatever is already queued.

    The runtime fetches it: an https address whose host is written out, such as a file of your own
    web space.

    ```yaml
    - play: "https://example.com/sounds/please-hold.mp3"
    - play: {source: "https://example.com/sounds/ring.mp3", loop: 3, interruptible: false}
    ```
    """

    source: Annotated[Url, "the sound's https address", Filled]
    loop: Annotated[int, "how many times", range(1, 101)] = 1
    interruptible: Annotated[bool, "whether the caller may cut it short"] = True

    needs: ClassVar[frozenset[str]] = frozenset({"play"})
    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    @classmethod
    def needs_for(cls, options: Mapping[str, Any]) -> frozenset[str]:
        """Protected sound needs a runtime that can protect it."""
        return cls.needs | {"say.protected"} if options.get("interruptible") is False else cls.needs

    async def run(self, ctx: ActionContext) -> None:
        """Have it played."""
        if not self.source.startswith(("https://", "http://")):
            raise ActionFailed("a sound is played from an https address")
        await ctx.play(self.source, loop=self.loop, interruptible=self.interruptible)
