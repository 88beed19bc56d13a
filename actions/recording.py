"""`recording`: pause and resume the recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from orchestrator.action import NULL, Action, ActionContext, Duration, Fault, Filled, Shape

__all__ = ["Recording"]


class Recording(Action):
    """Pause the recording, for example while a card number is read out, and resume it.

    A pause always ends: at a `resume`, after `max`, on a transfer, on an error, and when the call
    ends. A resume that fails is asked for again, with pauses that grow, until it works or the call
    is over. A config in which nothing resumes a pause is refused.

    ```yaml
    - recording: pause
    - recording: {pause: "card number", max: 90s}
    - recording: resume
    ```
    """

    do: Annotated[Literal["pause", "resume"] | None, "pause or resume"] = None
    pause: Annotated[str | None, "pause, and why", Filled] = None
    max: Annotated[Duration, "how long a pause may last"] = Duration(300)

    needs: ClassVar[frozenset[str]] = frozenset({"recording"})
    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """Either a word or a pause with its reason."""
        if ("do" in options) == ("pause" in options):
            return [Fault("say `pause` or `resume`", help="write `recording: pause`")]
        return ()

    async def run(self, ctx: ActionContext) -> None:
        """Pause or resume."""
        if self.do == "resume":
            await ctx.resume_recording()
        else:
            await ctx.pause_recording(self.pause or "", at_most=self.max)
