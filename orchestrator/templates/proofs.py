"""What a condition proves: which paths are there, or not null, once it is true or false.

All narrowing comes from here: `when` and `if`, `and`, `or` and inline `if`, and what is known
after a `stop`. A fact is a path and a word about it. What the status of a step says follows from
how that step may end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from orchestrator.events import near_miss
from orchestrator.frozen import frozen
from orchestrator.templates.defaults import constants, without_default
from orchestrator.templates.library import TEST_SIGNS
from orchestrator.templates.tree import (
    Called,
    Comparison,
    Constant,
    Logic,
    Negation,
    Node,
    Path,
    Tested,
    prefix,
)

__all__ = [
    "FILLED",
    "NULL",
    "STATUSES",
    "THERE",
    "Fact",
    "Outcome",
    "Outcomes",
    "Proven",
    "learn",
    "reach",
    "saved_by",
    "subject",
]

#: Surely there, perhaps null; there and not null; null, or a value that counts as false.
THERE, FILLED, NULL = "there", "filled", "null"

#: The path of a key that is read stands as one part: `memory.get(data.plan)`.
_Part = str | int | tuple[str | int, ...]
_Parts = tuple[_Part, ...]


class Fact(NamedTuple):
    """A path, and what is known of it: one of the words above, `is ...` or `not ...`."""

    path: _Parts
    word: str


#: How a step may end.
STATUSES = ("ok", "failed", "skipped", "timed_out", "cancelled", "not_sent")

Proven = frozenset[Fact]
_NOTHING: Proven = frozenset()
_Cache = dict[tuple[int, bool], Proven]


@frozen
class Outcome:
    """How a step with an `id` may end.

    `failures` are its statuses beside `ok`. Once it went well, its output is there, and under the
    key `save` of `data` too; `is_nullable` says that the output may be null. `is_shared` says that
    other steps save there too: then it takes a fact that the value, if there is one, is its own.
    """

    failures: frozenset[str]
    save: str = ""
    is_nullable: bool = False
    is_shared: bool = False


Outcomes = Mapping[str, Outcome]


def saved_by(name: str, outcome: Outcome) -> Fact:
    """Where a step has gone well, its key of `data` still holds what it saved."""
    return Fact(("data", outcome.save), f"by {name}")


def learn(proven: Proven, node: Node, truth: bool, outcomes: Outcomes) -> Proven:
    """What is proved where `node` has turned out true (or false)."""
    found = _proves(node, truth, {})
    if not found:
        return proven
    proven |= found
    for name in {str(fact.path[1]) for fact in found if _is_of_step(fact.path)}:
        if name in outcomes:
            proven |= _follows(name, proven, outcomes[name])
    return proven


def subject(node: Node) -> _Parts:
    """What is asked about: a path, or a key of the memory that is written out or read."""
    match node:
        case Path():
            return prefix(node)
        case Called(name="memory.get", args=(Constant(value=str() as key), *_)):
            return "memory.get", key
        case Called(name="memory.get", args=(Path(parts=parts) as key, *_)):
            path = prefix(key)
            return ("memory.get", path) if len(path) == 1 + len(parts) else ()
    return ()


def reach(proven: Proven, path: _Parts, word: str) -> int:
    """How many parts of a path have the word proved of them: of its longest beginning, else 0.

    What lies below that, and beside it, is not proved.
    """
    lengths = range(len(path), 1, -1) if proven else ()
    return next((length for length in lengths if Fact(path[:length], word) in proven), 0)


# --- steps


def _is_of_step(path: _Parts) -> bool:
    return len(path) == 3 and path[0] == "steps"


def _follows(name: str, proven: Proven, outcome: Outcome) -> Proven:
    """What the facts about a step say about its output and about what it saved."""
    output = ("steps", name, "output")
    is_filled = Fact(output, FILLED) in proven
    if not is_filled and not _went_well(name, proven, outcome):
        return _NOTHING
    word = FILLED if is_filled or not outcome.is_nullable else THERE
    is_its_own = not outcome.is_shared or saved_by(name, outcome) in proven
    saved = {Fact(("data", outcome.save), word)} if outcome.save and is_its_own else set()
    return frozenset({Fact(output, word), *saved})


def _went_well(name: str, proven: Proven, outcome: Outcome) -> bool:
    """Whether the status is `ok`, or none of the others, or there is no error.

    A step that is cancelled has none either.
    """
    status, error = ("steps", name, "status"), ("steps", name, "error")
    if Fact(status, "is ok") in proven:
        return True
    if Fact(error, NULL) in proven and "cancelled" not in outcome.failures:
        return True
    return all(Fact(status, f"not {word}") in proven for word in outcome.failures)


# --- conditions


def _proves(node: Node, truth: bool, known: _Cache) -> Proven:
    """What a node proves; each is looked at once, however its parts stand inside one another."""
    key = (id(node), truth)
    if key not in known:
        known[key] = _proved(node, truth, known)
    return known[key]


def _proved(node: Node, truth: bool, known: _Cache) -> Proven:
    match node:
        case Path() | Called():
            return _about(subject(node), FILLED if truth else NULL)
        case Negation(item=item):
            return _proves(item, not truth, known)
        case Logic(word=word, items=items):
            return _of_logic(items, word, truth, known)
        case Tested(name=name, args=args) if name in TEST_SIGNS:
            return _proves(_compared(node, TEST_SIGNS[name], args[0]), truth, {})
        case Tested(name="true" | "false", item=item) if _is_asked(item):
            return _proves(item, truth == (node.name == "true"), known)
        case Tested(name=name, item=Path() | Called() as item):
            return _of_test(name, subject(item), truth)
        case Comparison(
            first=first, rest=(("==" | "!=" as sign, Constant(value=bool() as value)),)
        ):
            is_so = value == (sign == "==")
            asked = _proves(first, truth == is_so, known) if _is_asked(first) else _NOTHING
            return (
                asked
                | _of_comparison(first, sign, node.rest[0][1], truth)
                | (_of_default(node, truth))
            )
        case Comparison(first=first, rest=((sign, right),)):
            return _of_comparison(first, sign, right, truth) | _of_default(node, truth)
    return _of_default(node, truth)


def _is_asked(node: Node) -> bool:
    """Whether it gives true or false, and nothing else."""
    return isinstance(node, Comparison | Tested | Negation)


def _compared(node: Tested, sign: str, right: Node) -> Comparison:
    """`a is eq(b)` as `a == b`."""
    return Comparison(node.offset, node.end, node.item, ((sign, right),))


def _about(path: _Parts, *words: str) -> Proven:
    """These words of a path; where it is filled, so is all that it leads through."""
    if len(path) < 2:
        return _NOTHING
    way = range(2, len(path)) if FILLED in words else ()
    return frozenset((*(Fact(path, word) for word in words),
                      *(Fact(path[:length], FILLED) for length in way)))  # fmt: skip


def _of_logic(items: tuple[Node, ...], word: str, truth: bool, known: _Cache) -> Proven:
    """All of its parts, where each has to be so; else what each way to this outcome has in common.

    The second part of an `or` is only asked when the first was false.
    """
    if truth == (word == "and"):
        return _NOTHING.union(*(_proves(item, truth, known) for item in items))
    before, common = _NOTHING, None
    for item in items:
        way = before | _proves(item, truth, known)
        common = way if common is None else common & way
        before |= _proves(item, not truth, known)
    return common or _NOTHING


def _of_test(name: str, path: _Parts, truth: bool) -> Proven:
    if name in ("defined", "undefined"):
        is_there = truth == (name == "defined")
        return _defined(path) if is_there else _NOTHING
    if name == "none":
        return _about(path, NULL if truth else FILLED)
    return _about(path, FILLED) if truth else _NOTHING


def _defined(path: _Parts) -> Proven:
    """Null is defined, where it is not a field of an event that is left out or a step not run."""
    if path[:1] == ("event",) or (path[:1] == ("steps",) and len(path) == 2):
        return _about(path, FILLED)
    return _about(path, THERE) | _about(path[:-1], FILLED)


def _of_comparison(left: Node, sign: str, right: Node, truth: bool) -> Proven:
    if isinstance(left, Constant) and sign in ("==", "!="):
        left, right = right, left
    path = subject(left)
    if sign in ("in", "not in"):
        values = constants(right)
        return _of_values(path, values, truth == (sign == "in")) if values else _NOTHING
    if sign not in ("==", "!="):
        return _about(path, FILLED) if truth else _NOTHING
    if not isinstance(right, Constant):
        return _NOTHING
    return _of_values(path, (right.value,), truth == (sign == "=="))


def _of_values(path: _Parts, values: tuple[object, ...], is_one: bool) -> Proven:
    """What it says that a value is one of these, or none of them."""
    if len(path) == 3 and path[0] == "steps" and path[2] == "status":
        values = tuple(map(_as_meant, values))
    words = [] if None in values and is_one else [FILLED]
    if is_one and len(values) == 1:
        words = [NULL if values == (None,) else FILLED, f"is {values[0]}"]
    elif not is_one:
        words = [*(f"not {value}" for value in values), *([FILLED] if None in values else [])]
    return _about(path, *words)


def _as_meant(status: object) -> object:
    """A status as it was meant: what is none is reported where it stands, and believed."""
    word = str(status)
    return word if word in STATUSES else near_miss(word, STATUSES) or "ok"


# --- `default`


def _of_default(node: Node, truth: bool) -> Proven:
    """`data.r.tier | default('') == 'gold'` can only be true where the path is there."""
    found = without_default(node)
    return _about(found[0], FILLED) if found is not None and bool(found[1]) != truth else _NOTHING
