"""What must still leave the process: delivered until it is acknowledged or given up.

At least once: an attempt whose answer is lost is made again, under the same id, so that a receiver
who remembers ids sees one. When is in `schedule`.

The outbox decides when and how often; an `OutboxStore` keeps the entries. By default that is one in
memory: what it still holds when the process ends is lost, and `aclose` says how much. Stores that
outlive the process stand beside this; `choice` opens the one that is set.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.action import Delivery
from orchestrator.clock import Clock
from orchestrator.encoding import MOST_BYTES
from orchestrator.errors import ActionFailed, StoreFailed
from orchestrator.outbox.attempt import Outcome, Send, attempt
from orchestrator.outbox.breaker import Breaker
from orchestrator.outbox.memory import MemoryStore
from orchestrator.outbox.schedule import delay_before, is_last
from orchestrator.outbox.slots import Limits, Slots
from orchestrator.outbox.store import LEASE, Entry, OutboxStore, Room, State

__all__ = ["ATTEMPT_LIMIT", "Limits", "Outbox"]

_log = logging.getLogger("orchestrator.outbox")

#: Seconds that one attempt may take.
ATTEMPT_LIMIT = 15.0
#: Seconds that a closing outbox waits for what it has claimed, to give it back, and for what is
#: being stored.
CLAIM_LIMIT, STORE_LIMIT = 2.0, 5.0


class Outbox:
    """Delivers what it is given. Its tasks are its own, and end in `aclose`.

    Args:
        send: makes one attempt; gives an answer with `status` and `headers`, or None for success;
            raises `ActionFailed`, `retryable` when it is worth another attempt, `Unsendable` for a
            reason on our side. What it says is stored and logged: no secret may be in it.
        clock: what time it is.
        store: where entries are kept; in memory by default.
        configs: whose deliveries to send; a store may hold those of other configs too.
        limits: how many attempts at once.
    """

    def __init__(
        self,
        send: Send,
        *,
        clock: Clock,
        store: OutboxStore | None = None,
        configs: frozenset[str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._send = send
        self._clock = clock
        self._store: OutboxStore = store if store is not None else MemoryStore()
        self._configs = configs
        self._limits = limits or Limits()
        self._breaker = Breaker()
        self._storing: set[asyncio.Task[bool]] = set()
        self._attempts: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._slots = Slots(self._limits, self._wake.set)
        self._runner: asyncio.Task[None] | None = None
        self._is_closing = False
        self._store.watch(self._wake.set)

    def serve(self, config: str) -> None:
        """Send the deliveries of this config too."""
        if self._configs is not None:
            self._configs |= {config}

    def start(self) -> None:
        """Begin to deliver what the store holds; `put` does so by itself."""
        if self._runner is None:
            self._runner = asyncio.get_running_loop().create_task(self._run())

    async def put(self, delivery: Delivery) -> bool:
        """Take over a delivery; returns once it is stored, False when its id is known.

        Raises:
            ActionFailed: it is too large.
            StoreFailed: it is not stored safely; says whether it is sent all the same.
        """
        if len(delivery.body) > MOST_BYTES:
            size = f"the body has {len(delivery.body):,} bytes"
            raise ActionFailed(f"{size}; {MOST_BYTES:,} is the most")
        storing = asyncio.get_running_loop().create_task(self._keep(delivery))
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)
        try:
            return await asyncio.shield(storing)
        except asyncio.CancelledError:
            # A step whose time is up while it waits for a slow disk has handed over all the same.
            storing.add_done_callback(_tell_if_unsafe)
            raise

    async def _keep(self, delivery: Delivery) -> bool:
        try:
            is_new = await self._store.put(delivery, self._now())
        finally:
            if not self._is_closing:
                self.start()
            self._wake.set()
        if not is_new:  # a call that was dialled again, or played again under the same id
            _log.info("a delivery is known already", extra={"delivery": delivery.id})
        return is_new

    async def list(self, state: State | None = None) -> Sequence[Entry]:
        """The entries of the store."""
        return await self._store.list(state)

    async def count(self, state: State) -> int:
        """How many entries of the store are in a state."""
        return await self._store.count(state)

    @property
    def under_way(self) -> int:
        """How many attempts are being made now."""
        return len(self._attempts)

    async def redrive(self, delivery_id: str) -> bool:
        """Send a dead letter again, from the start of the schedule; whether it is there."""
        was_there = await self._store.redrive(delivery_id, self._now())
        self.start()
        self._wake.set()
        return was_there

    async def aclose(self, limit: float = 5.0) -> int:
        """Deliver what is due, `limit` seconds at most; how many deliveries stay behind."""
        if self._storing:
            await asyncio.wait(self._storing, timeout=STORE_LIMIT)
        self._is_closing = True
        self._wake.set()
        if self._runner is not None:
            await asyncio.wait({self._runner}, timeout=limit)
            self._runner.cancel()
            await asyncio.wait({self._runner})
        await asyncio.sleep(0)  # an attempt that has not begun could not give back what it holds
        for task in self._attempts:
            task.cancel()
        if self._attempts:
            await asyncio.wait(self._attempts)
        waiting = await self._left_behind() if self._runner is not None else 0
        self._runner = None
        await self._store.aclose()
        return waiting

    async def _left_behind(self) -> int:
        try:
            waiting = await self._store.count("waiting")
        except StoreFailed as error:
            _log.warning("the outbox store failed", exc_info=error)
            return 0
        if waiting and self._store.is_durable:
            _log.info("deliveries wait in the outbox", extra={"count": waiting})
        elif waiting:
            _log.warning("deliveries stay behind in the outbox", extra={"count": waiting})
        return waiting

    # --- when

    def _now(self) -> float:
        return self._clock.wall().timestamp()

    async def _tell_of_others(self) -> None:
        """Say at the start what waits for configs that nobody serves here, as after a renaming."""
        if self._configs is None:
            return
        for config, count in (await self._store.waiting()).items():
            if count and config not in self._configs:
                extra = {"belong_to": config, "count": count}
                _log.warning("deliveries wait for a config not served here", extra=extra)

    async def _run(self) -> None:
        is_begun = is_over = False
        while not is_over:
            try:
                if not is_begun:
                    is_begun = True
                    await self._tell_of_others()
                is_over = await self._turn()
            except Exception as error:  # noqa: BLE001 - its trouble must not end the deliveries
                _log.warning("the outbox store failed", exc_info=error)
                await asyncio.sleep(1.0)

    async def _turn(self) -> bool:
        """Start what is due, or wait for it; True when all is done that a closing outbox does."""
        if not await self._start_due():
            return False
        if self._is_closing and not self._attempts:
            return not await self._something_comes()
        await self._pause()
        return False

    async def _something_comes(self) -> bool:
        """Whether the store wakes us while what was put last may be on its way."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._store.lag):
                return await self._wake.wait()
        return False

    async def _start_due(self) -> bool:
        """Start attempts at what is due; True when there was nothing to start."""
        self._wake.clear()
        room = self._room()
        claimed = await self._claim(room) if room.limit > 0 else ()
        for entry in claimed:
            self._breaker.meet(entry.endpoint, has_failed=entry.attempts > 1)
            is_one = entry.endpoint in self._breaker.single
            is_one_too_many = is_one and self._slots.is_busy(entry.endpoint)
            self._begin(entry, self._leave(entry) if is_one_too_many else self._attempt(entry))
        return not claimed

    def _begin(self, entry: Entry, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)
        over = self._slots.take(entry.endpoint)
        task.add_done_callback(lambda _: over())

    async def _claim(self, room: Room) -> Sequence[Entry]:
        """What the store gives us; if we are stopped meanwhile, it gets that back."""
        claim = asyncio.ensure_future(self._store.claim(self._now(), room))
        try:
            return await asyncio.shield(claim)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLAIM_LIMIT):
                    for entry in await claim:
                        await self._give_back(entry, entry.reason)
            raise

    def _room(self) -> Room:
        """What can be taken on: endpoints have a limit, and the breaker leaves some alone."""
        most, paused = self._limits.per_endpoint, self._breaker.paused(self._now())
        return Room(
            self._slots.limit,
            most,
            {**self._slots.taken, **dict.fromkeys(paused, most)},
            self._configs,
            single=self._breaker.single,
        )

    async def _pause(self) -> None:
        """Wait until something is due, an attempt ends, or a breaker lets one through."""
        room, now = self._room(), self._now()
        due = await self._store.next_due(now, room) if room.limit > 0 else None
        times = [t for t in (due, self._breaker.next_trial(now)) if t is not None]
        limit = max(0.001, min(times) - self._now()) if times else self._store.poll
        if times or self._store.is_durable:  # in memory nothing comes due unasked
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(limit, self._store.poll)):
                    await self._wake.wait()
        else:
            await self._wake.wait()

    # --- how

    async def _leave(self, entry: Entry) -> None:
        """Give back what was claimed at an endpoint that is to get one attempt at a time."""
        try:
            await self._give_back(entry, entry.reason)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreFailed):
                await self._give_back(entry, entry.reason)
            raise
        except Exception as error:  # noqa: BLE001 - the store failed: a lease brings it back
            _log.warning("the outbox store failed", exc_info=error)

    async def _attempt(self, entry: Entry) -> None:
        try:
            if await self._is_closed(entry):
                await self._record(self._store.dead, entry, "its receiver answered 410 Gone before")
                return
            sent = replace(entry.delivery, attempt=entry.attempts)
            await self._judge(
                entry, await attempt(self._send, sent, ATTEMPT_LIMIT, self._clock.wall())
            )
        except asyncio.CancelledError:
            with contextlib.suppress(StoreFailed):
                await self._give_back(entry, "cut off: the process ended")
            raise
        except Exception as error:  # noqa: BLE001 - the store failed: a lease brings it back
            _log.warning("the outbox store failed", exc_info=error)

    async def _is_closed(self, entry: Entry) -> bool:
        try:
            return await self._store.is_closed(entry.address)
        except StoreFailed:
            return False  # at worst its receiver says once more that it is gone

    async def _give_back(self, entry: Entry, reason: str) -> None:
        """Leave an entry to the next claim: this attempt was not made, or nobody can judge it."""
        await self._store.later(replace(entry, attempts=entry.attempts - 1), self._now(), reason)

    async def _record(self, write: Callable[..., Awaitable[None]], *values: Any) -> None:
        """Tell the store what became of an entry; if it fails, again, for half the lease."""
        until = self._clock.now() + LEASE / 2
        while True:
            try:
                await write(*values)
                return
            except StoreFailed:
                if self._is_closing or self._clock.now() > until:
                    raise
            await asyncio.sleep(1.0)

    async def _judge(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.kind == "taken":
            self._breaker.succeeded(entry.endpoint)
            await self._record(self._store.done, entry)
            return
        if outcome.is_gone:
            await self._record(self._store.close_address, entry.address)
        if outcome.kind == "refused":  # its receiver is there, it only refuses this one
            self._breaker.succeeded(entry.endpoint)
            await self._give_up(entry, outcome.reason)
            return
        if outcome.kind == "failed":
            self._breaker.failed(entry.endpoint, self._now())
            if outcome.wait:
                with contextlib.suppress(StoreFailed):
                    await self._store.hold(entry.endpoint, self._now() + outcome.wait)
        await self._put_off(entry, outcome)

    async def _put_off(self, entry: Entry, outcome: Outcome) -> None:
        if is_last(entry.attempts):
            await self._give_up(entry, outcome.reason)
            return
        wait = max(delay_before(entry.id, entry.attempts), outcome.wait or 0.0)
        await self._record(self._store.later, entry, self._now() + wait, outcome.reason)

    async def _give_up(self, entry: Entry, reason: str) -> None:
        extra = {"delivery": entry.id, "endpoint": entry.endpoint, "reason": reason}
        _log.warning("a delivery is given up", extra=extra)
        await self._record(self._store.dead, entry, reason)


def _tell_if_unsafe(storing: asyncio.Task[bool]) -> None:
    error = None if storing.cancelled() else storing.exception()
    if error is not None:
        _log.warning("a delivery whose step was cut off is not stored safely", exc_info=error)
