"""Whether what a template gives fits the option that it is written for."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.options import Option, OptionKind
from orchestrator.shapes import Shape

__all__ = ["misfit", "misfit_help"]

_TEXTS: frozenset[str] = frozenset({"any", "text", "int", "number", "bool"})
#: The kinds of values that an option converts; an option that is not here takes any.
_TAKES: Mapping[OptionKind, frozenset[str]] = {
    "text": _TEXTS,
    "secret": _TEXTS,
    "destination": frozenset({"any", "text"}),
    "url": frozenset({"any", "text"}),
    "path": _TEXTS,
    "choice": frozenset({"any", "text"}),
    "int": frozenset({"any", "text", "int", "number"}),
    "number": frozenset({"any", "text", "int", "number"}),
    "duration": frozenset({"any", "text"}),
    "bool": frozenset({"any", "bool", "text"}),
    "list": frozenset({"any", "list"}),
    "mapping": frozenset({"any", "record"}),
    "record": frozenset({"any", "record"}),
}
#: Kinds for which somebody's speech is never a value.
_NO_SPEECH: frozenset[str] = frozenset({"int", "number", "duration", "bool", "choice"})


def misfit(option: Option, shape: Shape) -> str | None:
    """Why a value of this shape cannot be the option's, or None when it may be."""
    if option.kind == "either":
        faults = [misfit(variant, shape) for variant in option.variants]
        return f"expected {option.wanted()}, and this is {_words(shape)}" if all(faults) else None
    takes = _TAKES.get(option.kind)
    if takes is None or shape.kind == "null":
        return None
    if shape.kind not in takes or _is_speech(option, shape):
        return f"expected {option.wanted()}, and this is {_words(shape)}"
    if option.kind == "list" and option.item is not None and shape.of is not None:
        return misfit(option.item, shape.of)
    if option.kind == "choice" and shape.choices and not set(shape.choices) & set(option.choices):
        return f"expected {option.wanted()}, and this is {_words(shape)}"
    return None


def misfit_help(option: Option, shape: Shape) -> str | None:
    """How to make the value fit."""
    if option.kind in ("text", "path") and shape.kind in ("list", "record"):
        return "name one of its parts, or write it as JSON with `| tojson`"
    if option.kind == "duration" and shape.is_number:
        return "add the unit: `{{ ... }}s`"
    if option.kind in ("int", "number") and shape.kind == "text":
        return "convert it with `| int`"
    return None


def _is_speech(option: Option, shape: Shape) -> bool:
    is_free_text = shape.kind == "text" and not shape.choices
    return option.kind in _NO_SPEECH and is_free_text and shape.taint == "caller"


def _words(shape: Shape) -> str:
    words = str(Shape(shape.kind, choices=shape.choices if len(shape.choices) > 1 else ()))
    return f"{words} of the caller" if shape.taint == "caller" and shape.kind == "text" else words
