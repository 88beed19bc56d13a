"""How text comes into the value of an expression: through which name, and changed on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from orchestrator.shapes import TEXT, Shape, join_taint
from orchestrator.templates.model import Read
from orchestrator.templates.tree import Called, Constant, Filtered, Node, Path, parts_of_value

__all__ = ["find_change", "find_source", "remembered_taint"]

_ShapeOf = Callable[[Node], Shape]

#: Filters after which a text is still known: as it is, or in one of the forms that are looked for.
_KEEPING = frozenset({"default", "string", "tojson", "trim", "urlencode"})
#: Filters that keep each item of a list as it is; of a text they take letters.
_GATHERING = frozenset({"first", "join", "last", "list", "max", "min", "sort", "unique"})


def find_source(
    trees: Sequence[Node], shape_of: _ShapeOf, taint: str, reads: Iterable[Read]
) -> Read | None:
    """The first read or call through which text of a taint comes in.

    What is only asked, in the condition of an inline `if` or to choose a key, is none.
    """
    for node in _carriers(trees, shape_of, taint):
        if isinstance(node, Called):
            keys = [str(arg.value) for arg in node.args[:1] if isinstance(arg, Constant)]
            path = (node.name.partition(".")[0], *keys)
            return Read(path, node.offset, node.end - node.offset, False, ())
        if isinstance(node, Path) and isinstance(node.root, str):
            return next((read for read in reads if read.offset == node.offset), None)
    return None


def find_change(trees: Sequence[Node], shape_of: _ShapeOf, taint: str) -> tuple[str, int] | None:
    """The filter or index that makes another text of one with this taint, and its offset."""
    for node in _carriers(trees, shape_of, taint):
        if isinstance(node, Filtered):
            item = shape_of(node.item)
            is_kept = node.name in _KEEPING or (node.name in _GATHERING and item.kind == "list")
            if not is_kept and join_taint(item) == taint:
                return node.name, node.at
        if isinstance(node, Path) and _is_letter(node, shape_of):
            part = node.parts[-1]
            return "[" if isinstance(part, Node) else f"[{part}]", node.ends[-2]
    return None


def _is_letter(node: Path, shape_of: _ShapeOf) -> bool:
    """Whether a path takes one letter of a text."""
    if not node.parts or isinstance(node.parts[-1], str):
        return False
    whole = replace(node, parts=node.parts[:-1], offsets=node.offsets[:-1], ends=node.ends[:-1])
    return shape_of(whole).kind == "text"


def _carriers(trees: Sequence[Node], shape_of: _ShapeOf, taint: str) -> Iterator[Node]:
    """The expressions that text of a taint goes through, in reading order, outer ones first."""
    queue = list(reversed(trees))
    while queue:
        node = queue.pop()
        if join_taint(shape_of(node)) == taint:
            yield node
            queue += reversed(tuple(parts_of_value(node)))


def remembered_taint(remembered: Shape | None, key: Shape) -> str:
    """Where a value of the memory comes from, by what this config remembers under each key.

    What is remembered under a key that is not written out may be under any: it is the taint of
    `remembered` itself. A key that this config does not write holds what others have put there.
    """
    others = TEXT.tainted("remote")
    if remembered is None:
        return others.taint
    if not key.choices:
        return join_taint(remembered, others)
    own = [remembered.fields.get(choice, others) for choice in key.choices]
    return join_taint(*own, TEXT.tainted(remembered.taint))
