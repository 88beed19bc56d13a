"""One option: what it takes, in code, in words and as a shape."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.shapes import ANY, BOOL, INT, NUMBER, TEXT, Shape, list_of, maybe, record

__all__ = ["FIXED_KINDS", "NO_DEFAULT", "Option", "OptionKind", "Schema", "field_name"]

OptionKind = Literal[
    "any", "text", "int", "number", "bool", "choice", "list", "mapping", "record", "either",
    "duration", "secret", "destination", "event", "connection", "python", "url", "path",
    "condition", "steps",
]  # fmt: skip

NO_DEFAULT: Any = object()

#: Options that are read at load: a template in them would have nothing to read.
FIXED_KINDS = frozenset({"connection", "python", "event", "condition", "steps"})


@dataclass(frozen=True, slots=True)
class Schema:
    """Put into `Annotated[...]`: a JSON Schema that written values must also meet."""

    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its kind, default, documentation and, where it has parts, their options."""

    name: str
    kind: OptionKind
    doc: str = ""
    default: Any = NO_DEFAULT
    choices: tuple[Any, ...] = ()
    is_nullable: bool = False
    item: Option | None = None
    fields: Mapping[str, Option] = field(default_factory=dict)
    variants: tuple[Option, ...] = ()
    low: float | None = None
    high: float | None = None
    schema: Mapping[str, Any] | None = None
    type: Any = None
    is_filled: bool = False
    is_trusted: bool = False
    is_written: bool = False
    form: str = ""
    trusted_by: str = ""

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is NO_DEFAULT

    @property
    def is_fixed(self) -> bool:
        """Whether it is read at load, so that templates are refused."""
        return self.kind in FIXED_KINDS

    @property
    def shape(self) -> Shape:
        """The shape of its values."""
        base = _SHAPES.get(self.kind, TEXT)
        if self.kind == "list" and self.item:
            base = list_of(self.item.shape)
        elif self.kind == "record":
            base = record({n: o.shape for n, o in self.fields.items()})
        elif self.kind == "choice":
            base = Shape("text", choices=tuple(map(str, self.choices)))
        elif self.kind == "mapping":
            base = record({}, is_open=True)
        elif self.kind == "either":
            base = ANY
        return maybe(base) if self.is_nullable else base

    def accepts(self, kind: OptionKind) -> bool:
        """Whether it is of this kind, or one of its variants is."""
        if self.kind == kind:
            return True
        return bool(self.variants) and any(v.accepts(kind) for v in self.variants)

    def accepts_item(self, kind: OptionKind) -> bool:
        """Whether it takes a list whose items are of this kind."""
        if self.item is not None and self.item.kind == kind:
            return True
        return any(v.accepts_item(kind) for v in self.variants)

    def wanted(self) -> str:
        """What it takes, in words, for messages."""
        if self.kind == "either":
            return " or ".join(dict.fromkeys(v.wanted() for v in self.variants))
        if self.kind == "choice":
            return "one of " + ", ".join(map(str, self.choices))
        if self.kind == "list" and self.item and self.item.kind != "any":
            return f"a list, each item {self.item.wanted()}"
        return _WANTED.get(self.kind, "text")


_SHAPES: Mapping[OptionKind, Shape] = {
    "any": ANY, "int": INT, "number": NUMBER, "duration": NUMBER, "bool": BOOL, "steps": ANY,
    "list": list_of(ANY), "secret": TEXT.tainted("secret"),
}  # fmt: skip
_WANTED: Mapping[OptionKind, str] = {
    "any": "any value", "text": "text", "int": "a whole number", "number": "a number",
    "bool": "true or false", "list": "a list", "mapping": "a mapping", "record": "a mapping",
    "duration": "a duration such as 500ms, 8s, 2m or 1h", "secret": "a credential",
    "destination": "a phone number such as '+15550100'", "event": "the name of an event",
    "connection": "the name of a connection", "python": "module:function", "url": "a URL",
    "path": "a path such as /calls", "condition": "a condition", "steps": "a list of steps",
}  # fmt: skip


def field_name(word: str) -> str:
    """The Python field of an option: `for` -> `for_`."""
    return f"{word}_" if keyword.iskeyword(word) else word
