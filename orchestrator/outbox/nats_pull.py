"""Messages of one endpoint, pulled from its consumer as far as there is room for them.

Each endpoint has a consumer of its own: what waits in back-off counts against a consumer's limit,
so a dead endpoint can fill up its own only. A request stands at the server until messages come or
it expires, so nothing is polled.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from orchestrator.outbox.nats_link import Link

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

__all__ = ["Pull"]

#: Seconds that a request stands at the server, and after which it is taken for lost.
STANDS, LOST = 20.0, 25.0


class Pull:
    """The standing request for an endpoint and what came in on it."""

    def __init__(
        self, link: Link, consumer: str, config: str, *, lease: float, wake: Callable[[], None]
    ) -> None:
        self.consumer = consumer
        self.config = config
        self.waiting: deque[tuple[Msg, float]] = deque()
        self._link = link
        self._lease = lease
        self._wake = wake
        self.is_lost = False  # the server knows of no such consumer
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._asked = 0
        self._asked_at = 0.0

    async def ask(self, room: int) -> None:
        """Let messages come, so many at most with those that are here or on their way."""
        if self.is_lost:
            return
        if not self._inbox:
            client = self._link.client
            self._inbox = client.new_inbox()
            self._subscription = await client.subscribe(self._inbox, cb=self._came)
        if time.monotonic() - self._asked_at > LOST:
            self._asked = 0
        count = room - len(self.waiting) - self._asked
        if count <= 0:
            return
        self._asked += count
        self._asked_at = time.monotonic()
        request = {"batch": count, "expires": int(STANDS * 1e9)}
        stream = self._link.stream("out")
        await self._link.client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{self.consumer}",
            json.dumps(request).encode(),
            self._inbox,
        )

    async def _came(self, message: Msg) -> None:
        headers = message.headers or {}
        if "Status" not in headers:
            self._asked = max(0, self._asked - 1)
            self.waiting.append((message, time.monotonic()))
        elif headers["Status"] != "100":  # not a heartbeat: the request is over
            over = int(headers.get("Nats-Pending-Messages", self._asked))
            self._asked = max(0, self._asked - over)
            self.is_lost = _is_lost(headers)
        self._wake()

    def take(self) -> Msg:
        """The oldest message that came in."""
        return self.waiting.popleft()[0]

    async def keep(self) -> None:
        """Prolong the lease of what waits here because the breaker holds it back."""
        now = time.monotonic()
        for index, (message, since) in enumerate(self.waiting):
            if now - since > self._lease / 2:
                await message.in_progress()
                self.waiting[index] = (message, now)

    def forget_requests(self) -> None:
        """The server was restarted: nothing stands there any more."""
        self._asked = 0

    async def give_back(self) -> None:
        """Others may have at once what was not begun."""
        while self.waiting:
            await self.waiting.popleft()[0].nak()

    async def aclose(self) -> None:
        """Its consumer is gone: what came in is given out again by another."""
        self.waiting.clear()
        if self._subscription is not None:
            await self._subscription.unsubscribe()


def _is_lost(headers: Mapping[str, str]) -> bool:
    """Whether an answer says that nobody was there to take the request."""
    return headers["Status"] == "503" or "deleted" in headers.get("Description", "").lower()
