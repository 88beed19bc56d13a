"""What keeps the memory of an embedding app: what is set, opened only where it is used."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.errors import EnvironmentFailure
from orchestrator.memory import Memory
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import check_text
from tests.kit import script

BLOCKS = """
session:
  call_start:
    - when: memory.get('blocked:' ~ call.user_number) == 'yes'
      do: [{end_call: blocked}]
  user_turn:
    - remember: {key: "blocked:{{ call.user_number }}", value: "yes"}
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This user's state folder, where nothing is yet."""
    monkeypatch.delenv("ORCHESTRATOR_MEMORY")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "hook-orchestrator" / "memory.db"


def app_of(text: str, **options: Any) -> Orchestrator:
    checked = check_text(f"version: 1\nname: m\n{text}")
    assert checked.config is not None, checked.problems
    return Orchestrator(checked.config, outbox="memory:", **options)


def carry(app: Orchestrator) -> str | None:
    """How one call of somebody who speaks ended, in real time; the app is closed after it."""

    async def main() -> str | None:
        runner = AgentRunner()
        app.attach(runner)
        events = script([{"t": 0.02, "user_turn": "hi"}, {"t": 0.05, "hangup": ""}])
        context = await runner.handle(ScriptBridge(events, PlayOptions()))
        await app.aclose()
        return context.session.state

    return asyncio.run(main())


def test_the_usual_file_keeps_it_over_a_restart(state: Path) -> None:
    """Without any set-up."""
    assert carry(app_of(BLOCKS)) == "hangup"
    assert state.exists()
    assert carry(app_of(BLOCKS)) == "ended"


@pytest.mark.parametrize("way", ["path", "text", "memory", "environment"])
def test_it_is_kept_where_one_says(
    way: str, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path, a text, a memory of one's own, or the environment."""
    file = tmp_path / "elsewhere.db"
    if way == "environment":
        monkeypatch.setenv("ORCHESTRATOR_MEMORY", str(file))

    def given() -> dict[str, Any]:
        ways = {"path": file, "text": str(file), "memory": Memory(file) if way == "memory" else ""}
        return {"memory": ways[way]} if way in ways else {}

    assert carry(app_of(BLOCKS, **given())) == "hangup"
    assert carry(app_of(BLOCKS, **given())) == "ended"
    assert not state.exists()


USES = {
    "a condition": "session: {user_turn: [{when: memory.count('k') > 1, log: x}]}",
    "a step's condition": "session: {user_turn: [{do: [{log: x, when: memory.get('k') is none}]}]}",
    "a template": "session: {user_turn: [{log: \"{{ memory.count('k') }}\"}]}",
    "an if": "session: {user_turn: [{if: memory.get('k') is none, then: [{log: x}]}]}",
    "an action": "session: {user_turn: [{forget: k}]}",
    "a function": "session: {user_turn: [{python: tests.played:nothing}]}",
    "a chain": "chains: {c: [{forget: k}]}\nsession: {user_turn: [{run: c}]}",
    "a limit": "session: {user_turn: [{escalate_transfer: {queue: q}}]}",
    "a plugin": "plugins: [tests.limited]\nsession: {user_turn: [{send_text: hi}]}",
}


@pytest.mark.parametrize("text", USES.values(), ids=USES)
def test_it_is_opened_where_a_config_may_ask_it(text: str, state: Path) -> None:
    """Before any call."""
    app = app_of(text)
    app.attach(AgentRunner())
    assert state.exists()
    asyncio.run(app.aclose())


def test_a_config_that_does_not_ask_it_makes_no_file(state: Path) -> None:
    """Nor does its call."""
    carry(app_of("session: {user_turn: [{say: hi}, {webhook: {url: 'https://x.example/'}}]}"))
    assert not state.exists()


def test_a_place_that_cannot_be_opened_is_said_before_any_call(tmp_path: Path) -> None:
    """As it is attached."""
    (tmp_path / "file").write_text("")
    app = app_of(BLOCKS, memory=tmp_path / "file" / "m.db")
    with pytest.raises(EnvironmentFailure, match="cannot open the memory file"):
        app.attach(AgentRunner())
