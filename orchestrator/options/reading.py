"""Annotated fields of a class -> its options."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import replace
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
from orchestrator.errors import UserError
from orchestrator.options.option import NO_DEFAULT, Option, OptionKind, Schema

__all__ = ["options_of"]

_KINDS: Mapping[Any, OptionKind] = {
    str: "text", int: "int", float: "number", bool: "bool", Any: "any", Duration: "duration",
    Secret: "secret", Destination: "destination", EventName: "event", Path: "path", Url: "url",
    ConnectionName: "connection", PythonName: "python", Condition: "condition", Steps: "steps",
    list: "list", dict: "mapping",
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
