"""An action's context in the hands of a test."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from orchestrator.action import Delivery
from orchestrator.config import Allow
from orchestrator.destinations import check_destination
from orchestrator.errors import NotSent

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class FakeContext:
    """What `run` needs; `sent` holds what went to the outbox. Without connections: virtual time."""

    def __init__(
        self,
        connections: Mapping[str, Any] | None = None,
        *,
        saves: bool = False,
        allow: Allow | None = None,
        is_fixed: bool = True,
    ) -> None:
        self.id = "msg_1"
        self.call = SimpleNamespace(id="call-1", user_number="+15550100")
        self.event: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self.vars: dict[str, Any] = {}
        self.log = logging.getLogger("orchestrator.actions")
        self.saves = saves
        self.timeout = 2.0
        self.sent: list[Delivery] = []
        self._connections = connections
        self._allow = allow or Allow()
        self._is_fixed = is_fixed

    def now(self) -> datetime:
        return NOW

    def connection(self, name: str) -> Any:
        if self._connections is None:
            raise NotSent(f"connection {name!r}: virtual time")
        return self._connections[name]

    async def deliver(self, delivery: Delivery) -> None:
        if self._connections is None:
            raise NotSent("virtual time", detail=delivery)
        self.sent.append(delivery)

    def check_destination(self, number: str, allowed: Sequence[str] = ()) -> str:
        return check_destination(number, self._allow, allowed, is_fixed=self._is_fixed)
