"""Findings after which part of a config is missing: steps may stand in what could not be read."""

from __future__ import annotations

from typing import Any

from orchestrator.document import YamlList, YamlMap

__all__ = ["tears"]

#: After these a step is not read; after those, what stands under a key is not.
_OF_STEPS = frozenset({"HK110", "HK111", "HK112", "HK221", "HK603", "HK625"})
_OF_PARTS = frozenset({"HK103", "HK105", "HK114", "HK119", "HK220", "HK235"})
#: Keys whose value is steps, or names them.
_HOLDERS = frozenset({"do", "finally", "then", "else", "parallel", "steps", "on_error", "run"})


def tears(code: str, key: Any, value: Any) -> bool:
    """Whether steps may be missing after a finding about the value of a key."""
    return code in _OF_STEPS or (code in _OF_PARTS and (key in _HOLDERS or _holds(value)))


def _holds(value: Any) -> bool:
    """Whether steps may stand in a value."""
    inner = value if isinstance(value, YamlList) else (value,)
    return any(isinstance(item, YamlMap) for item in inner)
