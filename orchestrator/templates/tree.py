"""The tree of an allowed expression: all that the checker and the code generator ever see.

Every node spans `offset` to `end` of the source, in characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator.frozen import frozen

__all__ = [
    "Arithmetic",
    "Called",
    "Choice",
    "Comparison",
    "Constant",
    "Filtered",
    "Joined",
    "ListOf",
    "Logic",
    "Negation",
    "Node",
    "Path",
    "RecordOf",
    "Sign",
    "Tested",
    "children",
    "default_chain",
    "parts_of_value",
    "prefix",
]


@frozen
class Node:
    """Any expression."""

    offset: int
    end: int


@frozen
class Constant(Node):
    """Text, a number, true, false or null."""

    value: str | int | float | bool | None


@frozen
class Path(Node):
    """A root name or an expression, and what is read inside it.

    `offsets` and `ends` hold the places of the root and of each part.
    """

    root: str | Node
    parts: tuple[str | int | Node, ...]
    offsets: tuple[int, ...]
    ends: tuple[int, ...]


@frozen
class ListOf(Node):
    """A list written out."""

    items: tuple[Node, ...]


@frozen
class RecordOf(Node):
    """A mapping written out."""

    pairs: tuple[tuple[Node, Node], ...]


@frozen
class Choice(Node):
    """`then if test else otherwise`."""

    test: Node
    then: Node
    otherwise: Node


@frozen
class Logic(Node):
    """Several expressions joined by `and` or by `or`."""

    word: str
    items: tuple[Node, ...]


@frozen
class Negation(Node):
    """`not item`."""

    item: Node


@frozen
class Comparison(Node):
    """`first < second <= third`; each of `rest` is an operator and its right side."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@frozen
class Arithmetic(Node):
    """Two numbers (or two texts, two lists with `+`)."""

    sign: str
    left: Node
    right: Node


@frozen
class Sign(Node):
    """`-item` or `+item`."""

    sign: str
    item: Node


@frozen
class Joined(Node):
    """Texts joined by `~`."""

    items: tuple[Node, ...]


@frozen
class Filtered(Node):
    """`item | name(args)`; `at` is the place of the name, `args` are complete."""

    name: str
    at: int
    item: Node
    args: tuple[Node, ...]


@frozen
class Tested(Node):
    """`item is name(args)`; `search` is a constant pattern, ready."""

    name: str
    at: int
    item: Node
    args: tuple[Node, ...]
    search: Callable[[object], bool] | None = None


@frozen
class Called(Node):
    """One of the few calls that exist, such as `call.count`."""

    name: str
    args: tuple[Node, ...]


def children(node: Node) -> Iterator[Node]:
    """The expressions directly inside a node, in reading order."""
    match node:
        case Path(root=root, parts=parts):
            yield from (part for part in (root, *parts) if isinstance(part, Node))
        case ListOf(items=items) | Logic(items=items) | Joined(items=items):
            yield from items
        case RecordOf(pairs=pairs):
            yield from (side for pair in pairs for side in pair)
        case Choice(test=test, then=then, otherwise=otherwise):
            yield from (then, test, otherwise)
        case Negation(item=item) | Sign(item=item):
            yield item
        case Comparison(first=first, rest=rest):
            yield from (first, *(right for _, right in rest))
        case Arithmetic(left=left, right=right):
            yield from (left, right)
        case Filtered(item=item, args=args) | Tested(item=item, args=args):
            yield from (item, *args)
        case Called(args=args):
            yield from args


def parts_of_value(node: Node) -> Iterator[Node]:
    """The expressions that a node's value is made of; what only chooses between them is none."""
    match node:
        case Choice(then=then, otherwise=otherwise):
            yield from (then, otherwise)
        case Path(root=root):
            yield from (root,) if isinstance(root, Node) else ()
        case _:
            yield from children(node)


def default_chain(node: Filtered) -> tuple[Path | None, tuple[Filtered, ...]]:
    """The path that `default` guards, and the filters between the two, innermost first.

    `data.name | title | default('you')` guards `data.name`.
    """
    between: list[Filtered] = []
    item = node.item
    while isinstance(item, Filtered) and item.name != "default":
        between.append(item)
        item = item.item
    return (item if isinstance(item, Path) else None), tuple(reversed(between))


def prefix(node: Path) -> tuple[str | int, ...]:
    """A path up to its first computed part; empty when it starts from an expression."""
    if isinstance(node.root, Node):
        return ()
    known: list[str | int] = [node.root]
    for part in node.parts:
        if isinstance(part, Node):
            break
        known.append(part)
    return tuple(known)
