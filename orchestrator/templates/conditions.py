"""What may stand as a condition, and as a part of one: what is true or false, or may be null."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from orchestrator.frozen import frozen
from orchestrator.shapes import Shape, letters_of
from orchestrator.templates.model import Fault
from orchestrator.templates.operators import fault_at, kind_words
from orchestrator.templates.tree import (
    Called,
    Choice,
    Comparison,
    Constant,
    Filtered,
    Logic,
    Negation,
    Node,
    Path,
    Tested,
    children,
    prefix,
)

__all__ = ["Asked", "Use", "asked_alone", "check_asked", "check_operands", "uses_of"]

_ADVICE = {
    "text": "ask `... != ''`, or `... is matching('...')`",
    "record": "leave it out, or ask one of its fields",
}


def check_asked(node: Node, shape: Shape) -> Fault | None:
    """What is wrong with a value as a condition, or under `not`: that it is never false.

    Null counts as false, and so do 0 and what is empty. The text of an event, or one that is
    written out, is not: most likely something should be compared with it. Other texts may be empty,
    as what another system gives, or what a filter or `default` does.
    """
    is_constant = isinstance(node, Constant) and not isinstance(node.value, bool)
    is_given = isinstance(node, Path) and (node.root in ("event", "vars") or _is_filled(shape))
    if not is_constant and (_can_be_false(shape) or (shape.kind == "text" and not is_given)):
        return None
    advice = _ADVICE.get(shape.kind, "compare it with something")
    return fault_at(
        node, "HK323", f"a condition is true or false, and this is {kind_words(shape)}", advice
    )


def _is_filled(shape: Shape) -> bool:
    """Whether a text is known to have letters."""
    letters = letters_of(shape)
    return letters is not None and letters[0] > 0


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


Use = Literal["truth", "presence", "compared", "used"]


@frozen
class Asked:
    """What an expression does with the value of a path, and where: its truth is asked, whether it
    is there at all, it is compared, or used. `("memory", key)` is the path of `memory.get(key)`.
    """

    path: tuple[str | int, ...]
    offset: int
    end: int
    how: Use


def uses_of(node: Node, how: Use) -> Iterator[Asked]:
    """What an expression does with each path, where the expression itself is put to this use."""
    match node:
        case Path() | Called(name="memory.get", args=(Constant(), *_)):
            path = _whole(node)
            if path:
                yield Asked(path, node.offset, node.end, how)
        case Filtered(name="default", item=item, args=(Constant(value=value), *_)):
            asks = how == "truth" and value is not False
            yield from uses_of(item, how if not asks else "used" if value else "presence")
        case Filtered(name="bool", item=item):
            yield from uses_of(item, "compared")
        case Choice(test=test, then=then, otherwise=otherwise):
            yield from uses_of(test, "truth")
            yield from uses_of(then, how)
            yield from uses_of(otherwise, how)
        case Negation(item=item):
            yield from uses_of(item, "truth")
        case Tested(name="defined" | "undefined"):
            return
        case _:
            is_asked = isinstance(node, Comparison | Tested) or how == "compared"
            use: Use = how if isinstance(node, Logic) else "compared" if is_asked else "used"
            for inner in children(node):
                yield from uses_of(inner, use)


def _whole(node: Path | Called) -> tuple[str | int, ...]:
    """The path of a value; empty where a part of it is computed."""
    if isinstance(node, Called):
        key = node.args[0]
        return ("memory", str(key.value)) if isinstance(key, Constant) else ()
    path = prefix(node)
    return path if len(path) == len(node.parts) + 1 else ()


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
