"""A plugin and functions that give their secrets away, as far as they can."""

from __future__ import annotations

from typing import Annotated, Any

from orchestrator.action import Action, ActionContext, ActionFailed, Secret


class CallPager(Action):
    """Page somebody, with a key of one's own."""

    key: Annotated[Secret, "the pager's key"]
    fails: Annotated[str, "how"] = "raise"

    async def run(self, ctx: ActionContext) -> Any:
        """Tell the key in every way that an action has."""
        ctx.log.warning("paging")
        if self.fails == "raise":
            raise RuntimeError(f"the pager refused {self.key}") from ValueError(self.key)
        if self.fails == "fail":
            raise ActionFailed(f"the pager refused {self.key}", detail={"key": self.key})
        return {"used": self.key, self.key: 1}


async def leak(ctx: Any) -> None:
    """Raise with a constant of the config that is a secret."""
    raise KeyError(ctx.vars["api_token"])


def leak_in_thread(ctx: Any) -> None:
    """The same in a thread."""
    raise OSError(ctx.vars["api_token"], "is wrong")
