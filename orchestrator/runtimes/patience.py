"""How long a reply is waited for: one lazy timer, since every piece of text moves its moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Patience"]


class Patience:
    """Calls `on_end` once it has waited for too long.

    Attributes:
        has_ended: whether it has, since `wait` was called last.
    """

    def __init__(self, on_end: Callable[[], object]) -> None:
        self._on_end = on_end
        self._until: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.has_ended = False

    def wait(self, seconds: float | None) -> None:
        """Wait so many seconds from now on; None: for ever."""
        self.has_ended = False
        self._until = None if seconds is None else asyncio.get_running_loop().time() + seconds
        if self._timer is None or (self._until is not None and self._until < self._timer.when()):
            self._arm()

    def shorten(self, seconds: float) -> bool:
        """Wait so many seconds from now on, unless it ends before that anyhow; whether it will."""
        until = asyncio.get_running_loop().time() + seconds
        if self.has_ended or (self._until is not None and self._until <= until):
            return False
        self._until = until
        self._arm()
        return True

    def stop(self) -> None:
        """Wait for nothing any more; whether it has ended stays known."""
        self._until = None
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._until is not None:
            self._timer = asyncio.get_running_loop().call_at(self._until, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._until is not None and asyncio.get_running_loop().time() < self._until:
            self._arm()
        elif self._until is not None:
            self._until, self.has_ended = None, True
            self._on_end()
