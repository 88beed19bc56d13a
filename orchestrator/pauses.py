"""The pauses of one call's recording: each of them ends, whatever happens meanwhile.

A resume that did not work is owed: it is asked for again, with pauses that grow, until it worked or
the call is over. Twice does no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from orchestrator.digits import digits_in
from orchestrator.errors import CommandRefused, LineGone, NotSupported, words
from orchestrator.facts import CallFacts
from orchestrator.journal import Journal, Redactor
from orchestrator.runtime import Command, Recording

__all__ = ["Pauses"]

logger = logging.getLogger(__name__)

#: Digits of pauses that one call remembers.
MOST_HEARD = 4_096
#: Seconds that one attempt to resume may take.
ATTEMPT_LIMIT = 15.0
#: Seconds between two attempts, at first and at most.
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
#: Attempts in a row that fail before an operator is to look.
MOST_FAILURES = 3
#: Seconds that a pause waits for a resume of ours that is under way.
GIVE_WAY = 1.0
#: Events in which digits are given.
_SAYING = frozenset({"user_turn", "agent_turn", "interruption", "dtmf", "tool_call", "tool_result"})

Send = Callable[[Command, str], Awaitable[None]]
Spawn = Callable[[Coroutine[Any, Any, Any]], object]


class Pauses:
    """Pauses and resumes a recording.

    Args:
        send: asks the call for it; `by` is which step wants it.
        spawn: runs work in a task that the call owns.
    """

    def __init__(self, send: Send, spawn: Spawn, journal: Journal, facts: CallFacts) -> None:
        self._send, self._spawn = send, spawn
        self._journal, self._facts = journal, facts
        self._limit: asyncio.TimerHandle | None = None  # while it is paused, until it is to resume
        self._again: asyncio.TimerHandle | None = None  # while a resume is owed
        self._attempt: asyncio.Task[Any] | None = None
        self._failures = 0
        self._is_closed = self._was_refused = False
        self._order = asyncio.Lock()  # a resume under way must not end the pause that comes next
        self._open_redactor: Redactor | None = None

    async def pause(self, reason: str, at_most: float, by: str) -> None:
        """Pause the recording, and see to it that it resumes after so many seconds.

        Digits are hidden from here on, also if the far side refuses or does not answer: the caller
        may give them all the same, and it may have paused.
        """
        self._paid()
        if self._limit is not None:
            self._limit.cancel()
        else:
            self._hide_digits(is_on=True)
        self._limit = asyncio.get_running_loop().call_later(at_most, self.end, "its limit")
        await self._stop_resuming()
        self._was_refused = False
        try:
            await self._ask(Recording("pause", reason), by)
        except CommandRefused:
            self._was_refused = True
            raise

    async def _stop_resuming(self) -> None:
        """A resume that the far side does not answer must not keep a pause waiting."""
        if self._attempt is not None:
            await asyncio.wait({self._attempt}, timeout=GIVE_WAY)
        if self._attempt is not None:
            self._attempt.cancel()

    async def resume(self, by: str) -> None:
        """Record again; harmless when nothing was paused."""
        is_owed = self._limit is not None or self._again is not None
        self._is_due()
        try:
            await self._ask(Recording("resume"), by)
        except NotSupported:
            raise
        except BaseException as error:  # also a step that is cut at its deadline
            if is_owed:
                self._failed(error, was_over=self._is_closed)
            raise
        self._paid()

    def end(self, why: str) -> None:
        """What a pause was for is over: resume by ourselves; without one it does nothing."""
        if self._limit is not None:
            self._is_due()
            self._journal.note("the recording resumes by itself", why=why)
            self._spawn(self._try())

    def close(self, why: str) -> None:
        """The call is over: one last attempt, which may come too late."""
        self._is_closed = True
        if self._again is not None:
            self._again.cancel()
            self._again = None
            self._spawn(self._try())
        self.end(why)

    def hear(self, name: str, fields: Mapping[str, Any]) -> None:
        """Note digits that an event brings during a pause: they stay hidden later."""
        if self._limit is not None and (name in _SAYING or name.startswith("custom.")):
            self._facts.heard = (self._facts.heard + digits_in(dict(fields)))[-MOST_HEARD:]

    # --- a resume that is due, owed, or paid

    async def _ask(self, command: Recording, by: str) -> None:
        async with self._order:
            await self._send(command, by)

    async def _try(self) -> None:
        was_over, self._attempt = self._is_closed, asyncio.current_task()
        try:
            async with asyncio.timeout(ATTEMPT_LIMIT):
                await self._ask(Recording("resume"), "recording")
        except NotSupported:  # it was never paused
            self._paid()
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises, it is owed
            self._failed(error, was_over=was_over)
        else:
            self._paid()
        finally:
            if self._attempt is asyncio.current_task():
                self._attempt = None

    def _is_due(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
            self._hide_digits(is_on=False)

    def _paid(self) -> None:
        self._failures = 0
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _failed(self, error: BaseException, *, was_over: bool) -> None:
        """Try again, unless the call is over, or paused once more: that pause has its own end.

        Of a call that was over its recording is over too, and nothing is wrong.
        """
        reason = words(error) or type(error).__name__
        self._journal.note("the recording could not be resumed", why=reason)
        if self._limit is not None:
            return
        self._failures += not (was_over or isinstance(error, LineGone))
        if not self._failures:
            return
        self._tell(reason)
        if not self._is_closed:
            wait = min(FIRST_WAIT * 2 ** (self._failures - 1), LONGEST_WAIT)
            self._wait(wait)

    def _tell(self, reason: str) -> None:
        """Warn of the first failure; an error is one that lasts, told once, and at the end.

        Where the pause was refused too there may be no recording at all: then nothing is an error.
        """
        is_grave = self._is_closed or self._failures == MOST_FAILURES
        if not is_grave and self._failures > 1:
            return
        level = logging.ERROR if is_grave and not self._was_refused else logging.WARNING
        extra = {"call_id": self._facts.id, "reason": reason, "attempts": self._failures}
        logger.log(level, "a paused recording could not be resumed", extra=extra)

    def _wait(self, seconds: float) -> None:
        if self._again is not None:
            self._again.cancel()
        loop = asyncio.get_running_loop()
        self._again = loop.call_later(seconds, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        self._spawn(self._try())

    def _hide_digits(self, *, is_on: bool) -> None:
        """During a pause, digits go neither into the journal nor the transcript.

        Once it is over, those that were heard meanwhile do not either.
        """
        journal = self._journal
        journal.flush()  # what came before is shown as it was
        self._open_redactor = self._open_redactor or journal.redactor
        shown = self._open_redactor
        heard = self._facts.heard
        journal.redactor = shown.without_digits() if is_on else shown.without_heard(heard)
        self._facts.hides_digits = is_on
