"""What an expression gives where `default` comes in: then a condition may prove that it did not."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from orchestrator.templates.tree import (
    Comparison,
    Constant,
    Filtered,
    ListOf,
    Node,
    RecordOf,
    Tested,
    default_chain,
    prefix,
)

__all__ = ["constants", "without_default"]


def constants(node: Node) -> tuple[object, ...]:
    """The items of a list that is written out in full; none otherwise."""
    items = node.items if isinstance(node, ListOf) else ()
    values = tuple(item.value for item in items if isinstance(item, Constant))
    return values if len(values) == len(items) else ()


def without_default(node: Node) -> tuple[tuple[str | int, ...], Any] | None:
    """A path that an expression guards, and the value of the expression without it."""
    match node:
        case Filtered(name="default", args=(given, *_)):
            path, value = default_chain(node)[0], _empty(given)
            return (prefix(path), value) if path is not None and value is not given else None
        case Filtered(name=name, item=item) if name in _PLAIN:
            return _applied(item, _PLAIN[name])
        case Tested(name="none", item=item):
            return _applied(item, lambda value: value is None)
        case Tested(search=search, item=item) if search is not None:
            return _applied(item, search)
        case Comparison(first=first, rest=((sign, Constant(value=value)),)):
            return _applied(first, partial(_compare, sign, value))
        case Comparison(first=first, rest=((sign, ListOf() as items),)):
            values = constants(items)
            return _applied(first, partial(_compare, sign, values)) if values else None
    return None


def _empty(node: Node) -> Any:
    """What a default is, where it is written out: a constant, `[]` or `{}`; else the node."""
    match node:
        case Constant(value=value):
            return value
        case ListOf(items=()):
            return []
        case RecordOf(pairs=()):
            return {}
    return node


def _applied(
    item: Node, function: Callable[[Any], Any]
) -> tuple[tuple[str | int, ...], Any] | None:
    found = without_default(item)
    if found is None:
        return None
    try:
        return found[0], function(found[1])
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
        return None


_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "lower": str.lower, "upper": str.upper, "trim": str.strip, "string": str,
    "int": int, "float": float, "length": len, "capitalize": str.capitalize,
    "bool": lambda value: {False: False, True: True, None: False}[value],
}  # fmt: skip
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge, "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
}  # fmt: skip


def _compare(sign: str, right: Any, left: Any) -> bool:
    return _OPERATORS[sign](left, right)
