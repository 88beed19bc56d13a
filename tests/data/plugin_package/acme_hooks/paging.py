"""An action as its author writes it: only `orchestrator` is imported."""

from typing import Annotated, Literal

from orchestrator import Action, ActionContext, ActionFailed


class PageOnCall(Action):
    """Page the on-call engineer about a live call.

    ```yaml
    - page_on_call: billing
    ```
    """

    service: Annotated[str, "which service to page"]
    urgency: Annotated[Literal["low", "high"], "how loud"] = "high"

    async def run(self, ctx: ActionContext) -> dict[str, str]:
        if self.service == "nobody":
            raise ActionFailed("nobody is on call")
        return {"paged": self.service, "urgency": self.urgency, "call": ctx.call.id}
