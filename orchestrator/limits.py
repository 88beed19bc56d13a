"""How often something may be done: in one call, and in all calls together.

An action names its kind of limit and says what holds when nobody asks, as `limited = Limit(...)`;
a config's `limits` say otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.durations import format_duration
from orchestrator.errors import LimitReached

__all__ = ["MOST", "Limit", "Rate"]

#: The highest count that a limit can have.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` times within so many seconds."""

    count: int
    within: float

    def __str__(self) -> str:
        return f"{self.count} within {format_duration(self.within)}"


@dataclass(frozen=True, slots=True)
class Limit:
    """How often steps of a kind may run; None is no limit.

    Args:
        kind: the word under `limits`, in the plural. Actions of one kind are counted together.
        per_call: times in one call.
        all_calls: the rate over all calls of a config.
        places: where the config says so (`file:line`), by the name of the field.
    """

    kind: str
    per_call: int | None = None
    all_calls: Rate | None = None
    places: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.per_call} a call"] if self.per_call is not None else []
        parts += [f"{self.all_calls} over all calls"] if self.all_calls is not None else []
        return ", ".join(parts) or "without limit"

    def reached(self, what: Literal["per_call", "all_calls"]) -> LimitReached:
        """The failure of a step that would go over `what`."""
        most = self.per_call if what == "per_call" else self.all_calls
        whose = "a call" if what == "per_call" else "over all calls"
        place = dict(self.places).get(what)
        where = f"set in {place}" if place else "the default; `limits` sets another"
        return LimitReached(f"the limit `{self.kind}: {what}` is reached: {most} {whose} ({where})")
