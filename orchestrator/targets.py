"""Runtimes by name and what each of them can do, for `validate --target` and `explain --target`.

The facts are those of the adapters; a test compares the two where an adapter is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from orchestrator.capabilities import ALL_CAPABILITIES, CAPABILITIES
from orchestrator.config import Config, ConnectionConfig, HookConfig, StepConfig
from orchestrator.values import Place

__all__ = [
    "EVENT_NEEDS",
    "TARGETS",
    "Need",
    "describe",
    "lenders_of",
    "lends_what_is_needed",
    "lent_by_kind",
    "lent_to",
    "needs_of",
]

#: Events that only runtimes with a capability report.
EVENT_NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "dtmf": "dtmf",
        "error": "error",
        "metric": "metric",
        "state": "state",
        "tool_call": "tools",
        "tool_result": "tools",
        "transfer": "transfer.outcome",
        "voicemail": "voicemail",
    }
)

Need = tuple[str, Place]

_UNPOD = frozenset(
    {"say", "interrupt", "end", "transfer.number", "transfer.queue", "transfer.agent",
     "transfer.warm", "inject", "state", "error", "metric"}
)  # fmt: skip
_CONVERSATION_RELAY = frozenset(
    {"say", "say.protected", "end", "transfer.number", "transfer.queue", "transfer.warm",
     "transfer.outcome", "digits", "language", "play", "inject", "state", "dtmf", "error"}
)  # fmt: skip
_LIVEKIT = frozenset(
    {"say", "say.protected", "interrupt", "end", "transfer.number", "transfer.agent",
     "transfer.outcome", "digits", "inject", "playback", "state", "dtmf", "error", "metric",
     "tools"}
)  # fmt: skip
_PIPECAT = frozenset(
    {"say", "say.protected", "interrupt", "end", "transfer.number", "transfer.agent", "recording",
     "digits", "inject", "playback", "state", "dtmf", "error", "metric", "tools"}
)  # fmt: skip

#: What each runtime can do, by its name.
TARGETS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "native": ALL_CAPABILITIES,
        "console": ALL_CAPABILITIES,
        "script": ALL_CAPABILITIES,
        "unpod": _UNPOD,
        "conversation_relay": _CONVERSATION_RELAY,
        "livekit": _LIVEKIT,
        "pipecat": _PIPECAT,
    }
)


def needs_of(config: Config) -> Iterator[Need]:
    """Every capability that a config needs, each with the step or event that needs it."""
    for hook in config.hooks:
        if hook.event in EVENT_NEEDS:
            yield EVENT_NEEDS[hook.event], _event_place(hook)
    for step in config.steps():
        if step.action is not None:
            yield from _step_needs(step)


def _step_needs(step: StepConfig) -> Iterator[Need]:
    assert step.action is not None  # noqa: S101 - asked by the caller
    written = {name: value.constant for name, value in step.options.items()}
    for need in sorted(step.action.needs_for(written)):
        yield need, _reason(step, need)


#: The option that is the reason for a capability, where it is not the action as such.
_REASONS = {"say.protected": "interruptible", "transfer.warm": "mode"}


def _reason(step: StepConfig, need: str) -> Place:
    value = step.options.get(_REASONS.get(need, ""))
    return value.place if value is not None else step.place


def _event_place(hook: HookConfig) -> Place:
    """The key of the event above the hook."""
    root = hook.place.document.root
    events = root.get(hook.scope) if root is not None else None
    if isinstance(events, dict) and hook.event in events:
        return Place(hook.place.document, events, hook.event)
    return hook.place


def lent_to(target: str, config: Config) -> frozenset[str]:
    """What a runtime can do beside its own with the connections of a config."""
    return frozenset().union(*lent_by_kind(target, config).values())


def lent_by_kind(target: str, config: Config) -> Mapping[str, frozenset[str]]:
    """The same, by the kind of connection that adds it."""
    types = (connection.type for connection in config.connections.values())
    return {found.name: lent for found in types if (lent := found.cls.lends.get(target))}


def lenders_of(target: str, need: str, config: Config) -> list[str]:
    """The kinds of connections with which a runtime can do what it cannot by itself."""
    kinds = config.registry.connection_kinds()
    found = [(kind, config.registry.connection(kind)) for kind in kinds]
    return [k for k, c in found if c is not None and need in c.cls.lends.get(target, ())]


def lends_what_is_needed(connection: ConnectionConfig, config: Config) -> bool:
    """Whether some runtime does with a connection what the config needs of it."""
    lent = frozenset[str]().union(*connection.type.cls.lends.values())
    return bool(lent) and any(need in lent for need, _ in needs_of(config))


def describe(need: str) -> str:
    """A capability in words."""
    return CAPABILITIES.get(need, need)
