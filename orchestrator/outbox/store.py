"""The entries of the outbox, and the contract for what keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import urlsplit

from orchestrator.action import Delivery

__all__ = [
    "HORIZON", "LEASE", "Entry", "OutboxStore", "Room", "State", "endpoint_of", "is_held",
]  # fmt: skip

State = Literal["waiting", "done", "dead"]

#: Seconds after which a claimed entry that nobody reported on may be claimed again.
LEASE = 60.0
#: Seconds that an entry can be due ahead. What lies further was written under a clock that has
#: been set back since, and is due now.
HORIZON = 46_800.0


def is_held(until: float | None, now: float) -> bool:
    """Whether an endpoint is to be left alone still; a clock set back does not prolong that."""
    return until is not None and now < until <= now + HORIZON


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivery and how it stands. Times are seconds since 1970.

    `attempts` were made and judged, the one that it is claimed for included: one that was cut off,
    since its process ended, does not count.

    `claim` is the store's own mark of who holds the entry.
    """

    delivery: Delivery
    due: float
    state: State = "waiting"
    attempts: int = 0
    reason: str = ""
    put_at: float = 0.0
    claim: object = field(default=None, repr=False, compare=False)

    @property
    def id(self) -> str:
        """The delivery's id."""
        return self.delivery.id

    @property
    def endpoint(self) -> str:
        """What fails and recovers as one: a config's connection, or the host of a whole URL."""
        return endpoint_of(self.delivery)

    @property
    def address(self) -> str:
        """What a receiver closes by `410 Gone`: the endpoint's path, without its query."""
        path = self.delivery.url.partition("?")[0]
        cut = "".join(f"|{c.variable}" for c in self.delivery.cuts if c.part == "url")
        return f"{self.delivery.config}|{self.delivery.connection}|{path}{cut}"

    @property
    def order(self) -> str:
        """What leaves one after another; empty when its order does not matter."""
        return f"{self.endpoint}|{self.delivery.order}" if self.delivery.order else ""


def endpoint_of(delivery: Delivery) -> str:
    """The endpoint of a delivery; see `Entry.endpoint`."""
    where = delivery.connection or f"//{urlsplit(delivery.url).netloc}"
    return f"{delivery.config}:{where}"


@dataclass(frozen=True, slots=True)
class Room:
    """What an outbox can take on now: how many in all and to each endpoint, and of which configs.

    `taken` counts what is under way to an endpoint; one that is to be left alone counts as full.
    Endpoints that are `single` get one at a time.
    `configs` of None are all. Without `is_ordered`, entries with an `order` stay where they are; a
    store may give those of which it is known that nothing `ahead` of them is in another store.
    """

    limit: int
    per_endpoint: int = 4
    taken: Mapping[str, int] = field(default_factory=dict)
    configs: frozenset[str] | None = None
    is_ordered: bool = True
    ahead: Set[str] | None = None
    single: Set[str] = frozenset()

    def at(self, endpoint: str) -> int:
        """How many entries of an endpoint can be taken."""
        most = 1 if endpoint in self.single else self.per_endpoint
        return max(0, min(self.limit, most - self.taken.get(endpoint, 0)))

    def turn(self, endpoint: str, claimed: int) -> int:
        """When it is an endpoint's turn that has had so many in this claim; the lowest is first."""
        return self.taken.get(endpoint, 0) + claimed

    def serves(self, config: str) -> bool:
        """Whether entries of a config are wanted."""
        return self.configs is None or config in self.configs


class OutboxStore(Protocol):
    """Keeps entries. Times are seconds since 1970.

    `claim` leases entries to this process: what is neither done, put off nor dead when the lease
    ends (a killed process, a lost connection) can be claimed again. A store that learns of entries
    by itself (a server) calls what `watch` was given; `poll` is how many seconds may pass before it
    is asked again, for what other processes put there and for clocks that were set.

    All methods raise `StoreFailed` when the store cannot be used.
    """

    poll: float
    lag: float
    is_durable: bool

    async def put(self, delivery: Delivery, due: float) -> bool:
        """Keep a delivery; False when its id is known. Returns once it is safe."""
        ...

    async def claim(self, now: float, room: Room) -> Sequence[Entry]:
        """Lease what is due, as far as there is room; of an endpoint what was due first.

        Endpoints have their turns: those with the fewest under way come first, so that what waits
        for one does not take the room of the others.

        It counts as an attempt as soon as one of `done`, `later` or `dead` says what became of it.
        """
        ...

    async def next_due(self, now: float, room: Room) -> float | None:
        """When the next entry could be claimed, or None when nothing is known of one."""
        ...

    async def done(self, entry: Entry) -> None:
        """It was acknowledged."""
        ...

    async def later(self, entry: Entry, due: float, reason: str) -> None:
        """It is due again, after as many attempts as the entry says."""
        ...

    async def dead(self, entry: Entry, reason: str) -> None:
        """It is given up, and kept among the dead letters."""
        ...

    async def close_address(self, address: str) -> None:
        """A receiver said that nothing is to be sent to an address again."""
        ...

    async def is_closed(self, address: str) -> bool:
        """Whether a receiver has closed an address."""
        ...

    async def hold(self, endpoint: str, until: float) -> None:
        """A receiver asked to be left alone: no claim of any process gives of it before then."""
        ...

    async def redrive(self, delivery_id: str, due: float) -> bool:
        """Take a dead letter back, attempts forgotten and address open; whether it is there."""
        ...

    async def remove(self, delivery_id: str, state: State | None = None) -> bool:
        """Forget an entry, in any state or only while it is in this one; whether it was."""
        ...

    async def find(self, delivery_id: str) -> Entry | None:
        """The entry of this id, if the store still knows it."""
        ...

    async def list(self, state: State | None = None, limit: int | None = None) -> Sequence[Entry]:
        """The entries, or those in one state, in the order put; a store may forget what is done."""
        ...

    async def count(self, state: State) -> int:
        """How many entries are in a state."""
        ...

    async def waiting(self) -> Mapping[str, int]:
        """How many entries wait, by the name of their config."""
        ...

    def watch(self, wake: Callable[[], None]) -> None:
        """What to call when something may have come due."""
        ...

    async def aclose(self) -> None:
        """Give back what is held."""
        ...
