"""The control steps: `if`, `parallel`, `wait`, `stop`, `set` and `run`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.config import StepConfig
from orchestrator.document import YamlMap
from orchestrator.validation.option_reader import Blocks
from orchestrator.validation.settings import condition_value
from orchestrator.values import Value, parse_value

if TYPE_CHECKING:
    from orchestrator.validation.steps import StepReader

__all__ = ["CONTROLS"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARALLEL_KEYS = ("steps", "first_error", "late")
_PARALLEL_WORDS = (("first_error", ("cancel", "wait")), ("late", ("cancel", "keep")))

Shared = dict[str, Any]
Control = Callable[["StepReader", YamlMap, Shared, Blocks], "StepConfig | None"]


def _if(steps: StepReader, node: YamlMap, shared: Shared, blocks: Blocks) -> StepConfig | None:
    if "then" not in node and "do" not in node:
        steps.reader.at(node, "if", "HK104", "`if` needs `then:`", on="key")
    for name in ("then", "else"):
        if name in node:
            blocks[name] = steps.block(node, name, f"{shared['key']}.{name}")
    condition = steps.condition(node, "if")
    if condition is None:
        return None
    options = {"if": condition_value(condition)}
    return StepConfig(kind="if", options=options, blocks=blocks, **shared)


def _parallel(steps: StepReader, node: YamlMap, shared: Shared, blocks: Blocks) -> StepConfig:
    value, path, reader = node["parallel"], f"{shared['key']}.parallel", steps.reader
    options: dict[str, Value] = {}
    if not isinstance(value, YamlMap):
        blocks["parallel"] = steps.block(node, "parallel", path)
        return StepConfig(kind="parallel", options=options, blocks=blocks, **shared)
    if "steps" not in value and not any(key in _PARALLEL_KEYS for key in value):
        steps.block(node, "parallel", path)  # says that a list is wanted
        return StepConfig(kind="parallel", options=options, blocks=blocks, **shared)
    reader.check_keys(value, _PARALLEL_KEYS, "`parallel`")
    if "steps" not in value:
        reader.at(node, "parallel", "HK104", "`parallel` needs `steps:`", on="key")
    blocks["parallel"] = steps.block(value, "steps", path)
    for name, words in _PARALLEL_WORDS:
        if reader.choice(value, name, words) is not None:
            options[name] = Value(value[name], reader.place(value, name))
    return StepConfig(kind="parallel", options=options, blocks=blocks, **shared)


def _wait(steps: StepReader, node: YamlMap, shared: Shared, blocks: Blocks) -> StepConfig | None:
    is_good = steps.reader.duration(node, "wait", low=0.001) is not None
    return _simple("wait", steps, node, shared, blocks) if is_good else None


def _stop(steps: StepReader, node: YamlMap, shared: Shared, blocks: Blocks) -> StepConfig | None:
    is_good = steps.reader.text(node, "stop", what="a reason") is not None
    return _simple("stop", steps, node, shared, blocks) if is_good else None


def _run(steps: StepReader, node: YamlMap, shared: Shared, blocks: Blocks) -> StepConfig | None:
    is_good = steps.reader.text(node, "run", what="the name of a chain") is not None
    return _simple("run", steps, node, shared, blocks) if is_good else None


def _simple(
    word: Any, steps: StepReader, node: YamlMap, shared: Shared, blocks: Blocks
) -> StepConfig:
    value = parse_value(node[word], steps.reader.place(node, word))
    return StepConfig(kind=word, options={word: value}, blocks=blocks, **shared)


def _set(steps: StepReader, node: YamlMap, shared: Shared, blocks: Blocks) -> StepConfig | None:
    reader = steps.reader
    values = reader.mapping(node, "set", "a mapping of names to values")
    if values is None:
        return None
    if not values:
        reader.at(node, "set", "HK113", "`set` sets nothing", on="key")
    for name in values:
        if not _NAME.fullmatch(name):
            hint = "use letters, digits and _; begin with a letter"
            message = f"{name!r} is no name that templates can read"
            reader.at(values, name, "HK119", message, on="key", help=hint)
    options = {k: parse_value(v, reader.place(values, k)) for k, v in values.items()}
    return StepConfig(kind="set", options=options, blocks=blocks, **shared)


CONTROLS: Mapping[str, Control] = {
    "if": _if,
    "parallel": _parallel,
    "wait": _wait,
    "stop": _stop,
    "run": _run,
    "set": _set,
}
