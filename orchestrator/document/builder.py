"""Build a tree with places from the event stream of the YAML parser, without recursion.

Events cost a quarter of what PyYAML's nodes and constructors do, and they come one at a time: a
hostile file is refused at the first event over a limit, before the parser has read the rest.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import yaml
from yaml import events as ev

from orchestrator.document.findings import (
    bad_alias,
    bad_key,
    duplicate_key,
    glued_keys,
    read_plain,
    refused_tag,
    second_anchor,
    surrogate,
    too_deep,
    too_many,
)
from orchestrator.document.marks import Mark, behind_properties, failure_of, start_span, tag_of
from orchestrator.document.scalars import CURLY, SURROGATE, WORDS
from orchestrator.document.text import ODD_SPACE
from orchestrator.document.tree import (
    Finding,
    RawSpan,
    Span,
    Template,
    Tree,
    YamlList,
    YamlMap,
    merge,
)

__all__ = ["MASK", "MAX_DEPTH", "MAX_NODES", "build"]

MAX_DEPTH = 64
MAX_NODES = 100_000

#: Stands for each character of an unquoted template in the text that the parser sees.
MASK = "\ue000"

# Plain scalars with another first character are text; most are not looked at any further.
_FIRSTS = frozenset(["-", ".", *"0123456789", *CURLY, MASK])

_span = tuple.__new__  # a Span for half of the time that Span(...) takes


class _Slot(enum.Enum):
    """Keys without a place in the tree."""

    DROPPED = 1  # refused; its value is built, for its findings, and left out
    MERGE = 2


#: What is put aside while a mapping or list is built: the node around it, with its key and height
#: so far; then the anchor of the new node, the number of nodes before it, its start and its style.
_Frame = tuple[Any, str | _Slot | None, int, str | None, int, Mark, str]


class _Anchor(NamedTuple):
    """A node with a name; `nodes` and `height` are counted with its aliases followed."""

    place: Span
    is_open: bool
    value: Any = None
    span: Span | None = None
    nodes: int = 1
    height: int = 0


class _Stop(Exception):
    """Building ends here; the reason is already in the tree."""


def build(text: str, raw: Mapping[tuple[int, int], str], *, is_pure: bool = False) -> Tree:
    """The tree of the first document in `text`, which holds no refused characters.

    `raw` has the text of each masked template by its place. `is_pure` avoids the C parser.
    """
    is_pure = is_pure or not yaml.__with_libyaml__
    builder = _Builder(text, raw, is_pure=is_pure)
    loader = yaml.BaseLoader if is_pure else yaml.CBaseLoader
    try:
        builder.read(loader(text).get_event)
    except _Stop:
        pass
    except yaml.MarkedYAMLError as error:
        builder.tree.failure = failure_of(error, builder.last)
    return builder.tree


class _Builder:
    def __init__(self, text: str, raw: Mapping[tuple[int, int], str], *, is_pure: bool) -> None:
        self.tree = Tree()
        self.is_pure = is_pure
        self.text = text
        self.raw = raw
        self.has_odd_space = not text.isascii() and ODD_SPACE.search(text) is not None
        self.frames: list[_Frame] = []
        self.here: YamlMap | YamlList | None = None
        self.key: str | _Slot | None = None
        self.height = 0
        self.nodes = 0
        self.anchors: dict[str, _Anchor] = {}
        self.merges: list[tuple[YamlMap, Any]] = []
        self.last: Any = None
        self.documents = 0

    def read(self, get_event: Callable[[], Any]) -> None:
        """Build until the stream ends.

        Most events are scalars. They are handled right here, without a call and from local names,
        which saves a third of the time of the whole build.
        """
        map_start, map_end = ev.MappingStartEvent, ev.MappingEndEvent
        list_start, list_end = ev.SequenceStartEvent, ev.SequenceEndEvent
        others = {
            ev.AliasEvent: self.alias,
            ev.DocumentStartEvent: self.document,
        }
        scalar, quoted, has_odd_space = ev.ScalarEvent, self.tree.quoted, self.has_odd_space
        here: Any = None
        key, nodes = self.key, 0
        while True:
            event = get_event()
            kind = type(event)
            if kind is not scalar:
                self.key, self.nodes = key, nodes
                if kind is map_start:
                    self.open(event, YamlMap(), "{")
                elif kind is map_end or kind is list_end:
                    self.close(event)
                elif kind is list_start:
                    self.open(event, YamlList(), "[")
                elif kind in others:
                    others[kind](event)
                elif kind is ev.StreamEndEvent:
                    break
                here, key, nodes = self.here, self.key, self.nodes
                continue
            self.last = event
            start, end, value, style = event.start_mark, event.end_mark, event.value, event.style
            span: RawSpan = (start.line, start.column, end.line, end.column, style or "")
            anchor = event.anchor
            if anchor or event.tag:
                span = self.properties(event, Span(*span))
            if style:
                quoted.append(span)
                if self.is_pure and SURROGATE.search(value):
                    self.tree.findings.append(surrogate(Span(*span)))
            elif value in WORDS:
                value = WORDS[value]
            elif value[:1] in _FIRSTS or has_odd_space:
                value = self.plain(value, Span(*span))
            if anchor:
                self.anchors[anchor] = _Anchor(Span(*span), False, value, Span(*span))
            nodes += 1
            if nodes > MAX_NODES:
                self.refuse(too_many(Span(*span), MAX_NODES, has_aliases=bool(self.anchors)))
            if type(key) is str:
                here[key] = value
                here.raw_values[key] = span
                key = None
            elif key is None and type(here) is YamlMap and type(value) is str:
                spans = here.raw_keys
                if value in spans or value == "<<":
                    key = self.odd_key(here, value, Span(*span))
                else:
                    spans[value] = span
                    key = value
            else:
                self.key = key
                self.put(value, span)
                key = self.key
        merge(self.merges)

    def put(self, value: Any, span: RawSpan) -> None:
        """Put a finished node where it belongs."""
        here, key = self.here, self.key
        if type(here) is YamlList:
            here.append(value)
            here.raw_items.append(span)
        elif type(here) is not YamlMap:
            self.tree.root, self.tree.span = value, Span(*span)
        elif key is None:
            self.key = self.odd_key(here, value, Span(*span))
        else:
            if type(key) is str:
                here[key] = value
                here.raw_values[key] = span
            elif key is _Slot.MERGE:
                self.merges.append((here, value))
            self.key = None

    def odd_key(self, here: YamlMap, value: Any, span: Span) -> str | _Slot:
        """The key to put the next value under; most often it is refused."""
        if type(value) is not str:
            self.tree.findings.append(bad_key(value, span))
            return _Slot.DROPPED
        if value == "<<" and not span.style:
            help_ = "share options through `defaults` and steps through `chains`"
            self.tree.findings.append(Finding("HK016", "merge keys are refused", span, help_))
            return _Slot.MERGE
        if value in here.raw_keys:
            first = Span(*here.raw_keys[value])
            self.tree.findings.append(duplicate_key(value, span, first))
            return _Slot.DROPPED
        here.raw_keys[value] = span
        return value

    def plain(self, value: str, span: Span) -> Any:
        """The value of a plain scalar, or the text of the template that a mask stands for."""
        if value[:1] == MASK:
            return self.raw.get(span[:2], value)
        value, findings = read_plain(value, span, self.has_odd_space)
        self.tree.findings += findings
        return value

    def check_template(self, start: Any) -> None:
        """Stop at a second brace: the two are a template, and what follows need not be YAML."""
        outer, key, _, _, _, brace, style = self.frames[-1]
        if style != "{" or (brace.line, brace.column + 1) != (start.line, start.column):
            return
        in_flow = len(self.frames) > 1 and self.frames[-2][-1] != ""
        is_key = type(outer) is YamlMap and key is None
        self.tree.is_refused = True
        place = (brace.line, brace.column, start.index - 1)
        self.tree.template = Template(*place, in_flow=in_flow or is_key)
        raise _Stop

    def open(self, event: Any, node: YamlMap | YamlList, flow: str) -> None:
        """Start a mapping or list: what follows goes into it until it is closed."""
        here, key, frames = self.here, self.key, self.frames
        start, anchor, style = event.start_mark, event.anchor, ""
        if event.flow_style:
            style = flow
            if key is None and type(here) is YamlMap and not here:
                self.check_template(start)
        if anchor or event.tag:
            start = self.properties(event, start_span(event))
            if anchor:
                self.anchors[anchor] = _Anchor(start_span(event), True)
        if len(frames) >= MAX_DEPTH:
            self.refuse(too_deep(start_span(event), MAX_DEPTH))
        frames.append((here, key, self.height, anchor, self.nodes, start, style))
        self.here, self.key, self.height = node, None, 0

    def close(self, event: Any) -> None:
        """Finish the innermost mapping or list and put it into the one around it."""
        node: Any = self.here
        height, end = self.height + 1, event.end_mark
        here, key, outer_height, anchor, nodes, start, style = self.frames.pop()
        span = node.span = _span(Span, (start.line, start.column, end.line, end.column, style))
        if style == "{" and None in node.values():
            self.tree.findings += glued_keys(node)
        self.here = here
        self.height = height if height > outer_height else outer_height
        self.nodes += 1
        if anchor:
            nodes = self.nodes - nodes
            self.anchors[anchor] = _Anchor(span, False, node, span, nodes, height)
        if type(key) is str:
            here[key] = node
            here.raw_values[key] = span
            self.key = None
        else:
            self.key = key
            self.put(node, span)

    def alias(self, event: Any) -> None:
        """Put the node of an anchor here too, counting what following the alias costs."""
        start, end, name = event.start_mark, event.end_mark, event.anchor
        span = Span(start.line, start.column, end.line, end.column)
        anchor = self.anchors.get(name)
        if anchor is None or anchor.is_open:
            self.tree.findings.append(bad_alias(name, span, self.anchors))
            self.key = _Slot.DROPPED if type(self.here) is YamlMap and self.key is None else None
            return
        self.nodes += anchor.nodes
        if self.nodes > MAX_NODES:
            self.refuse(too_many(span, MAX_NODES, has_aliases=bool(self.anchors)))
        if len(self.frames) + anchor.height > MAX_DEPTH:
            self.refuse(too_deep(span, MAX_DEPTH))
        self.height = max(self.height, anchor.height)
        is_key = type(self.here) is YamlMap and self.key is None
        self.put(anchor.value, span if is_key or anchor.span is None else anchor.span)

    def properties(self, event: Any, span: Span) -> Span:
        """Check the tag and anchor of a node; the span of the node behind them."""
        if event.tag is not None:
            self.tree.findings.append(refused_tag(*tag_of(self.text, event)))
        if (first := self.anchors.get(event.anchor)) is not None:
            self.tree.findings.append(second_anchor(event.anchor, span, first.place))
        return behind_properties(self.text, event, span)

    def document(self, event: Any) -> None:
        """Stop at a second document; the first is complete."""
        self.documents += 1
        if self.documents == 2:
            start = event.start_mark
            span = Span(start.line, start.column, start.line, start.column + 3)
            help_ = "a file holds one config; put the other into a file of its own"
            self.tree.findings.append(Finding("HK023", "a second document starts", span, help_))
            merge(self.merges)
            raise _Stop

    def refuse(self, finding: Finding) -> NoReturn:
        """Give up on the file."""
        self.tree.findings.append(finding)
        self.tree.is_refused = True
        raise _Stop
