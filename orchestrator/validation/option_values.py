"""Written values checked against the option that they are given to, one check for each kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.chosen import reads_vars_only
from orchestrator.document import YamlList, YamlMap
from orchestrator.events import SESSION_EVENTS, TIMED_WORDS, find_event, is_custom
from orchestrator.options import Option
from orchestrator.templates import parse_condition
from orchestrator.templates.arguments import check_role
from orchestrator.templates.tree import Constant
from orchestrator.validation.reader import DAY, Reader
from orchestrator.validation.requests import path_fault
from orchestrator.values import parse_value

__all__ = ["check_number_text", "check_value", "is_number_text"]

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_Check = Callable[[Reader, Any, Any, Option], bool]
_PARTS = ("list", "mapping", "record")


def check_value(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    """Whether a written value fits its option; reports where it does not."""
    value = node[key]
    if option.is_filled and _is_empty(value):
        reader.at(node, key, "HK113", f"`{key}` is empty", help=option.doc or None)
        return False
    if option.is_filled and isinstance(value, YamlList) and "" in value:
        message = f"one of `{key}` is empty"
        reader.at(value, value.index(""), "HK113", message, help="remove it, or write it out")
        return False
    if option.kind == "either":
        return _check_either(reader, node, key, option)
    if isinstance(value, str) and ("{{" in value or "${" in value):
        return _check_dynamic(reader, node, key, option)
    if value is None and (option.is_nullable or option.kind == "any"):
        return True
    return _CHECKS.get(option.kind, _check_text)(reader, node, key, option)


def _is_empty(value: Any) -> bool:
    """Whether it is a text or list with nothing in it, or texts with nothing in them."""
    if isinstance(value, YamlList):
        return all(isinstance(item, str) and not item.strip() for item in value)
    return isinstance(value, str) and not value.strip()


def _check_dynamic(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    """A text with templates or variables: is it read when they are known, can it be the type?"""
    value = node[key]
    if option.kind == "condition":
        return _check_condition(reader, node, key, option)
    if option.is_fixed and "{{" in value:
        message = f"`{key}` is read when the config is loaded: no templates here"
        on = reader.inside(node, key, value.index("{{"), 2)
        reader.at(node, key, "HK118", message, on=on, help=f"write {option.wanted()}")
        return False
    if option.is_written and not reads_vars_only(parse_value(value, reader.place(node, key))):
        on = reader.inside(node, key, value.index("{{"), 2)
        message = f"a template decides `{option.name}`"
        reader.at(node, key, "HK513", message, on=on, help="write it out, or read it from `vars`")
        return False
    if option.kind in _PARTS and not _is_lone(value):
        return _misfit(reader, node, key, option)
    return option.kind != "path" or _is_sendable(reader, node, key)


def _is_lone(text: str) -> bool:
    stripped = text.strip()
    return stripped.startswith("{{") and stripped.endswith("}}") and stripped.count("{{") == 1


def _misfit(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    reader.wrong_type(node, key, option.wanted())
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# --- scalars


def _check_text(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    if isinstance(node[key], str):
        reader.check_comment(node, key)
        if option.is_trusted:
            reader.check_invisible(node, key)
        return _check_form(reader, node, key, option)
    if option.kind == "text" and _is_number(node[key]):
        return check_number_text(reader, node, key)
    return _misfit(reader, node, key, option)


def _check_form(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    """Whether a text has the form that its option asks for, such as `09:00-18:00`."""
    fault = check_role(option.form, Constant(0, 0, node[key]), node[key]) if option.form else None
    if fault is not None:
        reader.at(node, key, "HK125", f"`{key}`: {fault.message}", help=fault.help)
    return fault is None


def check_number_text(reader: Reader, node: Any, key: Any) -> bool:
    """Whether a number that is used as text reads as it is written: `1.10` would become `1.1`."""
    position = reader.document.value_position(node, key)
    line = reader.document.lines[position.line - 1]
    written = line[position.column - 1 : position.end_column - 1]
    if written == str(node[key]):
        return True
    message = f"`{key}`: without quotes {written} is the number {node[key]}"
    reader.at(node, key, "HK116", message, help=f"write '{written}' in quotes")
    return False


def _check_number(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    value = node[key]
    if not _is_number(value) or (option.kind == "int" and not isinstance(value, int)):
        return _misfit(reader, node, key, option)
    low = option.low if option.low is not None else value
    high = option.high if option.high is not None else value
    if low <= value <= high:
        return True
    message = f"`{key}` must be from {option.low:g} to {option.high:g}, found {value}"
    reader.at(node, key, "HK106", message)
    return False


def _check_bool(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    if not isinstance(node[key], bool):
        reader.not_boolean(node, key)
    return isinstance(node[key], bool)


def _check_duration(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    low = option.low if option.low is not None else 0.001
    high = option.high if option.high is not None else 30 * DAY
    return reader.duration(node, key, low=low, high=high) is not None


def _check_choice(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    if node[key] in option.choices and not isinstance(node[key], bool):
        return True
    reader.not_a_choice(node, key, [str(choice) for choice in option.choices])
    return False


# --- names and other texts of a form


def _check_event(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    value = node[key]
    if not isinstance(value, str):
        return _misfit(reader, node, key, option)
    if find_event("session", value) is not None:
        return True
    place, message = reader.place(node, key), f"unknown session event {value!r}"
    if value in TIMED_WORDS:
        hint = f"silence and time are timers: use `{TIMED_WORDS[value]}`"
        reader.findings.at(place, "HK235", message, help=hint)
        return False
    otherwise = f"one of {', '.join(SESSION_EVENTS)}"
    if is_custom(f"custom.{value}"):
        otherwise = f"an event of your own is `custom.{value}`"
    reader.findings.unknown(place, "HK220", message, SESSION_EVENTS, otherwise)
    return False


def _check_condition(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    value = node[key]
    if isinstance(value, bool):
        return True
    if not isinstance(value, str):
        return _misfit(reader, node, key, option)
    template = parse_condition(value)
    for fault in template.faults:
        on = reader.inside(node, key, fault.offset, fault.length)
        more: dict[str, Any] = {"help": fault.help, "severity": fault.severity}
        reader.at(node, key, fault.code, fault.message, on=on, **more)
    return not template.faults


def is_number_text(text: str) -> bool:
    """Whether a text is a phone number in E.164 form, its digits grouped or not."""
    return _E164.fullmatch(re.sub(r"[ ().-]", "", text)) is not None


def _check_destination(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    value = node[key]
    if isinstance(value, int) and not isinstance(value, bool):
        message = f"`{key}`: an unquoted number loses its `+` and its zeros"
        reader.at(node, key, "HK116", message, help=f"write '+{value}' in quotes")
        return False
    if not isinstance(value, str):
        return _misfit(reader, node, key, option)
    if is_number_text(value):
        return True
    message = f"`{key}`: {value!r} is no phone number in E.164 form"
    reader.at(node, key, "HK420", message, help="write it as '+15550100'")
    return False


def _form(is_good: Callable[[str], object], what: str, advice: str) -> _Check:
    """The check of a text that must have one form."""

    def check(reader: Reader, node: Any, key: Any, option: Option) -> bool:
        value = node[key]
        if not isinstance(value, str):
            return _misfit(reader, node, key, option)
        if not is_good(value):
            reader.at(node, key, "HK123", f"`{key}`: {value!r} is {what}", help=advice)
        return bool(is_good(value))

    return check


_check_url = _form(
    re.compile(r"https?://[^\s/]+(/\S*)?").fullmatch, "no URL", "write it as https://host/path"
)
_check_whole = _form(
    lambda value: not re.match(r"[a-z]+://|//", value), "a URL, not a path",
    "the host comes from the connection",
)  # fmt: skip


def _check_path(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    return _check_whole(reader, node, key, option) and _is_sendable(reader, node, key)


def _is_sendable(reader: Reader, node: Any, key: Any) -> bool:
    """Whether a path can be sent, whatever its templates give."""
    fault = path_fault(node[key])
    if fault is not None:
        reader.at(node, key, "HK123", f"`{key}`: {fault.message}", help=fault.help)
    return fault is None


# --- values with parts


def _check_list(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    items = node[key]
    if not isinstance(items, YamlList):
        return _misfit(reader, node, key, option)
    item = option.item
    results = [check_value(reader, items, i, item) for i in range(len(items)) if item is not None]
    return all(results)


def _check_mapping(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    mapping = node[key]
    if not isinstance(mapping, YamlMap):
        return _misfit(reader, node, key, option)
    item = option.item
    results = [check_value(reader, mapping, k, item) for k in mapping if item is not None]
    return all(results)


def _check_record(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    mapping, fields = node[key], option.fields
    if not isinstance(mapping, YamlMap):
        return _misfit(reader, node, key, option)
    required = [name for name, inner in fields.items() if inner.is_required]
    is_unclear = reader.check_keys(mapping, fields, f"`{key}`", required=required)
    missing = [name for name in required if name not in mapping]
    if missing and not is_unclear:
        reader.at(node, key, "HK104", f"`{key}` needs `{missing[0]}`", on="key")
    known = [k for k in mapping if k in fields]
    results = [check_value(reader, mapping, k, fields[k]) for k in known]
    return all(results) and not missing


def _check_either(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    """A value of one of several kinds: judged by the variant that its own kind points to."""
    if node[key] is None and option.is_nullable:
        return True
    for variant in option.variants:
        if _points_to(variant, node[key]):
            return check_value(reader, node, key, variant)
    return _misfit(reader, node, key, option)


def _points_to(option: Option, value: Any) -> bool:
    if isinstance(value, YamlList):
        return option.kind in ("list", "steps", "any")
    if isinstance(value, YamlMap):
        return option.kind in ("mapping", "record", "any")
    if isinstance(value, bool):
        return option.kind in ("bool", "any")
    if _is_number(value):
        return option.kind in ("int", "number", "text", "duration", "destination", "any")
    return option.kind not in (*_PARTS, "int", "number", "bool", "steps")


def _check_any(reader: Reader, node: Any, key: Any, option: Option) -> bool:
    return True


_CHECKS: Mapping[str, _Check] = {
    "any": _check_any,
    "int": _check_number,
    "number": _check_number,
    "bool": _check_bool,
    "duration": _check_duration,
    "choice": _check_choice,
    "list": _check_list,
    "mapping": _check_mapping,
    "record": _check_record,
    "event": _check_event,
    "condition": _check_condition,
    "destination": _check_destination,
    "url": _check_url,
    "path": _check_path,
}
