"""What a config needs of its runtime, and which of its words a private journal may show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from orchestrator.config import Config, StepConfig
from orchestrator.registry import BUILTIN_ACTIONS
from orchestrator.targets import needs_of
from orchestrator.templates import Template, parse_condition
from orchestrator.values import Place, Value

__all__ = ["at", "needs_by_place", "uses_memory", "words_of"]


#: Options whose value stays readable where the config writes it out.
_SHOWN = ("name", "reason", "pause", "url", "path", "source", "connection", "method", "call")
_END_STATES = ("hangup", "ended", "transferred", "error", "shutdown", "failed")


def at(place: Place) -> str:
    """A place as journals show it: `file:line`."""
    position = place.key_position
    return f"{position.file}:{position.line}"


def needs_by_place(config: Config) -> Mapping[str, tuple[str, ...]]:
    """Each capability that the config needs, with the lines that need it."""
    needs: dict[str, list[str]] = {}
    for need, place in needs_of(config):
        needs.setdefault(need, []).append(at(place))
    return MappingProxyType({need: tuple(dict.fromkeys(lines)) for need, lines in needs.items()})


def uses_memory(config: Config) -> bool:
    """Whether anything in it may ask the cross-call memory, or change it.

    Functions and actions of plugins may; so do limits over all calls.
    """
    conditions = [hook.when for hook in config.hooks] + [step.when for step in config.steps()]
    if any(_asks_memory(condition.template) for condition in conditions if condition is not None):
        return True
    return any(_touches_memory(config, step) for step in config.steps())


def _touches_memory(config: Config, step: StepConfig) -> bool:
    values = step.options.values()
    if any(_asks_memory(t) for value in values for _, t, _ in value.templates()):
        return True
    if step.kind == "if" and _asks_memory(parse_condition(str(step.options["if"].raw))):
        return True
    if step.action is None:
        return False
    limit = config.limit_of(step.action)
    is_counted = limit is not None and limit.all_calls is not None
    return is_counted or step.word in _MEMORY_WORDS or step.word not in BUILTIN_ACTIONS


#: Built-in actions that have to do with the memory, or call what may.
_MEMORY_WORDS = frozenset({"remember", "forget", "python"})


def _asks_memory(template: Template) -> bool:
    return any(name.startswith("memory.") for name, _ in template.calls)


def words_of(config: Config) -> frozenset[str]:
    """Words of the config that are nobody's secret: names, reasons, addresses, keys."""
    names = {"silence", "timer", "completed", "id", "status", "body", *_END_STATES}
    for step in config.steps():
        for option in _SHOWN:
            value = step.options.get(option)
            if value is not None and isinstance(value.constant, str):
                names.add(value.constant)
        if step.action is not None:
            given = {name: value.raw for name, value in step.options.items()}
            names.update(step.action.output_for(given).fields)
            names.update(step.action.options)
        for value in step.options.values():
            names.update(_keys(value))
    return frozenset(names)


def _keys(value: Value) -> Iterator[str]:
    """The keys that a value writes out, and those by which it reads."""
    for inner in value.walk():
        if isinstance(inner.raw, dict):
            yield from map(str, inner.raw)
    for _, template, _ in value.templates():
        for read in template.reads:
            yield from (part for part in read.path if isinstance(part, str))
