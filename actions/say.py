"""`say`: speak to the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from orchestrator.action import TEXT, Action, ActionContext, ActionFailed, Filled, Shape, record

__all__ = ["Say"]


class Say(Action):
    """Speak a text to the caller, after whatever is already queued.

    Of a list of texts one is spoken, chosen at random but the same whenever the same call is
    played again. `interruptible: false` keeps the caller from cutting it short; a runtime that
    cannot do that is refused when the config is loaded.

    ```yaml
    - say: "How can I help?"
    - say: ["Are you still there?", "Hello, can you hear me?"]
    - say: {text: "Connecting you now.", interruptible: false}
    ```
    """

    text: Annotated[str | list[str], "what to say; of a list, one at random", Filled]
    interruptible: Annotated[bool, "whether the caller may cut it short"] = True

    needs: ClassVar[frozenset[str]] = frozenset({"say"})
    output: ClassVar[Shape] = record({"text": TEXT})
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    @classmethod
    def needs_for(cls, options: Mapping[str, Any]) -> frozenset[str]:
        """Protected speech needs a runtime that can protect it."""
        return cls.needs | {"say.protected"} if options.get("interruptible") is False else cls.needs

    async def run(self, ctx: ActionContext) -> dict[str, str]:
        """Say one text; the output tells which."""
        texts = [self.text] if isinstance(self.text, str) else self.text
        if not texts:
            raise ActionFailed("`say` has an empty list of texts")
        text = texts[int(ctx.random * len(texts))] if len(texts) > 1 else texts[0]
        if text.strip():
            await ctx.say(text, interruptible=self.interruptible)
        return {"text": text}
