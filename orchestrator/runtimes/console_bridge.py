"""A bridge for a caller at a keyboard: each line is what the caller says."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import select
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from orchestrator.errors import LineGone
from orchestrator.events import TRANSFER_OUTCOMES
from orchestrator.runtime import (
    ALL_CAPABILITIES,
    CallEvent,
    CallOffer,
    Command,
    End,
    Inject,
    Play,
    Recording,
    ReplyDelta,
    ReplyEnd,
    Say,
    SendDigits,
    SetLanguage,
    Transfer,
)

__all__ = ["COMMANDS", "ConsoleBridge", "read_lines"]

#: Called with who speaks (`agent`, `reply`, `note`) and the text; pieces of replies have no line
#: end, and an empty `reply` ends one.
Show = Callable[[str, str], object]

#: What can be typed beside words.
COMMANDS: Mapping[str, str] = {
    "/hangup": "hang up",
    "/interrupt": "talk into the agent's speech",
    "/dtmf 5": "press a key",
    "/wait 10": "say nothing for so many seconds",
    "/noise": "make a noise without words",
    "/transfer refused": f"answer a transfer: {', '.join(TRANSFER_OUTCOMES)}",
    "/voicemail beep": "be an answering machine: detected, beep",
    "/help": "this list",
}

_CANNOT = frozenset({"playback", "metric", "tools"})


class ConsoleBridge:
    """One call with whoever writes `lines`; the end of the lines hangs up."""

    capabilities = ALL_CAPABILITIES - _CANNOT

    def __init__(
        self, lines: AsyncIterator[str], show: Show, offer: CallOffer | None = None
    ) -> None:
        self.offer = offer or CallOffer("console")
        self._lines = lines
        self._show = show
        self._over = asyncio.Event()
        self._target = ""

    async def events(self) -> AsyncIterator[CallEvent]:
        """What the caller does, line by line, until they hang up or the call is ended."""
        while (line := await self._next_line()) is not None:
            word, _, rest = line.strip().partition(" ")
            if word == "/wait":
                await self._wait(rest)
                continue
            for event in self._events_of(word, rest.strip(), line.strip()):
                if event.name == "hangup":
                    self._over.set()
                yield event
        if not self._over.is_set():
            yield CallEvent("hangup", {"reason": "end of input"})

    async def _next_line(self) -> str | None:
        """The next line, or None at their end or when the call is over meanwhile."""
        if self._over.is_set():
            return None
        line = asyncio.ensure_future(anext(self._lines, None))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({line, over}, return_when=asyncio.FIRST_COMPLETED)
            return line.result() if line.done() and not self._over.is_set() else None
        finally:
            line.cancel()
            over.cancel()
            await asyncio.gather(line, over, return_exceptions=True)

    async def _wait(self, text: str) -> None:
        try:
            seconds = float(text)
        except ValueError:
            self._show("note", f"/wait needs a number of seconds, got {text!r}")
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), min(max(seconds, 0.0), 3600.0))

    def _events_of(self, word: str, rest: str, line: str) -> Iterator[CallEvent]:
        if not word:
            return
        if not word.startswith("/"):
            yield from _noise()
            yield CallEvent("user_turn", {"text": line})
        elif word == "/help":
            self._show("note", "\n".join(f"{c:18} {what}" for c, what in COMMANDS.items()))
        elif word in _TYPED:
            yield from self._typed(word, rest)
        else:
            self._show("note", f"unknown command {word!r}; /help lists them")

    def _typed(self, word: str, rest: str) -> Iterator[CallEvent]:
        allowed, make = _TYPED[word]
        if allowed and rest not in allowed:
            self._show("note", f"{word} needs one of: {' '.join(allowed)}")
            return
        yield from make(rest, self._target)

    async def send(self, command: Command) -> None:
        """Show what the agent says and does.

        Raises:
            LineGone: the call is over.
        """
        if self._over.is_set():
            raise LineGone("the call is over")
        if isinstance(command, Transfer):
            self._target = command.target
        who, text = _shown(command)
        self._show(who, text)
        if isinstance(command, End):
            self._over.set()

    async def aclose(self) -> None:
        """End the call, and close the lines if they can be closed."""
        self._over.set()
        aclose = getattr(self._lines, "aclose", None)
        if aclose is not None:
            await aclose()


def _noise() -> Iterator[CallEvent]:
    for state in ("speaking", "listening"):
        yield CallEvent("state", {"state": state, "who": "caller"})


_Make = Callable[[str, str], Iterator[CallEvent]]

#: Typed command -> the arguments it may have (none: any), and its events.
_TYPED: Mapping[str, tuple[tuple[str, ...], _Make]] = {
    "/hangup": ((), lambda _, __: iter([CallEvent("hangup", {"reason": "caller"})])),
    "/interrupt": ((), lambda _, __: iter([CallEvent("interruption")])),
    "/dtmf": (tuple("0123456789*#ABCD"), lambda key, _: iter([CallEvent("dtmf", {"digit": key})])),
    "/noise": ((), lambda _, __: _noise()),
    "/transfer": (
        TRANSFER_OUTCOMES,
        lambda outcome, to: iter([CallEvent("transfer", {"outcome": outcome, "target": to})]),
    ),
    "/voicemail": (
        ("detected", "beep"),
        lambda stage, _: iter([CallEvent("voicemail", {"stage": stage})]),
    ),
}


def _shown(command: Command) -> tuple[str, str]:
    match command:
        case Say(text):
            return "agent", text
        case ReplyDelta(text):
            return "reply", text
        case ReplyEnd():
            return "reply", ""
        case Transfer(kind, target, mode):
            return "note", f"{mode} transfer to {kind} {target!r} asked; /transfer answers it"
        case End(reason):
            return "note", f"the agent ended the call ({reason})"
        case Recording(do, reason):
            return "note", f"recording: {do}{f' ({reason})' if reason else ''}"
        case SetLanguage(speech, transcription):
            return "note", f"language: {speech or '-'}, heard in {transcription or '-'}"
        case Play(source, loop):
            return "note", f"plays {source}{f', {loop} times' if loop > 1 else ''}"
        case SendDigits(digits):
            return "note", f"key tones: {digits}"
        case Inject(note):
            return "note", f"note to the dialog machine: {note}"
    return "note", command.name


async def read_lines(fd: int = 0) -> AsyncIterator[str]:
    """Lines from a file descriptor: a terminal, a pipe or a file.

    A thread reads, because an event loop cannot wait for files. It never blocks in a read: it
    waits for the descriptor or for us, so that it ends with the iterator and holds no exit.
    For real time only: virtual time does not wait for people.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    wake, waker = os.pipe()

    def put(chunk: bytes) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)

    thread = threading.Thread(target=_read_chunks, args=(fd, wake, put), daemon=True)
    thread.start()
    try:
        async for line in _split(chunks):
            yield line
    finally:
        os.close(waker)  # its other end becomes readable
        thread.join()
        os.close(wake)


def _read_chunks(fd: int, wake: int, put: Callable[[bytes], None]) -> None:
    chunk = b"-"
    while chunk:
        ready, _, _ = select.select([fd, wake], [], [])
        if wake in ready:
            return
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # a terminal that went away
            chunk = b""
        put(chunk)


async def _split(chunks: asyncio.Queue[bytes]) -> AsyncIterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    while chunk := await chunks.get():
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            yield line
    if rest:
        yield rest
