"""What a config needs of its runtime, and which of its words a private journal may show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from orchestrator.config import Config
from orchestrator.targets import needs_of
from orchestrator.values import Place, Value

__all__ = ["at", "needs_by_place", "words_of"]


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
