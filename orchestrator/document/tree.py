"""Plain data that knows where it was written: what YAML text becomes.

Scalars are plain `str`, `int`, `float`, `bool` or `None`; the mapping or list that holds them keeps
their places. An alias is the node of its anchor, so the places below it are those of the anchor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

__all__ = [
    "Failure",
    "Finding",
    "RawSpan",
    "Span",
    "Template",
    "Tree",
    "YamlList",
    "YamlMap",
    "merge",
]


class Span(NamedTuple):
    """Where a node is written. Lines and columns count from 0; the end is exclusive.

    `style` tells how: `""` plain, `"'"`, `'"'`, `"|"` or `">"` for scalars, and `"{"` or `"["` for
    the flow form of a mapping or list (`""` for the block form).
    """

    line: int
    column: int
    end_line: int
    end_column: int
    style: str = ""


#: A span while a tree is built. Plain tuples cost half of the time and leave the garbage collector
#: alone; few of them are ever looked at, and those become a `Span` then.
RawSpan = tuple[int, int, int, int, str]

_START = Span(0, 0, 0, 0)


class YamlMap(dict[str, Any]):
    """A mapping in the order of the file, with the span of every key and value."""

    __slots__ = ("is_raw", "raw_keys", "raw_values", "span")

    def __init__(self, span: Span = _START) -> None:
        self.span = span
        self.raw_keys: dict[str, Any] = {}
        self.raw_values: dict[str, Any] = {}
        self.is_raw = True

    @property
    def key_spans(self) -> dict[str, Span]:
        """The span of each key."""
        self._wrap()
        return self.raw_keys

    @property
    def value_spans(self) -> dict[str, Span]:
        """The span of each value."""
        self._wrap()
        return self.raw_values

    def _wrap(self) -> None:
        if self.is_raw:
            self.is_raw = False
            self.raw_keys = {key: Span(*raw) for key, raw in self.raw_keys.items()}
            self.raw_values = {key: Span(*raw) for key, raw in self.raw_values.items()}


class YamlList(list[Any]):
    """A list with the span of every item."""

    __slots__ = ("is_raw", "raw_items", "span")

    def __init__(self, span: Span = _START) -> None:
        self.span = span
        self.raw_items: list[Any] = []
        self.is_raw = True

    @property
    def item_spans(self) -> list[Span]:
        """The span of each item."""
        if self.is_raw:
            self.is_raw = False
            self.raw_items = [Span(*raw) for raw in self.raw_items]
        return self.raw_items


def merge(merges: list[tuple[YamlMap, Any]]) -> None:
    """Copy what `<<` asks for: the key is one finding, not one for each key that is missing."""
    for target, source in merges:
        for origin in source if type(source) is YamlList else [source]:
            for key in origin if type(origin) is YamlMap else ():
                if key not in target:
                    target[key] = origin[key]
                    target.key_spans[key] = origin.key_spans[key]
                    target.value_spans[key] = origin.value_spans[key]


class Finding(NamedTuple):
    """A problem before its file is known. `fix` replaces the text of a span on one line."""

    code: str
    message: str
    span: Span
    help: str | None = None
    related: tuple[tuple[Span, str], ...] = ()
    fix: tuple[Span, str] | None = None
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Template:
    """A `{{` that was read as a mapping: where, and whether inside of a flow mapping or list."""

    line: int
    column: int
    index: int
    in_flow: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """Where and why the parser gave up, and the last scalar it had read by then."""

    problem: str
    line: int
    column: int
    context: tuple[int, int] | None
    last: Span | None
    last_value: str


@dataclass(slots=True)
class Tree:
    """What was built.

    `quoted` has the spans of all scalars that are not plain. When the parser failed, `failure` is
    set; when building was given up, `is_refused`, and `template` if a template was the reason.
    """

    root: Any = None
    span: Span | None = None
    findings: list[Finding] = field(default_factory=list)
    quoted: list[RawSpan] = field(default_factory=list)
    template: Template | None = None
    failure: Failure | None = None
    is_refused: bool = False
