"""What a step gives to its action: a bare value for the main option, or a mapping of options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.action import Fault
from orchestrator.config import StepConfig
from orchestrator.document import YamlList, YamlMap
from orchestrator.events import near_miss
from orchestrator.options import Option
from orchestrator.registry import ActionType
from orchestrator.validation.findings import word_fix
from orchestrator.validation.option_values import check_value
from orchestrator.validation.reader import Reader
from orchestrator.validation.words import listed
from orchestrator.values import Value, parse_value

__all__ = ["OptionReader"]

Blocks = dict[str, tuple[StepConfig, ...]]
BlockReader = Callable[[YamlMap, str, str], tuple[StepConfig, ...]]


class OptionReader:
    """Reads the options of one step; steps among them are read by `read_block`."""

    def __init__(
        self, reader: Reader, read_block: BlockReader, action: ActionType, given: Mapping[str, Any]
    ) -> None:
        self.reader = reader
        self.read_block = read_block
        self.action = action
        self.table = action.options
        self.given = given  # defaults of the config: options that the step need not repeat

    def read(self, node: YamlMap, word: str, path: str, blocks: Blocks) -> Mapping[str, Value]:
        """The options by name; steps among them go into `blocks`."""
        value = node[word]
        if not isinstance(value, YamlMap) or self._is_main_value(value):
            return self._read_main(node, word, path, blocks)
        needed = [name for name in self.action.required if name not in self.given]
        is_unclear = self.reader.check_keys(value, self.table, f"`{word}`", required=needed)
        options: dict[str, Value] = {}
        for name in value:
            option = self.table.get(name)
            if option is not None:
                self._read_option(value, name, option, options, f"{path}.{name}", blocks)
        is_good = all(name in options or name in blocks for name in value)
        if is_unclear:
            return options
        if not self._is_incomplete(node, word, value) and is_good:
            self._check_combination(node, word, value)
        return options

    def _read_option(
        self, node: Any, name: str, option: Option, options: dict[str, Value], path: str,
        blocks: Blocks,
    ) -> None:  # fmt: skip
        if option.kind == "steps":
            blocks[name] = self.read_block(node, name, path)
        elif check_value(self.reader, node, name, option):
            options[name] = parse_value(node[name], self.reader.place(node, name))

    def _is_main_value(self, value: YamlMap) -> bool:
        """Whether a mapping is the value of the main option itself, not a mapping of options."""
        takes_mapping = self.action.takes_mapping and bool(value)
        return takes_mapping and not any(key in self.table for key in value)

    def _read_main(self, node: YamlMap, word: str, path: str, blocks: Blocks) -> dict[str, Value]:
        option, name = self.table.get(self.action.main), self.action.main
        if node[word] is None:
            self._check_nothing(node, word)
            return {}
        if option is None:
            self._report_no_options(node, word)
            return {}
        if option.kind == "steps":
            blocks[name] = self.read_block(node, word, f"{path}.{name}")
            self._is_incomplete(node, word, {name: None})
            return {}
        if self._is_list_of_other(node[word], option):
            self._report_list(node, word)
            return {}
        if not check_value(self.reader, node, word, option):
            return {}
        written = {name: node[word]}
        if not self._is_incomplete(node, word, written):
            self._check_combination(node, word, written)
        return {name: parse_value(node[word], self.reader.place(node, word))}

    def _is_list_of_other(self, value: Any, option: Option) -> bool:
        """A list of mappings where one mapping is meant: `- say:` with `- text: hi` below it."""
        is_list = isinstance(value, YamlList) and bool(value) and isinstance(value[0], YamlMap)
        return is_list and any(key in self.table for key in value[0]) and len(self.table) > 0

    # --- findings

    def _check_nothing(self, node: YamlMap, word: str) -> None:
        """`- recording:` is what `- recording: {}` is, and a mistake even where that is none."""
        if self._is_incomplete(node, word, {}) or self._check_combination(node, word, {}):
            return
        if not self.given:
            message, hint = f"`{word}` has nothing behind it", f"write `{word}: {{}}`"
            self.reader.at(node, word, "HK104", message, on="key", help=hint)

    def _report_no_options(self, node: YamlMap, word: str) -> None:
        hint = f"write `{word}: {{}}`"
        self.reader.at(node, word, "HK103", f"`{word}` takes no options", help=hint)

    def _report_list(self, node: YamlMap, word: str) -> None:
        message, hint = f"`{word}`: expected a mapping, found a list", "remove the `- ` below it"
        self.reader.at(node, word, "HK103", message, help=hint)

    def _is_incomplete(self, node: YamlMap, word: str, written: Mapping[str, Any]) -> bool:
        """Whether a required option is missing, which is reported."""
        needed = self.action.required
        missing = [n for n in needed if n not in written and n not in self.given]
        if not missing:
            return False
        message, hint = f"`{word}` needs {listed(missing)}", self.table[missing[0]].doc or None
        self.reader.at(node, word, "HK104", message, on="key", help=hint)
        return True

    def _check_combination(self, node: YamlMap, word: str, written: Mapping[str, Any]) -> bool:
        """Report faults that the action sees in the combination of its options; whether any."""
        if not self.action.has_check:
            return False
        faults = self.action.check({**self.given, **self._given_in(written)})
        for fault in faults:
            self._report_fault(node, word, written, fault)
        return bool(faults)

    def _report_fault(self, node: YamlMap, word: str, written: Any, fault: Fault) -> None:
        holder: Any = node
        key: Any = word
        if fault.option and isinstance(written, YamlMap) and fault.option in written:
            holder, key = written, fault.option
        inner = holder[key]
        if fault.key and isinstance(inner, YamlMap) and fault.key in inner:
            holder, key = inner, fault.key
        elif fault.key and isinstance(inner, YamlList) and fault.key in inner:
            holder, key = inner, inner.index(fault.key)
        near = near_miss(fault.key, fault.names) if fault.key else None
        is_value = fault.is_value or isinstance(key, int)
        is_value |= not fault.key and isinstance(holder[key], str) and holder[key] in fault.message
        document, fix = self.reader.document, None
        if near is not None:
            fix = word_fix(document, document.key_position(holder, key), fault.key, near)
        self.reader.at(
            holder, key, fault.code, f"`{word}`: {fault.message}",
            on="value" if is_value and holder[key] else "key",
            help=f"did you mean `{near}`?" if near else fault.help, fix=fix,
        )  # fmt: skip

    def _given_in(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """The options that are given; null where an option is left out by it is nothing given."""
        return {
            name: value
            for name, value in written.items()
            if value is not None or not self._is_left_out_by_null(name)
        }

    def _is_left_out_by_null(self, name: str) -> bool:
        option = self.table.get(name)
        return option is not None and option.is_nullable and option.kind != "any"
