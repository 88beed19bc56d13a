"""What is known of a call: `call` in templates, and `ctx.call` for actions."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.clock import Clock
from orchestrator.digits import hide_digits, hide_heard
from orchestrator.durations import parse_duration
from orchestrator.errors import ActionFailed

__all__ = ["CallFacts"]


class CallFacts:
    """What is known of a call: `call` in templates, and `ctx.call` for actions."""

    def __init__(self, offer: Any, clock: Clock, *, runtime: str = "native") -> None:
        self.id: str = offer.call_id
        self.session_id: str = offer.session_id or offer.call_id
        self.agent_id: str = offer.agent_id
        self.direction: str = offer.direction
        self.user_number: str = offer.user_number or ""  # withheld: empty
        self.called_number = str(getattr(offer, "called_number", "") or "")
        self.instructions: str = offer.instructions
        self.runtime = runtime
        self.attempt = 1
        self.language: str | None = None
        self.state = "starting"
        self.end_reason: str | None = None
        self.outcome: str | None = None
        self.transcript: list[dict[str, str]] = []
        self.hides_digits = False
        self.heard = ""  # digits that the caller gave while the recording was paused
        self.turns = 0
        self.interruptions = 0
        self._clock = clock
        self._began = clock.now()
        self._started = clock.wall()
        self._times: dict[str, deque[float]] = {}

    @property
    def started_at(self) -> str:
        """When the call started: ISO 8601, UTC."""
        return self._started.isoformat(timespec="seconds")

    @property
    def duration(self) -> float:
        """Seconds since the call started."""
        return round(self._clock.now() - self._began, 3)

    def count(self, event: str, within: str | float | None = None) -> int:
        """How often an event happened, in the whole call or in the last `within`."""
        times = self._times.get(event)
        if not times:
            return 0
        if within is None:
            return len(times)
        seconds = parse_duration(within) if isinstance(within, str) else float(within)
        since = self._clock.now() - seconds
        return sum(1 for t in times if t >= since)

    def has_many(self, event: str, most: int, within: float) -> bool:
        """Whether an event came more than `most` times within so many seconds."""
        times = self._times.get(event, ())
        return len(times) > most and times[-most - 1] > self._clock.now() - within

    def hour_in(self, span: str, zone: str = "UTC") -> bool:
        """Whether it is now between two times of day, `HH:MM-HH:MM`, in a time zone."""
        start, _, end = span.partition("-")
        now = self._clock.wall().astimezone(_zone(zone)).strftime("%H:%M")
        first, last = _clock_time(start), _clock_time(end)
        return first <= now < last if first <= last else now >= first or now < last

    def weekday_in(self, days: str, zone: str = "UTC") -> bool:
        """Whether today is one of `mon-fri` or `sat,sun` in a time zone."""
        today = self._clock.wall().astimezone(_zone(zone)).weekday()
        return today in _weekdays(days)

    def note_event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Take note of an event that is about to be dispatched."""
        times = self._times.get(name)
        if times is None:
            times = self._times[name] = deque(maxlen=10_000)
        times.append(self._clock.now())
        if name == "user_turn":
            self.turns += 1
            self.language = fields.get("language") or self.language
            self.add_to_transcript("caller", fields["text"])
        elif name == "agent_turn":
            self.add_to_transcript("agent", fields["text"])
        elif name == "interruption":
            self.interruptions += 1

    def add_to_transcript(self, who: str, text: str) -> None:
        """Add what was said, without digits that are not to be kept."""
        if self.hides_digits:
            text = hide_digits(text)
        elif self.heard:
            text = hide_heard(text, self.heard)
        self.transcript.append({"who": who, "text": text})


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ActionFailed(f"{name!r} is no time zone; write one such as 'Europe/Berlin'") from None


def _clock_time(text: str) -> str:
    hours, _, minutes = text.strip().partition(":")
    if not (hours.isdigit() and minutes.isdigit() and int(hours) <= 24 and int(minutes) < 60):
        raise ActionFailed(f"{text!r} is no time of day; write HH:MM-HH:MM")
    return f"{int(hours):02}:{int(minutes):02}"


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _weekdays(text: str) -> set[int]:
    days: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.strip().partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise ActionFailed(f"{part!r} is no weekday; write mon-fri or sat,sun")
        start = _DAYS.index(first)
        length = (_DAYS.index(last) - start) % 7 if last else 0
        days.update((start + i) % 7 for i in range(length + 1))
    return days
