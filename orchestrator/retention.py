"""When what is old may be removed: not because a clock says so for once.

A machine that boots before it has asked for the time, or a virtual one that is resumed, may be a
month ahead for a moment. What would be removed then is gone for good. So a clock is believed once
it has gone on for an hour without a jump, over restarts of ours; what the hour saw is kept beside
the data, as a `Trail`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Trail", "Watch"]

#: Seconds over which a clock must have gone on to be believed.
TRUST = 3_600.0
#: Seconds from one look to the next that are no jump: processes may come and go once a day.
GAP = 36 * 3_600.0
#: Seconds by which two looks may differ from what passed between them.
SLACK = 60.0


@dataclass(frozen=True, slots=True)
class Trail:
    """From when to when the clock was seen to go on; seconds since 1970."""

    since: float
    until: float

    def followed(self, now: float) -> Trail:
        """The trail with another look at the clock, or a new one after a jump."""
        if not self.until - SLACK <= now <= self.until + GAP:
            return Trail(now, now)
        return Trail(self.since, max(now, self.until))

    @property
    def is_trusted(self) -> bool:
        """Whether the clock may be believed."""
        return self.until - self.since >= TRUST


class Watch:
    """Follows the trail in one process, where a second clock tells what is a jump."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._last: tuple[float, float] | None = None

    def look(self, now: float, trail: Trail | None) -> Trail:
        """The trail that was kept, with a look at the clock."""
        last, self._last = self._last, (now, self._steady())
        if trail is None:
            return Trail(now, now)
        if last is not None and abs((now - last[0]) - (self._last[1] - last[1])) > SLACK:
            return Trail(now, now)
        return trail.followed(now)
