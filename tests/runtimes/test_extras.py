"""The heavy packages are extras: whoever does not use them does not pay for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("livekit", "pipecat", "unpod", "websockets", "numpy", "aiohttp")


@pytest.mark.parametrize(
    "module",
    ["orchestrator", "orchestrator.app", "orchestrator.runtimes.livekit",
     "orchestrator.runtimes.pipecat", "orchestrator.testing"],
)  # fmt: skip
def test_importing_us_imports_no_runtime(module: str) -> None:
    """Though all of them are installed here."""
    code = f"import sys, {module}; print([m for m in sys.modules if m.split('.')[0] in {HEAVY}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
