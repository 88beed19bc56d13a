"""The owner of background tasks: it keeps them, and cancels and awaits them in the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["TaskOwner"]

logger = logging.getLogger(__name__)


class TaskOwner:
    """Owns tasks of one call or one runner; `about` says which in its log lines."""

    def __init__(self, about: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._about = about
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run work in a task of its own; an error in it is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("background task failed", exc_info=task.exception(), extra=self._about)

    async def join(self, seconds: float | None = None) -> bool:
        """Wait until all tasks ended, for `seconds` at most; whether they did."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        return not self._tasks

    async def aclose(self, seconds: float = 1.0) -> None:
        """Cancel all tasks and await them; one that will not end in `seconds` is reported.

        It is asked once more, which ends the task of abandoned work (`deadline.Rest`) in any case.
        """
        self._cancel()
        if not await self.join(seconds):
            extra = {**self._about, "tasks": len(self._tasks)}
            logger.error("tasks ignore being cancelled", extra=extra)
            self._cancel()
            await self.join(0.1)

    def _cancel(self) -> None:
        for task in set(self._tasks):
            task.cancel()
