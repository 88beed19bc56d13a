"""One transfer at a time: nothing on this wire ever tells how one ended."""

from __future__ import annotations

import asyncio

from orchestrator.errors import CommandRefused

__all__ = ["OneTransfer"]


class OneTransfer:
    """The transfer that was asked for last, for as long as it may still be connected."""

    def __init__(self) -> None:
        self._until = float("-inf")

    @property
    def is_on(self) -> bool:
        """Whether one may still be connected."""
        return asyncio.get_running_loop().time() < self._until

    def check(self) -> None:
        """Find out whether another one may be asked for.

        Raises:
            CommandRefused: the one before it may still be answered.
        """
        if self.is_on:
            raise CommandRefused("a transfer was asked for already and may still be answered")

    def began(self, answer_within: float) -> None:
        """One was asked for; it counts as over after `answer_within` seconds."""
        self._until = asyncio.get_running_loop().time() + answer_within
