"""Options as journals show them."""

from __future__ import annotations

from typing import Any

from orchestrator.action import Options, Secret, Steps
from orchestrator.errors import ActionFailed
from orchestrator.plain import plain

__all__ = ["shown_options"]


def shown_options(action: Any) -> dict[str, Any]:
    """What an action was given, sharing nothing that may change while the call goes on."""
    return {
        name: value if value.__class__ in _FIXED else _shown(value)
        for name, value in action.__dict__.items()
    }


#: Values that cannot change; `plain` costs more.
_FIXED = frozenset({str, bool, int, float, type(None)})


def _shown(value: Any) -> Any:
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, Options):
        return {name.rstrip("_"): _shown(item) for name, item in vars(value).items()}
    if isinstance(value, Steps) or callable(value):
        return None
    try:
        return plain(value)
    except ActionFailed as error:
        return f"({error})"
