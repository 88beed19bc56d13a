"""The entries of the outbox, the contract for what keeps them, and the store in memory."""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol
from urllib.parse import urlsplit

from orchestrator.action import Delivery

__all__ = ["Entry", "MemoryStore", "OutboxStore", "State"]

State = Literal["waiting", "done", "dead"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivery and how it stands. `due` is in seconds since 1970; `attempts` were begun."""

    delivery: Delivery
    due: float
    state: State = "waiting"
    attempts: int = 0
    reason: str = ""

    @property
    def id(self) -> str:
        """The delivery's id."""
        return self.delivery.id

    @property
    def endpoint(self) -> str:
        """What fails and recovers as one: a connection, or the host of a whole URL."""
        return self.delivery.connection or f"//{urlsplit(self.delivery.url).netloc}"

    @property
    def address(self) -> str:
        """What a receiver closes by `410 Gone`: the endpoint's path, without its query."""
        return f"{self.delivery.connection}|{self.delivery.url.partition('?')[0]}"


class OutboxStore(Protocol):
    """Keeps entries. Times are seconds since 1970.

    `claim` leases entries to this process: what is neither done, put off nor dead when the lease
    ends (a killed process, a lost connection) can be claimed again. A store that learns of entries
    by itself (a shared file, a server) calls what `watch` was given.
    """

    async def put(self, delivery: Delivery, due: float) -> bool:
        """Keep a delivery; False when its id is known. Returns once it is safe."""
        ...

    async def claim(self, now: float, limit: int, skip: frozenset[str]) -> Sequence[Entry]:
        """Lease what is due, earliest first, but for endpoints to skip; counts as an attempt."""
        ...

    async def next_due(self, skip: frozenset[str]) -> float | None:
        """When the next unleased entry is due, or None; for endpoints that are not skipped."""
        ...

    async def done(self, entry: Entry) -> None:
        """It was acknowledged."""
        ...

    async def later(self, entry: Entry, due: float, reason: str) -> None:
        """It failed and is due again."""
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

    async def redrive(self, delivery_id: str, due: float) -> bool:
        """Take a dead letter back, attempts forgotten and address open; whether it is there."""
        ...

    async def list(self, state: State | None = None) -> Sequence[Entry]:
        """The entries, or those in one state, in the order put."""
        ...

    def watch(self, wake: Callable[[], None]) -> None:
        """What to call when something may have come due."""
        ...

    async def aclose(self) -> None:
        """Give back what is held."""
        ...


class MemoryStore:
    """Entries in memory, lost with the process. Of what is done it remembers the last ids."""

    def __init__(self, remembers: int = 10_000) -> None:
        self._entries: dict[str, Entry] = {}
        self._done: OrderedDict[str, Entry] = OrderedDict()
        self._queues: dict[str, list[tuple[float, int, str]]] = {}  # a heap for each endpoint
        self._closed: set[str] = set()
        self._numbers = itertools.count()
        self._remembers = remembers

    async def put(self, delivery: Delivery, due: float) -> bool:
        """Keep a delivery; False when its id is known."""
        if delivery.id in self._entries or delivery.id in self._done:
            return False
        self._queue(Entry(delivery, due))
        return True

    def _queue(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        queue = self._queues.setdefault(entry.endpoint, [])
        heapq.heappush(queue, (entry.due, next(self._numbers), entry.id))

    async def claim(self, now: float, limit: int, skip: frozenset[str]) -> Sequence[Entry]:
        """Lease what is due; the caller holds it until it says what became of it."""
        claimed: list[Entry] = []
        while len(claimed) < limit and (first := self._first(skip)) is not None and first[0] <= now:
            endpoint = self._entries[first[2]].endpoint
            heapq.heappop(self._queues[endpoint])
            if not self._queues[endpoint]:
                del self._queues[endpoint]
            entry = self._entries[first[2]]
            claimed.append(replace(entry, attempts=entry.attempts + 1))
        return claimed

    async def next_due(self, skip: frozenset[str]) -> float | None:
        """When the next entry that nobody holds is due."""
        first = self._first(skip)
        return None if first is None else first[0]

    def _first(self, skip: frozenset[str]) -> tuple[float, int, str] | None:
        heads = (queue[0] for endpoint, queue in self._queues.items() if endpoint not in skip)
        return min(heads, default=None)

    async def done(self, entry: Entry) -> None:
        """It was acknowledged; only its id is still of use."""
        self._entries.pop(entry.id, None)
        delivery = replace(entry.delivery, body=b"", headers={})
        self._done[entry.id] = replace(entry, state="done", reason="", delivery=delivery)
        if len(self._done) > self._remembers:
            self._done.popitem(last=False)

    async def later(self, entry: Entry, due: float, reason: str) -> None:
        """It failed and is due again."""
        self._queue(replace(entry, due=due, reason=reason))

    async def dead(self, entry: Entry, reason: str) -> None:
        """It is given up."""
        self._entries[entry.id] = replace(entry, state="dead", reason=reason)

    async def close_address(self, address: str) -> None:
        """Nothing is to be sent there again."""
        self._closed.add(address)

    async def is_closed(self, address: str) -> bool:
        """Whether a receiver has closed it."""
        return address in self._closed

    async def redrive(self, delivery_id: str, due: float) -> bool:
        """Take a dead letter back."""
        entry = self._entries.get(delivery_id)
        if entry is None or entry.state != "dead":
            return False
        self._closed.discard(entry.address)
        self._queue(Entry(entry.delivery, due))
        return True

    async def list(self, state: State | None = None) -> Sequence[Entry]:
        """The entries, or those in one state; those done come first."""
        everything = (*self._done.values(), *self._entries.values())
        return [entry for entry in everything if state is None or entry.state == state]

    def watch(self, wake: Callable[[], None]) -> None:
        """Nothing comes due here that the outbox does not know of."""

    async def aclose(self) -> None:
        """Nothing is held."""
