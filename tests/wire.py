"""A bridge in the hands of a test: it feeds events and sees commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from orchestrator.clock import run_virtual
from orchestrator.errors import LineGone
from orchestrator.runtime import (
    ALL_CAPABILITIES,
    CallEvent,
    CallOffer,
    Command,
    ReplyDelta,
    ReplyEnd,
)

CLOSE = CallEvent("close")


class Wire:
    """One call's connection. `feed` makes an event arrive, `lose` ends the stream."""

    def __init__(self, capabilities: frozenset[str] = ALL_CAPABILITIES, **offer: Any) -> None:
        self.offer = CallOffer(**{"call_id": "c1", "user_number": "+15550100", **offer})
        self.capabilities = capabilities
        self.commands: list[Command] = []
        self.is_gone = False
        self.closings = 0
        self.trouble: Exception | None = None
        self._queue: asyncio.Queue[CallEvent] = asyncio.Queue()

    def feed(self, name: str, **fields: Any) -> None:
        self._queue.put_nowait(CallEvent(name, fields))

    def say(self, text: str) -> None:
        self.feed("user_turn", text=text)

    def lose(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self._queue.put_nowait(CLOSE)

    async def events(self) -> AsyncIterator[CallEvent]:
        while (event := await self._queue.get()) is not CLOSE:
            yield event
        self.is_gone = True
        if self.trouble is not None:
            raise self.trouble

    async def send(self, command: Command) -> None:
        if self.is_gone or self.closings:
            raise LineGone("the line is gone")
        self.commands.append(command)

    async def aclose(self) -> None:
        self.closings += 1

    @property
    def words(self) -> list[str]:
        """The names of the commands, without the pieces of replies."""
        return [c.name for c in self.commands if not isinstance(c, ReplyDelta)]

    @property
    def replies(self) -> list[tuple[str, bool]]:
        return [(c.text, c.was_interrupted) for c in self.commands if isinstance(c, ReplyEnd)]


def at(seconds: float, act: Callable[..., object], *args: Any) -> None:
    """Do something at a moment of virtual time."""
    asyncio.get_running_loop().call_at(seconds, act, *args)


def now() -> float:
    return round(asyncio.get_running_loop().time(), 6)


async def forever() -> None:
    await asyncio.Event().wait()


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in virtual time and check that it leaves no task behind."""
    import functools
    import inspect

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def checked() -> None:
            await test(*args, **kwargs)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left behind: {left}"

        run_virtual(checked())

    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]  # for fixtures
    return run


class Slow:
    """A dialog machine that writes a word a second."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = 0

    async def stream(self, text: str) -> AsyncIterator[str]:
        self.asked.append(text)
        try:
            for word in ("one ", "two ", "three"):
                await asyncio.sleep(1)
                yield word
        finally:
            self.closed += 1


Entry = Callable[[Any], Awaitable[None]]
