"""A circuit breaker: leave an endpoint alone that keeps failing, then try it with one attempt."""

from __future__ import annotations

from collections import Counter

__all__ = ["FAILURES", "LONGEST", "PAUSE", "Breaker"]

#: Failures in a row that open it; seconds of the first pause, doubled up to the longest.
FAILURES, PAUSE, LONGEST = 5, 30.0, 300.0


class Breaker:
    """One breaker for each endpoint. Times are seconds since 1970.

    It opens at the fifth failure in a row. After a pause one attempt is let through: its success
    closes the breaker, its failure doubles the pause.
    """

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._until: dict[str, float] = {}

    def is_open(self, endpoint: str) -> bool:
        """Whether at most one attempt at a time may go through."""
        return endpoint in self._until

    def opened(self) -> set[str]:
        """The endpoints at which at most one attempt at a time may go through."""
        return set(self._until)

    def paused(self, now: float) -> set[str]:
        """The endpoints that are to be left alone; a clock set back does not prolong that."""
        return {e for e, until in self._until.items() if now < until <= now + LONGEST}

    def next_trial(self, now: float) -> float | None:
        """When the next pause is over."""
        ends = (until for until in self._until.values() if now < until <= now + LONGEST)
        return min(ends, default=None)

    def succeeded(self, endpoint: str) -> None:
        """It answered."""
        self._failures.pop(endpoint, None)
        self._until.pop(endpoint, None)

    def failed(self, endpoint: str, now: float) -> None:
        """It did not answer, or not well. What was under way when it opened counts no further."""
        if endpoint in self.paused(now):
            return
        self._failures[endpoint] += 1
        over = self._failures[endpoint] - FAILURES
        if over >= 0:
            self._until[endpoint] = now + min(PAUSE * 2.0 ** min(over, 10), LONGEST)
