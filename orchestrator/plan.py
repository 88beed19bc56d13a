"""The plan: what a config compiles to. Frozen, shared by all calls, nothing left to decide.

(scope, event) -> tuple of handlers; a handler is a tuple of steps; a step has one body. Times are
in seconds. Functions in here take the scope of a running hook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from orchestrator.action import Action
from orchestrator.config import Allow, Retry
from orchestrator.events import Scope
from orchestrator.journal import Redactor
from orchestrator.limits import Limit
from orchestrator.secrecy import Secrecy

__all__ = [
    "ActionBody",
    "Body",
    "ChainBody",
    "Handler",
    "IfBody",
    "ParallelBody",
    "Plan",
    "SetBody",
    "Step",
    "StopBody",
    "WaitBody",
]

Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ActionBody:
    """Run an action: always the same instance, or one `make(scope)` for each run.

    `shown` are the constant's options as journals show them. `has_fixed_destination` says that the
    number to dial is the config author's own word, `written_numbers` are those between which a
    template of the author's chooses; any other number needs an allow-list. `limit` says how often
    steps of its kind may run.
    """

    name: str
    cls: type[Action]
    constant: Action | None
    make: Callable[[Any], Action]
    connection: str | None = None
    has_fixed_destination: bool = False
    written_numbers: frozenset[str] = frozenset()
    limit: Limit | None = None
    shown: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class IfBody:
    """Run one of two lists of steps."""

    condition: Read
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ParallelBody:
    """Run steps side by side. `keeps_late` lets unfinished ones go on after the deadline."""

    steps: tuple[Step, ...]
    first_error: Literal["cancel", "wait"] = "cancel"
    keeps_late: bool = False


@dataclass(frozen=True, slots=True)
class WaitBody:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class StopBody:
    """End the hook."""

    reason: Read


@dataclass(frozen=True, slots=True)
class SetBody:
    """Put values into `data`."""

    values: tuple[tuple[str, Read], ...]


@dataclass(frozen=True, slots=True)
class ChainBody:
    """Run the steps of a named chain."""

    name: str
    steps: tuple[Step, ...]


Body = ActionBody | IfBody | ParallelBody | WaitBody | StopBody | SetBody | ChainBody


@dataclass(frozen=True)
class Step:
    """One compiled step. `key` names it in journals and ids; `place` is `file:line`.

    `on_error` is what happens when it fails: the hook stops (None), goes on (an empty tuple), or
    these steps run and the hook stops. `is_detached` marks the copy that runs in the background.
    """

    key: str
    word: str
    place: str
    body: Body
    id: str | None = None
    when: Read | None = None
    explain: Read | None = None
    save: str | None = None
    timeout: float | None = None
    retry: Retry | None = None
    on_error: tuple[Step, ...] | None = None
    background: bool = False
    after: float | None = None
    is_detached: bool = False

    @cached_property
    def is_conditional(self) -> bool:
        """Whether it may be left out of its list here: by a condition, or as background work."""
        return self.when is not None or self.background


@dataclass(frozen=True)
class Handler:
    """One compiled hook."""

    key: str
    name: str
    event: str
    place: str
    steps: tuple[Step, ...]
    cleanup: tuple[Step, ...] = ()
    when: Read | None = None
    explain: Read | None = None
    when_text: str = ""
    max_count: int | None = None
    cooldown: float | None = None
    timeout: float | None = None
    on_error: tuple[Step, ...] | None = None
    background: bool = False

    @cached_property
    def is_conditional(self) -> bool:
        """Whether something may keep it from running."""
        return not (self.when is None and self.max_count is None and self.cooldown is None)

    @cached_property
    def is_simple(self) -> bool:
        """Whether it has no limit, error policy or clean-up of its own."""
        return self.timeout is None and not self.on_error and not self.cleanup


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that calls share.

    `digest` identifies the config; `secrets` must never be shown, those from the environment are in
    `secret_names` by the name of their variable; `names` may be shown always, being words of the
    config's author. `needs` are the capabilities without which a runtime is refused, each with the
    places that need it; `lent` are those that the connections add to a runtime, by its name and by
    their kind.
    `connections` are made by functions of the services, `kinds` has the kind of each, and `prepare`
    are functions that import what the first call would.
    """

    name: str
    digest: str
    handlers: Mapping[tuple[Scope, str], tuple[Handler, ...]]
    vars: Mapping[str, Any] = field(default_factory=dict, repr=False)
    connections: Mapping[str, Any] = field(default_factory=dict)
    allow: Allow = field(default_factory=Allow)
    is_private: bool = False
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lent: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    names: frozenset[str] = frozenset()
    secret_names: Mapping[str, str] = field(default_factory=dict, repr=False)
    has_ladder: bool = False
    uses_memory: bool = False
    prepare: tuple[Callable[[], None], ...] = ()

    def redactor(self) -> Redactor:
        """What masks the secrets of this config and, if it is private, what people say."""
        return Redactor(tuple(self.secrets), is_private=self.is_private, names=self.names)

    def secrecy(self) -> Secrecy:
        """What keeps the secrets of this config out of what is stored."""
        return Secrecy(self.secret_names, self.redactor())

    def events(self, scope: Scope) -> tuple[str, ...]:
        """The events of a scope that have handlers."""
        return tuple(event for (s, event) in self.handlers if s == scope)
