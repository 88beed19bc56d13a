"""Values as an option takes them: what was rendered, or came from the environment, is converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.action import Options, Steps
from orchestrator.durations import parse_duration
from orchestrator.errors import ActionFailed
from orchestrator.options.option import Option, OptionKind, field_name

__all__ = ["convert"]


def convert(option: Option, value: Any) -> Any:
    """A rendered value as the type of its option.

    Raises:
        ActionFailed: it cannot be that type; names the option and what it takes.
    """
    if value is None:
        if option.is_nullable or option.kind == "any":
            return None
        raise _misfit(option, value)
    converter = _CONVERTERS.get(option.kind)
    return converter(option, value) if converter else _to_text(option, value)


def _misfit(option: Option, value: Any) -> ActionFailed:
    shown = "null" if value is None else repr(value)[:60]
    return ActionFailed(f"option `{option.name}`: expected {option.wanted()}, got {shown}")


def _to_text(option: Option, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise _misfit(option, value)


def _to_number(option: Option, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _misfit(option, value)
    try:
        number = float(value)
    except ValueError:
        raise _misfit(option, value) from None
    if option.kind == "int":
        if number != int(number):
            raise _misfit(option, value)
        number = int(number)
    if (option.low is not None and number < option.low) or (
        option.high is not None and number > option.high
    ):
        raise _misfit(option, value)
    return number


def _to_bool(option: Option, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise _misfit(option, value)


def _to_duration(option: Option, value: Any) -> float:
    if isinstance(value, float):
        return value
    try:
        return parse_duration(value)
    except ValueError:
        raise _misfit(option, value) from None


def _to_choice(option: Option, value: Any) -> Any:
    if value in option.choices:
        return value
    raise _misfit(option, value)


def _to_list(option: Option, value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise _misfit(option, value)
    return [convert(option.item, item) for item in value] if option.item else list(value)


def _to_mapping(option: Option, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _misfit(option, value)
    item = option.item
    return {str(k): convert(item, v) if item else v for k, v in value.items()}


def _to_record(option: Option, value: Any) -> Any:
    if isinstance(value, Options):
        return value
    if not isinstance(value, Mapping):
        raise _misfit(option, value)
    return option.type(**{field_name(n): convert(option.fields[n], v) for n, v in value.items()})


def _to_either(option: Option, value: Any) -> Any:
    for variant in option.variants:
        if _suits(variant, value):
            return convert(variant, value)
    for variant in option.variants:
        try:
            return convert(variant, value)
        except ActionFailed:
            continue
    raise _misfit(option, value)


_PYTHON_TYPES: Mapping[OptionKind, tuple[type, ...]] = {
    "int": (int,), "number": (int, float), "bool": (bool,), "list": (list, tuple),
    "mapping": (dict,), "any": (object,),
    "record": (dict,), "duration": (float,), "steps": (Steps,),
}  # fmt: skip


def _suits(option: Option, value: Any) -> bool:
    return isinstance(value, _PYTHON_TYPES.get(option.kind, (str,)))


def _as_is(option: Option, value: Any) -> Any:
    return value


_CONVERTERS: Mapping[OptionKind, Any] = {
    "any": _as_is, "steps": _as_is, "condition": _as_is, "int": _to_number, "number": _to_number,
    "bool": _to_bool, "duration": _to_duration, "choice": _to_choice, "list": _to_list,
    "mapping": _to_mapping, "record": _to_record, "either": _to_either,
}  # fmt: skip
