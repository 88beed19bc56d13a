"""Hooks of `error` whose own doing is the next error: a voice that fails, an endpoint that refuses."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestrator import AgentRunner, Orchestrator
from orchestrator.call import MOST_ERRORS
from orchestrator.runtime import Command, Say
from orchestrator.testing.conformance import _Lines
from orchestrator.validation import check_text
from tests.wire import Wire, at, now, virtual

HOOKS = """
version: 1
session:
  user_turn: [{say: hello}]
  error: [{say: "Something went wrong."}]
"""


class Voiceless(Wire):
    """A line whose voice fails at all that it is to say."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[float] = []

    async def send(self, command: Command) -> None:
        await super().send(command)
        if isinstance(command, Say):
            await asyncio.sleep(0)
            self.said.append(now())
            self.fail()

    def fail(self, severity: str = "error") -> None:
        self.feed("error", code="tts", message="no voice", severity=severity, source="runtime")


async def carried(line: Wire) -> list[Any]:
    config = check_text(HOOKS, "c.yaml").config
    assert config is not None
    sink, runner = _Lines(), AgentRunner()
    app = Orchestrator(config, variables={}, journals=sink)
    app.attach(runner)
    await runner.handle(line)
    await app.aclose()
    return sink.lines


@virtual
async def test_a_loop_of_errors_ends_by_itself() -> None:
    """The next one, later, is an error like others."""
    line = Voiceless()
    at(1, line.say, "hi")
    at(60, line.fail)
    at(120, line.feed, "hangup")
    lines = await carried(line)
    assert [line.said.count(t) for t in (1, 60)] == [1 + MOST_ERRORS, MOST_ERRORS]
    notes = [x for x in lines if x.get("note", "").startswith("hooks of `error` wait")]
    assert [round(x["t"]) for x in notes] == [1, 60]
    assert sum(x.get("event") == "error" for x in lines) == 2 * (MOST_ERRORS + 1)


@virtual
async def test_errors_of_a_slow_day_and_fatal_ones_run_their_hooks() -> None:
    """Ten in ten seconds may all be told; one that ends the call is always."""
    line = Wire()
    fields = {"code": "x", "message": "x", "source": "runtime"}
    for n in range(30):
        at(1 + n, lambda: line.feed("error", severity="warn", **fields))
    for _ in range(20):
        at(50, lambda: line.feed("error", severity="warn", **fields))
    at(51, lambda: line.feed("error", severity="fatal", **fields))
    await carried(line)
    assert line.words.count("say") == 30 + MOST_ERRORS + 1
