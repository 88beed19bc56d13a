"""What several tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from orchestrator.cli.tables import table
from orchestrator.outbox import sqlite_file
from tests.faults import record

# The machine may be busy, so no example has a deadline. CI plays the same examples on every run: a
# find of chance belongs to whoever changes the code, not to whoever comes by.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

#: No test leaves anything in the outbox or the memory of whoever runs the tests.
os.environ["ORCHESTRATOR_OUTBOX"] = "memory:"
os.environ["ORCHESTRATOR_MEMORY"] = "memory:"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine's disk may stand still for seconds: only tests of locks mind."""
    monkeypatch.setattr(sqlite_file, "BUSY", 30.0)


@pytest.fixture(scope="session")
def recorded_calls() -> list[Path]:
    """Recorded phone calls: the folder that RECORDED_CALLS names, else three of our own making."""
    folder = os.environ.get("RECORDED_CALLS") or Path(__file__).parent / "data" / "segments"
    calls = sorted(Path(folder).glob("*.jsonl"))
    assert calls, f"no recorded calls in {folder}"
    return calls


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that shares the tests hands on what it saw of faults."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = record.rows()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Such a process is done."""
    _faults.extend(getattr(node, "workeroutput", {}).get("faults", ()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of faults, at the end of the run."""
    if rows := [*_faults, *record.rows()]:
        terminalreporter.section("faults")
        terminalreporter.write_line(table(record.HEAD, rows))
        terminalreporter.write_line(
            "sent again: attempts beyond the first, under the same id; doubled: under another id.\n"
            "stall: CPU time of our own work between two turns of the event loop; lag: by the clock."
        )


_faults: list[list[str]] = []
