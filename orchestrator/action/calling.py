"""Calling a function of somebody else with as much of what there is as it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from orchestrator.errors import ActionFailed

__all__ = ["bind_arguments"]

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


#: Reading a signature costs more than a call.
_signature = lru_cache(maxsize=1024)(inspect.signature)


def bind_arguments(
    function: Callable[..., Any], values: Sequence[Any], named: Mapping[str, Any]
) -> inspect.BoundArguments:
    """The arguments of one call: `named` ones by name, then `values` in order for the others.

    A function may take fewer values than there are, not more.

    Raises:
        ActionFailed: it does not take a name, or needs an argument that is not there.
    """
    signature = _signature(function)
    bound = signature.bind_partial()
    left, names = list(values), dict(named)
    for parameter in signature.parameters.values():
        name, kind = parameter.name, parameter.kind
        if kind is parameter.VAR_POSITIONAL:
            bound.arguments[name], left = tuple(left), []
        elif kind is parameter.VAR_KEYWORD:
            bound.arguments[name], names = names, {}
        elif name in names and kind is not parameter.POSITIONAL_ONLY:
            bound.arguments[name] = names.pop(name)
        elif kind in _BY_PLACE and left:
            bound.arguments[name] = left.pop(0)
        elif parameter.default is parameter.empty:
            raise ActionFailed(f"it needs an argument `{name}` that nothing gives")
    if names:
        unknown = ", ".join(sorted(names))
        raise ActionFailed(f"it takes no argument {unknown}")
    return bound
