"""Conditions that are always or never true, although each part of them reads something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from orchestrator.templates.model import Fault
from orchestrator.templates.operators import PATTERN
from orchestrator.templates.tree import (
    Arithmetic,
    Called,
    Comparison,
    Constant,
    Filtered,
    ListOf,
    Logic,
    Negation,
    Node,
    Path,
    Sign,
    Tested,
    children,
)

__all__ = ["Claims", "claims_of", "exclude", "find_logic", "words_asked_for"]

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_COUNTS = frozenset({"call.count", "memory.count"})
_LENGTHS = frozenset({"length", "words"})
_NEVER_NEGATIVE = frozenset({"turns", "interruptions", "duration", "attempt"})
#: Texts of which only a pattern that fits everything is in both.
_ANY_TEXTS = ("", "\u2603 qzx")
#: What a text is about: one thing.
_TOPIC = "what is said"
_ALWAYS, _NEVER = "this is always true", "this is never true"


def find_logic(source: str, node: Node) -> Iterator[Fault]:
    """A warning for each part of an expression that is decided before any call."""
    match node:
        case Logic():
            yield from _in_logic(source, node)
        case Comparison():
            yield from _in_comparison(source, node)
        case Tested(name="matching", search=search) if search and all(map(search, _ANY_TEXTS)):
            advice = "every text has nothing in it; write a pattern, with something between `|`"
            yield _fault(node.args[0], _ALWAYS, advice)
        case Tested(name="containing_any", args=(ListOf(items=items), *_)):
            yield from _patterns(items)
        case Arithmetic(sign="/" | "//" | "%", right=Constant(value=0)):
            yield _fault(node.right, "nothing can be divided by 0")
        case Called(name="call.hour_in", args=(Constant(value=str(span)), *_)):
            start, _, end = span.partition("-")
            if start == end:
                yield _fault(node.args[0], _NEVER, "the span ends when it begins: '00:00-24:00'")
    for inner in children(node):
        yield from find_logic(source, inner)


def _patterns(items: tuple[Node, ...]) -> Iterator[Fault]:
    """Phrases that are written as a pattern, and found only where its signs are spoken."""
    for item in items:
        if isinstance(item, Constant) and PATTERN.search(str(item.value)):
            advice = "a phrase is text; write two phrases, or ask `matching('...')`"
            yield _fault(item, _NEVER, advice)


def _fault(node: Node, message: str, help: str | None = None) -> Fault:
    length = max(1, node.end - node.offset)
    return Fault("HK325", message, node.offset, length, help, "warning")


# --- `and`, `or`


def _in_logic(source: str, node: Logic) -> Iterator[Fault]:
    for item in node.items:
        if isinstance(item, Constant) and isinstance(item.value, bool):
            is_deciding = item.value == (node.word == "or")
            words = _ALWAYS if node.word == "or" else _NEVER
            yield _fault(item, f"with `{node.word} {str(item.value).lower()}` {words}"
                         if is_deciding else "this changes nothing", "remove it")  # fmt: skip
            return
    yield from _contradictions(source, node)


def _contradictions(source: str, node: Logic) -> Iterator[Fault]:
    """Two parts that cannot both hold, for one path; of an `or`, that cannot both fail."""
    is_all = node.word == "and"
    words = "this cannot hold together with what stands before it"
    advice = "write `or`, or mend one of the two"
    if not is_all:
        words = f"one of this and what stands before it always holds, so {_ALWAYS}"
        advice = "write `and`, or mend one of the two"
    known: dict[str, list[tuple[_Claim, Node]]] = {}
    for item in node.items:
        claim = _claim(source, item)
        if claim is None:
            continue
        claim = claim if is_all else replace(claim, sign=_NEGATED[claim.sign])
        for other, _ in known.get(claim.subject, ()):
            if not claim.fits(other):
                yield _fault(item, words, advice)
                return
        known.setdefault(claim.subject, []).append((claim, item))


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a comparison with a constant says of a path."""

    subject: str
    sign: str
    value: str | float

    def fits(self, other: _Claim) -> bool:
        """Whether a value can meet both."""
        one, two = self.value, other.value
        if "!=" in (self.sign, other.sign):
            return {self.sign, other.sign} != {"==", "!="} or one != two
        if isinstance(one, str) or isinstance(two, str):
            return one == two
        low_one, high_one = self._range(one)
        low_two, high_two = other._range(two)
        low, high = max(low_one, low_two), min(high_one, high_two)
        is_open = any(
            claim.sign in ("<", ">") and claim.value in (low, high) for claim in (self, other)
        )
        return low < high or (low == high and not is_open)

    def is_above(self, subject: str, limit: float) -> bool:
        """Whether the subject is said to be more than a limit."""
        if self.subject != subject or isinstance(self.value, str):
            return False
        return self.sign in (">", ">=", "==") and self.value > limit

    def _range(self, value: float) -> tuple[float, float]:
        if self.sign in ("<", "<="):
            return float("-inf"), value
        if self.sign in (">", ">="):
            return value, float("inf")
        return value, value


_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _claim(source: str, node: Node) -> _Claim | None:
    if isinstance(node, Tested):
        words = "|".join(source[arg.offset : arg.end] for arg in node.args)
        asked = f"{source[node.item.offset : node.item.end]} {node.name} {words}"
        return _Claim(asked, "==", "so") if _is_fixed(node) else None
    if isinstance(node, Negation):
        claim = _claim(source, node.item)
        return replace(claim, sign=_NEGATED[claim.sign]) if claim is not None else None
    if not isinstance(node, Comparison) or len(node.rest) != 1:
        return None
    found = _sides(node)
    if found is None or not isinstance(found[0], Path) or found[1] not in _NEGATED:
        return None
    subject, sign, value = found
    if isinstance(value, str) and sign not in ("==", "!="):
        return None
    return _Claim(source[subject.offset : subject.end], sign, value)


def _is_fixed(node: Tested) -> bool:
    """Whether it asks something of one path, by what is written out."""
    return isinstance(node.item, Path) and all(map(_is_written, node.args))


def _is_written(node: Node) -> bool:
    """Whether a value is the same on every call: written out, or one of `vars`."""
    if isinstance(node, ListOf):
        return all(map(_is_written, node.items))
    return isinstance(node, Constant) or (isinstance(node, Path) and node.root == "vars")


# --- comparisons


def _sides(node: Comparison) -> tuple[Node, str, str | float] | None:
    """A comparison with one constant: the other side, the sign as seen from it, the constant."""
    (sign, right), left = node.rest[0], node.first
    value = _constant(right)
    if value is not None and _constant(left) is None:
        return left, sign, value
    value = _constant(left)
    if value is not None and _constant(right) is None and sign in _MIRRORED:
        return right, _MIRRORED[sign], value
    return None


def _constant(node: Node) -> str | float | None:
    if isinstance(node, Sign):
        value = _constant(node.item)
        return -value if isinstance(value, int | float) and node.sign == "-" else value
    is_plain = isinstance(node, Constant) and not isinstance(node.value, bool)
    return node.value if is_plain and isinstance(node, Constant) else None


def _in_comparison(source: str, node: Comparison) -> Iterator[Fault]:
    if len(node.rest) != 1:
        return
    sign, right = node.rest[0]
    is_same = source[node.first.offset : node.first.end] == source[right.offset : right.end]
    if is_same and not isinstance(right, Constant) and sign not in ("in", "not in"):
        words = _ALWAYS if sign in ("==", "<=", ">=") else _NEVER
        yield _fault(node, f"both sides are the same: {words}")
        return
    found = _sides(node)
    if found is not None and _is_count(found[0]) and isinstance(found[2], int | float):
        outcome = _count_words(found[1], found[2])
        if outcome:
            yield _fault(node, f"{outcome}: it is never less than 0", "ask `... > 0`")


def _is_count(node: Node) -> bool:
    match node:
        case Called(name=name):
            return name in _COUNTS
        case Filtered(name=name):
            return name in _LENGTHS
        case Path(root="call", parts=(str(part),)):
            return part in _NEVER_NEGATIVE
    return False


def _count_words(sign: str, value: float) -> str | None:
    if (sign == ">=" and value <= 0) or (sign in (">", "!=") and value < 0):
        return _ALWAYS
    if (sign == "<" and value <= 0) or (sign in ("<=", "==") and value < 0):
        return _NEVER
    return None


# --- two conditions

#: What a condition says of its paths: of each group one claim holds.
Claims = tuple[tuple[_Claim, ...], ...]


def claims_of(source: str, node: Node, truth: bool) -> Claims:
    """What a condition says where it has turned out true (or false)."""
    said = node if truth else Negation(node.offset, node.end, node)
    return tuple(_groups(source, said))


def words_asked_for(claims: Claims) -> Claims:
    """The claims that some words are what an event's text is about, of those that ask for words."""
    found = [
        tuple(replace(claim, subject=_TOPIC, value=claim.subject) for claim in group)
        for group in claims
        if all(c.sign == "==" and c.subject.startswith("event.text ") for c in group)
    ]
    return tuple(found)


def exclude(first: Claims, second: Claims) -> bool:
    """Whether two conditions can never hold together."""
    return any(
        one[0].subject == other[0].subject and not any(a.fits(b) for a in one for b in other)
        for one in first
        for other in second
    )


def _groups(source: str, node: Node) -> Iterator[tuple[_Claim, ...]]:
    match node:
        case Logic(word="and", items=items):
            for item in items:
                yield from _groups(source, item)
            return
        case Logic(word="or", items=items):
            found = [_claim(source, item) for item in items]
        case Comparison(first=Path() as path, rest=(("in", ListOf(items=items)),)):
            words = source[path.offset : path.end]
            values = [_constant(item) for item in items]
            found = [_Claim(words, "==", v) if v is not None else None for v in values]
        case _:
            found = [_claim(source, node)]
    claims = tuple(claim for claim in found if claim is not None)
    if len(claims) == len(found) > 0 and len({claim.subject for claim in claims}) == 1:
        yield claims
