"""A config on our server in this process, with the journals of its calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from orchestrator import AgentRunner, Orchestrator
from orchestrator.dialog import Echo
from orchestrator.journal import Redactor, encode
from orchestrator.testing.conformance import story_of
from orchestrator.validation import check_text
from tests.relay_carriers import serving
from tests.relay_peer import Network, Twilio


class Journals:
    """A sink that keeps the lines of each call."""

    def __init__(self) -> None:
        self.lines: dict[str, list[dict[str, Any]]] = {}

    def put(self, call_id: str, records: Sequence[Any], redactor: Redactor, began: float) -> None:
        self.lines.setdefault(call_id, []).extend(encode(records, redactor, began))

    def close(self) -> None: ...

    def story(self, call_id: str = "CA1") -> list[str]:
        """What happened on a call, as in the conformance suite."""
        return story_of(self.lines.get(call_id, []))

    def notes(self, call_id: str = "CA1") -> list[dict[str, Any]]:
        """Remarks of a call's journal."""
        return [line for line in self.lines.get(call_id, []) if "note" in line]

    def header(self, call_id: str = "CA1") -> dict[str, Any]:
        """What a call began with."""
        return next(line["call"] for line in self.lines[call_id] if "call" in line)


class Line:
    """What a test sees of one server."""

    def __init__(
        self, network: Network, journals: Journals, runner: AgentRunner, board: Any, app: Any
    ) -> None:
        self.network, self.journals, self.runner, self.board = network, journals, runner, board
        self.app = app
        self.ring = network.ring

    async def until_phase(self, call_id: str, phase: str) -> None:
        """Wait until a call is where it should be."""
        async with asyncio.timeout(5):
            while self.board.find(call_id).phase.value != phase:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.005)

    async def idle(self) -> None:
        """Wait until every call is over and written down."""
        await self.runner.shutdown(20)


@contextlib.asynccontextmanager
async def line(
    config: str, carrier: Any = None, machine: Any = Echo, **options: Any
) -> AsyncIterator[Line]:
    """Serve a config."""
    checked = check_text(f"version: 1\n{config}", "line.yaml")
    assert checked.config is not None, checked.problems
    journals = Journals()
    app = Orchestrator(checked.config, variables={}, journals=journals, outbox="memory:")

    async def entrypoint(ctx: Any) -> None:
        ctx.session.dialog_machine = machine()
        await ctx.session.run()

    def runner_of(board: Any) -> AgentRunner:
        runner = AgentRunner(entrypoint, exchange=board)
        app.attach(runner)
        return runner

    async with serving(carrier or Twilio(), runner_of, **options) as (network, runner, board):
        yield Line(network, journals, runner, board, app)
        await app.aclose()
