"""The store for fleets: NATS JetStream, an engine that many machines share.

`put` returns once the server has acknowledged the message; the server drops a second one with the
same id. A claimed message is acknowledged when it is done; what a killed process held comes again
when its lease ends. What is put off waits at the server (`nak` with a delay), with a note of its
attempts and reason beside it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.action import Delivery
from orchestrator.errors import StoreFailed, words
from orchestrator.outbox.nats_consumers import Consumers
from orchestrator.outbox.nats_link import ANSWER, Link, Target, digest, token
from orchestrator.outbox.nats_pull import Pull
from orchestrator.outbox.nats_shelf import Shelf, dead_entry
from orchestrator.outbox.packed import is_foreign, pack, unpack
from orchestrator.outbox.store import HORIZON, LEASE, Entry, Room, State, is_held

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

__all__ = ["NatsStore"]

_STATES: dict[str, State] = {"out": "waiting", "dead": "dead"}
#: Seconds that a follower in a chain waits before it asks again whether it is its turn.
TURN, LONG_TURN = 0.1, 60.0
#: Seconds that an address is taken for open without asking.
CLOSED_MEMORY = 5.0
#: Seconds after which a message of a later version is offered again, perhaps to who can read it.
LATER_VERSION = 10.0
#: What the server says, as an error of its own, of a message that is gone.
NO_MESSAGE = 10057


class NatsStore:
    """Entries in JetStream; see `nats_link.Target` for the URL.

    Raises:
        EnvironmentFailure: nats-py is missing, or the URL cannot be used.
    """

    poll = 2.0
    lag = 0.25
    is_durable = True

    def __init__(self, url: str, *, lease: float = LEASE) -> None:
        self._link = Link(Target.parse(url))
        self._link.on_back = self._came_back
        self._shelf = Shelf(self._link)
        self._wake: Callable[[], None] = lambda: None
        self._consumers = Consumers(self._link, lease, lambda: self._wake())
        self._link.on_new = self._consumers.forget
        self._names: dict[str, str] = {}  # endpoints by their tokens
        self._open: dict[str, float] = {}
        self._held: dict[str, float] = {}  # until when, by the token of the endpoint

    @asynccontextmanager
    async def _talking(self) -> AsyncIterator[JetStreamContext]:
        """The engine; what goes wrong with it comes out as `StoreFailed`."""
        from nats.errors import Error

        try:
            yield await self._link.js()
        except (Error, TimeoutError, OSError) as error:
            self._link.doubt()
            why = words(error) or type(error).__name__
            raise StoreFailed(f"the NATS server: {why[:200]}") from error

    def _came_back(self) -> None:
        self._consumers.came_back()
        self._wake()

    # --- in

    async def put(self, delivery: Delivery, due: float) -> bool:
        """Keep a delivery; False when its id is known. Returns once the server has it."""
        async with self._talking() as js:
            return await self._publish(js, delivery, due, delivery.id)

    async def _publish(
        self, js: JetStreamContext, delivery: Delivery, due: float, message_id: str
    ) -> bool:
        endpoint = Entry(delivery, due).endpoint
        self._names[token(endpoint)] = endpoint
        await self._consumers.ensure(js, delivery.config, endpoint)
        headers = {"Nats-Msg-Id": message_id}
        if due > time.time() + 1.0:
            headers["Hook-Due"] = str(due)
        answer = await js.publish(
            self._subject(delivery), pack(delivery), ANSWER, self._link.stream("out"), headers
        )
        return not answer.duplicate

    def _subject(self, delivery: Delivery) -> str:
        entry = Entry(delivery, 0.0)
        chain = digest(entry.order) if entry.order else "-"
        return self._link.subject(
            "out", token(delivery.config or "-"), token(entry.endpoint), chain, digest(delivery.id)
        )

    # --- out

    async def claim(self, now: float, room: Room) -> Sequence[Entry]:
        """Take what has come in, and let more come as far as there is room."""
        async with self._talking() as js:
            if await self._consumers.look(js):
                self._held |= await self._shelf.held(js, now)
            served = None if room.configs is None else set(map(token, room.configs))
            pulls = [
                pull
                for pull in self._consumers.pulls.values()
                if served is None or pull.config in served
            ]
            claimed: list[Entry] = []
            given: Counter[str] = Counter()
            while (pull := self._next(pulls, room, given, now)) is not None:
                entry = await self._begin(js, pull.take(), now)
                if entry is not None:
                    claimed.append(entry)
                    given[pull.consumer] += 1
            for pull in pulls:
                await pull.keep()
                await pull.ask(self._free(pull, room, given, now))
            return claimed

    def _next(
        self, pulls: Sequence[Pull], room: Room, given: Counter[str], now: float
    ) -> Pull | None:
        """Whose turn it is to give a message that has come in."""
        turns = {
            pull: room.turn(self._names.get(pull.consumer, ""), given[pull.consumer])
            for pull in pulls
            if pull.waiting and self._free(pull, room, given, now) > 0
        }
        return min(turns, key=lambda pull: turns[pull], default=None)

    def _free(self, pull: Pull, room: Room, given: Counter[str], now: float) -> int:
        """How many more an endpoint may give in a claim."""
        if is_held(self._held.get(pull.consumer), now):
            return 0
        most = room.at(self._names.get(pull.consumer, ""))
        return min(most - given[pull.consumer], room.limit - given.total())

    async def _begin(self, js: JetStreamContext, message: Msg, now: float) -> Entry | None:
        """The entry of a message, unless it is not due yet, not its turn, or damaged."""
        data = message.metadata
        if is_foreign(message.data):
            await message.nak(LATER_VERSION)
            return None
        try:
            delivery = unpack(message.data)
        except StoreFailed as error:
            lost = Delivery(message.subject.rpartition(".")[2], "", "", message.data)
            await self._bury(js, Entry(lost, now), words(error), data.sequence.stream)
            await message.term()
            return None
        note: dict[str, Any] = {}
        if (data.num_delivered or 1) > 1:
            note = await self._shelf.note(js, digest(delivery.id))
        due = float(note.get("due", (message.headers or {}).get("Hook-Due", 0.0)))
        if now + 0.05 < due <= now + HORIZON:
            await message.nak(due - now)
            return None
        if delivery.order and (wait := await self._turn(js, message, now)) is not None:
            await message.nak(wait)
            return None
        entry = Entry(delivery, due or now, "waiting", int(note.get("attempts", 0)) + 1)
        self._names[token(entry.endpoint)] = entry.endpoint
        put_at = data.timestamp.timestamp()
        return replace(entry, reason=str(note.get("reason", "")), put_at=put_at, claim=message)

    async def _turn(self, js: JetStreamContext, message: Msg, now: float) -> float | None:
        """Seconds until it is worth asking again; None when nothing of the chain is before it."""
        chain = message.subject.rpartition(".")[0] + ".*"
        first = await self._shelf.next(js, "out", 1, chain)
        if first is None or first.seq is None or first.seq >= message.metadata.sequence.stream:
            return None
        note = await self._shelf.note(js, (first.subject or "").rpartition(".")[2])
        return min(max(TURN, float(note.get("due", 0.0)) - now), LONG_TURN)

    async def next_due(self, now: float, room: Room) -> float | None:
        """At once when something has come in; else the server will wake us."""
        for pull in self._consumers.pulls.values():
            if pull.waiting and self._free(pull, room, Counter(), now) > 0:
                return now
        return None

    # --- what became of it

    async def done(self, entry: Entry) -> None:
        """It was acknowledged."""
        async with self._talking() as js:
            await _message(entry).ack_sync(timeout=ANSWER)
            if entry.attempts > 1:
                await self._shelf.purge(js, "note", digest(entry.id))

    async def later(self, entry: Entry, due: float, reason: str) -> None:
        """It failed and is due again."""
        note = {"attempts": entry.attempts, "due": due, "reason": reason}
        async with self._talking() as js:
            await js.publish(
                self._link.subject("note", digest(entry.id)), json.dumps(note).encode(), ANSWER
            )
            await _message(entry).nak(max(0.0, due - time.time()))

    async def dead(self, entry: Entry, reason: str) -> None:
        """It is given up, and goes to the stream of dead letters."""
        message = _message(entry)
        async with self._talking() as js:
            await self._bury(js, entry, reason, message.metadata.sequence.stream)
            await message.ack_sync(timeout=ANSWER)
            await self._shelf.purge(js, "note", digest(entry.id))

    async def _bury(self, js: JetStreamContext, entry: Entry, reason: str, number: int) -> None:
        head = {"attempts": entry.attempts, "reason": reason, "put_at": entry.put_at}
        packed = json.dumps(head).encode() + b"\n" + pack(entry.delivery)
        once = {"Nats-Msg-Id": f"{entry.id}:{number}"}
        await js.publish(self._link.subject("dead", digest(entry.id)), packed, ANSWER, headers=once)

    async def close_address(self, address: str) -> None:
        """Nothing is to be sent there again."""
        self._open.pop(address, None)
        async with self._talking() as js:
            await js.publish(self._link.subject("closed", digest(address)), b"", ANSWER)

    async def hold(self, endpoint: str, until: float) -> None:
        """Nothing is to be sent to an endpoint before then; others learn of it in seconds."""
        name = token(endpoint)
        self._held[name] = until = max(until, self._held.get(name, 0.0))
        async with self._talking() as js:
            await self._shelf.hold(js, name, until)

    async def is_closed(self, address: str) -> bool:
        """Whether a receiver has closed it."""
        now = time.monotonic()
        if now - self._open.get(address, -CLOSED_MEMORY) < CLOSED_MEMORY:
            return False
        async with self._talking() as js:
            if await self._shelf.last(js, "closed", digest(address)) is not None:
                return True
        if len(self._open) > 1_000:
            self._open.clear()
        self._open[address] = now
        return False

    # --- looking in

    async def redrive(self, delivery_id: str, due: float) -> bool:
        """Take a dead letter back."""
        from nats.js.errors import APIError, NotFoundError

        async with self._talking() as js:
            letter = await self._shelf.last(js, "dead", digest(delivery_id))
            if letter is None:
                return False
            entry = dead_entry(letter)
            await self._shelf.purge(js, "closed", digest(entry.address))
            await self._shelf.purge(js, "note", digest(delivery_id))
            # Another id, or the server would drop it; the same for two who redrive at once.
            again = f"{delivery_id}:{letter.seq}:again"
            is_ours = await self._publish(js, entry.delivery, due, again)
            try:  # this letter only: it may be dead again
                await js.delete_msg(self._link.stream("dead"), letter.seq or 0)
            except APIError as error:  # another who redrove it has deleted it
                if not isinstance(error, NotFoundError) and error.err_code != NO_MESSAGE:
                    raise
            return is_ours

    async def remove(self, delivery_id: str, state: State | None = None) -> bool:
        """Forget an entry."""
        was_there = False
        async with self._talking() as js:
            if state in (None, "dead"):
                was_there = await self._shelf.last(js, "dead", digest(delivery_id)) is not None
                await self._shelf.purge(js, "dead", digest(delivery_id))
            if state in (None, "waiting"):
                found = await self._shelf.waiting(js, delivery_id)
                if found is not None and found.seq is not None:
                    was_there = True
                    await js.delete_msg(self._link.stream("out"), found.seq)
        return was_there

    async def find(self, delivery_id: str) -> Entry | None:
        """The entry of this id, unless it is done."""
        async with self._talking() as js:
            found = await self._shelf.waiting(js, delivery_id)
            if found is not None:
                return await self._shelf.entry(js, found)
            letter = await self._shelf.last(js, "dead", digest(delivery_id))
            return None if letter is None else dead_entry(letter)

    async def list(self, state: State | None = None, limit: int | None = None) -> Sequence[Entry]:
        """The entries that wait or are dead, or those in one state."""
        entries: list[Entry] = []
        async with self._talking() as js:
            for kind in _STATES:
                if state in (None, _STATES[kind]):
                    entries += [entry async for entry in self._shelf.each(js, kind, limit)]
        return entries[:limit]

    async def count(self, state: State) -> int:
        """How many entries are in a state; of those done nothing is kept."""
        if state == "done":
            return 0
        async with self._talking() as js:
            info = await js.stream_info(self._link.stream("out" if state == "waiting" else "dead"))
            return info.state.messages

    async def waiting(self) -> Mapping[str, int]:
        """How many entries wait, by the name of their config."""
        async with self._talking() as js:
            return await self._consumers.waiting(js)

    def watch(self, wake: Callable[[], None]) -> None:
        """What to call when messages have come in."""
        self._wake = wake

    async def aclose(self) -> None:
        """Give back what was not begun, and close the connection."""
        from nats.errors import Error

        with contextlib.suppress(Error, OSError, TimeoutError):
            await self._consumers.give_back()  # or the leases end by themselves
        await self._link.aclose()


def _message(entry: Entry) -> Msg:
    message: Any = entry.claim
    if message is None:
        raise StoreFailed(f"{entry.id} was not claimed here")
    found: Msg = message
    return found
