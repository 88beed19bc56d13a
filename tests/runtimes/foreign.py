"""A call on a foreign runtime with a config attached, for the tests of both."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from orchestrator import Orchestrator
from orchestrator.runtimes.attached import AttachedCall
from tests.runtimes.sdk import Lines, orchestrate


class On:
    """What a test has of one call: the stage it plays on, the call, and the journal."""

    def __init__(
        self, stage: Any, call: AttachedCall, orchestrator: Orchestrator, lines: Lines
    ) -> None:
        self.stage = stage
        self.call = call
        self.orchestrator = orchestrator
        self.attachment = orchestrator.attach(call)
        self._lines = lines

    @property
    def lines(self) -> Lines:
        """The journal up to now."""
        for call in self.attachment.calls.values():
            call.journal.flush()
        return self._lines

    async def over(self, seconds: float = 5.0) -> None:
        """Wait until the call's end was told, and the journal is whole."""
        assert await self.call.finished(seconds)
        await self.orchestrator.settle()

    def said(self) -> list[str]:
        """What hooks said."""
        return [line["text"] for line in self.lines.of(do="say")]

    def turns(self) -> list[str]:
        return [line["text"] for line in self.lines.of(event="agent_turn")]

    def end(self) -> tuple[str, str]:
        """How the session ended, and the call."""
        (session,) = self.lines.of(session="call_end")
        (runner,) = self.lines.of(runner="call_end")
        return session["state"], runner["final_state"]

    def story(self) -> list[str]:
        return [name for line in self.lines.lines for name in (line.get("event"),) if name]


@contextlib.asynccontextmanager
async def call_on(
    text: str, folder: Path, stage: Any, make: Callable[[Any], AttachedCall], **start: Any
) -> AsyncIterator[On]:
    """Attach a config to a call and start it."""
    orchestrator, lines = orchestrate(text, folder)
    call = make(stage)
    on = On(stage, call, orchestrator, lines)
    try:
        await stage.start(**start)
        yield on
    finally:
        await stage.close()
        await call.finished(5)
        await orchestrator.aclose()
