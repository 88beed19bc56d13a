"""A circuit breaker: leave an endpoint alone that keeps failing, then try it with one attempt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

__all__ = ["FAILURES", "LONGEST", "PAUSE", "Breaker"]

#: Failures in a row that open it; seconds of the first pause, doubled up to the longest.
FAILURES, PAUSE, LONGEST = 5, 30.0, 300.0


class Breaker:
    """One breaker for each endpoint. Times are seconds since 1970.

    It opens at the fifth failure in a row. After a pause one attempt is let through: its success
    closes the breaker, its failure doubles the pause. An endpoint at which something has failed in
    an earlier process gets one attempt at a time until it has answered here: what that process
    learned of it is not known. (That it asked to be left alone is: the store keeps it.)
    """

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._until: dict[str, float] = {}
        self._doubted: set[str] = set()
        self._known: set[str] = set()

    @property
    def single(self) -> Set[str]:
        """The endpoints at which one attempt at a time may be under way."""
        return self._doubted | self._until.keys()

    def meet(self, endpoint: str, *, has_failed: bool) -> None:
        """Something is to be sent to it, which has failed before or not."""
        if endpoint not in self._known:
            self._known.add(endpoint)
            if has_failed:
                self._doubted.add(endpoint)

    def is_open(self, endpoint: str) -> bool:
        """Whether it has failed too often in a row."""
        return endpoint in self._until

    def paused(self, now: float) -> set[str]:
        """The endpoints that are to be left alone; a clock set back does not prolong that."""
        return {endpoint for endpoint, _ in self._pauses(now)}

    def next_trial(self, now: float) -> float | None:
        """When the next pause is over."""
        return min((until for _, until in self._pauses(now)), default=None)

    def _pauses(self, now: float) -> list[tuple[str, float]]:
        pauses = self._until.items()
        return [(end, until) for end, until in pauses if now < until <= now + LONGEST]

    def succeeded(self, endpoint: str) -> None:
        """It answered."""
        self._failures.pop(endpoint, None)
        self._until.pop(endpoint, None)
        self._doubted.discard(endpoint)

    def failed(self, endpoint: str, now: float) -> None:
        """It did not answer, or not well. What was under way when it opened counts no further."""
        if endpoint in self.paused(now):
            return
        self._failures[endpoint] += 1
        over = self._failures[endpoint] - FAILURES
        if over >= 0:
            self._until[endpoint] = now + min(PAUSE * 2.0 ** min(over, 10), LONGEST)
