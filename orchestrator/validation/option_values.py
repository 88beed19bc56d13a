"""The options of one action or connection: written values checked against its option table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.document import YamlList, YamlMap
from orchestrator.events import SESSION_EVENTS, TIMED_WORDS, find_event, is_custom, near_miss
from orchestrator.options import Option
from orchestrator.registry import ActionType
from orchestrator.templates import parse_condition
from orchestrator.validation.reader import Reader
from orchestrator.values import Value, parse_value

if TYPE_CHECKING:
    from orchestrator.validation.steps import StepReader

__all__ = ["OptionReader", "check_value"]


class OptionReader:
    """Reads what a step gives to its action."""

    def __init__(self, reader: Reader, steps: StepReader, action: ActionType) -> None:
        self.reader = reader
        self.steps = steps
        self.action = action

    def read(
        self, node: YamlMap, word: str, path: str, blocks: dict[str, Any]
    ) -> Mapping[str, Value]:
        """The options by name; steps among them go into `blocks`."""
        table, value = self.action.options, node[word]
        if not isinstance(value, YamlMap) or not self._is_option_mapping(value):
            return self._main(node, word, path, blocks)
        self.reader.check_keys(value, table, f"step `{word}`")
        options = {}
        for name in value:
            option = table.get(name)
            if option is None:
                continue
            if option.kind == "steps":
                blocks[name] = self.steps.block(value, name, f"{path}.{name}")
            elif check_value(self.reader, value, name, option):
                options[name] = parse_value(value[name], self.reader.place(value, name))
        self._missing(node, word, value)
        self._faults(node, word, value)
        return options

    def _is_option_mapping(self, value: YamlMap) -> bool:
        """Whether a mapping names options, not the value of the main option itself."""
        main = self.action.options.get(self.action.main)
        takes_mapping = main is not None and main.accepts("mapping")
        return not takes_mapping or not value or any(key in self.action.options for key in value)

    def _main(
        self, node: YamlMap, word: str, path: str, blocks: dict[str, Any]
    ) -> Mapping[str, Value]:
        value, table = node[word], self.action.options
        option = table.get(self.action.main)
        if option is None or value is None:
            if option is None and not table and value is not None:
                self.reader.report(
                    "HK103",
                    f"`{word}` takes no options",
                    self.reader.value_position(node, word),
                    help=f"write `{word}: {{}}`",
                )
            elif any(o.is_required for o in table.values()):
                self.reader.report(
                    "HK104",
                    f"`{word}` needs {self._required()}",
                    self.reader.key_position(node, word),
                )
            elif value is None:
                self.reader.report(
                    "HK104",
                    f"`{word}` has nothing behind it",
                    self.reader.key_position(node, word),
                    help=f"write `{word}: {{}}`",
                )
            return {}
        if option.kind == "steps":
            blocks[option.name] = self.steps.block(node, word, f"{path}.{option.name}")
            given: Any = {option.name: None}
            self._missing(node, word, given)
            return {}
        if not check_value(self.reader, node, word, option, name=word):
            return {}
        written = {self.action.main: value}
        self._missing(node, word, written)
        self._faults(node, word, written)
        return {self.action.main: parse_value(value, self.reader.place(node, word))}

    def _required(self) -> str:
        names = [f"`{n}`" for n, o in self.action.options.items() if o.is_required]
        return " and ".join(names)

    def _missing(self, node: YamlMap, word: str, written: Mapping[str, Any]) -> None:
        table = self.action.options
        missing = [n for n, o in table.items() if o.is_required and n not in written]
        meant = {near_miss(key, missing) for key in written if key not in table}
        missing = [name for name in missing if name not in meant]  # reported as a typo already
        if missing:
            names = " and ".join(f"`{name}`" for name in missing)
            self.reader.report(
                "HK104",
                f"`{word}` needs {names}",
                self.reader.key_position(node, word),
                help=table[missing[0]].doc or None,
            )

    def _faults(self, node: YamlMap, word: str, written: Mapping[str, Any]) -> None:
        """Faults that the action itself sees in the combination of its options."""
        for fault in self.action.cls.check(written):
            position = self.reader.key_position(node, word)
            if fault.option and isinstance(written, YamlMap) and fault.option in written:
                position = self.reader.key_position(written, fault.option)
            self.reader.report(fault.code, f"`{word}`: {fault.message}", position, help=fault.help)


def check_value(
    reader: Reader, node: Any, key: Any, option: Option, *, name: str | None = None
) -> bool:
    """Whether a written value fits its option; reports where it does not."""
    value = node[key]
    if isinstance(value, str) and ("{{" in value or "${" in value):
        return _check_dynamic(reader, node, key, option)
    if value is None and (option.is_nullable or option.kind == "any"):
        return True
    checker = _CHECKS.get(option.kind, _check_text)
    return bool(checker(reader, node, key, option))


def _check_dynamic(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    if "{{" in node[key] and option.is_fixed and option.kind != "condition":
        reader.report(
            "HK118",
            f"`{key}` is read when the config is loaded: no templates here",
            reader.value_position(node, key),
            help=f"write {option.wanted()}",
        )
        return False
    if option.kind == "condition":
        return _check_condition(reader, node, key, option)
    if option.kind in ("list", "mapping", "record") and not _is_lone(node[key]):
        reader.wrong_type(node, key, option.wanted())
        return False
    return True


def _is_lone(text: str) -> bool:
    stripped = text.strip()
    return stripped.startswith("{{") and stripped.endswith("}}")


def _misfit(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    reader.wrong_type(node, key, option.wanted())
    return False


def _check_text(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    value = node[key]
    if isinstance(value, str):
        return True
    if isinstance(value, (int, float)) and not isinstance(value, bool) and option.kind == "text":
        return True
    return _misfit(reader, node, key, option)


def _check_number(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    value = node[key]
    is_fit = isinstance(value, int) or (option.kind == "number" and isinstance(value, float))
    if not is_fit or isinstance(value, bool):
        return _misfit(reader, node, key, option)
    if (option.low is not None and value < option.low) or (
        option.high is not None and value > option.high
    ):
        reader.report(
            "HK106",
            f"`{key}` must be from {option.low:g} to {option.high:g}, found {value}",
            reader.value_position(node, key),
        )
        return False
    return True


def _check_bool(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    if isinstance(node[key], bool):
        return True
    reader.not_boolean(node, key)
    return False


def _check_duration(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    high = option.high if option.high is not None else 86_400.0
    low = option.low if option.low is not None else 0.001
    return reader.duration(node, key, low=low, high=high) is not None


def _check_choice(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    if node[key] in option.choices and not isinstance(node[key], bool):
        return True
    reader.not_a_choice(node, key, [str(c) for c in option.choices])
    return False


def _check_list(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    items = node[key]
    if not isinstance(items, YamlList):
        return _misfit(reader, node, key, option)
    if option.item is None:
        return True
    results = [check_value(reader, items, i, option.item) for i in range(len(items))]
    return all(results)


def _check_mapping(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    mapping = node[key]
    if not isinstance(mapping, YamlMap):
        return _misfit(reader, node, key, option)
    if option.item is None:
        return True
    results = [check_value(reader, mapping, k, option.item) for k in mapping]
    return all(results)


def _check_record(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    mapping = node[key]
    if not isinstance(mapping, YamlMap):
        return _misfit(reader, node, key, option)
    reader.check_keys(mapping, option.fields, f"`{key}`")
    missing = [n for n, o in option.fields.items() if o.is_required and n not in mapping]
    if missing:
        reader.report("HK104", f"`{key}` needs `{missing[0]}`", reader.value_position(node, key))
    results = [
        check_value(reader, mapping, k, option.fields[k]) for k in mapping if k in option.fields
    ]
    return not missing and all(results)


def _check_either(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    """A value of one of several kinds: judged by the variant that its own kind points to."""
    value = node[key]
    fits: list[Option] = [v for v in option.variants if _points_to(v, value)]
    if fits:
        return check_value(reader, node, key, fits[0])
    return _misfit(reader, node, key, option)


def _points_to(option: Option, value: Any) -> bool:
    if isinstance(value, YamlList):
        return option.kind in ("list", "steps", "any")
    if isinstance(value, YamlMap):
        return option.kind in ("mapping", "record", "any")
    if isinstance(value, bool):
        return option.kind in ("bool", "any")
    if isinstance(value, (int, float)):
        return option.kind in ("int", "number", "text", "any")
    return option.kind not in ("list", "mapping", "record", "int", "number", "bool", "steps")


def _check_event(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    value = node[key]
    if not isinstance(value, str):
        return _misfit(reader, node, key, option)
    if find_event("session", value) is not None:
        return True
    near = near_miss(value, SESSION_EVENTS)
    hint = f"did you mean `{near}`?" if near else f"one of {', '.join(SESSION_EVENTS)}"
    if value in TIMED_WORDS:
        hint = f"silence and time are timers: use `{TIMED_WORDS[value]}`"
    elif is_custom(f"custom.{value}"):
        hint = (near and hint) or f"an event of your own is `custom.{value}`"
    reader.report(
        "HK220", f"unknown session event {value!r}", reader.value_position(node, key), help=hint
    )
    return False


def _check_condition(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    value = node[key]
    if isinstance(value, bool):
        return True
    if not isinstance(value, str):
        return _misfit(reader, node, key, option)
    template = parse_condition(value)
    for fault in template.faults:
        reader.report(
            fault.code,
            fault.message,
            reader.place(node, key).inside(value, fault.offset, fault.length),
            help=fault.help,
            severity=fault.severity,
        )
    return not template.faults


def _check_destination(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    value = node[key]
    if isinstance(value, int) and not isinstance(value, bool):
        reader.report(
            "HK116",
            f"`{key}`: an unquoted number loses its `+` and zeros",
            reader.value_position(node, key),
            help=f"write '+{value}' in quotes",
        )
        return False
    if not isinstance(value, str):
        return _misfit(reader, node, key, option)
    digits = value.replace(" ", "").replace("-", "")
    if not (digits.startswith("+") and digits[1:].isdigit() and 7 <= len(digits) <= 16):
        reader.report(
            "HK420",
            f"`{key}`: {value!r} is no phone number in E.164 form",
            reader.value_position(node, key),
            help="write it as '+15550100'",
        )
        return False
    return True


def _check_any(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    return True


_CHECKS: Mapping[str, Any] = {
    "any": _check_any,
    "int": _check_number,
    "number": _check_number,
    "bool": _check_bool,
    "duration": _check_duration,
    "choice": _check_choice,
    "list": _check_list,
    "mapping": _check_mapping,
    "record": _check_record,
    "either": _check_either,
    "event": _check_event,
    "condition": _check_condition,
    "destination": _check_destination,
}
