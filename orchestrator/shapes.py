"""What a value is, as data: the one vocabulary of types for event fields, options and outputs.

Events declare their fields, actions their options and outputs, and templates are checked against
both. A `Shape` says as much as is known; `ANY` says nothing. Values on a call are plain data:
text, numbers, booleans, null, lists and records (mappings).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from typing import Literal

from orchestrator.frozen import frozen

__all__ = [
    "ANY",
    "ANY_RECORD",
    "BOOL",
    "INT",
    "NO_RECORD",
    "NULL",
    "NUMBER",
    "TEXT",
    "Kind",
    "Shape",
    "cleared",
    "either",
    "join_taint",
    "letters_of",
    "list_of",
    "maybe",
    "one_of",
    "record",
    "worst_taint",
]

Kind = Literal["any", "text", "int", "number", "bool", "null", "list", "record"]


_WORDS: Mapping[Kind, str] = {
    "any": "anything",
    "text": "text",
    "int": "a whole number",
    "number": "a number",
    "bool": "true or false",
    "null": "null",
    "list": "a list",
    "record": "a mapping",
}


@frozen
class Shape:
    """The static type of a value.

    `of` is the shape of a list's items; `fields` are a record's known fields; an `is_open` record
    may have more; `is_optional` means that the value may be null; `choices` limits a text.
    `taint` says where text came from: `"caller"` (speech), `"remote"` (an outside answer),
    `"secret"` (a credential) or nothing. `bounds` are the least and the most of a number, of
    the items of a list, or of the letters of a text, where they are known.
    """

    kind: Kind = "any"
    of: Shape | None = None
    fields: Mapping[str, Shape] = field(default_factory=dict)
    is_open: bool = False
    is_optional: bool = False
    choices: tuple[str, ...] = ()
    taint: str = ""
    bounds: tuple[float, float] | None = None

    @property
    def is_number(self) -> bool:
        """Whether values are known to be numbers."""
        return self.kind in ("int", "number")

    @property
    def is_scalar(self) -> bool:
        """Whether values are known to be neither lists nor records."""
        return self.kind in ("text", "int", "number", "bool", "null")

    def tainted(self, taint: str) -> Shape:
        """The same shape, its text known to come from `taint`."""
        return self if taint == self.taint else replace(self, taint=taint)

    def __str__(self) -> str:
        name = "one of " + ", ".join(self.choices) if self.choices else _WORDS[self.kind]
        return f"{name} or null" if self.is_optional and self.kind != "null" else name


ANY = Shape()
TEXT = Shape("text")
INT = Shape("int")
NUMBER = Shape("number")
BOOL = Shape("bool")
NULL = Shape("null", is_optional=True)


def list_of(item: Shape) -> Shape:
    """A list whose items have this shape."""
    return Shape("list", of=item)


def record(fields: Mapping[str, Shape], *, is_open: bool = False) -> Shape:
    """A mapping with these fields; with `is_open` it may have others."""
    return Shape("record", fields=dict(fields), is_open=is_open)


#: A mapping of which nothing is known.
ANY_RECORD = record({}, is_open=True)
#: A mapping with nothing in it.
NO_RECORD = record({})


def maybe(shape: Shape) -> Shape:
    """The same shape, or null."""
    return replace(shape, is_optional=True)


def one_of(*choices: str) -> Shape:
    """Text out of a fixed set."""
    return Shape("text", choices=choices)


#: Taints, the worst first.
_RANK = ("secret", "caller", "remote")


def join_taint(*shapes: Shape) -> str:
    """The worst taint of some shapes and of what is inside them."""
    if len(shapes) == 1 and not shapes[0].fields and shapes[0].of is None:
        return shapes[0].taint  # most are plain text
    found: set[str] = set()
    rest = list(shapes)
    while rest:
        shape = rest.pop()
        found.add(shape.taint)
        rest.extend(shape.fields.values())
        if shape.of is not None:
            rest.append(shape.of)
    return worst_taint(found)


def worst_taint(taints: Collection[str]) -> str:
    """The taint of what is made of values with these taints."""
    return next((taint for taint in _RANK if taint in taints), "")


def cleared(shape: Shape, taint: str) -> Shape:
    """The same shape without this taint, inside of it too."""
    if join_taint(shape) == "":
        return shape
    fields = {name: cleared(inner, taint) for name, inner in shape.fields.items()}
    of = cleared(shape.of, taint) if shape.of is not None else None
    return replace(shape, fields=fields, of=of, taint="" if shape.taint == taint else shape.taint)


def letters_of(shape: Shape) -> tuple[float, float] | None:
    """The least and the most letters of a text, where they are known."""
    if shape.kind != "text" or not shape.choices:
        return shape.bounds if shape.kind == "text" else None
    lengths = [len(choice) for choice in shape.choices]
    return min(lengths), max(lengths)


def either(first: Shape, second: Shape) -> Shape:
    """The narrowest shape that holds values of both; where kinds differ, the worst taint of all."""
    if first == second:
        return first
    taint = worst_taint((first.taint, second.taint))
    is_optional = first.is_optional or second.is_optional
    if first.kind == "null":
        return replace(second, is_optional=True, taint=taint)
    if second.kind == "null":
        return replace(first, is_optional=True, taint=taint)
    if first.is_number and second.is_number:
        return Shape("number", is_optional=is_optional, taint=taint)
    if first.kind == second.kind == "record":
        names = {*first.fields, *second.fields}
        merged = {n: either(first.fields.get(n, NULL), second.fields.get(n, NULL)) for n in names}
        return Shape("record", fields=merged, is_open=first.is_open or second.is_open,
                     is_optional=is_optional, taint=taint)  # fmt: skip
    if first.kind == second.kind:
        of = either(first.of or ANY, second.of or ANY) if first.kind == "list" else None
        one, other = letters_of(first), letters_of(second)
        bounds = (min(one[0], other[0]), max(one[1], other[1])) if one and other else None
        return Shape(first.kind, of=of, is_optional=is_optional, taint=taint, bounds=bounds)
    return Shape("any", is_optional=is_optional, taint=join_taint(first, second))
