"""The settings that hooks and steps share: `when`, `retry`, `on_error`."""

from __future__ import annotations

from typing import Any

from orchestrator.config import Condition, Retry
from orchestrator.document import YamlMap
from orchestrator.templates import parse_condition
from orchestrator.validation.reader import Reader
from orchestrator.values import Value

__all__ = ["condition_value", "read_condition", "read_retry"]

_EXAMPLE = "a condition such as `event.text is matching('...')`"


def read_condition(reader: Reader, node: YamlMap, key: str) -> Condition | None:
    """The expression under `when` or `if`."""
    if key not in node:
        return None
    value = node[key]
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str) or not value.strip():
        reader.wrong_type(node, key, _EXAMPLE)
        return None
    return Condition(parse_condition(value), reader.place(node, key))


def condition_value(condition: Condition) -> Value:
    """A condition as the option of a step."""
    place = condition.place
    return Value(place.container[place.key], place)


def read_retry(reader: Reader, node: YamlMap) -> Retry | None:
    """`retry: 2` or `retry: {times, backoff, max}`."""
    value: Any = node.get("retry")
    if "retry" not in node:
        return None
    if not isinstance(value, YamlMap):
        times = reader.integer(node, "retry", low=0, high=20)
        return Retry(times) if times else None
    keys = ("times", "backoff", "max")
    is_unclear = reader.check_keys(value, keys, "`retry`", required=("times",))
    if "times" not in value:
        if not is_unclear:
            reader.at(node, "retry", "HK104", "`retry` needs `times`", on="key")
        return None
    times = reader.integer(value, "times", low=0, high=20)
    backoff = reader.duration(value, "backoff", low=0.001)
    most = reader.duration(value, "max", low=0.001)
    usual = Retry(1)
    if not times:
        return None
    return Retry(times, usual.backoff if backoff is None else backoff, most or usual.max)
