"""What a config says, as frozen data: parsed and checked, not yet bound to an environment.

`validation` makes it from documents; `compiler` turns it into a plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from orchestrator.events import Scope
from orchestrator.frozen import frozen
from orchestrator.limits import Limit, Rate
from orchestrator.registry import ActionType, ConnectionType, Registry
from orchestrator.templates import Template
from orchestrator.values import Place, Value

__all__ = [
    "BACKGROUND_LIMIT",
    "Allow",
    "ChainConfig",
    "Condition",
    "Config",
    "ConnectionConfig",
    "Defaults",
    "ErrorPolicy",
    "HookConfig",
    "LimitConfig",
    "Retry",
    "StepConfig",
    "StepKind",
]

StepKind = Literal["action", "if", "parallel", "wait", "stop", "set", "run"]
ErrorPolicy = Literal["stop", "continue", "steps"]

#: Seconds for a background step that does not say.
BACKGROUND_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Further tries after the first; waits `backoff` seconds, doubling up to `max` seconds."""

    times: int
    backoff: float = 0.2
    max: float = 5.0


@frozen
class Condition:
    """A `when` expression with its place."""

    template: Template
    place: Place


@frozen
class StepConfig:
    """One step as written.

    `blocks` holds its nested steps by key: `then`, `else`, `parallel`, `on_error`, or the name of
    an option that takes steps. `options` holds everything else that the action or control word was
    given. `timeout` and `after` are in seconds; None means that the step does not say.
    """

    key: str
    kind: StepKind
    word: str
    place: Place
    action: ActionType | None = None
    options: Mapping[str, Value] = field(default_factory=dict)
    blocks: Mapping[str, tuple[StepConfig, ...]] = field(default_factory=dict)
    id: str | None = None
    when: Condition | None = None
    save: str | None = None
    timeout: float | None = None
    retry: Retry | None = None
    on_error: ErrorPolicy | None = None
    background: bool | None = None
    after: float | None = None
    settings: Mapping[str, Place] = field(default_factory=dict)

    def walk(self) -> Iterator[StepConfig]:
        """This step and all steps in it, in the order written."""
        yield self
        if not self.blocks:
            return
        for block in self.blocks.values():
            for step in block:
                yield from step.walk()

    @property
    def saves(self) -> bool:
        """Whether its output goes into `data`."""
        return self.save is not None

    @property
    def runs_in_background(self) -> bool:
        """Whether it runs off the call's path, by its own word or its action's."""
        if self.background is not None or self.action is None:
            return bool(self.background)
        if not self.action.chooses_lane:
            return self.action.cls.in_background
        written = {name: value.constant for name, value in self.options.items()}
        return self.action.is_background(written, saves=self.saves)


@frozen
class HookConfig:
    """One hook as written; `timeout` and `cooldown` are in seconds."""

    key: str
    name: str
    scope: Scope
    event: str
    place: Place
    steps: tuple[StepConfig, ...]
    cleanup: tuple[StepConfig, ...] = ()
    when: Condition | None = None
    max_count: int | None = None
    cooldown: float | None = None
    timeout: float | None = None
    on_error: ErrorPolicy | None = None
    on_error_steps: tuple[StepConfig, ...] = ()
    background: bool = False
    is_single: bool = False
    settings: Mapping[str, Place] = field(default_factory=dict)

    def walk(self) -> Iterator[StepConfig]:
        """All steps of the hook, nested ones included."""
        for step in (*self.steps, *self.on_error_steps, *self.cleanup):
            if step.blocks:
                yield from step.walk()
            else:  # as most: no generator for one step
                yield step


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """A named list of steps that hooks may run."""

    name: str
    place: Place
    steps: tuple[StepConfig, ...]


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """A named outside system as written."""

    name: str
    type: ConnectionType
    options: Mapping[str, Value]
    place: Place


@dataclass(frozen=True, slots=True)
class Defaults:
    """What steps do when they do not say; `timeout` in seconds."""

    timeout: float = 2.0
    on_error: ErrorPolicy = "stop"
    retry: Retry | None = None
    options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allow:
    """Where calls and requests may go, and what is said of them, beyond what is written out."""

    numbers: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    digits: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LimitConfig:
    """What `limits` says of one kind; None where it says nothing."""

    per_call: int | None = None
    all_calls: Rate | None = None
    places: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """A whole config, its included files merged in the order written."""

    name: str
    file: str
    digest: str
    registry: Registry
    description: str = ""
    vars: Mapping[str, Value] = field(default_factory=dict)
    connections: Mapping[str, ConnectionConfig] = field(default_factory=dict)
    defaults: Defaults = field(default_factory=Defaults)
    allow: Allow = field(default_factory=Allow)
    limits: Mapping[str, LimitConfig] = field(default_factory=dict)
    privacy: Literal["open", "redact"] = "open"
    chains: Mapping[str, ChainConfig] = field(default_factory=dict)
    hooks: tuple[HookConfig, ...] = ()
    files: tuple[str, ...] = ()
    raw: Any = None

    def steps(self) -> tuple[StepConfig, ...]:
        """All steps of all hooks and chains."""
        return self._steps

    def limit_of(self, action: ActionType) -> Limit | None:
        """How often steps of an action may run, by this config or by the action's own word."""
        usual = action.cls.limited
        if usual is None:
            return None
        written = self.limits.get(usual.kind, LimitConfig())
        own = tuple((name, str(place.key_position)) for name, place in written.places.items())
        return Limit(
            usual.kind,
            usual.per_call if written.per_call is None else written.per_call,
            written.all_calls or usual.all_calls,
            own,
        )

    @cached_property
    def _steps(self) -> tuple[StepConfig, ...]:
        hooks = [step for hook in self.hooks for step in hook.walk()]
        chains = [s for c in self.chains.values() for step in c.steps for s in step.walk()]
        return (*hooks, *chains)
