"""The JSON Schema of a config: the hand-written shape, and what the actions and events declare.

Each action is a property of a step, not a variant of it, so that an editor's message is about the
one thing that is wrong. Hover texts and examples come from the actions' own manuals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.document import parse_document
from orchestrator.errors import EnvironmentFailure
from orchestrator.events import EVENTS
from orchestrator.limits import Limit
from orchestrator.options import Option
from orchestrator.options.schema import json_schema, record_schema
from orchestrator.registry import ActionType, ConnectionType, Registry

__all__ = ["build_schema", "manual_examples", "schema_folder", "schema_text"]

_SHAPE = "document.schema.json"
_EXAMPLE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def schema_folder() -> Path:
    """Where the hand-written part is: in an installed package, or beside it in a checkout.

    Raises:
        EnvironmentFailure: it is in neither place.
    """
    package = Path(__file__).parent
    for folder in (package / "_schema", package.parent / "schema"):
        if (folder / _SHAPE).is_file():
            return folder
    raise EnvironmentFailure(f"{_SHAPE} is missing from the installation")


def schema_text(registry: Registry) -> str:
    """The schema as text, as it stands in `schema/orchestrator.schema.json`."""
    return json.dumps(build_schema(registry), indent=2, ensure_ascii=False) + "\n"


def build_schema(registry: Registry) -> dict[str, Any]:
    """The single self-contained schema, with all actions that the registry knows."""
    schema: dict[str, Any] = json.loads((schema_folder() / _SHAPE).read_text(encoding="utf-8"))
    defs = schema["$defs"]
    for scope, name in EVENTS:
        schema["properties"][scope]["properties"][name] = _event_schema(scope, name)
    for action in registry:
        defs["step"]["properties"][action.name] = _action_schema(action)
        defs["defaults"]["properties"][action.name] = _defaults_schema(action)
        if action.cls.limited is not None:
            limits = schema["properties"]["limits"]["properties"]
            limits[action.cls.limited.kind] = _limit_schema(action.cls.limited)
    kinds = [registry.connection(kind) for kind in registry.connection_kinds()]
    _add_connections(defs["connection"], [kind for kind in kinds if kind is not None])
    _add_hovers(schema)
    return schema


def _event_schema(scope: Any, name: str) -> dict[str, Any]:
    event = EVENTS[scope, name]
    fields = ", ".join(f"`event.{field}`" for field in event.fields) or "no fields"
    text = f"{event.when[0].upper()}{event.when[1:]}. Fields: {fields}."
    return {"$ref": "#/$defs/hooks", "description": text}


# --- actions


def _action_schema(action: ActionType) -> dict[str, Any]:
    options = record_schema(action.options)
    main = action.options.get(action.main)
    others = [o for o in action.options.values() if o.is_required and o is not main]
    schema: dict[str, Any] = options
    if main is not None and not others:
        schema = _bare_or_mapping(main, options)
    schema["description"] = action.manual
    examples = manual_examples(action)
    return {**schema, "examples": examples} if examples else schema


def _bare_or_mapping(main: Option, options: dict[str, Any]) -> dict[str, Any]:
    """A bare value for the main option, or a mapping of options."""
    bare = json_schema(main)
    if main.accepts("mapping"):
        return {"anyOf": [options, bare]}
    return {"if": {"type": "object"}, "then": options, "else": bare}


def _defaults_schema(action: ActionType) -> dict[str, Any]:
    schema = record_schema(action.options)
    return {**schema, "required": [], "description": f"Default options of `{action.name}`."}


def _limit_schema(limit: Limit) -> dict[str, Any]:
    usual = f"{limit.kind.replace('_', ' ').capitalize()}. By default {limit}."
    return {"$ref": "#/$defs/limit", "description": usual}


def manual_examples(action: ActionType) -> list[Any]:
    """What the manual gives to the action in its YAML examples."""
    found: list[Any] = []
    for block in _EXAMPLE.findall(action.manual):
        document = parse_document(f"steps:\n{block}", action.name)
        steps = document.root.get("steps") if document.root is not None else None
        for step in steps if isinstance(steps, list) else ():
            if isinstance(step, dict) and action.name in step:
                found.append(json.loads(json.dumps(step[action.name])))
    return found


# --- connections


def _add_connections(schema: dict[str, Any], kinds: Iterable[ConnectionType]) -> None:
    """One condition for each kind, so that a message is about the kind that was written."""
    conditions: list[dict[str, Any]] = []
    for kind in kinds:
        schema["properties"]["kind"]["enum"].append(kind.name)
        options = record_schema(kind.options)
        options["properties"] = {"kind": True, **options["properties"]}
        options["description"] = kind.manual
        is_kind = {"properties": {"kind": {"const": kind.name}}, "required": ["kind"]}
        conditions.append({"if": is_kind, "then": options})
    schema["allOf"] = conditions


def _add_hovers(schema: Any) -> None:
    """Editors that know Markdown show `markdownDescription`; all others `description`."""
    if isinstance(schema, Mapping):
        text = schema.get("description")
        if isinstance(text, str) and isinstance(schema, dict):
            schema["markdownDescription"] = text
        for value in list(schema.values()):
            _add_hovers(value)
    elif isinstance(schema, list):
        for value in schema:
            _add_hovers(value)
