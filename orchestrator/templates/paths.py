"""The static check of paths: whether each part exists and what it leads to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.events import near_miss
from orchestrator.shapes import ANY, TEXT, Shape, join_taint, record, worst_taint
from orchestrator.templates.library import CALL_FIELDS, CALLS, NOW_FIELDS, ROOTS
from orchestrator.templates.model import Fault
from orchestrator.templates.operators import kind_words
from orchestrator.templates.tree import Node, Path, prefix

__all__ = ["PathChecker"]

_BUILT_IN: Mapping[str, Shape] = {
    "call": record(CALL_FIELDS),
    "now": record(NOW_FIELDS),
    "memory": record({}),
}


#: Keys that no caller's phone has: a menu need not know them.
_RARE = frozenset("ABCD")
#: Roots of which a value stays the same within a hook: who asks it once knows it.
_TOLD = ("event", "now", "call")


class PathChecker:
    """Follows paths through the shapes of the names in scope."""

    def __init__(
        self,
        source: str,
        names: Mapping[str, Shape],
        guarded: Mapping[int, int],
        faults: list[Fault],
    ) -> None:
        self.source = source
        self.names = {**_BUILT_IN, **names}
        self.names.pop("memory.get", None)  # a call, not a name
        self.guarded = guarded
        self.faults = faults
        self.reported: set[str] = set()

    def shape(self, node: Path, shape_of: Callable[[Node], Shape]) -> Shape:
        """The shape of what a path leads to; a path has one fault at most."""
        try:
            shape = self._root(node, shape_of)
            for index, part in enumerate(node.parts):
                if isinstance(part, Node):
                    self._check_table(node, index, shape, (part, shape_of(part)))
                shape = self._step(node, index, shape, part)
            return self._finish(node, shape)
        except _Stop:
            return ANY

    def _is_guarded(self, node: Path, index: int) -> bool:
        """Whether the path up to the part with this index, 0 for the root, is provided for."""
        return self.guarded.get(node.offset, 0) > index

    def _finish(self, node: Path, shape: Shape) -> Shape:
        if self._is_guarded(node, len(node.parts)):
            is_null = shape.kind == "null"
            return shape if shape.is_optional == is_null else replace(shape, is_optional=is_null)
        if node.root == "steps" and len(node.parts) == 1 and shape.is_optional:
            raise self._missing(node, 1)
        if node.root == "event" and shape.is_optional and isinstance(node.parts[-1], str):
            name = self._spelled(node, len(node.parts))
            message = f"`{name}` may be missing: not every runtime has it"
            fault = Fault("HK203", message, node.offsets[-1], len(node.parts[-1]),
                          "add `| default('...')`")  # fmt: skip
            raise self._add(fault)
        return shape

    def is_always_there(self, node: Path) -> bool:
        """Whether a path leads to what every event of this kind, or every call, has."""
        if node.root not in ("event", "call", "now"):
            return False
        shape = self.names.get(str(node.root), ANY)
        for part in node.parts:
            if not isinstance(part, str) or part not in shape.fields:
                return False
            shape = shape.fields[part]
        return not shape.is_optional

    def _missing(self, node: Path, index: int) -> _Stop:
        where = self._spelled(node, index)
        if node.root == "steps" and index == 1:
            message = f"`{where}` is there only when its step has run"
            advice = f"add `| default('...')`, or ask `{where} is defined and ...`"
            return self._report(node, index, "HK203", message, advice)
        advice = f"add `| default('...')`, or ask `{where} and ...`"
        return self._report(node, index, "HK203", f"`{where}` may be null", advice)

    def _root(self, node: Path, shape_of: Callable[[Node], Shape]) -> Shape:
        if isinstance(node.root, Node):
            return shape_of(node.root)
        name = node.root
        if name == "now" and not node.parts:
            return TEXT
        if name in self.names:
            if not node.parts and name in ("call", "memory"):
                raise self._report(
                    node, 0, "HK202", f"`{name}` alone is no value", _fields_of(name)
                )
            return self.names[name]
        if name in ROOTS:
            advice = "it is there in `on_error` steps" if name == "error" else None
            raise self._report(node, 0, "HK204", f"`{name}` is not known here", advice)
        raise self._report(node, 0, "HK201", f"unknown name `{name}`", self._advise_name(node))

    def _advise_name(self, node: Path) -> str:
        name = str(node.root)
        for root, shape in self.names.items():
            if name in shape.fields:
                return f"did you mean `{root}.{name}`?"
        close = near_miss(name, self.names)
        if close:
            return f"did you mean `{close}`?"
        if not node.parts:
            return f"a text needs quotes: '{name}'; names are: {', '.join(self.names)}"
        return "names are: " + ", ".join(self.names)

    def _step(self, node: Path, index: int, shape: Shape, part: str | int | Node) -> Shape:
        is_known_field = shape.kind == "record" and isinstance(part, str) and part in shape.fields
        if shape.is_optional and not self._is_guarded(node, index):
            raise self._missing(node, index)
        if is_known_field:
            return _inherit(shape.fields[str(part)], shape)
        if isinstance(part, Node) or shape.kind == "any":
            if shape.kind == "list" and shape.of:
                return _inherit(shape.of, shape)
            return ANY.tainted(join_taint(shape))
        return self._constant_step(node, index, shape, part)

    def _check_table(self, node: Path, index: int, table: Shape, key: tuple[Node, Shape]) -> None:
        """A key out of a few words, in a table that is written out and has not all of them."""
        part, words = key[0], key[1].choices
        is_known = table.kind == "record" and table.fields and not table.is_open
        missing = [word for word in words if word not in table.fields and word not in _RARE]
        if not is_known or not missing or self._is_guarded(node, index + 1):
            return
        if not isinstance(part, Path) or part.root not in _TOLD:
            return
        where, asked = self._spelled(node, index), self.source[part.offset : part.end]
        few = ", ".join(map(repr, missing[:4])) + (", ..." if len(missing) > 4 else "")
        advice = f"add `| default('...')`, or ask `{asked} in {where}` first"
        length = node.ends[index + 1] - node.offset
        fault = Fault("HK203", f"`{where}` has no {few}", node.offset, length, advice)
        fault = replace(fault, asked_of=prefix(part))
        raise self._add(fault)

    def _constant_step(self, node: Path, index: int, shape: Shape, part: str | int) -> Shape:
        if (
            isinstance(part, int)
            and shape.kind == "list"
            and shape.bounds
            and part >= shape.bounds[1]
        ):
            where = self._spelled(node, index)
            count = "1 item" if shape.bounds[1] == 1 else f"{shape.bounds[1]:g} items"
            message = f"`{where}` has {count}, the first is `[0]`"
            raise self._report(node, index + 1, "HK202", message, None)
        if isinstance(part, int) and shape.kind in ("list", "text"):
            inner = TEXT if shape.kind == "text" else shape.of or ANY
            return _inherit(inner, shape)
        if shape.kind == "record" and (shape.is_open or self._is_brought(node, index)):
            return _inherit(ANY, shape)
        if shape.kind == "null" and self._is_guarded(node, index):
            return shape
        where = self._spelled(node, index)
        if shape.kind == "record":
            raise self._report(node, index + 1, "HK202", f"there is no `{part}` in `{where}`",
                         self._advise_field(node, index, shape))  # fmt: skip
        advice = "take an item by its number, such as `[0]`" if shape.kind == "list" else None
        message = f"`{where}` is {kind_words(shape)} and has no `{part}`"
        raise self._report(node, index + 1, "HK202", message, advice)

    def _is_brought(self, node: Path, index: int) -> bool:
        """Calls arrive with data, so a guarded read of it needs nothing in the file to save it."""
        return node.root == "data" and index == 0 and self._is_guarded(node, 1)

    def _advise_field(self, node: Path, index: int, shape: Shape) -> str | None:
        part = str(node.parts[index])
        calls = [call for call in CALLS if call == f"{node.root}.{part}"]
        if calls and index == 0:
            return f"it is a call: `{calls[0]}(...)`"
        close = near_miss(part, shape.fields)
        if close:
            return f"did you mean `{close}`?"
        known = ", ".join(list(shape.fields)[:20])
        nothing = "this event has no fields" if node.root == "event" and index == 0 else None
        return f"it has: {known}" if known else nothing

    def _spelled(self, node: Path, index: int) -> str:
        return self.source[node.offset : node.ends[index]]

    def _report(self, node: Path, index: int, code: str, message: str, help: str | None) -> _Stop:
        offset = node.offset if index == 0 or code == "HK203" else node.offsets[index]
        end = node.ends[index]
        if offset > node.offset and self.source[end - 1] == "]":
            end -= 1
        return self._add(Fault(code, message, offset, max(1, end - offset), help))

    def _add(self, fault: Fault) -> _Stop:
        if fault.message not in self.reported:
            self.reported.add(fault.message)
            self.faults.append(fault)
        return _Stop()


class _Stop(Exception):
    """A fault was found; what follows in the path is unknown."""


def _inherit(inner: Shape, outer: Shape) -> Shape:
    """What is inside of something tainted is tainted."""
    return inner.tainted(worst_taint((inner.taint, outer.taint)))


def _fields_of(name: str) -> str:
    if name == "call":
        return "name a field, such as `call.id`"
    return "use `memory.get(key)` or `memory.count(key)`"
