"""The consumers of the endpoints, one each: found, made, and made again when they are gone.

A message without a consumer is kept by the server and given to nobody. Operators delete consumers,
and a server that was restored may have none, so it is counted whether every message has one.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

from orchestrator.outbox.nats_link import ANSWER, Link, plain_of, token
from orchestrator.outbox.nats_pull import Pull

if TYPE_CHECKING:
    from nats.js import JetStreamContext
    from nats.js.api import ConsumerInfo

__all__ = ["Consumers"]

_log = logging.getLogger("orchestrator.outbox")

#: Messages of one endpoint that may be leased or in back-off.
MOST_OPEN = 20_000
#: Seconds between looks for endpoints that other processes have begun, and between counts.
DISCOVERY, COUNT = 2.0, 60.0
#: Consumers that the server lists at a time.
PAGE = 256


class Consumers:
    """The pulls of all endpoints, by the token of the endpoint."""

    def __init__(self, link: Link, lease: float, wake: Callable[[], None]) -> None:
        self.pulls: dict[str, Pull] = {}
        self._link = link
        self._lease = lease
        self._wake = wake
        self._look_at = self._count_at = 0.0

    async def ensure(self, js: JetStreamContext, config: str, endpoint: str) -> None:
        """Make the consumer of an endpoint; it also tells others that the endpoint is there."""
        if token(endpoint) not in self.pulls:
            await self._make(js, token(config or "-"), token(endpoint))

    async def _make(self, js: JetStreamContext, config: str, name: str) -> None:
        from nats.js.api import AckPolicy

        await js.add_consumer(  # the same one when it is there
            self._link.stream("out"),
            durable_name=name,
            description=config,
            filter_subject=self._link.subject("out", config, name, ">"),
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._lease,
            max_ack_pending=MOST_OPEN,
        )
        self._add(name, config)

    def _add(self, name: str, config: str) -> None:
        if name not in self.pulls:  # somebody else may have been here meanwhile
            self.pulls[name] = Pull(self._link, name, config, lease=self._lease, wake=self._wake)

    def came_back(self) -> None:
        """The connection was lost: no request stands any more, and much may be otherwise."""
        for pull in self.pulls.values():
            pull.forget_requests()
        self._look_at = self._count_at = 0.0

    def forget(self) -> None:
        """The stream is a new one, and has no consumers."""
        self.pulls.clear()
        self._look_at = self._count_at = 0.0

    async def look(self, js: JetStreamContext) -> bool:
        """Learn, now and then, which endpoints there are, and that each has its consumer."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + DISCOVERY
        known = set(self.pulls)
        found = {info.name: info async for info in self._listed(js)}
        for name in known - found.keys():
            self._count_at = 0.0
            if (gone := self.pulls.pop(name, None)) is not None:
                await gone.aclose()
        for name, info in found.items():
            self._add(name, info.config.description or "-")
            self.pulls[name].is_lost = False
        if now >= self._count_at:
            await self._count(js, sum(map(_held, found.values())))
            self._count_at = now + COUNT
        return True

    async def _listed(self, js: JetStreamContext) -> AsyncIterator[ConsumerInfo]:
        offset = 0
        while page := await js.consumers_info(self._link.stream("out"), offset):
            for info in page:
                yield info
            offset += len(page)
            if len(page) < PAGE:
                break

    async def _count(self, js: JetStreamContext, held: int) -> None:
        """Give a consumer to whatever has none."""
        info = await js.stream_info(self._link.stream("out"))
        if info.state.messages <= held:
            return
        lost = {at async for at in self._places() if at[1] not in self.pulls}
        for config, name in lost:
            await self._make(js, config, name)
        if lost:
            _log.warning("consumers were gone and are made anew", extra={"count": len(lost)})

    async def _places(self) -> AsyncIterator[tuple[str, str]]:
        """Config and endpoint of every message, as tokens."""
        offset, count = 0, 1
        while offset < count:
            wanted = {"subjects_filter": self._link.subject("out", ">"), "offset": offset}
            answer = await self._link.client.request(
                f"$JS.API.STREAM.INFO.{self._link.stream('out')}",
                json.dumps(wanted).encode(),
                timeout=ANSWER,
            )
            said = json.loads(answer.data)
            subjects = said.get("state", {}).get("subjects") or {}
            for subject in subjects:
                config, name = subject.split(".")[2:4]
                yield config, name
            offset, count = offset + len(subjects), said.get("total", 0) if subjects else 0

    async def waiting(self, js: JetStreamContext) -> Mapping[str, int]:
        """How many messages there are, by the name of their config."""
        found: Counter[str] = Counter()
        async for info in self._listed(js):
            found[plain_of(info.config.description or "-")] += _held(info)
        return found

    async def give_back(self) -> None:
        """Others may have at once what was not begun."""
        for pull in self.pulls.values():
            await pull.give_back()


def _held(info: ConsumerInfo) -> int:
    """How many messages a consumer has still to give or to see acknowledged."""
    return (info.num_pending or 0) + (info.num_ack_pending or 0)
