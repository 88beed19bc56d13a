"""What an option may be, beside str, int, float, bool, Any, Literal, list, dict, X | Y and None."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "Condition", "ConnectionName", "Destination", "Duration", "EventName", "Filled", "Form",
    "Options", "Path", "PythonName", "Seconds", "Secret", "Steps", "Trusted", "Url", "Written",
]  # fmt: skip


class Duration(float):
    """Seconds; written `500ms`, `8s`, `2m` or `1h`."""


class Secret(str):
    """A credential: never logged, never journaled; written in clear it is a warning."""


class Destination(str):
    """A phone number that we dial: E.164, guarded against toll fraud."""


class EventName(str):
    """The name of a session event."""


class ConnectionName(str):
    """The name of one of the config's connections."""


class PythonName(str):
    """`module:function`, fixed at load."""


class Url(str):
    """An absolute http or https URL whose host is fixed at load."""


class Path(str):
    """A URL path; values in it are percent-encoded."""


class Condition:
    """An expression as in `when`; at run time it is asked with an event's fields."""

    def __init__(self, is_met: Callable[[Mapping[str, Any]], bool]) -> None:
        self._is_met = is_met

    def __call__(self, fields: Mapping[str, Any]) -> bool:
        """Whether it holds for an event with these fields."""
        return self._is_met(fields)


class Steps(tuple[Any, ...]):
    """Steps of their own, compiled; run through `ActionContext`."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """Put into `Annotated[...]`: words of a caller or another system must not decide this.

    A template may choose between texts that the config writes out; another value is refused, both
    at validation and at run time, unless the part `kind` of the config's `allow` has it.
    """

    kind: Literal["", "numbers", "queues", "agents", "digits", "languages"] = ""


class Written:
    """Put into `Annotated[...]`: read at load, so that no template but of `vars` decides it."""


@dataclass(frozen=True, slots=True)
class Form:
    """Put into `Annotated[...]`: the form that a text must have."""

    role: Literal["hours", "days", "zone"]


@dataclass(frozen=True, slots=True)
class Seconds:
    """Put into `Annotated[...]`: the least and the most of a duration, in seconds."""

    low: float
    high: float = 86_400.0


class Filled:
    """Put into `Annotated[...]`: an empty text or list is a mistake there."""


class Options:
    """A mapping option with annotated fields of its own. A field `for_` is written `for`."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)
