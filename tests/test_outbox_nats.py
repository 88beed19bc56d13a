"""The store on NATS: a server that cannot be used as it is set, and what an operator takes away."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.action import Delivery
from orchestrator.errors import EnvironmentFailure, StoreFailed
from orchestrator.outbox import nats_consumers
from orchestrator.outbox.choice import Choice
from orchestrator.outbox.nats import NatsStore
from orchestrator.outbox.store import Entry, Room
from tests.engines import NatsServer, free_port


def failure_of(url: str) -> str:
    """What a put says."""

    async def main() -> str:
        store = NatsStore(url)
        try:
            async with asyncio.timeout(20):
                while True:
                    with pytest.raises(StoreFailed) as caught:
                        await store.put(Delivery("m", "c", "/", b""), 0.0)
                    said = str(caught.value)
                    # a socket that is reset was closed before we could read why
                    if "no answer yet" not in said and "reset by peer" not in said:
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


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("out", {"allow_direct": True}, "hooks_out has another retention than `workqueue`"),
        ("note", {}, "hooks_note has `allow_direct` off"),
    ],
)
def test_a_stream_with_which_nothing_would_be_sent_is_named(
    tmp_path: Path, kind: str, options: dict[str, bool], words: str
) -> None:
    """It was made by somebody else: the file takes over, instead of deliveries that stand still."""
    import nats

    async def make(url: str) -> None:
        client = await nats.connect(url)
        await client.jetstream().add_stream(
            name=f"hooks_{kind}", subjects=[f"hooks.{kind}.>"], **options
        )
        await client.close()

    with NatsServer(tmp_path) as server:
        asyncio.run(make(server.url))
        assert words in failure_of(server.url)


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


# --- what is taken away

KINDS = ("out", "dead", "note", "closed")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(nats_consumers, "DISCOVERY", 0.0)
    with NatsServer(tmp_path / "nats") as one:
        yield one


def one(number: int, connection: str = "c", **fields: Any) -> Delivery:
    return Delivery(f"m{number}", connection, "/x", b"1", config="k", **fields)


async def put(store: NatsStore, delivery: Delivery) -> None:
    """Put, as often as the server needs to be itself again."""
    async with asyncio.timeout(20):
        while True:
            try:
                assert await store.put(delivery, 0.0)
                return
            except StoreFailed:
                await asyncio.sleep(0.05)


async def claim(store: NatsStore, *wanted: int) -> Sequence[Entry]:
    """Claim until these have come."""
    found: list[Entry] = []
    async with asyncio.timeout(20):
        while {entry.id for entry in found} < {f"m{number}" for number in wanted}:
            with contextlib.suppress(StoreFailed):
                found += await store.claim(0.0, Room(20, 20))
            await asyncio.sleep(0.01)
    return found


def test_a_consumer_that_is_gone_is_made_again(server: NatsServer) -> None:
    """What is put without one is given out by this process, and by one that comes later."""

    async def main() -> None:
        store = NatsStore(server.url)
        for number, connection in enumerate("ab"):
            await put(store, one(number, connection))
        for entry in await claim(store, 0, 1):
            await store.done(entry)
        js = await store._link.js()
        for fresh, numbers in ((False, (2, 3)), (True, (4, 5))):
            await put(store, one(numbers[0], "a"))
            for info in await js.consumers_info("hooks_out"):
                await js.delete_consumer("hooks_out", info.name)
            await put(store, one(numbers[1], "b"))
            if fresh:
                await store.aclose()
                store = NatsStore(server.url)
            for entry in await claim(store, *numbers):
                await store.done(entry)
        assert await store.count("waiting") == 0
        await store.aclose()

    asyncio.run(main())


async def _remove_streams(server: NatsServer, store: NatsStore) -> None:
    js = await store._link.js()
    for kind in KINDS:
        await js.delete_stream(f"hooks_{kind}")


async def _lose_the_disk(server: NatsServer, store: NatsStore) -> None:
    server.kill()
    shutil.rmtree(server.folder)
    server.start()


@pytest.mark.parametrize("harm", [_remove_streams, _lose_the_disk])
def test_streams_that_are_gone_are_made_again(
    server: NatsServer,
    harm: Callable[[NatsServer, NatsStore], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While the process runs: what is put afterwards arrives, is put off, and can die."""

    async def main() -> None:
        store = NatsStore(server.url)
        await put(store, one(0))
        for entry in await claim(store, 0):
            await store.done(entry)
        await harm(server, store)
        await put(store, one(1, order="call"))
        await put(store, one(2, order="call"))
        (entry,) = await claim(store, 1)
        await store.later(entry, 0.0, "HTTP 500")
        (again,) = await claim(store, 1)
        assert (again.attempts, again.reason) == (2, "HTTP 500")
        await store.dead(again, "refused")
        (entry,) = await claim(store, 2)
        await store.done(entry)
        assert (await store.count("waiting"), await store.count("dead")) == (0, 1)
        await store.aclose()

    asyncio.run(main())
    assert "streams were gone and are made anew" in caplog.text


def test_more_consumers_than_a_server_lists_at_a_time(server: NatsServer) -> None:
    """What waits at the last of three hundred endpoints is found by another process."""

    async def main() -> None:
        first, second = NatsStore(server.url), NatsStore(server.url)
        for number in range(300):
            await put(first, one(number, f"c{number}"))
        await second.claim(0.0, Room(0))
        assert len(second._consumers.pulls) == 300
        await first.aclose()
        await second.aclose()

    asyncio.run(main())
