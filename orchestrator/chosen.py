"""Where a call goes is the author's word: the texts that a config can give to an option.

A template may choose between queues, agents or keys; it may not make one up from what a caller,
another system or the data of a call says. So all texts that it can give are collected once, at
load, from what the config writes out: texts in the template itself, `vars`, what `set` and `emit`
write, and fields of events that are one of a few words. A value that is none of these is used only
if the config's `allow` has it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestrator.config import Allow, Config, HookConfig
from orchestrator.errors import ActionFailed
from orchestrator.events import find_event
from orchestrator.options import Option
from orchestrator.templates import Template
from orchestrator.templates.tree import (
    Choice,
    Constant,
    Filtered,
    Joined,
    ListOf,
    Logic,
    Node,
    Path,
    RecordOf,
)
from orchestrator.values import EnvRef, Value

__all__ = ["WrittenTexts", "guarded", "is_allowed", "reads_vars_only"]

Texts = frozenset[str]
_NONE: Texts = frozenset()
#: Texts that one option may be given; what would have more is no choice between a few.
_MOST = 1_000
#: How far values of `data` are followed to where they were set.
_DEEPEST = 8


def reads_vars_only(value: Value) -> bool:
    """Whether a value depends on nothing but constants, the environment and `vars`."""
    return not any(
        template.calls or any(read.path[0] != "vars" for read in template.reads)
        for _, template, _ in value.templates()
    )


def is_allowed(text: str, allow: Allow, kind: str) -> bool:
    """Whether the config's `allow` has a text; an entry that ends in `*` is a beginning."""
    if kind == "numbers":
        text = "".join(c for c in text if c not in " ().-")
        return text in allow.numbers or any(map(text.startswith, allow.prefixes))
    entries: Iterable[str] = getattr(allow, kind, ())
    return any(
        text.startswith(entry[:-1]) if entry.endswith("*") else text == entry for entry in entries
    )


def guarded(
    read: Callable[[Any], Any], option: Option, texts: Texts, allow: Allow
) -> Callable[[Any], Any]:
    """A reader that refuses what neither the config writes out nor `allow` has."""
    kind = option.trusted_by

    def checked(scope: Any) -> Any:
        value = read(scope)
        if value is None or str(value) in texts or is_allowed(str(value), allow, kind):
            return value
        mend = f", or list it in `allow: {{{kind}: [...]}}`" if kind else ""
        raise ActionFailed(
            f"option `{option.name}`: the config does not write out {str(value)[:60]!r}; "
            f"write it out{mend}"
        )

    return checked


class WrittenTexts:
    """Finds the texts that templates of a config can give."""

    def __init__(self, config: Config, variables: Mapping[str, Any]) -> None:
        self._vars = variables
        self._set: dict[str, list[Value]] = {}
        self._emitted: dict[tuple[str, str], list[Value]] = {}
        for step in config.steps():
            if step.kind == "set":
                for name, value in step.options.items():
                    self._set.setdefault(name, []).append(value)
            elif step.word == "emit" and "fields" in step.options and "event" in step.options:
                event = str(step.options["event"].raw)
                for name, value in step.options["fields"].items.items():
                    self._emitted.setdefault((event, str(name)), []).append(value)

    def of(self, value: Value, hook: HookConfig | None) -> Texts:
        """Every text that a value can give in a hook."""
        return self._value(value, hook, 0)

    def in_parts(self, value: Value, hook: HookConfig) -> Texts:
        """Every text that one of the `{{ }}` in a value can give."""
        templates = [part for part in value.parts if isinstance(part, Template)]
        nodes = [piece for t in templates for piece in t.pieces if not isinstance(piece, str)]
        return _NONE.union(*(self._node(node, hook, 0) for node in nodes))

    def _value(self, value: Value, hook: HookConfig | None, depth: int) -> Texts:
        if depth > _DEEPEST:
            return _NONE
        if value.items:
            return _NONE.union(*(self._value(v, hook, depth) for v in value.items.values()))
        if not value.parts:
            return _leaves(value.raw)
        if any(isinstance(part, EnvRef) for part in value.parts):
            return _NONE  # what is in a variable is not written here; `vars` may hold it
        pieces: list[str | Node] = []
        for part in value.parts:
            pieces += part.pieces if isinstance(part, Template) else [str(part)]
        return self._joined(pieces, hook, depth)

    def _joined(self, pieces: Iterable[str | Node], hook: HookConfig | None, depth: int) -> Texts:
        """The texts of several pieces one after another."""
        found, count = [], 1
        for piece in pieces:
            texts = frozenset({piece}) if isinstance(piece, str) else self._node(piece, hook, depth)
            count *= len(texts)
            if not 0 < count <= _MOST:
                return _NONE
            found.append(texts)
        return frozenset(map("".join, itertools.product(*found)))

    def _node(self, node: Node, hook: HookConfig | None, depth: int) -> Texts:
        def each(nodes: Iterable[Node]) -> Texts:
            return _NONE.union(*(self._node(inner, hook, depth) for inner in nodes))

        match node:
            case Constant(value=value):
                return _leaves(value)
            case Choice(then=then, otherwise=otherwise):
                return each((then, otherwise))
            case Logic(items=items) | ListOf(items=items):
                return each(items)
            case RecordOf(pairs=pairs):
                return each(value for _, value in pairs)
            case Filtered(name="default", item=item, args=args):
                return each((item, *args[:1]))
            case Filtered(name="first" | "last" | "random", item=item):
                return each((item,))
            case Joined(items=items):
                return self._joined(items, hook, depth)
            case Path():
                return self._path(node, hook, depth)
        return _NONE

    def _path(self, path: Path, hook: HookConfig | None, depth: int) -> Texts:
        if isinstance(path.root, Node):
            return self._node(path.root, hook, depth)
        if path.root == "vars":
            return _leaves(_inside(self._vars, path.parts))
        name = str(path.parts[0]) if path.parts and not isinstance(path.parts[0], Node) else ""
        if path.root == "data":
            values = self._set.get(name, ())
        elif path.root == "event" and hook is not None:
            event = find_event(hook.scope, hook.event)
            field = event.shape.fields.get(name) if event is not None else None
            if field is not None:
                return frozenset(field.choices)
            values = self._emitted.get((hook.event, name), ())
        else:
            return _NONE
        return _NONE.union(*(self._value(value, None, depth + 1) for value in values))


def _inside(value: Any, parts: Iterable[Any]) -> Any:
    """What stands at a path in `vars`: all that may, where a part is computed."""
    for part in parts:
        if isinstance(part, Node):
            return value
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _leaves(value: Any) -> Texts:
    if isinstance(value, str):
        return frozenset({value})
    if isinstance(value, Mapping):
        return _NONE.union(*map(_leaves, value.values()))
    if isinstance(value, (list, tuple)):
        return _NONE.union(*map(_leaves, value))
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return frozenset({str(value)}) if is_number else _NONE
