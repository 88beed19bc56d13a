"""What calls share: the clock, the HTTP client, connections, memory and the outbox.

Owned by the composition root (`app`), opened on first use, closed once. In virtual time nothing
here leaves the machine: whatever would, raises `NotSent`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.action import Delivery
from orchestrator.clock import Clock
from orchestrator.config import Allow
from orchestrator.egress import Egress, Way
from orchestrator.errors import ActionFailed, EnvironmentFailure, NotSent, Unsendable, words
from orchestrator.limits import Rate
from orchestrator.memory import Memory
from orchestrator.quiet import hush
from orchestrator.secrecy import Secrecy
from orchestrator.threads import Lanes

if TYPE_CHECKING:
    import httpx

    from orchestrator.outbox import Outbox

__all__ = ["GivenLike", "Services", "prepare_web"]

#: Threads that one function may have under way at once, and look-ups of one host's name.
FUNCTIONS, LOOK_UPS = 16, 4
#: Sockets per client: beyond about 30 requests in flight httpx's pool grows slow.
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
        memory: Memory,
        openers: Mapping[str, Callable[[Services], Any]],
        *,
        allow: Allow | None = None,
        outbox: Outbox | None = None,
        config: str = "",
        secrecy: Secrecy | None = None,
    ) -> None:
        self.clock = clock
        self.memory = memory
        self.is_virtual = clock.is_virtual
        self.given: GivenLike | None = None
        self._allow = allow if allow is not None else Allow()
        self._openers = openers
        self._addresses = {name: getattr(o, "address", "") for name, o in openers.items()}
        self._connections: dict[str, Any] = {}
        self._http: httpx.AsyncClient | None = None
        self._outbox = outbox  # whoever gave it closes it
        self._own_outbox: Outbox | None = None
        self._config = config
        self._secrecy = secrecy if secrecy is not None else Secrecy({})
        self._functions = Lanes(FUNCTIONS)
        self._look_ups = Lanes(LOOK_UPS)
        hush()

    @property
    def http(self) -> httpx.AsyncClient:
        """The pooled HTTP client of actions that need no connection."""
        if self._http is None:
            self._http = self.new_client(Egress(frozenset(map(str.lower, self._allow.hosts))))
        return self._http

    def new_client(self, egress: Egress, way: Way | None = None) -> httpx.AsyncClient:
        """A pooled HTTP client that keeps to an egress rule; its owner closes it.

        Each connection has one: a pool is fast while it is small, and a dead host fills only its
        own.
        """
        import httpx  # costs 200 ms of CPU: only when something is sent

        if self.is_virtual:
            return httpx.AsyncClient(transport=httpx.MockTransport(_refuse), trust_env=False)
        from orchestrator.connections.transport import guarded_client

        return guarded_client(egress, POOL_SIZE, self._look_ups, way)

    def connection(self, name: str) -> Any:
        """The open connection of this name; `""` is the open web.

        Raises:
            NotSent: virtual time, unless it may be opened and raises that itself.
            ActionFailed: there is none.
        """
        if self.is_virtual and not self._rehearses(name):
            raise NotSent(f"connection {name!r}: virtual time, nothing leaves the machine")
        if name not in self._connections:
            self._connections[name] = self._open(name)
        return self._connections[name]

    def _rehearses(self, name: str) -> bool:
        return not name or getattr(self._openers.get(name), "rehearses", False)

    def _open(self, name: str) -> Any:
        if not name:
            from orchestrator.connections.http import open_web

            return open_web(self, self._allow)
        if name not in self._openers:
            raise ActionFailed(f"there is no connection {name!r}")
        return self._openers[name](self)

    async def in_thread(self, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """What a plain function gives, run in a thread; one that hangs holds up only itself."""
        name = getattr(function, "__qualname__", type(function).__qualname__)
        key = f"{getattr(function, '__module__', '')}:{name}"
        return await self._functions.run(key, function, *given, **named)

    async def take(self, kind: str, rate: Rate) -> bool:
        """Take one of the places that all calls of the config have for a kind of step."""
        key = f"{self._config}/{kind}"
        if self.is_virtual:
            return self.memory.take_here(key, rate)
        return await self.memory.take(key, rate)

    async def deliver(self, delivery: Delivery) -> None:
        """Hand a delivery to the outbox; returns once it is stored.

        Raises:
            NotSent: virtual time.
            ActionFailed: it is too large, cannot be sent as it is, or is not stored safely.
        """
        # A failure of today may be mended by an attempt.
        with contextlib.suppress(EnvironmentFailure, NotSent):
            self.connection(delivery.connection).check(delivery)
        if self.is_virtual:
            raise NotSent("virtual time, nothing leaves the machine", detail=delivery)
        if self._outbox is None:
            from orchestrator.outbox import Outbox

            self._outbox = self._own_outbox = Outbox(self.send, clock=self.clock)
        address = self._addresses.get(delivery.connection, "")
        concealed = self._secrecy.conceal(replace(delivery, config=self._config, address=address))
        await self._outbox.put(concealed)

    def leads(self, delivery: Delivery) -> bool:
        """Whether its connection leads here where it led when the delivery was handed over.

        And whether the variables whose secrets it holds are known here, under their names.
        """
        where = self._addresses.get(delivery.connection) if delivery.connection else ""
        return where == delivery.address and self._secrecy.knows(delivery)

    async def send(self, delivery: Delivery) -> Any:
        """Make one attempt at a delivery, with the credentials and secrets as they are now.

        Raises:
            Unsendable: it cannot be, for a reason on our side.
            ActionFailed: no answer. Either's words can be stored and logged as they are.
        """
        from orchestrator.outbox import ATTEMPT_LIMIT

        try:
            whole = self._whole(delivery)
            return await self.connection(delivery.connection).send(whole, ATTEMPT_LIMIT)
        except Unsendable as error:
            raise Unsendable(self._secrecy.reason(error), retryable=True) from None
        except ActionFailed as error:
            raise ActionFailed(self._secrecy.reason(error), retryable=error.retryable) from None
        except Exception as error:  # noqa: BLE001 - whatever it says, nobody's words leave here
            raise ActionFailed(self._secrecy.reason(error), retryable=True) from None

    def _whole(self, delivery: Delivery) -> Delivery:
        """A delivery with its secrets, if it can be sent so; it could when it was put."""
        try:
            whole = self._secrecy.reveal(delivery)
            self.connection(delivery.connection).check(whole)
        except (ActionFailed, EnvironmentFailure) as error:
            names = ", ".join(sorted({cut.variable for cut in delivery.cuts}))
            why = f"with {names} as set now: {words(error)}" if names else words(error)
            is_plain = getattr(error, "is_plain", True)
            raise Unsendable(f"cannot be sent {why}", is_plain=is_plain) from None
        return whole

    async def aclose(self) -> None:
        """Close everything that was opened here, an outbox after a last flush."""
        if self._own_outbox is not None:
            await self._own_outbox.aclose()
        for connection in self._connections.values():
            await connection.aclose()
        self._connections.clear()
        if self._http is not None:
            await self._http.aclose()
            self._http = None


async def _refuse(request: httpx.Request) -> httpx.Response:
    raise NotSent(f"{request.method}: virtual time, nothing leaves the machine")


def prepare_web() -> None:
    """Import httpx and load the certificates, for requests that need no connection."""
    from orchestrator.connections.transport import certificates

    certificates()
