"""Two stores: while the first cannot be used the second takes over, and hands on what it took.

The second is nearer: the embedded file for a server, memory for a file. While the first is away,
what the second took is sent from there; what comes due there later, when the first is back, is
handed on to it. A delivery whose order matters is not sent from the second, because those before
it may be in the first; it waits to be handed on. Memory sends it if this process has put none of
that order into the first: there it would be lost.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from orchestrator.action import Delivery
from orchestrator.errors import StoreFailed, words
from orchestrator.outbox.store import Entry, OutboxStore, Room, State

__all__ = ["FallbackStore"]

_log = logging.getLogger("orchestrator.outbox")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Mark:
    """Who holds an entry: both stores may have one of the same id, if an answer was lost."""

    store: OutboxStore
    claim: object


def _marked(entries: Sequence[Entry], store: OutboxStore) -> Sequence[Entry]:
    return [replace(entry, claim=_Mark(store, entry.claim)) for entry in entries]


#: Seconds that the first store is left alone after a failure; entries handed on at a time.
REST, HANDED = 5.0, 100
#: Seconds after which it is looked again whether another process has put something in the second.
LOOK = 10.0
#: Orders that are remembered to be in the first: of the calls of hours.
ORDERS = 20_000


class FallbackStore:
    """`first`, and `second` while it fails. `now` gives monotonic seconds.

    `can_hold` says whether another process, earlier or beside us, may have left something in the
    second.
    """

    def __init__(
        self,
        first: OutboxStore,
        second: OutboxStore,
        *,
        can_hold: Callable[[], bool] = lambda: False,
        rest: float = REST,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first, self._second = first, second
        self._rest, self._now = rest, now
        self._away_until: float | None = None
        self._can_hold = can_hold
        self._looks_at = 0.0
        self._may_hold = False
        self._behind: dict[str, str] = {}  # ordered deliveries in the second: id -> order
        self._ahead: dict[str, None] = {}  # orders of which something may be in the first
        self.is_durable = first.is_durable
        self.lag = max(first.lag, second.lag)
        self.poll = min(first.poll, second.poll, rest)

    @property
    def is_away(self) -> bool:
        """Whether the first store has failed and is left alone for a while."""
        return self._away_until is not None and self._now() < self._away_until

    async def put(self, delivery: Delivery, due: float) -> bool:
        """Keep a delivery; False when its id is known.

        Raises:
            StoreFailed: the first store failed and the second is memory: the delivery will be sent
                by this process, but is lost if it dies.
        """
        reason = "it failed a moment ago"
        if not self.is_away and not self._must_follow(delivery):
            try:
                is_new = await self._first.put(delivery, due)
            except StoreFailed as error:
                reason = words(error)
                self._went_away(reason)
            else:
                self._came_back()
                self._went_ahead(delivery)
                return is_new
        self._may_hold = True  # also when it is a pair that says that only its memory has it
        if delivery.order:
            self._behind[delivery.id] = Entry(delivery, due).order
        is_new = await self._second.put(delivery, due)
        if not self._second.is_durable:
            raise StoreFailed(f"not stored: {reason}; kept in memory, to be sent by this process")
        return is_new

    def _went_ahead(self, delivery: Delivery) -> None:
        if delivery.order:
            self._ahead[Entry(delivery, 0).order] = None
            if len(self._ahead) > ORDERS:
                del self._ahead[next(iter(self._ahead))]

    def _must_follow(self, delivery: Delivery) -> bool:
        return bool(delivery.order) and Entry(delivery, 0).order in self._behind.values()

    def _went_away(self, reason: str) -> None:
        if self._away_until is None:
            _log.warning("the outbox store is away, another takes over", extra={"reason": reason})
        self._away_until = self._now() + self._rest

    def _came_back(self) -> None:
        if self._away_until is not None:
            _log.warning("the outbox store is back")
        self._away_until = None

    @property
    def _holds(self) -> bool:
        """Whether the second may hold something, by us or by others."""
        return self._may_hold or self._can_hold()

    async def claim(self, now: float, room: Room) -> Sequence[Entry]:
        """Lease what is due: in the first store, in the second while the first is away."""
        if not self._may_hold and self._now() >= self._looks_at:
            self._looks_at, self._may_hold = self._now() + LOOK, self._can_hold()
        if not self.is_away:
            try:
                claimed = await self._first.claim(now, room)
                self._came_back()
                if self._may_hold and await self._hand_on(now, room) and not claimed:
                    claimed = await self._first.claim(now, room)
            except StoreFailed as error:
                self._went_away(words(error))
            else:
                return _marked(claimed, self._first)
        if not self._may_hold:
            return ()
        ahead = self._ahead.keys() | (room.ahead or ())
        is_known = room.is_ordered or room.ahead is not None
        nearby = replace(room, is_ordered=False, ahead=ahead if is_known else None)
        return _marked(await self._second.claim(now, nearby), self._second)

    async def _hand_on(self, now: float, room: Room) -> bool:
        """Put what is due in the second store into the first, in its order; whether there was."""
        everything = Room(HANDED, HANDED, configs=room.configs)
        entries = await self._second.claim(now, everything)
        for entry in entries:
            try:
                await self._first.put(entry.delivery, now)
            except StoreFailed:
                begun = replace(entry, attempts=entry.attempts - 1)
                await self._second.later(begun, now, entry.reason)
                raise
            await self._second.done(entry)
            self._went_ahead(entry.delivery)
            self._behind.pop(entry.id, None)
        if entries:
            _log.info("deliveries were handed on", extra={"count": len(entries)})
        self._may_hold = False  # a put may say otherwise while we look
        if entries or await self._second.count("waiting"):
            self._may_hold = True
        return bool(entries)

    async def next_due(self, now: float, room: Room) -> float | None:
        """When the next entry could be claimed or handed on, or the first store is tried again."""
        times = [await self._second.next_due(now, room)] if self._may_hold else []
        if self._away_until is not None:
            times.append(now + max(0.0, self._away_until - self._now()))
            if self.is_away and room.is_ordered and self._behind:
                times = times[-1:]  # what must not be sent from here would be due all the time
        else:
            try:
                times.append(await self._first.next_due(now, room))
            except StoreFailed as error:
                self._went_away(words(error))
                times.append(now)
        return min((due for due in times if due is not None), default=None)

    # --- what concerns one entry is said to the store that gave it

    def _given(self, entry: Entry) -> tuple[OutboxStore, Entry]:
        """The store that gave an entry, and the entry as it gave it."""
        mark = entry.claim
        if not isinstance(mark, _Mark):
            return self._first, entry
        return mark.store, replace(entry, claim=mark.claim)

    async def done(self, entry: Entry) -> None:
        """It was acknowledged."""
        store, own = self._given(entry)
        await store.done(own)
        self._behind.pop(entry.id, None)

    async def later(self, entry: Entry, due: float, reason: str) -> None:
        """It failed and is due again."""
        store, own = self._given(entry)
        await store.later(own, due, reason)

    async def dead(self, entry: Entry, reason: str) -> None:
        """It is given up."""
        store, own = self._given(entry)
        await store.dead(own, reason)
        self._behind.pop(entry.id, None)

    async def close_address(self, address: str) -> None:
        """Nothing is to be sent there again; both are told, as far as they can be."""
        if self._holds:
            await self._second.close_address(address)
        if not self.is_away:
            await self._first.close_address(address)

    async def hold(self, endpoint: str, until: float) -> None:
        """Nothing is to be sent to an endpoint before then; both are told, as far as can be."""
        if self._holds:
            await self._second.hold(endpoint, until)
        if not self.is_away:
            await self._first.hold(endpoint, until)

    async def is_closed(self, address: str) -> bool:
        """Whether a receiver has closed it."""
        return await self._ask(lambda store: store.is_closed(address), False)

    async def redrive(self, delivery_id: str, due: float) -> bool:
        """Take a dead letter back."""
        return await self._ask(lambda store: store.redrive(delivery_id, due), False)

    async def remove(self, delivery_id: str, state: State | None = None) -> bool:
        """Forget an entry."""
        return await self._ask(lambda store: store.remove(delivery_id, state), False)

    async def find(self, delivery_id: str) -> Entry | None:
        """The entry of this id."""
        return await self._ask(lambda store: store.find(delivery_id), None)

    async def _ask(self, ask: Callable[[OutboxStore], Awaitable[T]], nothing: T) -> T:
        """What one of the stores that can be asked says, the first before the second."""
        if not self.is_away:
            try:
                answer = await ask(self._first)
            except StoreFailed as error:
                self._went_away(words(error))
            else:
                if answer or not self._holds:
                    return answer
        return await ask(self._second) if self._holds else nothing

    async def list(self, state: State | None = None, limit: int | None = None) -> Sequence[Entry]:
        """The entries of both, or those in one state."""
        entries: list[Entry] = []
        if not self.is_away:
            entries += await self._first.list(state, limit)
        if self._holds:
            entries += await self._second.list(state, limit)
        return entries[:limit]

    async def count(self, state: State) -> int:
        """How many entries are in a state, in both.

        Raises:
            StoreFailed: the first store cannot be asked, so nobody knows.
        """
        total = await self._second.count(state) if self._holds else 0
        return total + await self._first.count(state)

    async def waiting(self) -> Mapping[str, int]:
        """How many entries wait, by the name of their config, in both."""
        total = Counter(await self._second.waiting() if self._holds else {})
        total.update(await self._first.waiting())
        return total

    def watch(self, wake: Callable[[], None]) -> None:
        """What to call when something may have come due."""
        self._first.watch(wake)
        self._second.watch(wake)

    async def aclose(self) -> None:
        """Hand on what memory would lose, if that can be done; close both."""
        if not self._second.is_durable and self._may_hold:
            await self._save_all()
        await self._first.aclose()
        await self._second.aclose()

    async def _save_all(self) -> None:
        lost = 0
        for entry in await self._second.list("waiting"):
            try:
                await self._first.put(entry.delivery, entry.due)
            except StoreFailed:
                lost += 1
        if lost:
            _log.error("deliveries in memory are lost with this process", extra={"count": lost})
