"""What the fault suite shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines import NatsServer


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server
