"""The memory as one call uses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from orchestrator.durations import parse_duration
from orchestrator.memory.memory import Memory

__all__ = ["CallMemory"]


class CallMemory:
    """The memory as one call uses it: what earlier calls left and this one reads is told, once.

    `tell(key, value=...)` or `tell(key, count=..., within=seconds)`; what was never remembered is
    not told. So a call can be played again without the calls before it.
    """

    def __init__(self, memory: Memory, tell: Callable[..., None]) -> None:
        self._memory = memory
        self._tell = tell
        self._told: set[tuple[str, float]] = set()
        self._own: Counter[str] = Counter()
        self._forgotten: set[str] = set()

    def get(self, key: str) -> Any:
        """The value, or None when it was never set or has expired."""
        name, value = str(key), self._memory.get(key)
        if value is not None and name not in self._own and self._is_new(name, -1.0):
            self._tell(name, value=value)
        return value

    def count(self, key: str, within: str | float = "24h") -> int:
        """How often the key was remembered within a time."""
        name, found = str(key), self._memory.count(key, within)
        earlier = found - self._own[name]
        if earlier > 0 and name not in self._forgotten:
            seconds = parse_duration(within) if isinstance(within, str) else float(within)
            if self._is_new(name, seconds):
                self._tell(name, count=earlier, within=seconds)
        return found

    def _is_new(self, key: str, within: float) -> bool:
        is_new = (key, within) not in self._told and key not in self._forgotten
        self._told.add((key, within))
        return is_new

    def remember(self, key: str, value: Any = True, *, lifetime: float | None = None) -> None:
        """Set a value, for `lifetime` seconds or for ever, and count it."""
        self._own[key] += 1
        self._memory.remember(key, value, lifetime=lifetime)

    def forget(self, key: str) -> bool:
        """Drop a key and its counts; whether it was there."""
        self._forgotten.add(key)
        return self._memory.forget(key)
