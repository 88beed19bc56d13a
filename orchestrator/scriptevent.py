"""One event of a call script: from a mapping, long or short, to a `CallEvent`; and lines of JSON.

Long is ``{"t": 1, "event": "user_turn", "text": "hello"}``, short is ``{"t": 1, "user_turn":
"hello"}``: the value is the event's main field, or a mapping of its fields. Call scripts, journals
and call tests share this. Every mistake is a `ScriptError` that says what to write instead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import EnvironmentFailure, ScriptError
from orchestrator.events import SESSION_EVENTS, Event, find_event, is_custom, near_miss
from orchestrator.runtime import CallEvent
from orchestrator.shapes import TEXT, Shape

__all__ = [
    "EXAMPLE",
    "TimedEvent",
    "describe",
    "event_from_mapping",
    "fitting",
    "is_event_line",
    "json_line",
    "read_text",
    "seconds_of",
]

MAX_LINE = 1_000_000  # characters
MAX_FILE = 64_000_000  # bytes
MAX_SECONDS = 7 * 24 * 3600.0

_MADE_BY_RUNTIME = frozenset({"call_start", "call_end"})
_HANGUP = Event("hangup", "session", {}, "the line is gone", extras={"reason": TEXT})
_PLAYABLE = (*(name for name in SESSION_EVENTS if name not in _MADE_BY_RUNTIME), "hangup")


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event and when it happens, in seconds since the call started."""

    t: float
    event: CallEvent


def event_from_mapping(mapping: object) -> TimedEvent:
    """The event that a mapping describes in the long or the short form.

    Raises:
        ScriptError: it describes none; the message has no position, which the caller knows.
    """
    if not isinstance(mapping, Mapping):
        raise ScriptError(f"expected a mapping such as {EXAMPLE}, got {describe(mapping)}")
    name, given = _named_fields(mapping)
    spec = _HANGUP if name == "hangup" else find_event("session", name)
    if spec is None:
        raise ScriptError(f"unknown event {describe(name)}{_advice(name, _PLAYABLE)}")
    if name in _MADE_BY_RUNTIME:
        raise ScriptError(f"{name!r} comes by itself when the call is played; remove it")
    masked = given.get("masked")
    if isinstance(masked, Mapping) and not is_custom(name):
        given = {**given, **masked}
    return TimedEvent(seconds_of(mapping), CallEvent(name, _checked(spec, given)))


EXAMPLE = '{"t": 1.5, "event": "user_turn", "text": "hello"}'
_NO_FIELDS = frozenset({"t", "event", "from", "cause"})


def _named_fields(mapping: Mapping[Any, Any]) -> tuple[str, dict[str, Any]]:
    rest = {str(key): value for key, value in mapping.items() if key not in _NO_FIELDS}
    if "event" in mapping:
        if not isinstance(mapping["event"], str):
            raise ScriptError(
                f"'event' must be the name of an event, got {describe(mapping['event'])}"
            )
        return mapping["event"], rest
    name = _short_name(rest)
    if name is None:
        miss = near_miss(next(iter(rest), ""), _PLAYABLE)
        meant = f"did you mean {miss!r}? An event is written" if miss else "write"
        raise ScriptError(f"no event in it; {meant} {EXAMPLE}")
    return name, _expand(name, rest.pop(name), rest)


def _short_name(rest: Mapping[str, Any]) -> str | None:
    names = [k for k in rest if k in SESSION_EVENTS or k == "hangup" or k.startswith("custom.")]
    if not names:
        return None
    # An event may be called like a field of another, so the first one counts.
    first = names[0]
    spec = _HANGUP if first == "hangup" else find_event("session", first)
    fields = {**spec.fields, **spec.extras} if spec is not None else {}
    others = [name for name in names[1:] if name not in fields and not is_custom(first)]
    if others:
        raise ScriptError(f"{first!r} and {others[0]!r} are two events; write one after the other")
    return first


def _expand(name: str, value: Any, rest: dict[str, Any]) -> dict[str, Any]:
    """`user_turn: hello` is `text: hello`; a mapping gives the fields by name."""
    if isinstance(value, Mapping):
        if taken := _NO_FIELDS & value.keys():
            raise ScriptError(f"{min(taken)!r} cannot be a field of an event; rename it")
        return {**{str(key): item for key, item in value.items()}, **rest}
    spec = _HANGUP if name == "hangup" else find_event("session", name)
    main = next(iter(spec.fields or spec.extras), None) if spec else None
    if value is None or (value is True and not (spec and spec.fields)):
        return rest
    if main is None:
        return {"value": value, **rest}
    return {main: value, **rest}


def _checked(spec: Event, given: Mapping[str, Any]) -> dict[str, Any]:
    if spec.name.startswith("custom."):
        return dict(given)
    known = {**spec.fields, **spec.extras}
    for name in spec.fields:
        if name not in given:
            raise ScriptError(_missing(spec, name, given))
    for name in given.keys() - known.keys():
        if near_miss(name, known):  # anything else is a journal's own note on its event
            raise ScriptError(f"{spec.name!r} has no field {describe(name)}{_advice(name, known)}")
    return {k: fitting(k, given[k], shape) for k, shape in known.items() if k in given}


def _missing(spec: Event, name: str, given: Mapping[str, Any]) -> str:
    typo = near_miss(name, [key for key in given if key not in spec.fields])
    hint = f"; is {typo!r} a misspelling of it" if typo else ""
    return f"{spec.name!r} needs {name!r} ({spec.fields[name]}){hint}"


def fitting(name: str, value: Any, shape: Shape) -> Any:
    """The value, if it has this shape; else a ScriptError without a position."""
    kinds = _PYTHON.get(shape.kind)
    is_right = kinds is None or (
        isinstance(value, kinds) and isinstance(value, bool) <= (kinds is bool)
    )
    if value is None and shape.is_optional:
        return None
    if not is_right or (shape.kind == "number" and not math.isfinite(value)):
        hint = '; put it in quotes: "5"' if shape.kind == "text" and isinstance(value, int) else ""
        raise ScriptError(f"{name!r} must be {shape}, got {describe(value)}{hint}")
    if shape.choices and value not in shape.choices:
        miss = near_miss(value, shape.choices)
        hint = f"; did you mean {miss!r}" if miss else ""
        raise ScriptError(f"{name!r} must be {shape}, got {describe(value)}{hint}")
    return value


_PYTHON: Mapping[str, Any] = {
    "text": str, "int": int, "number": (int, float), "bool": bool, "list": list, "record": dict,
}  # fmt: skip


def seconds_of(mapping: Mapping[Any, Any], key: str = "t") -> float:
    """The number of seconds under `key`: finite, not negative, a week at most."""
    value = mapping.get(key)
    if value is None:
        raise ScriptError(f"{key!r} is missing; give the seconds as a number, such as 1.5")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ScriptError(f"{key!r} must be a number of seconds such as 1.5, got {describe(value)}")
    if not 0 <= value <= MAX_SECONDS:  # false for NaN, too
        raise ScriptError(
            f"{key!r} must be from 0 to {MAX_SECONDS:g} seconds, got {describe(value)}"
        )
    return float(value)


def _advice(word: object, names: Iterable[str]) -> str:
    names = list(names)
    miss = near_miss(word, names) if isinstance(word, str) and len(word) < 100 else None
    return f"; did you mean {miss!r}" if miss else f"; known: {', '.join(names)}"


def describe(value: object) -> str:
    """A value as error messages show it: on one line, not long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of 5,000 digits, a list 1,000 deep
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def is_event_line(entry: Mapping[str, Any]) -> bool:
    """Whether this line of a script or journal is an event to play."""
    if "event" in entry:
        is_made = isinstance(entry["event"], str) and entry["event"] in _MADE_BY_RUNTIME
        return entry.get("from") != "hook" and not is_made
    keys = [key for key in entry if key not in _NO_FIELDS]
    name = _short_name(dict.fromkeys(keys))
    if name is None:  # `{"t": 0, "user_trun": "hi"}` is a slip, not a line of a journal
        return len(keys) == 1 and near_miss(keys[0], _PLAYABLE) is not None
    spec = _HANGUP if name == "hangup" else find_event("session", name)
    own = {name, *spec.fields, *spec.extras} if spec else {name}
    return name not in _MADE_BY_RUNTIME and set(keys) <= own


def json_line(line: str) -> dict[str, Any]:
    """One line of JSON that holds an object, or a ScriptError without a position."""
    if len(line) > MAX_LINE:
        raise ScriptError(f"the line is longer than {MAX_LINE} characters; is this a call script")
    try:
        entry = json.loads(line, parse_constant=_no_constant)
        if "\\u" in line or not line.isascii():
            json.dumps(entry, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ScriptError("half of a surrogate pair in it; write the character itself") from None
    except json.JSONDecodeError as error:
        raise ScriptError(f"not JSON at column {error.colno} ({error.msg.lower()})") from None
    except (ValueError, RecursionError) as error:
        raise ScriptError(f"not usable JSON ({describe(str(error))[1:-1]})") from None
    if not isinstance(entry, dict):
        raise ScriptError(f"expected one object a line, such as {EXAMPLE}, got {describe(entry)}")
    return entry


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is not a number; write a finite one")


def read_text(path: str | Path) -> str:
    """The UTF-8 text of a file of at most 64 MB, or a ScriptError that says where it is not."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except OSError as error:
        raise EnvironmentFailure(f"cannot read {str(path)!r}: {error.strerror}") from error
    if len(raw) > MAX_FILE:
        raise ScriptError(f"{path}:1: larger than {MAX_FILE // 1_000_000} MB; split it")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ScriptError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
