"""Annotated fields -> options: their types, JSON Schema, and conversion of rendered values.

Actions and connections declare fields; this module reads them once, at load, and everything else
(validation, the editor schema, the documents, the values given to `run`) comes from the table.
"""

from __future__ import annotations

import keyword
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Union, get_args, get_origin

from orchestrator.action import (
    Condition,
    ConnectionName,
    Destination,
    Duration,
    EventName,
    Filled,
    Form,
    Options,
    Path,
    PythonName,
    Seconds,
    Secret,
    Steps,
    Trusted,
    Url,
    Written,
)
from orchestrator.durations import parse_duration
from orchestrator.errors import ActionFailed, UserError
from orchestrator.plain import plain
from orchestrator.shapes import ANY, BOOL, INT, NUMBER, TEXT, Shape, list_of, maybe, record

__all__ = [
    "NO_DEFAULT",
    "Option",
    "OptionKind",
    "Schema",
    "convert",
    "field_name",
    "json_schema",
    "options_of",
    "record_schema",
    "shown_options",
]

OptionKind = Literal[
    "any", "text", "int", "number", "bool", "choice", "list", "mapping", "record", "either",
    "duration", "secret", "destination", "event", "connection", "python", "url", "path",
    "condition", "steps",
]  # fmt: skip

NO_DEFAULT: Any = object()

_KINDS: Mapping[Any, OptionKind] = {
    str: "text", int: "int", float: "number", bool: "bool", Any: "any", Duration: "duration",
    Secret: "secret", Destination: "destination", EventName: "event", Path: "path", Url: "url",
    ConnectionName: "connection", PythonName: "python", Condition: "condition", Steps: "steps",
    list: "list", dict: "mapping",
}  # fmt: skip

#: Options that are read at load: a template in them would have nothing to read.
FIXED_KINDS = frozenset({"connection", "python", "event", "condition", "steps"})


@dataclass(frozen=True, slots=True)
class Schema:
    """Put into `Annotated[...]`: a JSON Schema that written values must also meet."""

    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its kind, default, documentation and, where it has parts, their options."""

    name: str
    kind: OptionKind
    doc: str = ""
    default: Any = NO_DEFAULT
    choices: tuple[Any, ...] = ()
    is_nullable: bool = False
    item: Option | None = None
    fields: Mapping[str, Option] = field(default_factory=dict)
    variants: tuple[Option, ...] = ()
    low: float | None = None
    high: float | None = None
    schema: Mapping[str, Any] | None = None
    type: Any = None
    is_filled: bool = False
    is_trusted: bool = False
    is_written: bool = False
    form: str = ""
    trusted_by: str = ""

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is NO_DEFAULT

    @property
    def is_fixed(self) -> bool:
        """Whether it is read at load, so that templates are refused."""
        return self.kind in FIXED_KINDS

    @property
    def shape(self) -> Shape:
        """The shape of its values."""
        base = _SHAPES.get(self.kind, TEXT)
        if self.kind == "list" and self.item:
            base = list_of(self.item.shape)
        elif self.kind == "record":
            base = record({n: o.shape for n, o in self.fields.items()})
        elif self.kind == "choice":
            base = Shape("text", choices=tuple(map(str, self.choices)))
        elif self.kind == "mapping":
            base = record({}, is_open=True)
        elif self.kind == "either":
            base = ANY
        return maybe(base) if self.is_nullable else base

    def accepts(self, kind: OptionKind) -> bool:
        """Whether it is of this kind, or one of its variants is."""
        if self.kind == kind:
            return True
        return bool(self.variants) and any(v.accepts(kind) for v in self.variants)

    def accepts_item(self, kind: OptionKind) -> bool:
        """Whether it takes a list whose items are of this kind."""
        if self.item is not None and self.item.kind == kind:
            return True
        return any(v.accepts_item(kind) for v in self.variants)

    def wanted(self) -> str:
        """What it takes, in words, for messages."""
        if self.kind == "either":
            return " or ".join(dict.fromkeys(v.wanted() for v in self.variants))
        if self.kind == "choice":
            return "one of " + ", ".join(map(str, self.choices))
        if self.kind == "list" and self.item and self.item.kind != "any":
            return f"a list, each item {self.item.wanted()}"
        return _WANTED.get(self.kind, "text")


_SHAPES: Mapping[OptionKind, Shape] = {
    "any": ANY, "int": INT, "number": NUMBER, "duration": NUMBER, "bool": BOOL, "steps": ANY,
    "list": list_of(ANY), "secret": TEXT.tainted("secret"),
}  # fmt: skip
_WANTED: Mapping[OptionKind, str] = {
    "any": "any value", "text": "text", "int": "a whole number", "number": "a number",
    "bool": "true or false", "list": "a list", "mapping": "a mapping", "record": "a mapping",
    "duration": "a duration such as 500ms, 8s, 2m or 1h", "secret": "a credential",
    "destination": "a phone number such as '+15550100'", "event": "the name of an event",
    "connection": "the name of a connection", "python": "module:function", "url": "a URL",
    "path": "a path such as /calls", "condition": "a condition", "steps": "a list of steps",
}  # fmt: skip


def options_of(cls: type) -> dict[str, Option]:
    """The options of a class with annotated fields, in the order written, base classes first.

    Raises:
        UserError: an annotation is of a type that cannot be written in YAML.
    """
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except Exception as error:
        raise UserError(f"the annotations of {cls.__name__} cannot be read: {error}") from error
    table = {}
    for name, hint in hints.items():
        if name.startswith("_") or get_origin(hint) is typing.ClassVar or hint is typing.ClassVar:
            continue
        word = name.rstrip("_")
        default = getattr(cls, name, NO_DEFAULT)
        table[word] = _option(word, hint, default, f"{cls.__name__}.{name}")
    return table


def _option(name: str, hint: Any, default: Any, place: str) -> Option:
    doc, schema, form, trusted_by = "", None, "", ""
    low: float | None = None
    high: float | None = None
    marks: set[Any] = set()
    if get_origin(hint) is typing.Annotated:
        hint, *notes = get_args(hint)
        for note in notes:
            if isinstance(note, str):
                doc = note
            elif isinstance(note, Schema):
                schema = note.schema
            elif note in (Filled, Trusted, Written):
                marks.add(note)
            elif isinstance(note, Trusted):
                marks.add(Trusted)
                trusted_by = note.kind
            elif isinstance(note, Form):
                form = note.role
            elif isinstance(note, range):
                low, high = note.start, note.stop
            elif isinstance(note, Seconds):
                low, high = note.low, note.high
    shared: dict[str, Any] = {
        "name": name, "doc": doc, "default": default, "low": low, "high": high, "schema": schema,
        "is_filled": Filled in marks, "is_trusted": Trusted in marks,
        "is_written": Written in marks, "form": form,
        "trusted_by": trusted_by,
    }  # fmt: skip
    return _typed(hint, shared, place)


def _typed(hint: Any, shared: dict[str, Any], place: str) -> Option:
    origin, args = get_origin(hint), get_args(hint)
    name = shared["name"]
    if origin in (Union, types.UnionType):
        variants = [a for a in args if a is not type(None)]
        is_nullable = len(variants) < len(args)
        if len(variants) == 1:
            inner = _typed(variants[0], shared, place)
            return replace(inner, is_nullable=True)
        parts = tuple(_option(name, v, NO_DEFAULT, place) for v in variants)
        return Option(kind="either", variants=parts, is_nullable=is_nullable, **shared)
    if origin is Literal:
        return Option(kind="choice", choices=args, **shared)
    if origin is list or origin is tuple:
        return Option(kind="list", item=_item(args[0] if args else Any, shared, place), **shared)
    if origin is dict or origin is Mapping or hint is Mapping:
        return Option(kind="mapping", item=_item(args[1] if args else Any, shared, place), **shared)
    if isinstance(hint, type) and issubclass(hint, Options):
        return Option(kind="record", fields=options_of(hint), type=hint, **shared)
    if hint in _KINDS:
        return Option(kind=_KINDS[hint], **shared)
    raise UserError(
        f"{place} is annotated {hint!r}, which YAML cannot hold; "
        "use str, int, float, bool, Any, Literal, list, dict, X | None or a type of "
        "orchestrator.action"
    )


def _item(hint: Any, shared: Mapping[str, Any], place: str) -> Option:
    """The option of a part: who may decide the whole decides its parts."""
    inner = _option(shared["name"], hint, NO_DEFAULT, place)
    kept = {name: shared[name] for name in ("is_trusted", "is_written", "trusted_by")}
    return replace(inner, **kept)


# --- rendered values


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


def field_name(word: str) -> str:
    """The Python field of an option: `for` -> `for_`."""
    return f"{word}_" if keyword.iskeyword(word) else word


# --- options as journals show them


def shown_options(action: Any) -> dict[str, Any]:
    """What an action was given, sharing nothing that may change while the call goes on."""
    return {
        name: value if value.__class__ in _FIXED else _shown(value)
        for name, value in action.__dict__.items()
    }


#: Values that cannot change; `plain` costs more.
_FIXED = frozenset({str, bool, int, float, type(None)})


def _shown(value: Any) -> Any:
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, Options):
        return {name.rstrip("_"): _shown(item) for name, item in vars(value).items()}
    if isinstance(value, Steps) or callable(value):
        return None
    try:
        return plain(value)
    except ActionFailed as error:
        return f"({error})"


# --- JSON Schema

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
