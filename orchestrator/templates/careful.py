"""The slow way through an expression, taken once the fast way has failed, to say what failed.

Messages name paths and kinds of values, and never quote a value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from orchestrator.errors import OrchestratorError, TemplateFailed
from orchestrator.templates.tests import contains
from orchestrator.templates.tree import Node, Path
from orchestrator.templates.values import Refusal, is_list, kind_of, modulo, number, plus, times

__all__ = ["FAILURES", "Careful", "snippet"]

#: All that an expression over plain data, or a call of the scope, can raise.
FAILURES = (
    ArithmeticError, AttributeError, LookupError, OSError, OrchestratorError, RecursionError,
    TypeError, ValueError,
)  # fmt: skip

_Thunk = Callable[[], Any]


def snippet(source: str, start: int, end: int) -> str:
    """The text of an expression, with the brackets that belong to it."""
    missing = source.count(")", start, end) - source.count("(", start, end)
    while missing > 0 and (opening := source.rfind("(", 0, start)) >= 0:
        start, missing = opening, missing - 1
    while missing < 0 and (closing := source.find(")", end)) >= 0:
        end, missing = closing + 1, missing + 1
    return source[start:end].strip()


class Careful:
    """The functions that carefully generated code calls; nodes are known by their number."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.nodes: list[Node] = []

    def number_of(self, node: Node) -> int:
        """The number by which generated code names a node."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def failure(self, index: int, message: str) -> TemplateFailed:
        """The failure of an expression, with its text in front."""
        node = self.nodes[index]
        return TemplateFailed(f"`{snippet(self.source, node.offset, node.end)}`: {message}")

    def fail(self, index: int, message: str) -> NoReturn:
        """Fail where the generated code knows that it must."""
        raise self.failure(index, message)

    def at(self, index: int, thunk: _Thunk) -> Any:
        """The value of an expression, or its failure with its text."""
        try:
            return thunk()
        except TemplateFailed:
            raise
        except FAILURES as error:
            message = _describe(error)
        raise self.failure(index, message)

    def walk(self, index: int, value: Any, keys: Sequence[Any]) -> Any:
        """The value that a path leads to."""
        for step, key in enumerate(keys, start=1):
            try:
                value = value[key]
            except (LookupError, TypeError):
                message = self._missing(index, value, key, len(keys) - step + 1)
                raise self.failure(index, message) from None
        return value

    def _missing(self, index: int, value: Any, key: Any, remaining: int) -> str:
        node = self.nodes[index]
        assert isinstance(node, Path)  # noqa: S101 - only paths are walked
        step = len(node.parts) - remaining
        where = self.source[node.offset : node.ends[step]]
        part = node.parts[step]
        name = "such key" if isinstance(part, Node) else f"`{part}`"
        if value is None:
            return f"{where} is null"
        if isinstance(value, Mapping):
            return f"there is no {name} in {where}"
        if is_list(value) and isinstance(key, int):
            return f"{where} has only {len(value)} items"
        return f"{where} is {kind_of(value)} and has no {name}"

    def compare(self, index: int, signs: Sequence[str], sides: Sequence[_Thunk]) -> bool:
        """A chain of comparisons."""
        left = sides[0]()
        for sign, side in zip(signs, sides[1:], strict=True):
            right = side()
            try:
                is_true = _COMPARE[sign](left, right)
            except Refusal as refused:
                raise self.failure(index, str(refused)) from None
            except TypeError:
                kinds = f"{kind_of(left)} with {kind_of(right)}"
                raise self.failure(index, f"cannot compare {kinds}") from None
            if not is_true:
                return False
            left = right
        return True

    def arithmetic(self, index: int, sign: str, left: Any, right: Any) -> Any:
        """One operation on two values."""
        try:
            return _ARITHMETIC[sign](left, right)
        except ZeroDivisionError:
            message = "division by zero"
        except Refusal as refused:
            message = str(refused)
        except (ArithmeticError, ValueError):
            message = "the number is too large"
        except TypeError:
            message = f"cannot compute with {kind_of(left)} and {kind_of(right)}"
        raise self.failure(index, message)


def _describe(error: BaseException) -> str:
    if isinstance(error, Refusal | OrchestratorError):
        return str(error)
    if isinstance(error, RecursionError):
        return "the value is nested too deep"
    if isinstance(error, TypeError):
        return "the values are of kinds that do not go together"
    # Other messages of Python quote the value, which may be what a caller said.
    return f"not possible with this value ({type(error).__name__})"


_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge, "in": contains,
    "not in": lambda value, inside: not contains(value, inside),
}  # fmt: skip

_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": plus, "*": times, "%": modulo,
    "-": lambda left, right: number(left) - number(right),
    "/": lambda left, right: number(left) / number(right),
    "//": lambda left, right: number(left) // number(right),
}  # fmt: skip
