"""`python`: call a function of your own."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from orchestrator.action import (
    Action,
    ActionContext,
    ActionFailed,
    PythonName,
    bind_arguments,
    named,
)

__all__ = ["Python"]


class Python(Action):
    """Call an async function of your own: `async def score_turn(ctx, text)`.

    `args` are given by name; what else it takes gets the action context and the event's fields, in
    this order, or fewer if it takes fewer. A plain function is run in a thread, so that it cannot
    stop the call. What it returns is the output, and must be plain data.

    ```yaml
    - python: my_company.hooks:score_turn
      background: true
    - python: {call: my_company.hooks:tier, args: {plan: "{{ data.customer.plan }}"}}
      save: tier
    ```
    """

    call: Annotated[PythonName, "module:function"]
    args: Annotated[dict[str, Any], "arguments given by name"] = {}

    main: ClassVar[str] = "call"

    async def run(self, ctx: ActionContext) -> Any:
        """Call the function with as many arguments as it takes."""
        function = load_function(self.call)
        try:
            bound = bind_arguments(function, [ctx, *ctx.event.values()], self.args)
        except ActionFailed as error:
            raise ActionFailed(f"{self.call}: {error}") from error
        if inspect.iscoroutinefunction(function):
            return await function(*bound.args, **bound.kwargs)
        output = await ctx.in_thread(function, *bound.args, **bound.kwargs)
        return await output if inspect.isawaitable(output) else output


@lru_cache(maxsize=1024)
def load_function(name: str) -> Callable[..., Any]:
    """The function that a name stands for.

    Raises:
        ActionFailed: there is no such function.
    """
    module, _, path = name.partition(":")
    try:
        function: Any = importlib.import_module(module)
        for part in path.split("."):
            function = getattr(function, part)
        inspect.signature(function)
    except Exception as error:
        raise ActionFailed(f"cannot load {name}: {named(error)}") from error
    return function  # type: ignore[no-any-return]
