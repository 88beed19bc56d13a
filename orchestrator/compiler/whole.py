"""The whole of a config -> its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from orchestrator.compiler.connections import opener
from orchestrator.compiler.hooks import HookCompiler
from orchestrator.compiler.listing import needs_by_place, uses_memory, words_of
from orchestrator.compiler.values import Values
from orchestrator.config import Config
from orchestrator.errors import ConfigError
from orchestrator.plan import Handler, Plan
from orchestrator.targets import TARGETS, lent_by_kind

__all__ = ["compile_config"]


def compile_config(config: Config, variables: Mapping[str, str]) -> Plan:
    """Bind a checked config to an environment.

    Raises:
        ConfigError: environment variables are not set, or their values do not fit.
    """
    values = Values(config, variables)
    prepare: list[Callable[[], None]] = []
    openers = {
        name: opener(connection, values, config.allow, prepare)
        for name, connection in config.connections.items()
    }
    handlers: dict[Any, list[Handler]] = {}
    for hook in config.hooks:
        handler = HookCompiler(hook, config, values, prepare).handler()
        handlers.setdefault((hook.scope, hook.event), []).append(handler)
    if values.problems:
        raise ConfigError(values.problems)
    return Plan(
        name=config.name,
        digest=config.digest,
        handlers=MappingProxyType({key: tuple(items) for key, items in handlers.items()}),
        vars=MappingProxyType(values.vars),
        connections=MappingProxyType(openers),
        allow=config.allow,
        is_private=config.privacy == "redact",
        needs=needs_by_place(config),
        lent={target: lent_by_kind(target, config) for target in TARGETS},
        kinds={name: c.type.name for name, c in config.connections.items()},
        secrets=frozenset(values.env.secrets),
        names=words_of(config),
        secret_names=dict(values.env.secret_names),
        has_ladder=any(step.word == "silence_timer" for step in config.steps()),
        uses_memory=uses_memory(config),
        prepare=tuple(prepare),
    )
