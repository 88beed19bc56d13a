"""Replies: stream what the dialog machine writes to the caller, one reply at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

from orchestrator.deadline import Cut, StepCut, StepTimeout, bounded
from orchestrator.dialog.contract import Machine
from orchestrator.errors import ActionFailed, CommandRefused, LineGone, words
from orchestrator.runtime import CallEvent, Command, ReplyDelta, ReplyEnd
from orchestrator.runtimes.patience import Patience
from orchestrator.runtimes.tasks import TaskOwner

__all__ = ["GIVE_WAY", "NO_REPLY", "TELL_LIMIT", "Replies", "closing"]

logger = logging.getLogger(__name__)

#: Seconds that a machine may take to note what it is told.
TELL_LIMIT = 2.0
#: Seconds that newer words of the caller wait for a reply to older ones which has not begun.
GIVE_WAY = 3.0
#: The agent has nothing to say to this: the floor is the caller's.
NO_REPLY = CallEvent("state", {"state": "idle", "who": "agent", "reply": "none"})


class Replies:
    """The replies of one call, in the order asked.

    Each is streamed as `ReplyDelta` commands and a `ReplyEnd`; then `report` gets an `agent_turn`
    with the whole text, or with what was sent so far and `interrupted` when it was cut short. A
    reply without text is no turn; that the agent says nothing is told as its state, `idle` with
    `reply: none`. What the machine raises, or that it writes nothing for too long, becomes an
    `error` event; a reply that has not begun gives way to newer words of the caller. `on_complete`
    is called after a reply with which the machine was done for good.
    """

    def __init__(
        self,
        send: Callable[[Command], Awaitable[None]],
        report: Callable[[CallEvent], None],
        on_complete: Callable[[], None],
        tasks: TaskOwner,
        about: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._send = send
        self._about = about  # whose replies they are, for log lines
        self._report = report
        self._on_complete = on_complete
        self._tasks = tasks
        self._asked: deque[tuple[Machine, str, str | None]] = deque()
        self._marks: list[tuple[Machine, str | None]] = []
        self._broken: set[str] = set()  # what telling it failed, which is told once
        self._is_streaming = self._is_cut = self._has_begun = self._gives_way = False
        self._cut = Cut()
        self._patience = Patience(self._cut)
        self._task: asyncio.Task[None] | None = None

    def ask(self, machine: Machine, text: str, language: str | None = None) -> None:
        """Have the machine answer the caller's words, after replies asked for earlier."""
        self._asked.append((machine, text, language))
        if self._is_streaming:
            self._give_way()
        else:
            self._is_streaming = True
            self._task = self._tasks.start(self._stream_all())

    def _give_way(self) -> None:
        """Newer words wait: without this, behind a machine that hangs, until it is given up."""
        if not self._has_begun and self._patience.shorten(GIVE_WAY):
            self._gives_way = True

    def cut(self) -> None:
        """Stop the reply that is being streamed, at once; replies that wait stay asked for."""
        if self._is_streaming:
            self._is_cut = True
            self._cut()

    def interrupt(self, machine: Machine | None, heard: str | None) -> None:
        """The caller cut in: stop the reply that is being streamed, and tell the machine.

        `heard` is what they heard of the agent's words. A machine that writes is told once it has
        stopped; of one that wrote all there is only what was heard to tell.
        """
        is_told = machine is not None and (self._is_streaming or heard is not None)
        if machine is not None and is_told:
            self._marks.append((machine, heard))
        if self._is_streaming:
            self.cut()
        elif is_told:
            self._tasks.start(self._tell_marks())

    async def _tell_marks(self) -> None:
        while self._marks:
            machine, heard = self._marks.pop(0)
            await self._tell(machine.interrupted, heard)

    def said(self, machine: Machine, text: str) -> None:
        """Hooks said something: tell the machine, which nobody waits for."""
        self._tasks.start(self._tell(machine.said, text))

    async def _tell(self, take: Callable[[Any], Coroutine[Any, Any, None]], what: Any) -> None:
        """Tell the machine something; whatever it makes of it, the call goes on.

        What it raises is reported once: hooks of `error` say something, and it would be told that.
        """
        try:
            await bounded(take(what), TELL_LIMIT, on_stray=self._tasks.start)
        except StepTimeout:
            logger.warning("dialog machine was told something too long", extra=self._about)
        except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # also SystemExit: this call and all others go on
            if take.__name__ not in self._broken:
                self._broken.add(take.__name__)
                extra = {**self._about, "told": take.__name__}
                logger.exception("dialog machine raised; not reported again", extra=extra)
                self._report(_failure(error))

    def stop(self) -> None:
        """Stop the reply that is being streamed and forget the rest."""
        self._asked.clear()
        self.cut()

    async def settle(self, seconds: float) -> None:
        """Wait until a stopped reply has ended and was reported, for `seconds` at most."""
        if self._is_streaming and self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)

    async def _stream_all(self) -> None:
        try:
            while self._asked:
                await self._stream_one(*self._asked.popleft())
        finally:
            self._is_streaming = False

    async def _stream_one(self, machine: Machine, text: str, language: str | None) -> None:
        self._is_cut = self._has_begun = self._gives_way = False
        pieces: list[str] = []
        is_whole = was_refused = has_failed = False
        try:
            self._patience.wait(machine.patience)
            if self._asked:
                self._give_way()
            work = self._pieces(machine, machine.stream(text, language), pieces)
            await bounded(work, None, on_stray=self._tasks.start, cut=self._cut)
            is_whole = not self._is_cut
        except StepCut:
            has_failed = self._patience.has_ended and not self._is_cut
            if has_failed:
                self._give_up(machine)
        except (LineGone, CommandRefused) as error:
            was_refused = True
            self._log_refusal(error)
        except ActionFailed as error:
            has_failed = True
            logger.warning("dialog machine failed", extra={**self._about, "reason": words(error)})
            self._report(_failure(error))
        except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # also SystemExit: this call and all others go on
            has_failed = True
            logger.exception("dialog machine raised", extra=self._about)
            self._report(_failure(error))
        self._patience.stop()
        await self._tell_marks()
        await self._finish("".join(pieces), is_whole=is_whole, is_new=not was_refused)
        if is_whole and not pieces:
            self._report(NO_REPLY)
        if not has_failed and machine.is_complete:
            self._on_complete()

    def _log_refusal(self, error: Exception) -> None:
        extra = {**self._about, "reason": words(error)}
        logger.info("reply ended because the line did not take it", extra=extra)

    def _give_up(self, machine: Machine) -> None:
        """Say why a reply is given up: for newer words, or because the machine hangs."""
        if self._gives_way:
            logger.info("a reply that did not begin gave way to newer words", extra=self._about)
            return
        error = ActionFailed(f"the dialog machine wrote nothing for {machine.patience:g} s")
        logger.warning("dialog machine failed", extra={**self._about, "reason": words(error)})
        self._report(_failure(error))

    async def _pieces(
        self, machine: Machine, written: AsyncIterator[str], pieces: list[str]
    ) -> None:
        async with closing(written) as stream:
            async for piece in stream:
                if self._is_cut:
                    return
                if not isinstance(piece, str):
                    raise TypeError(f"a dialog machine must yield text, got {piece!r}")
                if piece:
                    self._has_begun, self._gives_way = True, False
                    self._patience.wait(None)  # it is the line that takes its time
                    await self._send(ReplyDelta(piece))
                    pieces.append(piece)  # only now: what the line did not take was not said
                    self._patience.wait(machine.patience)

    async def _finish(self, text: str, *, is_whole: bool, is_new: bool) -> None:
        try:
            await self._send(ReplyEnd(text, was_interrupted=not is_whole))
        except ActionFailed as error:
            if is_new:  # else the line has refused the reply already
                self._log_refusal(error)
        except Exception:  # a bridge that breaks must not lose the turn
            logger.exception("bridge raised on the end of a reply", extra=self._about)
        if text:
            extra = {} if is_whole else {"interrupted": True}
            self._report(CallEvent("agent_turn", {"text": text, **extra}))


def _failure(error: BaseException) -> CallEvent:
    return CallEvent(
        "error",
        {"code": type(error).__name__, "message": words(error), "severity": "error",
         "source": "dialog_machine"},
    )  # fmt: skip


@contextlib.asynccontextmanager
async def closing(stream: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
    """Close an async iterator in the end, if it can be closed, instead of leaving it to chance."""
    try:
        yield stream
    finally:
        aclose = getattr(stream, "aclose", None)
        if aclose is not None:
            await aclose()
