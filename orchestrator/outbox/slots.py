"""How many attempts may be under way at once, and which of them are set aside."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["ASIDE", "MOST_ASIDE", "Limits", "Slots"]

#: Seconds after which an attempt is set aside, and how many times `in_all` may be under way so.
ASIDE, MOST_ASIDE = 2.0, 5


@dataclass(frozen=True, slots=True)
class Limits:
    """Attempts of this process under way at once, to one endpoint and in all."""

    per_endpoint: int = 4
    in_all: int = 20


class Slots:
    """The attempts under way, by endpoint.

    A receiver that hangs keeps its attempts for long. They would be all that there are when a few
    receivers hang, so an attempt that is not over soon no longer counts in all; meanwhile its
    endpoint gets no further one. `freed` is called when there is room for another.
    """

    def __init__(self, limits: Limits, freed: Callable[[], None]) -> None:
        self._limits = limits
        self._freed = freed
        self._busy: Counter[str] = Counter()
        self._aside: Counter[str] = Counter()

    @property
    def limit(self) -> int:
        """How many attempts may be begun."""
        busy, most = self._busy.total(), self._limits.in_all
        return max(0, min(most - busy + self._aside.total(), MOST_ASIDE * most - busy))

    @property
    def taken(self) -> Mapping[str, int]:
        """How many are under way to each endpoint; one that keeps us waiting counts as full."""
        return {**self._busy, **dict.fromkeys(self._aside, self._limits.per_endpoint)}

    def is_busy(self, endpoint: str) -> bool:
        """Whether an attempt is under way to it."""
        return endpoint in self._busy

    def take(self, endpoint: str) -> Callable[[], None]:
        """Begin an attempt; call what this gives when it is over."""
        self._busy[endpoint] += 1
        is_aside = False

        def set_aside() -> None:
            nonlocal is_aside
            is_aside = True
            self._aside[endpoint] += 1
            self._freed()

        timer = asyncio.get_running_loop().call_later(ASIDE, set_aside)

        def over() -> None:
            timer.cancel()
            _less(self._busy, endpoint)
            if is_aside:
                _less(self._aside, endpoint)
            self._freed()

        return over


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
