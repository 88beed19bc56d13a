"""One call over ConversationRelay: a bridge that outlives its sockets.

::

    LIVE --end frame--> LEAVING --action callback--> over, or AWAY with a transfer
    AWAY --answered--> over        AWAY --busy, refused--> RESUMING --new setup--> LIVE
    LIVE --socket lost--> LOST --action callback, or nobody calls back--> over
    LOST --new setup--> LIVE
    LIVE or LOST --the session failed--> LAST_WORDS --our hooks are done--> over

Who is AWAY is taken back unless somebody answered or the caller left. Every phase but LIVE has a
limit: a call never waits for ever. What the carrier asks a second time, because our first answer
was lost, is answered the same again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from orchestrator.relay.heard import speech_time
from orchestrator.relay.line import RelayLine
from orchestrator.relay.outcomes import is_gone, outcome_of
from orchestrator.relay.parts import Phase, Surroundings
from orchestrator.relay.twiml import HANG_UP, hold, say_goodbye, whisper
from orchestrator.runtime import CallEvent, CallOffer, Transfer

__all__ = ["RelayCall"]

#: Answers that are remembered for a carrier that asks again.
MOST_ANSWERS = 20


class RelayCall(RelayLine):
    """One call: its line, and what the carrier's callbacks are answered."""

    def __init__(self, offer: CallOffer, around: Surroundings) -> None:
        super().__init__(offer, around)
        self._answers: dict[tuple[str, str], str] = {}
        self._number = 0  # of the transfer: the carrier's own ids may be those of an earlier one

    async def on_action(self, form: Mapping[str, str]) -> str:
        """The session over one socket has ended: what the caller's line is to do now."""
        session = form.get("SessionId", "")
        key = ("action", session)
        if key in self._answers:
            return self._answers[key]
        is_anothers = self.phase is Phase.LIVE and session not in ("", self._session)
        if is_anothers or self.phase not in (Phase.LIVE, Phase.LOST, Phase.LEAVING):
            self._remark("a callback was passed over", why=f"unasked in phase {self.phase.value!r}")
            return HANG_UP
        answer = await self._after_session(form)
        self._remember(key, answer)
        return answer

    async def _after_session(self, form: Mapping[str, str]) -> str:
        if is_gone(form):
            self._caller_left()
        elif self.phase is Phase.LEAVING and self._transfer is not None:
            return self._hand_over(self._transfer)
        elif form.get("SessionStatus") == "failed" and self.phase is not Phase.LEAVING:
            return await self._fail(form)
        self._over(form.get("SessionStatus") or "completed")
        return HANG_UP

    def _caller_left(self) -> None:
        if self._transfer is not None and self.phase is not Phase.OVER:
            self._tell_outcome("failed")

    def _hand_over(self, transfer: Transfer) -> str:
        self.phase = Phase.AWAY
        self._number += 1
        self._drop_socket()
        is_queue = transfer.kind == "queue"
        late = self._limits.queued if is_queue else self._limits.dialled
        # The carrier asks again as soon as nobody answers: silence by then means that somebody did.
        self._within(transfer.answer_within + late, self._answered)
        if is_queue and transfer.announcement:
            self._remark("a queue of this carrier hears no announcement")
        return self._around.directions.transfer(self.offer.call_id, transfer, self._number)

    async def _fail(self, form: Mapping[str, str]) -> str:
        """The carrier gave up; the caller is still there, and hears what the hooks say now."""
        self.phase = Phase.LAST_WORDS
        self._is_told.set()
        self._unlimited()
        self._drop_socket()
        fields = {"code": form.get("ErrorCode") or "relay", "source": "conversation_relay",
                  "message": form.get("ErrorMessage") or "the session failed",
                  "severity": "fatal"}  # fmt: skip
        self._events.put_nowait(CallEvent("error", fields))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), self._limits.last_words)
        self._over("failed")
        return say_goodbye(tuple(self._words))

    def on_dialled(self, form: Mapping[str, str], number: str = "") -> str:
        """A transfer is over: it was answered, or the caller comes back to us.

        Args:
            form: what the carrier says of it.
            number: which transfer it was, of this call.
        """
        key = ("dialled", number)
        if key in self._answers:
            return self._answers[key]
        if self.phase is Phase.RESUMING:
            return self._around.directions.reconnect(self.offer.call_id)
        if self.phase is not Phase.AWAY:
            return HANG_UP
        outcome = outcome_of(form)
        if outcome == "answered":
            self._answered()
            answer = HANG_UP
        elif is_gone(form):
            self._caller_left()
            self._over("the caller hung up")
            answer = HANG_UP
        else:
            answer = self._take_back(outcome)
        self._remember(key, answer)
        return answer

    def _take_back(self, outcome: str) -> str:
        self.phase = Phase.RESUMING
        self._outcome = self._outcome_event(outcome)
        self._within(self._limits.resume, self._did_not_come_back)
        return self._around.directions.reconnect(self.offer.call_id)

    def _did_not_come_back(self) -> None:
        if self._outcome is not None:
            self._events.put_nowait(self._outcome)
        self._over("the caller did not come back")

    def on_answered(self, number: str = "") -> None:
        """The other side took the call, in this transfer."""
        if self._is_away(number):
            self._answered()

    def _is_away(self, number: str) -> bool:
        return self.phase is Phase.AWAY and number == str(self._number)

    def _answered(self) -> None:
        transfer = self._transfer
        self._tell_outcome("answered")
        if transfer is not None and transfer.mode == "cold":
            self._finish()  # the session ends by itself: it was transferred
        else:
            self._over("transferred")

    def whisper(self, number: str = "") -> str:
        """What the other side hears, which picked up; it has answered unless it leaves in it."""
        if self._transfer is None or not self._is_away(number):
            return whisper("")
        announcement = self._transfer.announcement
        spoken = min(speech_time(announcement), self._limits.dialled)
        self._within(spoken + self._limits.whispered, self._answered)
        return whisper(announcement)

    def hold(self) -> str:
        """How long the caller waits in a queue."""
        return hold(self._transfer.answer_within if self._transfer is not None else 1.0)

    def _remember(self, key: tuple[str, str], answer: str) -> None:
        if key[1]:
            self._answers[key] = answer
        if len(self._answers) > MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]
