"""How a process that carries calls is asked to end: once, and its calls may end; twice, at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

__all__ = ["AT_ONCE", "Stopping", "dropped", "is_free"]

#: Seconds for each part of the end when it is to end at once: about one for all of them.
AT_ONCE = 0.2


class Stopping:
    """The request to end, and what is left of the patience."""

    def __init__(self) -> None:
        self._asked, self._urged = asyncio.Event(), asyncio.Event()

    def ask(self) -> None:
        """Ask to end; asked again, to end at once."""
        (self._urged if self._asked.is_set() else self._asked).set()

    @property
    def is_asked(self) -> bool:
        """Whether the end was asked for."""
        return self._asked.is_set()

    async def wait(self) -> None:
        """Wait until the end is asked for."""
        await self._asked.wait()

    async def unless_urged(self, work: Coroutine[Any, Any, Any]) -> None:
        """Wait for work, but hardly beyond a second request to end."""
        task = asyncio.ensure_future(work)
        urged = asyncio.ensure_future(self._urged.wait())
        try:
            await asyncio.wait({task, urged}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({task}, timeout=AT_ONCE)
        finally:
            await dropped(urged)
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=AT_ONCE)
        if task.done() and not task.cancelled():
            task.result()

    @contextlib.contextmanager
    def on_signals(self, *, wanted: bool = True) -> Iterator[None]:
        """Let SIGTERM and Ctrl-C ask, where nothing else handles them."""
        before = {
            number: signal.getsignal(number)
            for number in (signal.SIGTERM, signal.SIGINT)
            if wanted and is_free(number)
        }
        loop, heard = asyncio.get_running_loop(), set()
        for number in before:
            with contextlib.suppress(NotImplementedError):  # on Windows
                loop.add_signal_handler(number, self.ask)
                heard.add(number)
        try:
            yield
        finally:
            for number in heard:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])


async def dropped(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks that only wait, and see them end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def is_free(number: int) -> bool:
    """Whether nothing handles a signal yet but Python itself, so that we may."""
    if threading.current_thread() is not threading.main_thread():
        return False
    handler = signal.getsignal(number)
    # `asyncio.run` takes Ctrl-C to cancel what it runs.
    owner = getattr(getattr(handler, "func", None), "__self__", None)
    return handler in (signal.SIG_DFL, signal.default_int_handler) or isinstance(
        owner, asyncio.Runner
    )
