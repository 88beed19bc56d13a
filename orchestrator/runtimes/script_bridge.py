"""A bridge that plays a call script on the event loop's clock, virtual or real."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.callscript import CallScript
from orchestrator.errors import CommandRefused, LineGone
from orchestrator.runtime import ALL_CAPABILITIES, CallEvent, Command, End, Transfer

__all__ = ["PlayOptions", "ScriptBridge", "ScriptExchange"]


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """How the far side of a played call behaves.

    `linger` is how many seconds the line stays open after the last event of a script that has no
    `hangup`. `transfer_outcome` maps a target, or `*`, to the outcome that is reported
    `transfer_delay` seconds after the request; without one the script reports it, or nobody.
    `refuses` names commands that are refused at once.
    """

    capabilities: frozenset[str] = ALL_CAPABILITIES
    linger: float = 0.0
    transfer_outcome: Mapping[str, str] = field(default_factory=dict)
    transfer_delay: float = 1.0
    refuses: frozenset[str] = frozenset()


class ScriptBridge:
    """Plays one call. What we say takes no time: when the agent speaks is the script's to tell.

    Attributes:
        commands: what we asked for and when, in seconds since the call started.
    """

    def __init__(
        self,
        script: CallScript,
        options: PlayOptions | None = None,
        *,
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        self.options = options or PlayOptions()
        self.offer = script.offer
        self.capabilities = self.options.capabilities
        self.commands: list[tuple[float, Command]] = []
        self._is_closed = False
        self._on_close = on_close
        self._start: float | None = None
        self._order = itertools.count()
        self._changed = asyncio.Event()
        self._due = [(e.t, next(self._order), e.event) for e in script.events]
        self._last = max((e.t for e in script.events), default=0.0) + self.options.linger

    def now(self) -> float:
        """Seconds since the call started."""
        loop_time = asyncio.get_running_loop().time()
        if self._start is None:
            self._start = loop_time
        return round(loop_time - self._start, 6)  # 8.000000000000002 would show in journals

    async def events(self) -> AsyncIterator[CallEvent]:
        """The script's events, each at its time, until a hang-up, `End` or the end of the line."""
        while await self._reached(self._due[0][0] if self._due else self._last):
            if not self._due:
                await self._let_act()
                if not self._due:
                    return
                continue  # a transfer was just asked for, and its outcome is awaited
            event = heapq.heappop(self._due)[2]
            yield event
            if event.name == "hangup":
                return

    async def _reached(self, when: float) -> bool:
        """Wait until `when`, or until something else is due earlier; False once closed."""
        while not self._is_closed:
            left = min(when, self._due[0][0] if self._due else when) - self.now()
            if left < _RESOLUTION:  # `now` is rounded: a smaller wait might never end
                return True
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
        return False

    async def _let_act(self) -> None:
        """With no linger, what the last event starts and does not wait still finds the line."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def send(self, command: Command) -> None:
        """Record a command.

        Raises:
            LineGone: the call is over.
            CommandRefused: the options refuse this command.
        """
        if self._is_closed:
            raise LineGone("the call is over")
        self.commands.append((self.now(), command))
        if command.name in self.options.refuses:
            raise CommandRefused(f"the far side refused {command.name!r}")
        if isinstance(command, Transfer):
            self._answer(command)
        elif isinstance(command, End):
            self._close_line()

    def _answer(self, transfer: Transfer) -> None:
        outcomes = self.options.transfer_outcome
        outcome = outcomes.get(transfer.target, outcomes.get("*"))
        if outcome is not None:
            event = CallEvent("transfer", {"outcome": outcome, "target": transfer.target})
            when = self.now() + self.options.transfer_delay
            self._last = max(self._last, when + self.options.linger)
            heapq.heappush(self._due, (when, next(self._order), event))
            self._changed.set()

    def _close_line(self) -> None:
        self._is_closed = True
        self._changed.set()

    async def aclose(self) -> None:
        """Close the line, if it is open, and make room for the next call."""
        self._close_line()
        self._on_close()


#: Seconds that `now` can tell apart.
_RESOLUTION = 1e-6

#: Turns of the loop: enough for the last event's handlers, whatever they are nested in.
_TURNS = 10


class ScriptExchange:
    """Offers each script as a call, `concurrency` at a time; `bridges` keeps them all."""

    def __init__(
        self,
        scripts: Iterable[CallScript],
        concurrency: int = 1,
        options: PlayOptions | None = None,
    ) -> None:
        self.bridges: list[ScriptBridge] = []
        self._scripts = iter(scripts)
        self._room = asyncio.Semaphore(concurrency)
        self._options = options
        self._is_closed = False

    async def calls(self) -> AsyncIterator[ScriptBridge]:
        """A bridge for each script, as soon as there is room for it."""
        for script in self._scripts:
            await self._room.acquire()
            if self._is_closed:
                return
            bridge = ScriptBridge(script, self._options, on_close=self._room.release)
            self.bridges.append(bridge)
            yield bridge

    async def aclose(self) -> None:
        """Offer no more calls."""
        self._is_closed = True
        self._room.release()
