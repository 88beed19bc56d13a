"""Reports of a runtime that a config counts on: without them something in it never happens.

The calls go well all the same, so it is no reason to refuse a config; but nobody should learn from
a caller that steps which say "we will call you back" never run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.config import Config, StepConfig
from orchestrator.errors import Position
from orchestrator.events import TRANSFER_OUTCOMES
from orchestrator.targets import EVENT_NEEDS
from orchestrator.templates import Template
from orchestrator.templates.tree import Called, Comparison, Constant, Node, Path, Tested, children
from orchestrator.validation.visits import templates_of
from orchestrator.values import Place

__all__ = ["Hope", "hopes_of"]

_TRANSFERS = frozenset({"transfer.number", "transfer.queue", "transfer.agent"})
#: What `call.outcome` is by a transfer only; a call that goes wrong is `failed` too.
_OUTCOMES = frozenset(TRANSFER_OUTCOMES) - {"failed"}


@dataclass(frozen=True, slots=True)
class Hope:
    """Something that only happens where a runtime has the capability `need`.

    Attributes:
        where: its place in the config.
        without: what becomes of it on other runtimes, in words.
    """

    need: str
    place: Place
    where: Position
    without: str


def hopes_of(config: Config) -> Iterator[Hope]:
    """All of a config, each with its place."""
    for step in config.steps():
        yield from _outcomes(step)
        yield from _events(step)
    for template, place, offset in templates_of(config):
        for node in _nodes(template):
            for need, without in _of_node(node):
                text = str(place.container[place.key])
                where = place.inside(text, offset + node.offset, node.end - node.offset)
                yield Hope(need, place, where, without)


def _outcomes(step: StepConfig) -> Iterator[Hope]:
    """Of a transfer, `on_error` steps run for every outcome but one."""
    place = step.settings.get("on_error")
    if step.action is None or place is None or not step.blocks.get("on_error"):
        return
    written = {name: value.constant for name, value in step.options.items()}
    if step.action.needs_for(written) & _TRANSFERS:
        without = "these steps only run when the transfer fails at once"
        yield Hope("transfer.outcome", place, place.key_position, without)


def _events(step: StepConfig) -> Iterator[Hope]:
    """Events that a step waits for, such as those that cancel a timer."""
    options = step.action.options if step.action is not None else {}
    for name, value in step.options.items():
        option = options.get(name)
        if option is None or not (option.accepts("event") or option.accepts_item("event")):
            continue
        for one in value.walk():
            need = EVENT_NEEDS.get(one.raw) if isinstance(one.raw, str) else None
            if need is not None:
                without = f"`{one.raw}` never comes here, whatever `{name}` says"
                yield Hope(need, one.place, one.place.value_position, without)


def _of_node(node: Node) -> Iterator[tuple[str, str]]:
    """What an expression asks that is always the same without a report."""
    if isinstance(node, Called) and node.name == "call.count":
        event = node.args[0]
        if isinstance(event, Constant) and event.value in EVENT_NEEDS:
            yield EVENT_NEEDS[str(event.value)], f"`call.count('{event.value}')` is always 0"
    elif isinstance(node, (Comparison, Tested)):
        inner = [below for item in children(node) for below in _below(item)]
        asked = [n.value for n in inner if isinstance(n, Constant) and n.value in _OUTCOMES]
        if asked and any(map(_is_outcome, inner)):
            yield "transfer.outcome", f"`call.outcome` is never '{asked[0]}'"


def _is_outcome(node: Node) -> bool:
    return isinstance(node, Path) and (node.root, *node.parts) == ("call", "outcome")


def _nodes(template: Template) -> Iterator[Node]:
    for piece in template.pieces:
        if isinstance(piece, Node):
            yield from _below(piece)


def _below(node: Node) -> Iterator[Node]:
    """A node and all in it, in reading order."""
    yield node
    for child in children(node):
        yield from _below(child)
