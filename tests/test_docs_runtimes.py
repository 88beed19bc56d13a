"""docs/runtimes.md says what the table of targets says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from orchestrator.capabilities import CAPABILITIES
from orchestrator.targets import TARGETS
from orchestrator.testing.conformance import CASES, FarSide, run_conformance

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
