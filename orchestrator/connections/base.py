"""The contract for kinds of connections: annotated fields as options, `open`, `aclose`.

::

    class QueueConnection(Connection):
        kind = "queue"
        url: Annotated[Secret, "where the queue is"]

A connection is opened when a call first uses it, and shared by all calls.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, Self

from orchestrator.action import Delivery, Fault
from orchestrator.clock import Clock
from orchestrator.errors import EnvironmentFailure

__all__ = ["AllowLike", "Connection", "ServicesLike", "digest_of"]

#: Answers that one connection remembers for `cache`.
CACHE_SIZE = 1000


class AllowLike(Protocol):
    """The config's `allow`, as far as connections read it."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts that may be reached whatever their address."""
        ...


class ServicesLike(Protocol):
    """What a connection is given to work with."""

    clock: Clock

    def new_client(self, egress: Any, way: Any = None) -> Any:
        """An HTTP client of its own that keeps to an `Egress`; with a `Way`, through its proxy."""
        ...


def digest_of(place: str) -> str:
    """A place as an `address`, which may be stored: what is secret in it cannot be read there."""
    return hashlib.sha256(place.encode()).hexdigest()[:16]


class Connection:
    """One outside system. Subclasses annotate their options; an instance is made of them."""

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    #: What a runtime can do beside its own once a config has such a connection, by its name.
    lends: ClassVar[Mapping[str, frozenset[str]]] = {}
    #: Whether it may be opened in virtual time: it then judges what it is given as ever, and raises
    #: `NotSent` where it would send it.
    rehearses: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)
        self._cache: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    @classmethod
    def open(cls, name: str, options: Self, services: ServicesLike, allow: AllowLike) -> Self:
        """Open a connection with these options.

        Raises:
            EnvironmentFailure: an option cannot be used, or a package is missing.
        """
        for fault in options.faults(allow):
            raise EnvironmentFailure(f"connection {name!r}: {fault.message}")
        options.__dict__["name"] = name
        options._start(services, allow)
        return options

    def _start(self, services: ServicesLike, allow: AllowLike) -> None:
        self._clock = services.clock

    def faults(self, allow: AllowLike) -> Iterator[Fault]:
        """What is wrong with the options; asked when a config is loaded."""
        yield from ()

    def made_secrets(self) -> Iterator[str]:
        """What is made of its secrets, and is as secret; asked once its options are sound."""
        yield from ()

    @property
    def address(self) -> str:
        """Where it leads, without credentials, as `digest_of` has it; empty if it does not say."""
        return ""

    def prepare(self) -> None:
        """Import what the first use needs: called when a config is attached, not in a call.

        Raises:
            EnvironmentFailure: a package is missing.
        """

    def check(self, delivery: Delivery) -> None:
        """Judge a delivery by itself; asked before it is stored, and before each attempt.

        Raises:
            ActionFailed: it cannot be sent.
        """

    async def aclose(self) -> None:
        """Give back what is held."""

    async def cached(
        self, key: Hashable, lifetime: float | None, load: Callable[[], Awaitable[Any]]
    ) -> Any:
        """What `load` gave for this key within the last `lifetime` seconds, or gives now.

        Nothing found (None) is not remembered: a new customer must not stay unknown.
        """
        if not lifetime:
            return await load()
        now = self._clock.now()
        known = self._cache.get(key)
        if known is not None and now < known[0]:
            return known[1]
        found = await load()
        if found is not None:
            self._cache[key] = (now + lifetime, found)
            self._cache.move_to_end(key)
            if len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return found
