"""All calls of one process: announced by a webhook, connected by a socket, asked after by call id.

It is the exchange of an `AgentRunner`. Who is over is remembered for a while, so that a late
socket or callback does nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from orchestrator.relay.call import RelayCall
from orchestrator.relay.dialects import RELAY_CAPABILITIES
from orchestrator.relay.frames import Frame, account_of, offer_of
from orchestrator.relay.parts import Limits, Socket, Surroundings
from orchestrator.relay.twiml import Directions

__all__ = ["Switchboard"]

logger = logging.getLogger(__name__)

#: Seconds in which a call that was announced must connect.
ANNOUNCED_LIMIT = 30.0
#: Calls remembered after their end.
MOST_ENDED = 10_000


@dataclass(frozen=True, slots=True)
class _Announced:
    """A call whose webhook was answered: when, on the loop's clock, and of which account."""

    at: float
    account: str


class Switchboard:
    """Connects calls with a runner; see `orchestrator.runtime.Exchange`.

    Args:
        directions: makes the documents for the carrier.
        carrier: who brings the calls: the kind of the connections to its API.
        max_calls: how many calls at a time; more are told that the line is busy.
        limits: what bounds each of them.

    Attributes:
        is_open: whether calls are taken.
        ended: how many calls were on and are over.
        lenders: the kinds of connections that add to what a call can do.
    """

    runtime_name = "conversation_relay"
    capabilities = RELAY_CAPABILITIES

    def __init__(
        self,
        directions: Directions,
        *,
        carrier: str = "twilio",
        max_calls: int = 1000,
        limits: Limits | None = None,
    ) -> None:
        self.directions = directions
        self.is_open = True
        self._was_left = False
        self.ended = 0
        self.lenders = frozenset({carrier})
        self._carrier = carrier
        self._most = max_calls
        self._limits = limits or Limits()
        self._calls: dict[str, RelayCall] = {}
        self._announced: OrderedDict[str, _Announced] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._new: asyncio.Queue[RelayCall | None] = asyncio.Queue()
        self._empty = asyncio.Event()
        self._empty.set()

    # --- what the runner asks

    async def calls(self) -> AsyncIterator[RelayCall]:
        """A bridge for each call whose socket came."""
        try:
            while (call := await self._new.get()) is not None:
                yield call
        finally:
            self._was_left = True

    async def aclose(self) -> None:
        """Take no more calls; those that are on or were answered, by webhook, go on."""
        if self.is_open:
            self.is_open = False
            self._forget_late()

    def give_up(self, call_id: str) -> None:
        """A call that was announced will not connect: its carrier says so."""
        self._announced.pop(call_id, None)
        self._end_if_all_came()

    def _forget_late(self) -> None:
        """Announced calls that did not connect in time will not."""
        late = asyncio.get_running_loop().time() - ANNOUNCED_LIMIT
        while self._announced and next(iter(self._announced.values())).at <= late:
            call_id, _ = self._announced.popitem(last=False)
            logger.warning("a call was answered and did not connect", extra={"call_id": call_id})
        self._end_if_all_came()

    def _end_if_all_came(self) -> None:
        if not self.is_open and not self._announced:
            self._new.put_nowait(None)

    # --- what the web asks

    def __len__(self) -> int:
        return len(self._calls)

    def find(self, call_id: str) -> RelayCall | None:
        """The call of this id, if it is on."""
        return self._calls.get(call_id)

    def was_on(self, call_id: str) -> bool:
        """Whether a call has been carried and is over."""
        return call_id in self._ended

    def announce(self, call_id: str, account: str = "") -> bool:
        """Whether there is room for a call that a webhook announces, of the carrier's `account`."""
        self._forget_late()
        if call_id in self._announced or call_id in self._calls:
            return True
        if not self._has_room:
            return False
        loop = asyncio.get_running_loop()
        self._announced[call_id] = _Announced(loop.time(), account)
        loop.call_later(ANNOUNCED_LIMIT, self._forget_late)
        return True

    @property
    def _has_room(self) -> bool:
        return self.is_open and len(self._calls) + len(self._announced) < self._most

    async def carry(self, setup: Frame, socket: Socket) -> str:
        """Carry a socket to its end; why not, if it is nobody's.

        Raises:
            BadFrame: the frame is no `setup`.
        """
        offer = offer_of(setup)
        call = self._calls.get(offer.call_id)
        if call is not None:
            if not call.takes_socket:
                return "the call has a socket already"
        elif offer.call_id in self._ended:
            return "the call is over"
        elif self._was_left or not (offer.call_id in self._announced or self._has_room):
            return "no more calls are taken"
        else:
            announced = self._announced.pop(offer.call_id, None)
            account = account_of(setup) or (announced.account if announced else "")
            around = Surroundings(
                self.directions, self._carrier, self._forget, self._limits, account
            )  # fmt: skip
            call = RelayCall(offer, around)
            self._calls[offer.call_id] = call
            self._empty.clear()
            self._new.put_nowait(call)
            self._end_if_all_came()
        await call.carry(socket, offer.session_id)
        return ""

    def _forget(self, call_id: str) -> None:
        if self._calls.pop(call_id, None) is not None:
            self.ended += 1
            self._ended[call_id] = None
            if len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)
        if not self._calls:
            self._empty.set()

    async def settle(self, seconds: float) -> None:
        """Let goodbyes be heard for so long, then let go of every call."""
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            await asyncio.gather(*(call.cut() for call in list(self._calls.values())))
