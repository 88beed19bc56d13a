"""Hooks for voice agents as one YAML file: validated, compiled, isolated, replayable.

Names are imported when they are first used, so that `import orchestrator` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from orchestrator._version import __version__

if TYPE_CHECKING:
    from orchestrator.action import Action, ActionContext
    from orchestrator.app import Orchestrator
    from orchestrator.errors import (
        ActionFailed,
        ConfigError,
        EnvironmentFailure,
        NotSupported,
        OrchestratorError,
        UnknownEvent,
        UserError,
    )
    from orchestrator.events import EVENTS
    from orchestrator.runtimes.native import AgentRunner, CallContext, Session

_HOMES = {
    "Action": "action",
    "ActionContext": "action",
    "ActionFailed": "errors",
    "AgentRunner": "runtimes.native",
    "CallContext": "runtimes.native",
    "ConfigError": "errors",
    "EVENTS": "events",
    "EnvironmentFailure": "errors",
    "NotSupported": "errors",
    "Orchestrator": "app",
    "OrchestratorError": "errors",
    "Session": "runtimes.native",
    "UnknownEvent": "errors",
    "UserError": "errors",
}

__all__ = [
    "EVENTS",
    "Action",
    "ActionContext",
    "ActionFailed",
    "AgentRunner",
    "CallContext",
    "ConfigError",
    "EnvironmentFailure",
    "NotSupported",
    "Orchestrator",
    "OrchestratorError",
    "Session",
    "UnknownEvent",
    "UserError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"orchestrator.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
