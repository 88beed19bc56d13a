"""What calls share: the clock, the HTTP client, connections, memory and the outbox.

Owned by the composition root (`app`), opened on first use, closed once. In virtual time nothing
here leaves the machine: whatever would, raises `NotSent`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.action import Delivery, MemoryLike
from orchestrator.clock import Clock
from orchestrator.errors import NotSent

if TYPE_CHECKING:
    import httpx

    from orchestrator.outbox import Outbox

__all__ = ["GivenLike", "Services"]

#: Connections per client: beyond about 30 requests in flight httpx's pool grows slow.
POOL_SIZE = 30


class GivenLike(Protocol):
    """Answers that outside systems give in a call test."""

    def answer(self, call_id: str, step: Any, action: Any) -> Awaitable[Any] | None:
        """The answer to one try of a step, or None when the action is to do its work."""
        ...


class Services:
    """The shared outside world of all calls under one orchestrator."""

    def __init__(
        self,
        clock: Clock,
        memory: MemoryLike,
        openers: Mapping[str, Callable[[Services], Any]],
        *,
        outbox: Outbox | None = None,
    ) -> None:
        self.clock = clock
        self.memory = memory
        self.is_virtual = clock.is_virtual
        self.given: GivenLike | None = None
        self._openers = openers
        self._connections: dict[str, Any] = {}
        self._http: httpx.AsyncClient | None = None
        self._outbox = outbox

    @property
    def http(self) -> httpx.AsyncClient:
        """The pooled HTTP client."""
        if self._http is None:
            import httpx  # costs 200 ms of CPU: only when something is sent

            transport = httpx.MockTransport(_refuse) if self.is_virtual else None
            self._http = httpx.AsyncClient(
                transport=transport,
                timeout=15.0,
                follow_redirects=False,
                trust_env=False,
                limits=httpx.Limits(max_connections=POOL_SIZE),
            )
        return self._http

    def connection(self, name: str) -> Any:
        """The open connection of this name.

        Raises:
            NotSent: virtual time.
        """
        if self.is_virtual:
            raise NotSent(f"connection {name!r}: virtual time, nothing leaves the machine")
        if name not in self._connections:
            self._connections[name] = self._openers[name](self)
        return self._connections[name]

    async def deliver(self, delivery: Delivery) -> None:
        """Hand a delivery to the outbox; returns once it is stored.

        Raises:
            NotSent: virtual time.
        """
        if self.is_virtual:
            raise NotSent("virtual time, nothing leaves the machine", detail=delivery)
        if self._outbox is None:
            from orchestrator.outbox import Outbox

            self._outbox = Outbox(self.send, clock=self.clock)
        await self._outbox.put(delivery)

    async def send(self, delivery: Delivery) -> Any:
        """Make one attempt at a delivery, with its connection's credentials."""
        if delivery.connection:
            return await self.connection(delivery.connection).send(delivery)
        from orchestrator.connections.http import send_plain

        return await send_plain(self.http, delivery)

    async def aclose(self) -> None:
        """Flush the outbox for a while, then close everything that was opened."""
        if self._outbox is not None:
            await self._outbox.aclose()
        for connection in self._connections.values():
            await connection.aclose()
        self._connections.clear()
        if self._http is not None:
            await self._http.aclose()
            self._http = None


async def _refuse(request: httpx.Request) -> httpx.Response:
    raise NotSent(f"{request.method} {request.url}: virtual time, nothing leaves the machine")
