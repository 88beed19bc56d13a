"""A scope for template tests, and shapes to check against."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.events import EVENTS
from orchestrator.shapes import ANY, INT, TEXT, list_of, maybe, record

NAMES = {
    "event": EVENTS[("session", "user_turn")].shape,
    "data": record(
        {
            "customer": maybe(record({"first_name": TEXT, "tier": TEXT})),
            "count": INT,
            "items": list_of(INT),
            "token": TEXT.tainted("secret"),
            "answer": ANY.tainted("remote"),
        },
        is_open=True,
    ),
    "vars": record({"hours": TEXT, "queue": TEXT}),
    "steps": record({}),
}


class Call:
    """A call with a few of its fields."""

    id = "c1"
    user_number = "+15550100"
    turns = 3
    language = None
    direction = "inbound"

    def count(self, event: str, within: float | None = None) -> int:
        return 2 if within is None else int(within)

    def hour_in(self, hours: str, zone: str) -> bool:
        return hours == "09:00-18:00" and zone == "UTC"

    def weekday_in(self, days: str, zone: str) -> bool:
        return days == "mon-fri"


class Memory:
    """A memory that knows one key."""

    def get(self, key: str) -> Any:
        return {"k": "kept"}.get(key)

    def count(self, key: str, within: float | None = None) -> int:
        return 4


@dataclass
class FakeScope:
    """What a template sees."""

    event: dict[str, Any] = field(default_factory=lambda: {"text": "I want a Human"})
    data: dict[str, Any] = field(default_factory=dict)
    call: Any = field(default_factory=Call)
    vars: dict[str, Any] = field(default_factory=lambda: {"hours": "09:00-18:00"})
    steps: dict[str, Any] = field(default_factory=dict)
    memory: Any = field(default_factory=Memory)
    now: datetime = datetime(2024, 1, 1, 9, 30, tzinfo=UTC)
    error: dict[str, Any] | None = None


DATA = {
    "customer": {"first_name": "ann lee", "tier": "gold", "empty": "", "none": None},
    "count": 3,
    "price": 0.1 + 0.2,
    "yes": True,
    "items": [3, 1, 2],
    "names": ["Bo", "al", "bo"],
    "none": None,
}
