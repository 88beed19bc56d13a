"""Which values can be compared and added: the rules, and the faults that name them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.events import near_miss
from orchestrator.shapes import ANY, INT, NUMBER, TEXT, Shape, either, list_of
from orchestrator.templates.library import fits
from orchestrator.templates.model import Fault
from orchestrator.templates.tree import Constant, Filtered, ListOf, Node

__all__ = [
    "PATTERN",
    "check_comparison",
    "fault_at",
    "kind_words",
    "letters_fault",
    "speech_fault",
    "sum_shape",
]

#: What stands in patterns, and in no phrase that anybody says.
PATTERN = re.compile(r"[|\\\[\]^]|\.[*+]|\(\?|[^\s\d]\$$")
#: What stands between the items of a list that is written as one text.
_BETWEEN = re.compile(r"[|,;/]\s*|\s+")

_Side = tuple[Node, Shape]


def fault_at(node: Node, code: str, message: str, help: str | None = None) -> Fault:
    """A fault about a whole expression."""
    return Fault(code, message, node.offset, max(1, node.end - node.offset), help)


def check_comparison(sign: str, left: _Side, right: _Side) -> Fault | None:
    """What is wrong with `left sign right`, if anything is."""
    if sign in ("in", "not in"):
        return _check_membership(left, right)
    if sign in ("==", "!="):
        return _check_equality(left, right)
    return _check_order(sign, left, right)


def _check_equality(left: _Side, right: _Side) -> Fault | None:
    if _is_disjoint(left[1], right[1]):
        return _never_equal(left, right)
    return (
        _check_choice(left[1], right)
        or _check_choice(right[1], left)
        or _check_range(left[1], right)
        or _check_range(right[1], left)
    )


def _never_equal(left: _Side, right: _Side) -> Fault:
    kinds = f"{kind_words(left[1])} is never equal to {kind_words(right[1])}"
    node = _offender(left[0], right[0])
    is_mixed = "text" in (left[1].kind, right[1].kind) and (left[1].is_number or right[1].is_number)
    advice = "put both in quotes, or convert the text with `| int`" if is_mixed else None
    return fault_at(node, "HK320", kinds, advice)


def _offender(left: Node, right: Node) -> Node:
    """What was probably meant otherwise: the constant of the two, else both."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Constant) and not isinstance(other, Constant):
            return one
    return Node(left.offset, right.end)


def kind_words(shape: Shape) -> str:
    """What a shape is, without the texts that it may be."""
    return str(Shape(shape.kind, is_optional=shape.is_optional))


def _is_disjoint(left: Shape, right: Shape) -> bool:
    kinds = {"number" if s.kind == "int" else s.kind for s in (left, right)}
    if len(kinds) == 1 or "any" in kinds:
        return False
    return not ("null" in kinds or (left.is_optional and right.is_optional))


def _check_choice(known: Shape, other: _Side) -> Fault | None:
    """A text that is compared with a fixed set of texts must be one of them."""
    node = other[0]
    if not known.choices or not isinstance(node, Constant) or not isinstance(node.value, str):
        return None
    if node.value in known.choices or len(known.choices) < 2:
        return None
    close = near_miss(node.value, known.choices)
    advice = f"did you mean {close!r}?" if close else f"one of: {', '.join(known.choices)}"
    return fault_at(node, "HK322", f"the value is never {node.value!r}", advice)


def _check_range(known: Shape, other: _Side) -> Fault | None:
    """A number that is compared with one that it never is."""
    node = other[0]
    value = node.value if isinstance(node, Constant) else None
    if not known.is_number or known.bounds is None or not isinstance(value, int | float):
        return None
    low, high = known.bounds
    if low <= value <= high:
        return None
    message = f"the value is never {value}: it is from {low:g} to {high:g}"
    advice = "mend the number, or what gives the value"
    return replace(fault_at(node, "HK325", message, advice), severity="warning")


def _check_bound(sign: str, known: Shape, other: _Side) -> Fault | None:
    """`now.hour > 23`: a comparison with a number that is beyond all that a value can be."""
    node = other[0]
    value = node.value if isinstance(node, Constant) else None
    if not known.is_number or known.bounds is None or not isinstance(value, int | float):
        return None
    low, high = known.bounds
    ends = {_ORDERS[sign](low, value), _ORDERS[sign](high, value)}
    if len(ends) > 1 or isinstance(value, bool):
        return None
    words = "always" if ends == {True} else "never"
    message = f"the value is {words} {sign} {value}: it is from {low:g} to {high:g}"
    advice = "mend the number, or what gives the value"
    return replace(fault_at(node, "HK325", message, advice), severity="warning")


_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _check_order(sign: str, left: _Side, right: _Side) -> Fault | None:
    for node, shape in (left, right):
        if not fits(shape, ("text", "number")):
            return fault_at(
                node, "HK320", f"`{sign}` compares numbers or texts, not {kind_words(shape)}"
            )
    if _is_disjoint(left[1], right[1]):
        kinds = f"`{sign}` cannot compare {kind_words(left[1])} with {kind_words(right[1])}"
        node = _offender(left[0], right[0])
        return fault_at(node, "HK320", kinds, "convert text with `| int` or `| float`")
    return _check_bound(sign, left[1], right) or _check_bound(_TURNED[sign], right[1], left)


def _check_membership(left: _Side, right: _Side) -> Fault | None:
    inside, shape = right
    if not fits(shape, ("text", "list", "record")):
        return fault_at(inside, "HK320", f"cannot look into {kind_words(shape)}")
    if shape.kind == "text" and not fits(left[1], ("text",)):
        return fault_at(left[0], "HK320", f"cannot look for {kind_words(left[1])} in text")
    if not isinstance(inside, ListOf):
        return None
    if shape.of and shape.of.kind != "null" and inside.items and _is_disjoint(left[1], shape.of):
        return fault_at(inside, "HK320", f"{kind_words(left[1])} is never in this list")
    faults = (_check_item(left[1], item) for item in inside.items)
    return next((fault for fault in faults if fault), None)


def _check_item(known: Shape, item: Node) -> Fault | None:
    value = item.value if isinstance(item, Constant) else None
    is_text, is_number = isinstance(value, str), type(value) in (int, float)
    if (is_text and known.is_number) or (is_number and known.kind == "text"):
        kinds = f"{kind_words(known)} is never {value!r}"
        advice = "leave the quotes out" if is_text else "put it in quotes"
        return fault_at(item, "HK320", kinds, advice)
    return _check_choice(known, (item, ANY)) or _check_range(known, (item, ANY))


def letters_fault(side: _Side, other: _Side) -> Fault | None:
    """A text in capitals that is compared with what `lower` gives, or the other way round."""
    filtered, (node, shape) = side[0], other
    if not isinstance(filtered, Filtered) or filtered.name not in ("lower", "upper"):
        return None
    for item in node.items if isinstance(node, ListOf) else (node,):
        is_text = isinstance(item, Constant) and isinstance(item.value, str)
        texts = (str(item.value),) if is_text and isinstance(item, Constant) else shape.choices
        for text in texts if len(texts) == 1 else ():
            right = text.lower() if filtered.name == "lower" else text.upper()
            if right != text:
                message = f"`{filtered.name}` never gives {text!r}"
                fault = fault_at(item, "HK325", message, f"write {right!r}")
                return replace(fault, severity="warning")
    return None


def speech_fault(sign: str, left: _Side, right: _Side) -> Fault | None:
    """What somebody says, compared with a pattern or looked for in a text, as if that were a list.

    A key that is pressed may well be looked for in a text of keys.
    """
    (_, shape), (node, other) = left, right
    if shape.kind != "text" or shape.choices or isinstance(left[0], Constant):
        return None
    if sign in ("in", "not in") and other.kind == "text" and len(other.choices) == 1:
        return _list_as_text(shape, node, other.choices[0])
    if shape.taint != "caller":
        return None
    words = "never" if sign in ("==", "in") else "always"
    for item in node.items if isinstance(node, ListOf) else (node,):
        if isinstance(item, Constant) and PATTERN.search(str(item.value)):
            advice = f"a pattern is asked with `is matching({str(item.value)!r})`"
            fault = fault_at(item, "HK325", f"this is {words} true", advice)
            return replace(fault, severity="warning")
    return None


def _list_as_text(shape: Shape, node: Node, text: str) -> Fault | None:
    items = [item for item in _BETWEEN.split(text) if item]
    if not shape.taint or (len(items) < 2 and shape.taint != "caller"):
        return None
    listed = ", ".join(f"'{item}'" for item in items[:4]) + (", ..." if len(items) > 4 else "")
    message = "this is one text, and every part of it is in it, a single letter too"
    fault = fault_at(node, "HK328", message, f"write a list: [{listed}]")
    return replace(fault, severity="warning")


def sum_shape(left: Shape, right: Shape) -> Shape | None:
    """The shape of `left + right`, or None when they cannot be added."""
    if left.kind == "any" or right.kind == "any":
        known = right if left.kind == "any" else left
        return ANY if fits(known, ("number", "text", "list")) else None
    if left.is_number and right.is_number:
        return INT if left.kind == right.kind == "int" else NUMBER
    if left.kind == right.kind == "text":
        return TEXT
    if left.kind == right.kind == "list":
        return list_of(either(left.of or ANY, right.of or ANY))
    return None
