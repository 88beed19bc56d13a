"""What the allowed tests do that are not written as an operator by the code generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.templates.patterns import compile_phrases
from orchestrator.templates.values import Refusal, is_list, is_number, kind_of, number

__all__ = ["RUN_TESTS", "contains"]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_sequence(value: Any) -> bool:
    return is_list(value) or isinstance(value, str | Mapping)


def _contains_any(value: Any, phrases: Any) -> bool:
    """`containing_any(vars.words)`: the phrases are known when the config is loaded."""
    texts = (
        tuple(p for p in phrases if isinstance(p, str) and p.split()) if is_list(phrases) else ()
    )
    if not is_list(phrases) or len(texts) < len(phrases):
        raise Refusal(f"`containing_any` needs a list of phrases, not {kind_of(phrases)}")
    return bool(texts) and compile_phrases(texts)(value)


RUN_TESTS: Mapping[str, Callable[..., bool]] = {
    "boolean": lambda v: isinstance(v, bool),
    "containing_any": _contains_any,
    "divisibleby": lambda v, by: bool(number(v) % number(by) == 0),
    "even": lambda v: bool(number(v) % 2 == 0),
    "float": lambda v: isinstance(v, float),
    "integer": _is_whole,
    "mapping": lambda v: isinstance(v, Mapping),
    "number": is_number,
    "odd": lambda v: bool(number(v) % 2 == 1),
    "sequence": _is_sequence,
    "string": lambda v: isinstance(v, str),
}


def contains(value: Any, inside: Any) -> bool:
    """Whether `value` is part of a text, an item of a list, or a key of a mapping."""
    if isinstance(inside, str) and not isinstance(value, str):
        raise Refusal(f"cannot look for {kind_of(value)} in text")
    if isinstance(inside, str | Mapping) or is_list(inside):
        return value in inside
    raise Refusal(f"cannot look into {kind_of(inside)}")
