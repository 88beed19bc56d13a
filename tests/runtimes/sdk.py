"""The real SDK's runner against our peer, with or without our hooks."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from unpod.connectivity.runner import AgentRunner

from orchestrator import Orchestrator
from orchestrator.journal import Redactor, encode
from tests.runtimes.unpod_peer import Peer


class Lines:
    """A sink that keeps the journal's lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def put(self, call_id: str, records: Sequence[Any], redactor: Redactor, began: float) -> None:
        self.lines.extend(encode(records, redactor, began))

    def close(self) -> None: ...

    def of(self, **wanted: Any) -> list[dict[str, Any]]:
        """The lines that have all of these fields."""
        return [
            line for line in self.lines if all(line.get(k, ...) == v for k, v in wanted.items())
        ]

    @property
    def scopes(self) -> list[tuple[str, str]]:
        """The starts and ends that were told."""
        return [
            (kind, line[kind])
            for line in self.lines
            for kind in ("runner", "session")
            if kind in line
        ]


class Words:
    """A dialog adapter that answers word by word."""

    def __init__(self, reply: str = "you said {text}", delay: float = 0.0) -> None:
        self.reply = reply
        self.delay = delay
        self.notes: list[str] = []

    async def turn(self, text: str, context: Any = None) -> str:
        return ""

    async def stream(self, text: str, context: Any = None, language: str | None = None) -> Any:
        for i, word in enumerate(self.reply.format(text=text).split(" ")):
            await asyncio.sleep(self.delay)
            yield word if i == 0 else f" {word}"

    def assist(self, text: str) -> None:
        self.notes.append(text)


def entrypoint(machine: Any = None) -> Callable[[Any], Awaitable[None]]:
    """An entrypoint as a user writes it, unaware of any config."""

    async def enter(ctx: Any) -> None:
        ctx.session.dialog_machine = machine or Words()
        await ctx.session.run()

    return enter


def make_runner(peer: Peer, enter: Any = None, **options: Any) -> AgentRunner:
    """The SDK's runner, pointed at the peer; its constructor changed in 0.4.1."""
    is_old = "api_key" in inspect.signature(AgentRunner).parameters
    known = {"api_key": "t"} if is_old else {"platform_token": "t", "org_handle": "o"}
    return AgentRunner(
        enter or entrypoint(), agent_id="agent", base_url=peer.url, **known, **options
    )


@contextlib.asynccontextmanager
async def running(runner: Any) -> AsyncIterator[None]:
    """The runner's own loop, for a while."""
    task = asyncio.create_task(runner.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def orchestrate(text: str, folder: Path) -> tuple[Orchestrator, Lines]:
    """An orchestrator for a config, given as text without its first line, and its journal."""
    folder.mkdir(exist_ok=True)
    path = folder / "hooks.yaml"
    path.write_text("version: 1\n" + textwrap.dedent(text))
    lines = Lines()
    return Orchestrator.from_file(path, journals=lines), lines


def played(main: Awaitable[None], seconds: float = 60.0) -> None:
    """Run a test on a loop of its own, bounded."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await main

    asyncio.run(bounded())


class Scene:
    """A peer, the SDK's runner with a config attached, and what both saw."""

    def __init__(self, peer: Peer, runner: Any, orchestrator: Orchestrator, lines: Lines) -> None:
        self.peer = peer
        self.runner = runner
        self.orchestrator = orchestrator
        self.lines = lines

    async def settle(self, redial: float = 2.0) -> None:
        """Wait until the call's end was told."""
        async with asyncio.timeout(redial + 10):
            while not self.lines.of(runner="call_end"):
                await asyncio.sleep(0.02)
        await self.orchestrator.aclose()


@contextlib.asynccontextmanager
async def scene(
    text: str, folder: Path, enter: Any = None, *, guarded: bool = False, **options: Any
) -> AsyncIterator[Scene]:
    orchestrator, lines = orchestrate(text, folder)
    enter = enter or entrypoint()
    async with Peer() as peer:
        runner = make_runner(peer, Orchestrator.guard(enter) if guarded else enter, **options)
        orchestrator.attach(runner)
        async with running(runner):
            yield Scene(peer, runner, orchestrator, lines)


def one_call(lines: Lines) -> None:
    """One start and one end in each scope."""
    assert lines.scopes == [
        ("runner", "call_start"), ("session", "call_start"),
        ("session", "call_end"), ("runner", "call_end"),
    ]  # fmt: skip
