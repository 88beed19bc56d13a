"""What may stand as a condition, and as a part of one: what is true or false, or may be null."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.shapes import Shape
from orchestrator.templates.model import Fault
from orchestrator.templates.operators import fault_at, kind_words
from orchestrator.templates.tree import (
    Comparison,
    Constant,
    Logic,
    Negation,
    Node,
    Path,
    Tested,
    children,
)

__all__ = ["asked_alone", "check_asked", "check_operands"]

_ADVICE = {
    "text": "ask `... != ''`, or `... is matching('...')`",
    "record": "leave it out, or ask one of its fields",
}


def check_asked(node: Node, shape: Shape) -> Fault | None:
    """What is wrong with a value as a condition, or under `not`: that it is never false.

    Null counts as false, and so do 0 and what is empty. The text of an event, or one that is
    written out, is not: most likely something should be compared with it. Other texts may be empty,
    as what is saved, or what a filter or `default` gives.
    """
    is_constant = isinstance(node, Constant) and not isinstance(node.value, bool)
    is_given = isinstance(node, Path) and node.root in ("event", "vars")
    if not is_constant and (_can_be_false(shape) or (shape.kind == "text" and not is_given)):
        return None
    advice = _ADVICE.get(shape.kind, "compare it with something")
    return fault_at(
        node, "HK323", f"a condition is true or false, and this is {kind_words(shape)}", advice
    )


def _can_be_false(shape: Shape) -> bool:
    if shape.kind in ("any", "bool") or shape.is_optional:
        return True
    if shape.kind == "text":
        return shape.bounds is not None and shape.bounds[0] == 0
    return shape.kind != "record" and (shape.bounds is None or shape.bounds[0] <= 0)


def asked_alone(node: Node) -> Iterator[Path]:
    """The paths whose value itself is asked, as a whole condition or as a part of one."""
    match node:
        case Path():
            yield node
        case Logic(items=items):
            yield from (path for item in items for path in asked_alone(item))
        case Negation(item=item):
            yield from asked_alone(item)


def check_operands(source: str, node: Logic, shapes: list[Shape], *, is_asked: bool) -> list[Fault]:
    """What is wrong with the parts of an `and` or `or`.

    Where it gives a value, as `data.name or 'you'` does, only what follows a question is wrong:
    `event.text == 'yes' or 'no'`.
    """
    faults: list[Fault] = []
    for index, (item, shape) in enumerate(zip(node.items, shapes, strict=True)):
        is_value = not is_asked and (node.word == "and" or not _is_question(node.items[index - 1]))
        if isinstance(item, Logic) or is_value or _is_guard(node, index):
            continue
        fault = check_asked(item, shape)
        if fault is not None:
            advice = _repeat(source, node.items[:index], item)
            help = advice or fault.help
            faults.append(fault_at(item, fault.code, fault.message, help))
    return faults


def _is_question(node: Node) -> bool:
    return isinstance(node, Comparison | Tested)


def _is_guard(node: Logic, index: int) -> bool:
    """Whether what comes after it in the `and` reads the same: `name and name != 'x'`."""
    item = node.items[index]
    if node.word != "and" or not isinstance(item, Path):
        return False
    return any(
        inner.root == item.root and inner.parts[: len(item.parts)] == item.parts
        for later in node.items[index + 1 :]
        for inner in _paths(later)
    )


def _paths(node: Node) -> list[Path]:
    inner = [path for child in children(node) for path in _paths(child)]
    return [node, *inner] if isinstance(node, Path) else inner


def _repeat(source: str, before: tuple[Node, ...], item: Node) -> str | None:
    """How to ask a second time what was asked once: `x == 'yes' or 'no'`."""
    asked = next((node for node in reversed(before) if _is_question(node)), None)
    if not isinstance(item, Constant) or asked is None:
        return None
    value = source[item.offset : item.end]
    if isinstance(asked, Comparison) and asked.rest[0][0] in ("==", "!="):
        left = source[asked.first.offset : asked.first.end]
        sign, right = asked.rest[0]
        word = "in" if sign == "==" else "not in"
        return f"ask again: `{left} {sign} {value}`, or ask `{left} {word} " + (
            f"[{source[right.offset : right.end]}, {value}]`"
        )
    left = source[asked.offset : asked.end].partition("(")[0]
    return f"ask again: `{left}({value})`" if isinstance(asked, Tested) and asked.args else None
