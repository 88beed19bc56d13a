"""Secrets inside of the process: every logger, every representation, every engine."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.callscript import parse_script
from orchestrator.compiler import compile_config
from orchestrator.memory import Memory
from orchestrator.outbox.choice import Choice
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import load_config
from tests.canaries import (
    CALL,
    VARIABLES,
    canary,
    command,
    environment,
    leaks,
    leaks_in,
    project,
    replies,
)
from tests.engines import NatsServer
from tests.servers import Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the config, a call and a call test."""
    return project(tmp_path)


@pytest.fixture
def every_log() -> Iterator[Callable[[], str]]:
    """What all loggers of the process say, other packages' too, with tracebacks."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream.getvalue
    root.removeHandler(handler)
    root.setLevel(level)


def carry(app: Orchestrator) -> None:
    async def main() -> None:
        runner = AgentRunner()
        app.attach(runner)
        await runner.handle(ScriptBridge(parse_script(CALL.strip(), "t"), PlayOptions(linger=6)))
        await asyncio.sleep(0.3)
        await app.aclose()

    asyncio.run(main())


def test_no_logger_shows_a_secret(
    folder: Path, monkeypatch: pytest.MonkeyPatch, every_log: Callable[[], str]
) -> None:
    """Also those of the packages that we use, in a program that logs everything there is."""

    async def serve() -> None:
        async with Server(*replies()) as server:
            variables = {**VARIABLES, "SERVER": server.url}
            memory = Memory(folder / "memory.db")
            app = Orchestrator.from_file(
                folder / "canary.yaml", variables=variables, journals=folder / "journals",
                outbox=folder / "outbox.db", memory=memory,
            )  # fmt: skip
            await asyncio.to_thread(carry, app)

    asyncio.run(serve())
    said = every_log()
    assert said.count("a step raised") == 3
    assert leaks("log", said) + leaks_in(folder) == []


def test_no_stream_of_nats_holds_a_secret(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, every_log: Callable[[], str]
) -> None:
    """What waits on the server's disk; and the server's own URL, which has a password here."""
    data = tmp_path_factory.mktemp("nats")
    with NatsServer(data) as nats:
        url = nats.url.replace(
            "nats://", f"nats://user:{canary(20).replace('/', '').replace('+', '')[:14]}@"
        )
        app = Orchestrator.from_file(
            folder / "canary.yaml",
            variables={**VARIABLES, "SERVER": "http://127.0.0.1:1"},
            outbox=url,
        )
        carry(app)
        held = b"".join(file.read_bytes() for file in data.rglob("*") if file.is_file())
        assert b"canary" in held
        assert leaks_in(data) == []
        _, output = command(
            folder,
            environment(folder, "http://127.0.0.1:1", ORCHESTRATOR_OUTBOX=url),
            "deliver",
            "canary.yaml",
            "--once",
        )
        assert leaks("deliver", output) == []
    code, output = command(
        folder,
        environment(folder, "http://127.0.0.1:1", ORCHESTRATOR_OUTBOX=url),
        "deliveries",
        "list",
    )
    assert code == 3
    assert leaks("deliveries list", output) + leaks("log", every_log()) == []


def test_no_representation_shows_a_secret(folder: Path) -> None:
    """Of whatever a debugger, a log line or an error tracker may print."""
    config = load_config(folder / "canary.yaml")
    variables = {**VARIABLES, "SERVER": "http://127.0.0.1:1"}
    plan = compile_config(config, variables)
    choice = Choice("nats://user:cnry-secret-30@127.0.0.1:1", {})

    async def main() -> list[object]:
        app = Orchestrator(config, variables=variables, outbox="memory:")
        services = app.services()
        opened = [services.connection(name) for name in config.connections]
        bodies = [
            step.body for handlers in plan.handlers.values() for h in handlers for step in h.steps
        ]
        steps = [getattr(body, name, None) for body in bodies for name in ("constant", "make")]
        nats = choice.open_plain()
        seen = [app, plan, config, services, *opened, *bodies, *steps, choice, nats, getattr(nats, "_link", None),
                getattr(getattr(nats, "_link", None), "target", None), app.outbox(), services._secrecy]  # fmt: skip
        seen += [vars(c).get("_engine") for c in opened] + [vars(c).get("auth") for c in opened]
        text = [repr(x) + str(x) for x in seen]
        await app.aclose()
        return text  # type: ignore[return-value]

    texts = asyncio.run(main())
    assert [leak for text in texts for leak in leaks("repr", str(text))] == []
