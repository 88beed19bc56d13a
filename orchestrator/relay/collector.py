"""Full garbage collections when nobody waits for them.

A full collection looks at every object of every live call: 200 ms with a thousand of them, in which
all callers wait. Python makes one whenever the heap has grown by a quarter. Here it is made when
no call is on, or after many calls have ended; young objects are collected as ever.
"""

from __future__ import annotations

import gc

__all__ = ["Collector"]

#: Calls that may end before what they left is looked for under live calls.
MOST_LEFT = 1_000
#: A number of collections that no process lives to see.
_NEVER = 1_000_000_000


class Collector:
    """Decides when to collect, for a process whose only business is calls."""

    def __init__(self) -> None:
        self._thresholds = gc.get_threshold()
        self._seen = 0

    def start(self) -> None:
        """Take what the start left out of all further collections, and make them ours."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*self._thresholds[:2], _NEVER)

    def look(self, ended: int, live: int) -> bool:
        """Collect if this is the moment; whether it was. `ended` and `live` count calls."""
        left = ended - self._seen
        if not left or (live and left < MOST_LEFT):
            return False
        self._seen = ended
        gc.collect()
        return True

    def stop(self) -> None:
        """Leave it to Python again."""
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()
