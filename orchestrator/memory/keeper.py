"""What keeps a memory over restarts, and shares it with other processes: the contract.

A process reads from its own copy, at once; nothing here makes a call wait. A keeper writes in a
thread of its own, and tells the copy what others have written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.limits import Rate

__all__ = ["LONGEST", "Keeper", "Replica"]

#: Seconds that a count can look back: older times are dropped from what is kept.
LONGEST = 30 * 86_400.0


class Replica(Protocol):
    """The copy of a process. Its methods may be called from a thread of the keeper's."""

    def absorb(
        self, key: str, value: Any, expires: float | None, times: Iterable[float] | None
    ) -> bool:
        """A key as it is now, without `times` one that is no more.

        False when the process has something newer queued for it: tell it again later.
        """
        ...

    def contents(self) -> Mapping[str, tuple[Any, float | None, Sequence[float]]]:
        """All keys, as they are now: value, when it expires, and times."""
        ...

    def failed(self) -> None:
        """Something could not be kept."""
        ...


class Keeper(Protocol):
    """Keeps what is remembered. Times are seconds since the epoch."""

    def start(self, replica: Replica) -> None:
        """Fill the copy, and go on telling it what others write.

        Raises:
            EnvironmentFailure: it cannot be opened.
        """
        ...

    def remember(self, key: str, value: Any, expires: float | None, at: float) -> None:
        """Keep a value, and one more time of the key; returns at once."""
        ...

    def forget(self, key: str) -> None:
        """Drop a key with its times; returns at once."""
        ...

    def has_queued(self, key: str) -> bool:
        """Whether something about the key is not written yet."""
        ...

    def take(self, key: str, rate: Rate, now: float, answer: Callable[[bool | None], None]) -> None:
        """Take one of the places of a rate that all processes share; returns at once.

        `answer`, called in a thread of the keeper's, says whether there was one; None when it
        cannot be known.
        """
        ...

    def close(self) -> None:
        """Write out what is queued, and let go."""
        ...
