"""The store in memory: for tests, for virtual time, and for when nothing better can be had."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.action import Delivery
from orchestrator.outbox.store import HORIZON, Entry, Room, State, is_held

__all__ = ["MemoryStore"]

_Mark = tuple[float, int, str]


class MemoryStore:
    """Entries in memory, lost with the process. Of what is done it remembers the last ids."""

    poll = 60.0
    lag = 0.0
    is_durable = False

    def __init__(self, remembers: int = 10_000) -> None:
        self._entries: dict[str, Entry] = {}
        self._done: OrderedDict[str, Entry] = OrderedDict()
        self._queues: dict[str, list[_Mark]] = {}  # a heap for each endpoint
        self._chains: dict[str, deque[Entry]] = {}  # who waits for whom; its first is in a heap
        self._closed: set[str] = set()
        self._held: dict[str, float] = {}
        self._numbers = itertools.count()
        self._remembers = remembers

    async def put(self, delivery: Delivery, due: float) -> bool:
        """Keep a delivery; False when its id is known."""
        if delivery.id in self._entries or delivery.id in self._done:
            return False
        self._add(Entry(delivery, due, put_at=due))
        return True

    def _add(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        if entry.order:
            chain = self._chains.setdefault(entry.order, deque())
            chain.append(entry)
            if len(chain) > 1:
                return
        self._queue(entry)

    def _queue(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        queue = self._queues.setdefault(entry.endpoint, [])
        heapq.heappush(queue, (entry.due, next(self._numbers), entry.id))

    def _leave(self, entry: Entry) -> None:
        """It no longer holds up those behind it."""
        chain = self._chains.get(entry.order)
        if not chain or chain[0].id != entry.id:
            return
        chain.popleft()
        if chain:
            self._queue(chain[0])
        else:
            del self._chains[entry.order]

    async def claim(self, now: float, room: Room) -> Sequence[Entry]:
        """Lease what is due; the caller holds it until it says what became of it."""
        taken: dict[str, int] = {}
        claimed: list[Entry] = []
        while len(claimed) < room.limit:
            turns = [
                (room.turn(endpoint, taken.get(endpoint, 0)), mark)
                for endpoint, mark in self._heads(room, taken)
                if not now < mark[0] <= now + HORIZON and not is_held(self._held.get(endpoint), now)
            ]
            if not turns:
                break
            entry = self._pop(min(turns)[1])
            taken[entry.endpoint] = taken.get(entry.endpoint, 0) + 1
            claimed.append(replace(entry, attempts=entry.attempts + 1))
        return claimed

    def _pop(self, mark: _Mark) -> Entry:
        entry = self._entries[mark[2]]
        queue = self._queues[entry.endpoint]
        if mark == queue[0]:
            heapq.heappop(queue)
        else:
            queue.remove(mark)
            heapq.heapify(queue)
        if not queue:
            del self._queues[entry.endpoint]
        return entry

    async def next_due(self, now: float, room: Room) -> float | None:
        """When the next entry that nobody holds is due."""
        times = []
        for endpoint, mark in self._heads(room, {}):
            until = self._held.get(endpoint, 0.0)
            times.append(max(mark[0], until) if is_held(until, now) else mark[0])
        return min(times, default=None)

    def _heads(self, room: Room, taken: Mapping[str, int]) -> Iterator[tuple[str, _Mark]]:
        """What is first at each endpoint that has room for more than was taken."""
        for endpoint, queue in self._queues.items():
            if room.at(endpoint) > taken.get(endpoint, 0):
                # What must wait for another store does not hold up what stands behind it.
                is_first = self._is_wanted(queue[0], room)
                wanted = queue[:1] if is_first else [m for m in queue if self._is_wanted(m, room)]
                if wanted:
                    yield endpoint, min(wanted)

    def _is_wanted(self, mark: _Mark, room: Room) -> bool:
        entry = self._entries[mark[2]]
        is_free = room.ahead is not None and entry.order not in room.ahead
        may_leave = room.is_ordered or not entry.order or is_free
        return room.serves(entry.delivery.config) and may_leave

    async def done(self, entry: Entry) -> None:
        """It was acknowledged; only its id is still of use."""
        self._entries.pop(entry.id, None)
        self._leave(entry)
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
        self._leave(entry)

    async def close_address(self, address: str) -> None:
        """Nothing is to be sent there again."""
        self._closed.add(address)

    async def is_closed(self, address: str) -> bool:
        """Whether a receiver has closed it."""
        return address in self._closed

    async def hold(self, endpoint: str, until: float) -> None:
        """Nothing is to be sent to an endpoint before then."""
        self._held[endpoint] = max(until, self._held.get(endpoint, 0.0))

    async def redrive(self, delivery_id: str, due: float) -> bool:
        """Take a dead letter back."""
        entry = self._entries.get(delivery_id)
        if entry is None or entry.state != "dead":
            return False
        self._closed.discard(entry.address)
        self._add(Entry(entry.delivery, due, put_at=entry.put_at))
        return True

    async def remove(self, delivery_id: str, state: State | None = None) -> bool:
        """Forget an entry."""
        found = await self.find(delivery_id)
        if found is None or (state is not None and found.state != state):
            return False
        if self._done.pop(delivery_id, None) is not None:
            return True
        entry = self._entries.pop(delivery_id, None)
        if entry is None:
            return False
        queue = self._queues.get(entry.endpoint, [])
        queue[:] = [mark for mark in queue if mark[2] != delivery_id]
        heapq.heapify(queue)
        if not queue:
            self._queues.pop(entry.endpoint, None)
        self._unchain(entry)
        return True

    def _unchain(self, entry: Entry) -> None:
        self._leave(entry)
        chain = self._chains.get(entry.order)
        if chain:
            self._chains[entry.order] = deque(e for e in chain if e.id != entry.id)

    async def find(self, delivery_id: str) -> Entry | None:
        """The entry of this id."""
        return self._entries.get(delivery_id) or self._done.get(delivery_id)

    async def list(self, state: State | None = None, limit: int | None = None) -> Sequence[Entry]:
        """The entries, or those in one state; those done come first."""
        everything = (*self._done.values(), *self._entries.values())
        return [entry for entry in everything if state is None or entry.state == state][:limit]

    async def count(self, state: State) -> int:
        """How many entries are in a state."""
        return len(await self.list(state))

    async def waiting(self) -> Mapping[str, int]:
        """How many entries wait, by the name of their config."""
        return Counter(entry.delivery.config for entry in await self.list("waiting"))

    def watch(self, wake: Callable[[], None]) -> None:
        """Nothing comes due here that the outbox does not know of."""

    async def aclose(self) -> None:
        """Nothing is held."""
