"""The store on NATS: what is said of a server that cannot be used as it is set."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.action import Delivery
from orchestrator.errors import EnvironmentFailure, StoreFailed
from orchestrator.outbox.choice import Choice
from orchestrator.outbox.nats import NatsStore
from tests.engines import NatsServer, free_port


def failure_of(url: str) -> str:
    """What a put says."""

    async def main() -> str:
        store = NatsStore(url)
        try:
            said = "no answer yet"
            while "no answer yet" in said:
                with pytest.raises(StoreFailed) as caught:
                    await store.put(Delivery("m", "c", "/", b""), 0.0)
                said = str(caught.value)
            return said
        finally:
            await store.aclose()

    return asyncio.run(main())


def test_a_wrong_password_is_no_server_that_is_away(tmp_path: Path) -> None:
    """It is said that it refuses, and the password is not."""
    with NatsServer(tmp_path, "--user", "hooks", "--pass", "right") as server:
        said = failure_of(f"nats://hooks:cnry-wrong@127.0.0.1:{server.port}")
    assert "it refuses the user, password or creds" in said
    assert "cnry" not in said


def test_a_server_without_jetstream_is_named_so(tmp_path: Path) -> None:
    """The one thing that is missing is said."""
    with NatsServer(tmp_path, jetstream=False) as server:
        assert "JetStream is not enabled there" in failure_of(server.url)


def test_a_server_that_is_away_is_named_so() -> None:
    """With what the system says."""
    assert "it is away (" in failure_of(f"nats://127.0.0.1:{free_port()}")


def test_a_creds_file_that_is_not_there_is_said_at_once() -> None:
    """Nothing is kept elsewhere because of a typing error."""
    with pytest.raises(EnvironmentFailure, match=r"cannot be read: /no/such\.creds"):
        NatsStore("nats://127.0.0.1:1/hooks?creds=/no/such.creds")


@pytest.mark.parametrize("url", ["NATS://127.0.0.1:4222", "Nats://127.0.0.1", "TLS://127.0.0.1"])
def test_a_scheme_has_no_case(url: str) -> None:
    """As in any URL."""
    choice = Choice(url, {})
    assert choice.is_nats
    NatsStore(choice.url)
