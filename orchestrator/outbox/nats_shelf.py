"""What lies in the engine's streams: read, listed and cleared by subject."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from orchestrator.action import Delivery
from orchestrator.errors import StoreFailed, words
from orchestrator.outbox.nats_link import ANSWER, Link, digest
from orchestrator.outbox.packed import unpack
from orchestrator.outbox.store import Entry, is_held

if TYPE_CHECKING:
    from nats.js import JetStreamContext
    from nats.js.api import RawStreamMsg

__all__ = ["Shelf", "dead_entry"]


class Shelf:
    """The streams of a link. Each method is given the engine, ready for use."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def each(self, js: JetStreamContext, kind: str, most: int | None) -> AsyncIterator[Entry]:
        """The entries of a stream in the order put, so many at most."""
        number, subject = 1, self._link.subject(kind, ">")
        while most != 0 and (found := await self.next(js, kind, number, subject)) is not None:
            yield dead_entry(found) if kind == "dead" else await self.entry(js, found)
            number = (found.seq or number) + 1
            most = None if most is None else most - 1

    async def waiting(self, js: JetStreamContext, delivery_id: str) -> RawStreamMsg | None:
        """The message of a delivery that waits."""
        subject = self._link.subject("out", "*", "*", "*", digest(delivery_id))
        return await self.next(js, "out", 1, subject)

    async def entry(self, js: JetStreamContext, found: RawStreamMsg) -> Entry:
        """The entry of a message that waits."""
        note = await self.note(js, (found.subject or "").rpartition(".")[2])
        delivery, attempts = _sound(found.data or b""), int(note.get("attempts", 0))
        put_at = found.time.timestamp() if found.time else 0.0
        due = float(note.get("due", put_at))
        return Entry(delivery, due, "waiting", attempts, str(note.get("reason", "")), put_at)

    async def note(self, js: JetStreamContext, name: str) -> dict[str, Any]:
        """What was noted when an entry was put off."""
        found = await self.last(js, "note", name)
        note = json.loads(found.data) if found is not None and found.data else {}
        return note if isinstance(note, dict) else {}

    async def last(self, js: JetStreamContext, kind: str, name: str) -> RawStreamMsg | None:
        """The message under a name, or None."""
        from nats.js.errors import NotFoundError

        subject = self._link.subject(kind, name)
        try:
            return await js.get_msg(self._link.stream(kind), subject=subject, direct=True)
        except NotFoundError:
            return None

    async def next(
        self, js: JetStreamContext, kind: str, number: int, subject: str
    ) -> RawStreamMsg | None:
        """The first message from a number on that fits a subject, or None."""
        from nats.js.errors import NotFoundError

        try:
            return await js.get_msg(
                self._link.stream(kind), number, subject, direct=True, next=True
            )
        except NotFoundError:
            return None

    async def hold(self, js: JetStreamContext, name: str, until: float) -> None:
        """Note for all until when an endpoint, by its token, is to be left alone."""
        subject = self._link.subject("note", "held", name)
        await js.publish(subject, json.dumps({"until": until}).encode(), ANSWER)

    async def held(self, js: JetStreamContext, now: float) -> dict[str, float]:
        """Until when endpoints, by their tokens, are to be left alone; clears what is over."""
        number, every, until = 1, self._link.subject("note", "held", "*"), {}
        while (found := await self.next(js, "note", number, every)) is not None:
            name = (found.subject or "").rpartition(".")[2]
            until[name] = float(json.loads(found.data or b"{}").get("until", 0.0))
            number = (found.seq or number) + 1
            if not is_held(until[name], now):
                await self.purge(js, "note", f"held.{name}")
        return until

    async def purge(self, js: JetStreamContext, kind: str, name: str) -> None:
        """Clear a name."""
        await js.purge_stream(self._link.stream(kind), subject=self._link.subject(kind, name))


def _sound(packed: bytes) -> Delivery:
    try:
        return unpack(packed)
    except StoreFailed as error:
        return Delivery("", "", f"({words(error)})", packed)


def dead_entry(found: RawStreamMsg) -> Entry:
    """The entry of a dead letter."""
    line, _, packed = (found.data or b"").partition(b"\n")
    head = json.loads(line)
    when = found.time.timestamp() if found.time else 0.0
    return Entry(
        _sound(packed),
        when,
        "dead",
        head["attempts"],
        head["reason"],
        float(head["put_at"] or when),
    )
