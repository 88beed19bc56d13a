"""`play`: play a sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from orchestrator.action import (
    NULL,
    Action,
    ActionContext,
    ActionFailed,
    Duration,
    Filled,
    Seconds,
    Shape,
    Url,
)

__all__ = ["Play"]


class Play(Action):
    """Play a sound to the caller, after whatever is already queued.

    The runtime fetches it: an https address whose host is written out, such as a file of your own
    web space.

    Say how long it `lasts`. Where a runtime does not report when audio ends (`playback`; phone
    calls of `serve` do not), nobody else knows: without it the sound counts as a minute of speech,
    so that neither `end_call` nor a transfer cuts it and no silence is counted meanwhile, unless
    the caller cuts in or the runtime reports its end.

    ```yaml
    - play: {source: "https://example.com/sounds/please-hold.mp3", lasts: 12s}
    - play:
        source: "https://example.com/sounds/ring.mp3"
        lasts: 2s
        loop: 3
        interruptible: false
    ```
    """

    source: Annotated[Url, "the sound's https address", Filled]
    loop: Annotated[int, "how many times", range(1, 101)] = 1
    lasts: Annotated[
        Duration | None, "how long it takes once, where that is known", Seconds(0.1)
    ] = None
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
        await ctx.play(
            self.source, loop=self.loop, interruptible=self.interruptible, lasts=self.lasts
        )
