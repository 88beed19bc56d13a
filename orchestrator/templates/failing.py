"""Whether a template may fail on some calls, although nothing is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.shapes import ANY, Shape
from orchestrator.templates.model import Read
from orchestrator.templates.template import Template
from orchestrator.templates.tree import Arithmetic, Constant, Filtered, Node, Sign, children

__all__ = ["can_fail"]

#: Filters that refuse a text that is no number, unless they are given a default.
_NUMBERS = frozenset({"int", "float"})
_DIVISIONS = frozenset({"/", "//", "%"})


def can_fail(template: Template, names: Mapping[str, Shape]) -> bool:
    """Whether it converts what may be no number, divides by what may be 0, or reads on and on."""
    trees = [piece for piece in template.pieces if isinstance(piece, Node)]
    if any(map(_fails, trees)):
        return True
    return any(_leads_on(read, names) for read in template.reads)


def _fails(node: Node) -> bool:
    match node:
        case Filtered(name=name, args=()) if name in _NUMBERS:
            return True
        case Arithmetic(sign=sign, right=right) if sign in _DIVISIONS and not _is_number(right):
            return True
    return any(map(_fails, children(node)))


def _is_number(node: Node) -> bool:
    if isinstance(node, Sign):
        return _is_number(node.item)
    return isinstance(node, Constant) and bool(node.value)


def _leads_on(read: Read, names: Mapping[str, Shape]) -> bool:
    """Whether a read goes into a value of which nothing is known."""
    shape = names.get(str(read.path[0]))
    if read.is_guarded or shape is None:
        return False
    for part in read.path[1:]:
        if shape.kind == "any" or (shape.kind == "record" and part not in shape.fields):
            return True
        shape = shape.fields.get(str(part), shape.of or ANY)
    return False
