"""docs/runtimes.md says what the table of targets says."""

from __future__ import annotations

from pathlib import Path

from orchestrator.capabilities import CAPABILITIES
from orchestrator.targets import TARGETS

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
