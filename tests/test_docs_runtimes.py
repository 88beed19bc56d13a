"""docs/runtimes.md says what the table of targets says."""

from __future__ import annotations

import asyncio
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AgentRunner
from orchestrator.capabilities import CAPABILITIES
from orchestrator.dialog import OpenAIDialog
from orchestrator.runtimes.script_bridge import ScriptBridge
from orchestrator.targets import TARGETS
from orchestrator.testing.conformance import CASES, FarSide, run_conformance
from tests.kit import script

PAGE = Path(__file__).parent.parent / "docs" / "runtimes.md"


def capability_table() -> str:
    """The table as it is to be written."""
    names = [name for name in TARGETS if name not in ("console", "script")]
    rows = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for capability, words in CAPABILITIES.items():
        marks = ["yes" if capability in TARGETS[name] else "" for name in names]
        rows.append(f"| `{capability}` {words} | {' | '.join(marks)} |")
    return "\n".join(rows)


def test_the_capability_table_is_fresh() -> None:
    """A runtime that learns something says so in its manual."""
    assert capability_table() in PAGE.read_text()


def test_the_entrypoint_of_the_docs_carries_a_call() -> None:
    """Whoever copies it has a model's conversation for each call, as is said there."""
    text = PAGE.read_text()
    (code,) = [
        c for c in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "OpenAIDialog" in c
    ]
    given: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), given)  # noqa: S102 - our own page
    seen: list[Any] = []

    async def enter(ctx: Any) -> None:
        await given["entrypoint"](ctx)
        seen.append(ctx.session.dialog_machine)
        await ctx.session.dialog_machine.aclose()

    for _ in range(2):
        asyncio.run(AgentRunner(enter).handle(ScriptBridge(script([{"t": 0.01, "hangup": ""}]))))
    assert [type(machine) for machine in seen] == [OpenAIDialog] * 2
    assert seen[0] is not seen[1]


def test_the_carrier_of_the_docs_passes_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies it has a carrier that works, and fails once it loses what it is asked."""
    text = PAGE.read_text()
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "CARRIERS" in c]
    (tmp_path / "carrier_of_the_docs.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    carriers = importlib.import_module("carrier_of_the_docs").CARRIERS
    results = run_conformance(carriers)
    assert [r for r in results if r.status == "failed"] == []
    assert sum(r.status == "passed" for r in results) >= 10
    monkeypatch.setattr(FarSide, "take", lambda far, command: None)
    names = ("the seven seed events", "end: once")
    cases = [case for case in CASES if case.name.startswith(names)]
    assert [r.status for r in run_conformance(carriers, cases)] == ["failed"] * 2
