"""The values that the template engine hands out: faults, reads, the scope, and the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from orchestrator.frozen import frozen

__all__ = [
    "MAX_DEPTH",
    "MAX_HOLES",
    "MAX_SOURCE",
    "MAX_TEXT",
    "MAX_TOKENS",
    "Fault",
    "Read",
    "Scope",
]

#: Characters of a template's source.
MAX_SOURCE = 16 * 1024
#: `{{ }}` in one text.
MAX_HOLES = 200
#: Words, numbers and signs in one expression.
MAX_TOKENS = 400
#: Levels of brackets, operators and filters inside one another.
MAX_DEPTH = 24
#: Characters of a rendered text.
MAX_TEXT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake in a template; `offset` and `length` are characters of its source.

    `given_by` is the path in `vars` of the constant that is wrong, where it stands there. A
    condition that asks the value at `asked_of` may rule the mistake out.
    """

    code: str
    message: str
    offset: int
    length: int
    help: str | None = None
    severity: Literal["error", "warning"] = "error"
    given_by: tuple[str | int, ...] = ()
    asked_of: tuple[str | int, ...] = ()


@frozen
class Read:
    """A path that a template reads, up to its first computed part.

    `part_offsets` has one offset for each part. `is_guarded` means that a missing value and null
    are provided for: by `default`, or by what a condition about this path has proved. `is_there`
    means that a beginning of the path is proved to be there; the value itself may be null.
    """

    path: tuple[str | int, ...]
    offset: int
    length: int
    is_guarded: bool
    part_offsets: tuple[int, ...]
    is_there: bool = False


class Scope(Protocol):
    """What a template can see while a call runs.

    `call` has the attributes of `CALL_FIELDS` and the methods `count(event, seconds | None)`,
    `hour_in(hours, zone)` and `weekday_in(days, zone)`; `memory` has `get(key)` and
    `count(key, seconds | None)`.
    """

    @property
    def event(self) -> Mapping[str, Any]:
        """The fields of the event."""

    @property
    def call(self) -> Any:
        """The call."""

    @property
    def data(self) -> Mapping[str, Any]:
        """What the call has saved."""

    @property
    def vars(self) -> Mapping[str, Any]:
        """The variables of the config."""

    @property
    def steps(self) -> Mapping[str, Any]:
        """The results of this hook's steps, by id."""

    @property
    def memory(self) -> Any:
        """What is remembered beyond the call."""

    @property
    def now(self) -> datetime:
        """The time of the event."""

    @property
    def error(self) -> Mapping[str, Any] | None:
        """What went wrong, inside `on_error` steps."""
