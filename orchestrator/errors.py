"""The error tree, and the values that name a place in a file and what is wrong there.

::

    OrchestratorError
    ├── UserError               somebody can mend it in a file or a call
    │   ├── ConfigError         a config is bad; carries all its problems
    │   ├── ScriptError         a call script, journal or call test is bad
    │   ├── UnknownEvent        a handler was registered for no such event (also a ValueError)
    │   └── NotSupported        the runtime lacks a command that the config needs
    ├── EnvironmentFailure      a file, database, server or package is not there
    ├── ActionFailed            an action could not do its work (its step fails, the call goes on)
    │   ├── CommandRefused      the runtime took a command and said no
    │   ├── StoreFailed         the outbox could not keep a delivery
    │   ├── LimitReached        it was done as often as the config's `limits` allow
    │   ├── LineGone            the call is over, nothing can be said or done on it
    │   ├── Unsendable          a delivery cannot be sent as things are set here; nobody was asked
    │   ├── TemplateFailed      a template read something that is not there
    │   └── NotSent             virtual time: nothing leaves the machine (its step counts as done)
    └── InternalError           our own bug
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ActionFailed",
    "CommandRefused",
    "ConfigError",
    "EnvironmentFailure",
    "Fix",
    "InternalError",
    "LimitReached",
    "LineGone",
    "NotSent",
    "NotSupported",
    "OrchestratorError",
    "PlainWords",
    "Position",
    "Problem",
    "ProblemList",
    "Related",
    "ScriptError",
    "StoreFailed",
    "TemplateFailed",
    "UnknownEvent",
    "Unsendable",
    "UserError",
    "named",
    "words",
]


class PlainWords(str):
    """Words that hold nothing that anybody said: they are shown where people's are hidden.

    What is made of them, as by an f-string, is an ordinary text again.
    """

    __slots__ = ()


#: Characters of what an exception says: it may quote the whole of an answer.
_MOST_WORDS = 4_000


def words(error: BaseException) -> str:
    """What an exception says, some 4,000 characters of it.

    Never raises: one that cannot say it must not hide what failed.
    """
    try:
        text = str(error)
        is_plain = getattr(error, "is_plain", False) is True
    except BaseException:  # noqa: BLE001 - its own `__str__` is at fault
        return f"(a {type(error).__name__} that cannot say what is wrong)"
    if len(text) > _MOST_WORDS:  # at a space: a secret that is cut in two is not known again
        text = f"{text[:_MOST_WORDS].rsplit(None, 1)[0]}… ({len(text)} characters)"
    return PlainWords(text) if is_plain else text


def named(error: BaseException) -> str:
    """The type of an exception and what it says."""
    return f"{type(error).__name__}: {words(error)}"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file. Lines and columns count from 1; `end_column` is exclusive."""

    file: str
    line: int = 1
    column: int = 1
    end_column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that explains a problem: the first definition, the skipped step."""

    position: Position
    message: str
    source_line: str = ""


@dataclass(frozen=True, slots=True)
class Fix:
    """A safe replacement of `old` by `new` at a position on one line."""

    position: Position
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file: a stable code, where it is, what was found and how to mend it.

    `code` is a key of `orchestrator.codes.CODES`; `message` is lower-case without a final period;
    `help` says what to do.
    """

    code: str
    message: str
    position: Position
    severity: Literal["error", "warning"] = "error"
    help: str | None = None
    source_line: str = ""
    related: tuple[Related, ...] = ()
    fix: Fix | None = None

    @property
    def is_error(self) -> bool:
        """Whether a config with this problem must not take a call."""
        return self.severity == "error"

    def __str__(self) -> str:
        tail = f" ({self.help})" if self.help else ""
        return f"{self.position}: {self.message} [{self.code}]{tail}"


class OrchestratorError(Exception):
    """The root of everything that this package raises on purpose."""


class UserError(OrchestratorError):
    """Something that a person can mend in a file or in a call of ours."""


class ConfigError(UserError):
    """A config that must not take a call; `problems` holds every reason."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)) or "the config has problems")


class ScriptError(UserError):
    """A call script, journal or call test that cannot be read; names file and line."""


class UnknownEvent(UserError, ValueError):
    """A handler was registered for an event that this scope does not have."""


class NotSupported(UserError):
    """The runtime cannot do what was asked; says what it can."""


class EnvironmentFailure(OrchestratorError):
    """Something outside the config is missing: a file, a database, a server, a package."""


class ActionFailed(OrchestratorError):
    """An action could not do its work.

    `retryable` lets the step's `retry` try again; `detail` goes to the journal, never to a caller.
    `is_plain` says that the message holds nothing that anybody said: only our words, names of the
    config and numbers. Under `privacy: redact` no other message is shown.
    """

    #: Whether all messages of a type are plain.
    is_plain: bool = False

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        detail: object = None,
        is_plain: bool = False,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.detail = detail
        self.is_plain = is_plain or type(self).is_plain


class CommandRefused(ActionFailed):
    """The runtime was asked for something (a transfer, a recording) and refused."""


class LineGone(ActionFailed):
    """The call is over: nothing more can be said or done on it."""


class StoreFailed(ActionFailed):
    """What keeps deliveries (a file, a server) cannot be used; says why."""


class Unsendable(ActionFailed):
    """A delivery cannot be sent as things are set here, which may be mended; nobody was asked."""


class LimitReached(ActionFailed):
    """A step would do something more often than the limits of the config allow."""

    is_plain = True


class TemplateFailed(ActionFailed):
    """A template or condition met a value that is missing or of the wrong type."""


class NotSent(ActionFailed):
    """Virtual time: the outside system was not asked. The step counts as done, with no output."""

    is_plain = True


class InternalError(OrchestratorError):
    """A bug of ours; please report it."""


class ProblemList:
    """Collects problems while a file is read; `sorted()` puts them in reading order.

    A place has one problem of a code: what a step is reported for in one hook is not reported
    again when a second hook runs the same chain.
    """

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self._found: dict[tuple[Position, str], Problem] = {}
        for problem in problems:
            self.add(problem)

    def add(self, problem: Problem) -> None:
        """Add one problem, once."""
        self._found.setdefault((problem.position, problem.code), problem)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def errors(self) -> int:
        """How many of them are errors."""
        return sum(problem.is_error for problem in self._found.values())

    def sorted(self) -> tuple[Problem, ...]:
        """All problems by file, line, column and code."""
        return tuple(sorted(self._found.values(), key=lambda p: (p.position, p.code)))
