"""Options -> JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.options.option import Option

__all__ = ["json_schema", "record_schema"]

_TEMPLATE = {"type": "string", "pattern": r"\{\{|\$\{"}
_NUMBER = r"^\+[1-9][0-9 ().-]{5,20}$|\{\{|\$\{"
_DURATION = {"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h)$|\{\{|\$\{"}


def json_schema(option: Option) -> dict[str, Any]:
    """The JSON Schema of what may be written for an option, templates included."""
    schema = _written(option)
    if option.is_nullable:
        schema = {"if": {"type": "null"}, "else": schema}
    if option.doc:
        schema["description"] = option.doc
    if not option.is_required and isinstance(option.default, (str, int, float, bool)):
        schema["default"] = option.default
    return schema


def _written(option: Option) -> dict[str, Any]:
    match option.kind:
        case "any":
            return {}
        case "int" | "number":
            number: dict[str, Any] = {"type": "integer" if option.kind == "int" else "number"}
            if option.low is not None:
                number["minimum"] = option.low
            if option.high is not None:
                number["maximum"] = option.high
            return _or_template(number)
        case "bool":
            return _or_template({"type": "boolean"})
        case "choice":
            return {"if": dict(_TEMPLATE), "else": {"enum": list(option.choices)}}
        case "duration":
            return dict(_DURATION)
        case "steps":
            return {"$ref": "#/$defs/steps"}
        case "list":
            items = json_schema(option.item) if option.item else {}
            return _or_template({"type": "array", "items": items})
        case "mapping":
            inner = json_schema(option.item) if option.item else {}
            return _or_template({"type": "object", "additionalProperties": inner})
        case "record":
            return _or_template(record_schema(option.fields))
        case "destination":
            return {"type": "string", "pattern": _NUMBER}
        case "url":
            return {"type": "string", "pattern": r"^https?://|^\$\{"}
        case "either":
            return _one_of(option.variants)
    return {"type": ["string", "number"] if option.kind == "text" else "string"}


def _one_of(variants: tuple[Option, ...]) -> dict[str, Any]:
    """A value of one of several kinds; a list is judged as a list, for specific messages."""
    lists = [v for v in variants if v.kind == "list"]
    others = [json_schema(v) for v in variants if v.kind != "list"]
    rest = others[0] if len(others) == 1 else {"anyOf": others}
    if len(lists) != 1 or not others:
        return {"anyOf": [json_schema(v) for v in variants]}
    return {"if": {"type": "array"}, "then": json_schema(lists[0]), "else": rest}


def _or_template(schema: dict[str, Any]) -> dict[str, Any]:
    """Also a text that is one template, which gives the whole value."""
    return {"if": {"type": "string"}, "then": dict(_TEMPLATE), "else": schema}


def record_schema(options: Mapping[str, Option]) -> dict[str, Any]:
    """The JSON Schema of a mapping with these options and no others."""
    return {
        "type": "object",
        "properties": {name: json_schema(option) for name, option in options.items()},
        "required": [name for name, option in options.items() if option.is_required],
        "additionalProperties": False,
    }
