"""What several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: No test leaves deliveries in the outbox of whoever runs the tests.
os.environ["ORCHESTRATOR_OUTBOX"] = "memory:"


@pytest.fixture(scope="session")
def recorded_calls() -> list[Path]:
    """Recorded phone calls: the folder that RECORDED_CALLS names, else three of our own making."""
    folder = os.environ.get("RECORDED_CALLS") or Path(__file__).parent / "data" / "segments"
    calls = sorted(Path(folder).glob("*.jsonl"))
    assert calls, f"no recorded calls in {folder}"
    return calls
