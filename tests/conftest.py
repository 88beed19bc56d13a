"""What several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def recorded_calls() -> list[Path]:
    """Recorded phone calls; the variable RECORDED_CALLS names their folder, outside the project."""
    folder = os.environ.get("RECORDED_CALLS")
    calls = sorted(Path(folder).glob("*.jsonl")) if folder else []
    if not calls:
        pytest.skip("RECORDED_CALLS does not name a folder of recorded calls")
    return calls
