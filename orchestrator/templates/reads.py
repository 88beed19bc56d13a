"""Which paths and calls an expression reads, and which of the reads are guarded."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.templates.model import Read
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
    default_chain,
)

__all__ = ["Proven", "Reads", "collect_reads", "proves"]

#: Paths that are surely there, and not null.
Proven = frozenset[tuple[str | int, ...]]
_NOTHING: Proven = frozenset()


@dataclass(slots=True)
class Reads:
    """The reads and calls of a template; `guarded` holds the offsets of guarded paths."""

    reads: list[Read] = field(default_factory=list)
    calls: list[tuple[str, int]] = field(default_factory=list)
    guarded: set[int] = field(default_factory=set)
    nodes: list[Path | Called] = field(default_factory=list)


def collect_reads(trees: list[Node], proven: Proven = _NOTHING) -> Reads:
    """All reads of some expressions, in reading order; `proven` is what a condition has asked."""
    found = Reads()
    for tree in trees:
        _walk(tree, proven, False, found)
    return found


def _walk(node: Node, proven: Proven, is_guarded: bool, found: Reads) -> None:
    match node:
        case Path():
            _read(node, proven, is_guarded, found)
        case Logic(word=word, items=items):
            for item in items:
                _walk(item, proven, False, found)
                proven = proven | proves(item, word == "and")
        case Choice(test=test, then=then, otherwise=otherwise):
            _walk(test, proven, False, found)
            _walk(then, proven | proves(test, True), False, found)
            _walk(otherwise, proven | proves(test, False), False, found)
        case Filtered(item=item, args=args):
            guards = node.name == "default" and default_chain(node)[0] is not None
            _walk(item, proven, guards or is_guarded, found)
            _walk_all(args, proven, found)
        case Tested(name="defined" | "undefined", item=item):
            _walk(item, proven, True, found)
        case _:
            if isinstance(node, Called):
                found.calls.append((node.name, node.offset))
                found.nodes.append(node)
            _walk_all(tuple(children(node)), proven, found)


def _walk_all(nodes: tuple[Node, ...], proven: Proven, found: Reads) -> None:
    for node in nodes:
        _walk(node, proven, False, found)


def _read(node: Path, proven: Proven, is_guarded: bool, found: Reads) -> None:
    path = _prefix(node)
    is_guarded = is_guarded or any(_is_about(path, other) for other in proven)
    found.nodes.append(node)
    if is_guarded:
        found.guarded.add(node.offset)
    if path:
        length = node.ends[len(path) - 1] - node.offset
        offsets = node.offsets[: len(path)]
        found.reads.append(Read(path, node.offset, length, is_guarded, offsets))
    _walk_all(tuple(children(node)), proven, found)


def _prefix(node: Path) -> tuple[str | int, ...]:
    """The path up to its first computed part; empty when it starts from an expression."""
    if isinstance(node.root, Node):
        return ()
    known: list[str | int] = [node.root]
    for part in node.parts:
        if isinstance(part, Node):
            break
        known.append(part)
    return tuple(known)


def _is_about(path: tuple[str | int, ...], proven: tuple[str | int, ...]) -> bool:
    shared = min(len(path), len(proven))
    return shared > 1 and path[:shared] == proven[:shared]


def _proves_output(path: tuple[str | int, ...]) -> Proven:
    """`steps.lookup.status == 'ok'` says that there is an output."""
    is_status = len(path) == 3 and path[0] == "steps" and path[2] == "status"
    return frozenset(((*path[:2], "output"),)) if is_status else _NOTHING


def proves(node: Node, truth: bool) -> Proven:
    """The paths that are surely there when `node` is true (or false)."""
    match node:
        case Path():
            return frozenset((_prefix(node),)) if truth else _NOTHING
        case Negation(item=item):
            return proves(item, not truth)
        case Logic(word=word, items=items) if truth == (word == "and"):
            return _NOTHING.union(*(proves(item, truth) for item in items))
        case Tested(name=name, item=Path() as path):
            is_there = truth if name not in ("undefined", "none") else not truth
            return frozenset((_prefix(path),)) if is_there else _NOTHING
        case Comparison(first=Path() as path, rest=((sign, Constant(value="ok")),)):
            return _proves_output(_prefix(path)) if truth == (sign == "==") else _NOTHING
    return _NOTHING
