"""`python`: call a function of your own."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from orchestrator.action import Action, ActionContext, ActionFailed, PythonName, named

__all__ = ["Python"]


class Python(Action):
    """Call an async function of your own: `async def score_turn(ctx, text)`.

    It gets the action context and the event's fields, or fewer if it takes fewer; `args` are given
    by name. A plain function is run in a thread, so that it cannot stop the call. What it returns
    is the output, and must be plain data.

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
        function, count, names = load_function(self.call)
        positional = [ctx, *ctx.event.values()][:count]
        taken = {n: v for n, v in self.args.items() if names is None or n in names}
        if len(taken) < len(self.args):
            unknown = ", ".join(sorted(set(self.args) - set(taken)))
            raise ActionFailed(f"{self.call} takes no argument {unknown}")
        if inspect.iscoroutinefunction(function):
            return await function(*positional, **taken)
        output = await ctx.in_thread(function, *positional, **taken)
        return await output if inspect.isawaitable(output) else output


@lru_cache(maxsize=1024)
def load_function(name: str) -> tuple[Callable[..., Any], int | None, frozenset[str] | None]:
    """The function, how many positional arguments it takes, and its parameter names.

    None stands for any number, or any names.

    Raises:
        ActionFailed: there is no such function.
    """
    module, _, path = name.partition(":")
    try:
        function: Any = importlib.import_module(module)
        for part in path.split("."):
            function = getattr(function, part)
        parameters = inspect.signature(function).parameters.values()
    except Exception as error:
        raise ActionFailed(f"cannot load {name}: {named(error)}") from error
    kinds = {p.kind for p in parameters}
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_any = inspect.Parameter.VAR_POSITIONAL in kinds
    takes_names = inspect.Parameter.VAR_KEYWORD in kinds
    names = None if takes_names else frozenset(p.name for p in parameters)
    return function, None if takes_any else len(positional), names
