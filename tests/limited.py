"""A plugin whose action has a kind of limit of its own."""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestrator.action import Action, ActionContext, ActionFailed, Limit, Rate

tries: list[str] = []


class SendText(Action):
    """Send a text message."""

    text: Annotated[str, "what to send"]

    limited: ClassVar[Limit | None] = Limit("texts", per_call=3, all_calls=Rate(4, 60))

    async def run(self, ctx: ActionContext) -> None:
        """Fail where the text says so."""
        tries.append(self.text)
        if self.text == "fails":
            raise ActionFailed("the network is busy", retryable=True)
