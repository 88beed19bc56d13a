"""Which paths and calls an expression reads, and which of the reads are guarded."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.templates.model import MAX_SOURCE, Read
from orchestrator.templates.proofs import (
    FILLED,
    THERE,
    Outcomes,
    Proven,
    learn,
    reach,
    subject,
)
from orchestrator.templates.tree import (
    Called,
    Choice,
    Filtered,
    Logic,
    Node,
    Path,
    Tested,
    children,
    default_chain,
    prefix,
)

__all__ = ["Reads", "collect_reads"]

_NOTHING: Proven = frozenset()
#: More parts than any path has.
_ALL = MAX_SOURCE


@dataclass(slots=True)
class Reads:
    """The reads and calls of a template.

    `guarded` has, by the offset of a path, how many of its parts are provided for, the root
    included: where they may be missing or null, nothing is wrong.
    """

    reads: list[Read] = field(default_factory=list)
    calls: list[tuple[str, int]] = field(default_factory=list)
    guarded: dict[int, int] = field(default_factory=dict)
    nodes: list[Path | Called] = field(default_factory=list)
    outcomes: Outcomes = field(default_factory=dict)


def collect_reads(
    trees: list[Node], proven: Proven = _NOTHING, outcomes: Outcomes | None = None
) -> Reads:
    """All reads of some expressions, in reading order; `proven` is what conditions have asked."""
    found = Reads(outcomes=outcomes or {})
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
                proven = learn(proven, item, word == "and", found.outcomes)
        case Choice(test=test, then=then, otherwise=otherwise):
            _walk(test, proven, False, found)
            _walk(then, learn(proven, test, True, found.outcomes), False, found)
            _walk(otherwise, learn(proven, test, False, found.outcomes), False, found)
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
                if is_guarded or reach(proven, subject(node), FILLED):
                    found.guarded[node.offset] = _ALL
            _walk_all(tuple(children(node)), proven, found)


def _walk_all(nodes: tuple[Node, ...], proven: Proven, found: Reads) -> None:
    for node in nodes:
        _walk(node, proven, False, found)


def _read(node: Path, proven: Proven, is_guarded: bool, found: Reads) -> None:
    path = prefix(node)
    filled = _ALL if is_guarded else reach(proven, path, FILLED)
    is_there = any(reach(proven, path, word) for word in (FILLED, THERE))
    is_guarded = filled > len(node.parts)
    found.nodes.append(node)
    if filled:
        found.guarded[node.offset] = filled
    if path:
        length = node.ends[len(path) - 1] - node.offset
        offsets = node.offsets[: len(path)]
        found.reads.append(Read(path, node.offset, length, is_guarded, offsets, is_there))
    _walk_all(tuple(children(node)), proven, found)
