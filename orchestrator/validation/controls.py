"""The control steps: `if`, `parallel`, `wait`, `stop`, `set` and `run`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.config import StepConfig
from orchestrator.document import YamlMap
from orchestrator.validation.option_reader import BlockReader, Blocks
from orchestrator.validation.reader import Reader
from orchestrator.validation.settings import condition_value, read_condition
from orchestrator.values import Value, parse_value

__all__ = ["CONTROLS"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARALLEL_KEYS = ("steps", "first_error", "late")
_PARALLEL_WORDS = (("first_error", ("cancel", "wait")), ("late", ("cancel", "keep")))

Shared = dict[str, Any]
Control = Callable[[Reader, BlockReader, YamlMap, Shared, Blocks], StepConfig | None]


def _if(
    reader: Reader, read_block: BlockReader, node: YamlMap, shared: Shared, blocks: Blocks
) -> StepConfig | None:
    if "then" not in node and "do" not in node:
        reader.at(node, "if", "HK104", "`if` needs `then:`", on="key")
    for name in ("then", "else"):
        if name in node:
            blocks[name] = read_block(node, name, f"{shared['key']}.{name}")
    condition = read_condition(reader, node, "if")
    if condition is None:
        return None
    options = {"if": condition_value(condition)}
    return StepConfig(kind="if", options=options, blocks=blocks, **shared)


def _parallel(
    reader: Reader, read_block: BlockReader, node: YamlMap, shared: Shared, blocks: Blocks
) -> StepConfig:
    value, path = node["parallel"], f"{shared['key']}.parallel"
    options: dict[str, Value] = {}
    if not isinstance(value, YamlMap):
        blocks["parallel"] = read_block(node, "parallel", path)
        return StepConfig(kind="parallel", options=options, blocks=blocks, **shared)
    if "steps" not in value and not any(key in _PARALLEL_KEYS for key in value):
        read_block(node, "parallel", path)  # says that a list is wanted
        return StepConfig(kind="parallel", options=options, blocks=blocks, **shared)
    is_unclear = reader.check_keys(value, _PARALLEL_KEYS, "`parallel`", required=("steps",))
    if "steps" not in value and not is_unclear:
        reader.at(node, "parallel", "HK104", "`parallel` needs `steps:`", on="key")
    blocks["parallel"] = read_block(value, "steps", path)
    for name, words in _PARALLEL_WORDS:
        if reader.choice(value, name, words) is not None:
            options[name] = Value(value[name], reader.place(value, name))
    return StepConfig(kind="parallel", options=options, blocks=blocks, **shared)


def _wait(
    reader: Reader, read_block: BlockReader, node: YamlMap, shared: Shared, blocks: Blocks
) -> StepConfig | None:
    is_good = reader.duration(node, "wait", low=0.001) is not None
    return _simple("wait", reader, node, shared, blocks) if is_good else None


def _stop(
    reader: Reader, read_block: BlockReader, node: YamlMap, shared: Shared, blocks: Blocks
) -> StepConfig | None:
    is_good = reader.text(node, "stop", what="a reason") is not None
    return _simple("stop", reader, node, shared, blocks) if is_good else None


def _run(
    reader: Reader, read_block: BlockReader, node: YamlMap, shared: Shared, blocks: Blocks
) -> StepConfig | None:
    is_good = reader.text(node, "run", what="the name of a chain") is not None
    return _simple("run", reader, node, shared, blocks) if is_good else None


def _simple(word: Any, reader: Reader, node: YamlMap, shared: Shared, blocks: Blocks) -> StepConfig:
    value = parse_value(node[word], reader.place(node, word))
    return StepConfig(kind=word, options={word: value}, blocks=blocks, **shared)


def _set(
    reader: Reader, read_block: BlockReader, node: YamlMap, shared: Shared, blocks: Blocks
) -> StepConfig | None:
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
