"""The table of faults, at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.cli.tables import table
from tests.engines import NatsServer
from tests.faults.record import HEAD, TABLE, rows


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TABLE:
        terminalreporter.section("faults")
        terminalreporter.write_line(table(HEAD, rows()))
        terminalreporter.write_line(
            "sent again: attempts beyond the first, under the same id; doubled: under another id.\n"
            "stall: CPU time of our own work between two turns of the event loop; lag: by the clock."
        )
