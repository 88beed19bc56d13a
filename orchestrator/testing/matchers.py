"""Matchers: what a call test expects of a value.

======================================  =======================================================
written                                 matches
======================================  =======================================================
``any``                                 everything
a text, number, true, false             that value (numbers to nine digits)
``null``                                null, or nothing there
a mapping                               a mapping that has these keys, with values that match
a list                                  a list of as many items, each matching
``{matching: regex}``                   a text in which the pattern occurs (RE2, case ignored)
``{containing: text}``                  a text that holds it, or a list that has such an item
``{one_of: [...]}``                     what one of them matches
``{from: 7, to: 9}``                    a number between them, both included; either may be left out
``{not: ...}``                          what it does not match
``{exactly: ...}``                      the value itself, whatever it looks like
======================================  =======================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.events import near_miss
from orchestrator.review.story import shown
from orchestrator.templates.patterns import BadPattern, compile_pattern

__all__ = [
    "OPERATORS",
    "Anything",
    "Between",
    "Exactly",
    "Fields",
    "Matcher",
    "OneOf",
    "deviations",
    "is_operator",
    "parse_matcher",
]


class Matcher(Protocol):
    """Says whether a value is as expected; `str()` says what is expected."""

    def matches(self, value: Any) -> bool:
        """Whether the value is as expected."""
        ...


@dataclass(frozen=True, slots=True)
class Anything:
    """Matches everything."""

    def matches(self, value: Any) -> bool:
        """Always true."""
        return True

    def __str__(self) -> str:
        return "any"


@dataclass(frozen=True, slots=True)
class Exactly:
    """Matches one value."""

    wanted: Any

    def matches(self, value: Any) -> bool:
        """Whether it is that value."""
        return _equal(self.wanted, value)

    def __str__(self) -> str:
        return shown(self.wanted)


def _equal(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(wanted, int | float) and isinstance(value, int | float):
        return math.isclose(wanted, value, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(wanted, Mapping) and isinstance(value, Mapping):
        return wanted.keys() == value.keys() and all(_equal(wanted[k], value[k]) for k in wanted)
    if isinstance(wanted, list) and isinstance(value, list):
        return len(wanted) == len(value) and all(map(_equal, wanted, value))
    return type(wanted) is type(value) and bool(wanted == value)


@dataclass(frozen=True, slots=True)
class Matching:
    """Matches texts in which a pattern occurs."""

    pattern: str
    search: Callable[[object], bool]

    def matches(self, value: Any) -> bool:
        """Whether the pattern occurs in it."""
        return isinstance(value, str) and self.search(value)

    def __str__(self) -> str:
        return f"matching {shown(self.pattern)}"


@dataclass(frozen=True, slots=True)
class Containing:
    """Matches texts that hold a text, and lists with a matching item."""

    part: Any
    item: Matcher

    def matches(self, value: Any) -> bool:
        """Whether the part is in it."""
        if isinstance(value, str):
            return isinstance(self.part, str) and self.part in value
        return isinstance(value, list) and any(self.item.matches(item) for item in value)

    def __str__(self) -> str:
        return f"containing {self.item}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """Matches what one of several matchers does."""

    options: tuple[Matcher, ...]

    def matches(self, value: Any) -> bool:
        """Whether one of them does."""
        return any(option.matches(value) for option in self.options)

    def __str__(self) -> str:
        return "one of " + ", ".join(map(str, self.options))


@dataclass(frozen=True, slots=True)
class Between:
    """Matches numbers from `low` to `high`."""

    low: float = -math.inf
    high: float = math.inf

    def matches(self, value: Any) -> bool:
        """Whether it lies between them."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high

    def __str__(self) -> str:
        parts = [f"from {self.low:g}"] if math.isfinite(self.low) else []
        parts += [f"to {self.high:g}"] if math.isfinite(self.high) else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Not:
    """Matches what another does not."""

    other: Matcher

    def matches(self, value: Any) -> bool:
        """Whether the other does not."""
        return not self.other.matches(value)

    def __str__(self) -> str:
        return f"not {self.other}"


@dataclass(frozen=True, slots=True)
class Fields:
    """Matches mappings with these keys; a key that is missing counts as null."""

    fields: Mapping[str, Matcher]

    def matches(self, value: Any) -> bool:
        """Whether each key has a matching value."""
        return isinstance(value, Mapping) and all(
            matcher.matches(value.get(key)) for key, matcher in self.fields.items()
        )

    def __str__(self) -> str:
        return "{" + ", ".join(f"{key}: {m}" for key, m in self.fields.items()) + "}"


@dataclass(frozen=True, slots=True)
class Items:
    """Matches lists item by item."""

    items: tuple[Matcher, ...]

    def matches(self, value: Any) -> bool:
        """Whether there are as many items and each matches."""
        return (
            isinstance(value, list)
            and len(value) == len(self.items)
            and all(m.matches(v) for m, v in zip(self.items, value, strict=True))
        )

    def __str__(self) -> str:
        return "[" + ", ".join(map(str, self.items)) + "]"


def deviations(matcher: Matcher, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Where in a value it is not as expected, as `json.items[2]`, and how, in words."""
    if matcher.matches(value):
        return
    if isinstance(matcher, Fields) and isinstance(value, Mapping):
        for key, inner in matcher.fields.items():
            yield from deviations(inner, value.get(key), f"{path}.{key}" if path else key)
    elif (
        isinstance(matcher, Items) and isinstance(value, list) and len(value) == len(matcher.items)
    ):
        for index, inner in enumerate(matcher.items):
            yield from deviations(inner, value[index], f"{path}[{index}]")
    else:
        yield path, f"was to be {matcher}, but is {shown(value)}"


# --- from what is written ------------------------------------------------------------------------

Complain = Callable[[str], object]


def is_operator(raw: Any) -> bool:
    """Whether a mapping is one of the forms with an operator."""
    if not isinstance(raw, Mapping) or not raw:
        return False
    keys = set(raw)
    if keys <= {"from", "to"}:
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in raw.values())
    return len(keys) == 1 and keys <= OPERATORS.keys()


def parse_matcher(raw: Any, complain: Complain) -> Matcher:
    """The matcher that is written; what is wrong goes to `complain`."""
    if raw == "any":
        return Anything()
    if is_operator(raw):
        if "from" in raw or "to" in raw:
            return between(raw, complain)
        ((word, value),) = raw.items()
        return OPERATORS[word](value, complain)
    if isinstance(raw, Mapping):
        _check_word(raw, complain)
        return Fields({key: parse_matcher(value, complain) for key, value in raw.items()})
    if isinstance(raw, list):
        return Items(tuple(parse_matcher(item, complain) for item in raw))
    return Exactly(raw)


def between(raw: Mapping[str, Any], complain: Complain) -> Between:
    """`{from: 7, to: 9}`; either may be left out."""
    low, high = raw.get("from", -math.inf), raw.get("to", math.inf)
    if low > high:
        complain(f"no number is from {low:g} to {high:g}; write the smaller one first")
    return Between(low, high)


def _check_word(raw: Mapping[str, Any], complain: Complain) -> None:
    """Report a lone key that is a long operator misspelt: as a field it would never be met."""
    key = str(next(iter(raw))) if len(raw) == 1 else ""
    near = near_miss(key, [word for word in OPERATORS if len(word) > 5]) if len(key) > 5 else None
    if near is not None:
        complain(f"no matcher is called `{key}`; did you mean `{near}`?")


def _matching(value: Any, complain: Complain) -> Matcher:
    if not isinstance(value, str):
        complain("`matching` needs a pattern in quotes")
        return Anything()
    try:
        return Matching(value, compile_pattern(value))
    except BadPattern as error:
        complain(f"`matching`: {value!r} is no pattern: {error}")
        return Anything()


def _containing(value: Any, complain: Complain) -> Matcher:
    return Containing(value, parse_matcher(value, complain))


def _one_of(value: Any, complain: Complain) -> Matcher:
    if not isinstance(value, list) or not value:
        complain("`one_of` needs a list of values")
        return Anything()
    return OneOf(tuple(parse_matcher(item, complain) for item in value))


def _not(value: Any, complain: Complain) -> Matcher:
    return Not(parse_matcher(value, complain))


def _exactly(value: Any, complain: Complain) -> Matcher:
    return Exactly(value)


#: The words that make a matcher, beside `from` and `to`.
OPERATORS: Mapping[str, Callable[[Any, Complain], Matcher]] = {
    "containing": _containing,
    "exactly": _exactly,
    "matching": _matching,
    "not": _not,
    "one_of": _one_of,
}
