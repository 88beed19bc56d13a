"""What several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The machine may be busy, so no example has a deadline. CI plays the same examples on every run: a
# find of chance belongs to whoever changes the code, not to whoever comes by.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

#: No test leaves anything in the outbox or the memory of whoever runs the tests.
os.environ["ORCHESTRATOR_OUTBOX"] = "memory:"
os.environ["ORCHESTRATOR_MEMORY"] = "memory:"


@pytest.fixture(scope="session")
def recorded_calls() -> list[Path]:
    """Recorded phone calls: the folder that RECORDED_CALLS names, else three of our own making."""
    folder = os.environ.get("RECORDED_CALLS") or Path(__file__).parent / "data" / "segments"
    calls = sorted(Path(folder).glob("*.jsonl"))
    assert calls, f"no recorded calls in {folder}"
    return calls
