"""One call under two configs, as when an IVR hands it to an agent: both deliver."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.callscript import parse_script
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import check_text
from tests.servers import Server

CONFIG = """
version: 1
name: {name}
runner:
  call_end:
    - webhook: {{url: "{url}/{name}", json: {{from: {name}}}}}
"""


async def carry(name: str, url: str, outbox: Path) -> None:
    checked = check_text(CONFIG.format(name=name, url=url))
    assert checked.config is not None
    app, runner = Orchestrator(checked.config, outbox=outbox), AgentRunner()
    app.attach(runner)
    script = parse_script('{"call": {"id": "c1"}}\n{"t": 0.01, "event": "hangup"}\n')
    await runner.handle(ScriptBridge(script, PlayOptions()))
    await app.aclose()


@pytest.mark.parametrize(
    ("configs", "received"), [(["ivr", "agent"], 2), (["ivr", "ivr"], 1)], ids=["two", "a redial"]
)
def test_the_first_step_of_two_configs_is_not_one_side_effect(
    configs: list[str], received: int, tmp_path: Path
) -> None:
    """Their steps stand at the same place, in one outbox, under one call id; a redial's is one."""

    async def main() -> list[str]:
        async with Server() as server:
            for name in configs:
                await carry(name, server.url, tmp_path / "outbox.db")
            return [seen.target for seen in server.seen]

    assert asyncio.run(main()) == [f"/{name}" for name in dict.fromkeys(configs)][:received]
