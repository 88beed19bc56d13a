"""The line of one call: reads events from the bridge, shows them to taps, and queues them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from orchestrator.errors import named, words
from orchestrator.runtime import Bridge, CallEvent
from orchestrator.runtimes.replies import closing

__all__ = ["LOOK_UP", "Line", "Tap"]

logger = logging.getLogger(__name__)

Tap = Callable[[CallEvent], object]

#: Put into the queue to make the session look up; no event has this name.
LOOK_UP = CallEvent("")


class Line:
    """Events of one call in the order of arrival.

    `on_arrival` is called with each event before it is queued, for what cannot wait. The end of
    the bridge's stream arrives as `hangup`, an exception of the bridge as a fatal `error`; after
    either, and after a `hangup` of the bridge's own, `is_gone` holds.
    """

    def __init__(self, bridge: Bridge, on_arrival: Callable[[CallEvent], None]) -> None:
        self.is_gone = False
        self._bridge = bridge
        self._on_arrival = on_arrival
        self._taps: list[Tap] = []
        self._queue: asyncio.Queue[CallEvent] = asyncio.Queue()

    def tap(self, callback: Tap) -> None:
        """Show each event to a callback as it arrives."""
        self._taps.append(callback)

    def untap(self, callback: Tap) -> None:
        """Stop a tap; one that is not there is no mistake."""
        if callback in self._taps:
            self._taps.remove(callback)

    def let_go(self) -> None:
        """Forget who is shown events: nothing more will come."""
        self._taps.clear()
        self._on_arrival = _nobody

    async def read(self) -> None:
        """Take events from the bridge until its line is gone."""
        try:
            async with closing(self._bridge.events()) as events:
                async for event in events:
                    self.is_gone = event.name == "hangup"
                    self.arrive(event)
                    if self.is_gone:
                        return
            end = CallEvent("hangup", {"reason": "line closed"})
        except Exception as error:  # noqa: BLE001 - whatever it is, an error of this call only
            about = {"call_id": self._bridge.offer.call_id, "reason": named(error)}
            logger.error("bridge raised", extra=about)
            end = _failure(error)
        self.is_gone = True
        self.arrive(end)

    def arrive(self, event: CallEvent) -> None:
        """Show an event to the taps and queue it."""
        for tap in tuple(self._taps):
            try:
                tap(event)
            except Exception:  # a tap is user code, and a guest here
                about = {"call_id": self._bridge.offer.call_id, "event": event.name}
                logger.exception("tap raised", extra=about)
        self._on_arrival(event)
        self._queue.put_nowait(event)

    async def next(self) -> CallEvent:
        """The next event, once there is one."""
        return await self._queue.get()

    def look_up(self) -> None:
        """Wake whoever waits in `next`."""
        self._queue.put_nowait(LOOK_UP)

    def rest(self) -> list[CallEvent]:
        """What is still queued; it is taken out."""
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]


def _nobody(event: CallEvent) -> None:
    """Nobody is shown what arrives after the end."""


def _failure(error: Exception) -> CallEvent:
    fields = {"code": type(error).__name__, "message": words(error)}
    return CallEvent("error", {**fields, "severity": "fatal", "source": "bridge"})
