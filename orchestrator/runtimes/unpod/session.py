"""The session of one call on the Unpod SDK, as hooks see it: its controls, and who listens.

It outlives the SDK's own session objects, of which a call that is dialled again has several.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

from orchestrator.dialog.contract import Machine, is_machine
from orchestrator.errors import ActionFailed, CommandRefused, LineGone, NotSupported, words
from orchestrator.runtime import CallEvent, Handler
from orchestrator.runtimes.handlers import HandlerTable
from orchestrator.runtimes.replies import TELL_LIMIT
from orchestrator.runtimes.unpod.transfers import OneTransfer

__all__ = ["UnpodSession", "is_line_error"]

logger = logging.getLogger(__name__)

Mode = Literal["cold", "warm"]
Note = Callable[..., None]


def is_line_error(error: BaseException | None, word: str = "ConnectionClosed") -> bool:
    """Whether an exception says that the socket is closed, in the words of `websockets`.

    By name, because an adapter does not import what the SDK is built on. With the word
    `ConnectionClosedOK`: whether the far side said goodbye.
    """
    return error is not None and any(c.__name__.startswith(word) for c in type(error).__mro__)


class _Silent:
    """A dialog machine that says nothing: the SDK answers on after `end`, and nobody listens."""

    async def turn(self, text: str, context: Any = None) -> str:
        return ""

    async def stream(self, text: str, *_: Any, **__: Any) -> AsyncIterator[str]:
        nothing: tuple[str, ...] = ()
        for piece in nothing:
            yield piece

    def assist(self, text: str) -> None: ...


class UnpodSession:
    """What hooks may ask of a call that the SDK carries.

    Attributes:
        data: one dict for the whole call, shared with every session object of the SDK.
        was_ended: `end` was sent.
        is_gone: the socket is closed, for now or for good.
    """

    def __init__(self, sdk: Any, capabilities: frozenset[str]) -> None:
        self.capabilities = capabilities
        self.data: dict[str, Any] = sdk.data
        self.table = HandlerTable("session")
        self.was_ended = self.is_gone = False
        self._sdk = sdk
        self._taps: list[Callable[[CallEvent], object]] = []
        self._notes: list[Note] = []
        self._queue: Callable[[CallEvent], object] = lambda _: None
        self._transfer = OneTransfer()

    def rebind(self, sdk: Any) -> None:
        """Go on with another session object of the SDK: the call was dialled again."""
        sdk.data = self.data
        self._sdk = sdk
        self.is_gone = False

    # --- who listens

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Register an async handler for a session event; see `HandlerTable.on`."""
        return self.table.on(event)

    def tap(self, callback: Callable[[CallEvent], object]) -> None:
        """Have each event seen as it arrives."""
        self._taps.append(callback)

    def take_notes(self, note: Note) -> None:
        """Have remarks on the runtime's doings written down."""
        self._notes.append(note)

    def note(self, text: str, **details: Any) -> None:
        """Remark on the runtime's doings, for the journal."""
        for note in self._notes:
            note(text, **details)

    def fire_into(self, queue: Callable[[CallEvent], object]) -> None:
        """Where events of one's own go."""
        self._queue = queue

    def fire(self, event: str, **fields: Any) -> None:
        """Queue an event of one's own behind what has arrived."""
        self._queue(CallEvent(event, fields))

    def show(self, event: CallEvent) -> None:
        """Show an event to the taps."""
        for tap in tuple(self._taps):
            tap(event)

    # --- controls

    @property
    def is_transferring(self) -> bool:
        """Whether a transfer was asked for so lately that it may still be connected."""
        return self._transfer.is_on

    async def say(self, text: str, interruptible: bool = True) -> None:
        """Speak a text; the SDK cannot protect speech from being interrupted."""
        if not interruptible:
            raise NotSupported("unpod cannot speak a text that the caller cannot interrupt")
        await self._send("say", lambda sdk: sdk.say(text))
        machine = getattr(self._sdk, "dialog_machine", None)
        if is_machine(machine):
            await self._tell(Machine(machine), text)

    async def _tell(self, machine: Machine, text: str) -> None:
        try:
            async with asyncio.timeout(TELL_LIMIT):
                await machine.said(text)
        except Exception:  # the caller has heard it all the same
            logger.exception("dialog machine did not take what was said")

    async def interrupt(self) -> None:
        """Stop the agent's speech."""
        await self._send("interrupt", lambda sdk: sdk.interrupt())

    async def end(self, reason: str = "completed") -> None:
        """End the call, once; the replies that the SDK still asks for are silent."""
        if self.was_ended:
            return
        await self._send("end", lambda sdk: sdk.end(reason))
        self.was_ended = True
        if getattr(self._sdk, "dialog_machine", None) is not None:
            self._sdk.dialog_machine = _Silent()

    async def transfer(
        self,
        target: str,
        *,
        transfer_type: str = "number",
        mode: Mode = "cold",
        announcement: str = "",
        answer_within: float = 25.0,
    ) -> None:
        """Hand the caller over; one request at a time, since no answer ever comes back.

        Another one may be made once `answer_within` seconds have passed.
        """
        self._transfer.check()
        kind = "human" if transfer_type == "queue" else transfer_type
        options = {"transfer_type": kind, "mode": mode, "announcement": announcement}
        await self._send("transfer", lambda sdk: sdk.transfer(target, **options))
        self._transfer.began(answer_within)

    async def inject(self, note: str) -> None:
        """Give a note to the dialog machine of the SDK's session."""
        self._check("inject")
        given = getattr(self._sdk, "dialog_machine", None)
        machine = Machine(given) if is_machine(given) else None
        if machine is None or not machine.takes_notes:
            raise CommandRefused("this session's dialog machine takes no notes")
        await machine.note(note)

    def _check(self, what: str) -> None:
        if self.is_gone or self.was_ended:
            raise LineGone(f"the call is over, {what!r} came too late")

    async def _send(self, what: str, ask: Callable[[Any], Awaitable[None]]) -> None:
        self._check(what)
        try:
            await ask(self._sdk)
        except ActionFailed:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            raise CommandRefused(f"the SDK refused {what!r}: {words(error)}") from error
        except Exception as error:
            if not is_line_error(error):
                raise
            raise LineGone(f"the line closed before {what!r}") from error
