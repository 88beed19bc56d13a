"""Recorded events -> journal: play a call script through a plan, in virtual or in real time.

In virtual time nothing leaves the machine, a call takes milliseconds, and the same script under
the same plan always gives the same journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.attachment import Attachment
from orchestrator.callscript import CallScript
from orchestrator.clock import VIRTUAL_START, run_virtual, virtual_clock
from orchestrator.journal import Redactor, Sink, encode
from orchestrator.memory import Memory
from orchestrator.plan import Plan
from orchestrator.runtime import Command
from orchestrator.runtimes.native import AgentRunner
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.services import GivenLike, Services

__all__ = ["Played", "play"]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one played call: its journal, and the commands with their times in seconds.

    `lines` is the journal as it is written; `clear` is the same without the masks of
    `privacy: redact` and of a paused recording, for call tests, whose callers are invented, and for
    comparing two configs.
    """

    call_id: str
    source: str
    lines: tuple[dict[str, Any], ...]
    clear: tuple[dict[str, Any], ...] = field(repr=False)
    commands: tuple[tuple[float, Command], ...]
    final_state: str
    state: str | None
    data: dict[str, Any] = field(repr=False)


def play(
    plan: Plan,
    script: CallScript,
    *,
    options: PlayOptions | None = None,
    given: GivenLike | None = None,
    memory: Memory | None = None,
    start: datetime | None = None,
) -> Played:
    """Play one call in virtual time.

    Args:
        plan: the compiled config.
        script: the call to play.
        options: how the far side behaves; by default it can do everything.
        given: answers of outside systems; without one they are `not_sent`.
        memory: cross-call memory; by default an empty one.
        start: the time of day at which the call starts.

    Raises:
        InternalError: the call cannot end, because everything waits for something that cannot be.
    """
    stage = _Stage(plan, given, memory if memory is not None else Memory(), start or VIRTUAL_START)
    return run_virtual(stage.carry(script, options))


class _Stage:
    """A host for one played call; see `attachment.Host`."""

    def __init__(
        self, plan: Plan, given: GivenLike | None, memory: Memory, start: datetime
    ) -> None:
        self.plan = plan
        self._given = given
        self._memory = memory
        self._start = start
        self._services: Services | None = None
        self._sink = _Lines()
        self._owned: set[asyncio.Task[None]] = set()

    async def carry(self, script: CallScript, options: PlayOptions | None) -> Played:
        """Carry the call to its end, and its background work with it."""
        runner = AgentRunner(capabilities=(options or PlayOptions()).capabilities)
        Attachment(self, runner)
        bridge = ScriptBridge(script, options)
        context = await runner.handle(bridge)
        while self._owned:
            await asyncio.wait(self._owned)
        await self.services().aclose()
        return Played(
            call_id=context.call_id,
            source=script.source,
            lines=tuple(self._sink.lines),
            clear=tuple(self._sink.clear),
            commands=tuple(bridge.commands),
            final_state=context.final_state or "failed",
            state=context.session.state,
            data=dict(context.data),
        )

    def services(self) -> Services:
        """The services of this call's loop."""
        if self._services is None:
            clock = virtual_clock(self._start)
            self._memory.wall = lambda: clock.wall().timestamp()
            self._services = Services(clock, self._memory, self.plan.connections)
            self._services.given = self._given
        return self._services

    def sink(self) -> Sink:
        """Keeps the journal's lines."""
        return self._sink

    def own(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that outlives the call; `carry` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._owned.add(task)
        task.add_done_callback(self._owned.discard)


class _Lines:
    """A sink that keeps encoded lines, masked and clear."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.clear = self.lines

    def put(self, call_id: str, records: Sequence[Any], redactor: Redactor, began: float) -> None:
        """Encode and keep."""
        if redactor.masks and self.clear is self.lines:
            self.clear = [*self.lines]
        if self.clear is not self.lines:
            self.clear.extend(encode(records, redactor.without_masks(), began))
        self.lines.extend(encode(records, redactor, began))

    def close(self) -> None:
        """Nothing to write."""
