"""Deliver what an outbox holds for some configs, without taking calls.

The outbox of a running app does the same for its own config; a worker of its own is for machines
that put and do not send, and for what is left when no app runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.action import Delivery
from orchestrator.clock import real_clock
from orchestrator.errors import ActionFailed, UserError
from orchestrator.memory import Memory
from orchestrator.outbox import Limits, Outbox
from orchestrator.outbox.store import OutboxStore
from orchestrator.plan import Plan
from orchestrator.services import Services

__all__ = ["Worker"]


class Worker:
    """Sends the deliveries of these plans with the credentials that their connections have now.

    Raises:
        UserError: two plans have the same name.
    """

    def __init__(
        self, plans: Sequence[Plan], store: OutboxStore, *, limits: Limits | None = None
    ) -> None:
        self._services: Mapping[str, Services] = {plan.name: _services_of(plan) for plan in plans}
        if len(self._services) < len(plans):
            raise UserError("two configs have the same name; deliveries belong to a name")
        self.outbox = Outbox(
            self._send,
            clock=real_clock(),
            store=store,
            configs=frozenset(self._services),
            limits=limits or Limits(),
        )

    async def _send(self, delivery: Delivery) -> Any:
        services = self._services.get(delivery.config)
        if services is None:
            raise ActionFailed(f"no config {delivery.config!r} is served here", retryable=True)
        return await services.send(delivery)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set."""
        self.outbox.start()
        await stop.wait()

    async def aclose(self, limit: float = 5.0) -> int:
        """Send what is due for `limit` seconds, then close; how many deliveries stay behind."""
        self.outbox.start()
        left = await self.outbox.aclose(limit)
        for services in self._services.values():
            await services.aclose()
        return left


def _services_of(plan: Plan) -> Services:
    return Services(
        real_clock(),
        Memory(),
        plan.connections,
        allow=plan.allow,
        config=plan.name,
        secrecy=plan.secrecy(),
    )
