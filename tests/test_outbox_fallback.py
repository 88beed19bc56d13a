"""Two stores: the second takes over while the first is away, and hands on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.action import Delivery
from orchestrator.engine import state_file
from orchestrator.errors import EnvironmentFailure, StoreFailed
from orchestrator.memory.choice import open_memory
from orchestrator.outbox.choice import Choice
from orchestrator.outbox.fallback import FallbackStore
from orchestrator.outbox.memory import MemoryStore
from orchestrator.outbox.nats import NatsStore
from orchestrator.outbox.nats_link import Target
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.outbox.store import Room
from tests.cli import run_process

ROOM = Room(20, 20)


class Engine(MemoryStore):
    """A durable store that can be away."""

    is_durable = True

    def __init__(self) -> None:
        super().__init__()
        self.is_there = True
        self.asked = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in (
            "put",
            "claim",
            "done",
            "later",
            "next_due",
            "list",
            "count",
            "find",
            "redrive",
        ):
            object.__setattr__(self, "asked", self.asked + 1)
            if not self.is_there:
                return _away
        return found


async def _away(*_: Any) -> Any:
    raise StoreFailed("the server is away")


def delivery(number: int, order: str = "") -> Delivery:
    return Delivery(f"msg_{number}", "crm", "/", b"{}", order=order)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def play(
    script: Callable[[FallbackStore, Engine, Clock], Awaitable[Any]], second: Any = None
) -> Any:
    async def main() -> Any:
        first, clock = Engine(), Clock()
        store = FallbackStore(first, second or Engine(), rest=5.0, now=clock)
        return await script(store, first, clock)

    return asyncio.run(main())


async def ids(store: Any, now: float = 0.0) -> list[str]:
    return [entry.id for entry in await store.claim(now, ROOM)]


def test_the_second_takes_over_and_sends() -> None:
    """While the first is away, what is put is safe in the second and leaves from there."""

    async def script(store: FallbackStore, first: Engine, clock: Clock) -> None:
        first.is_there = False
        assert await store.put(delivery(1), 0.0)
        (entry,) = await store.claim(0.0, ROOM)
        await store.done(entry)
        with pytest.raises(StoreFailed):  # what the server holds, nobody knows
            await store.count("waiting")
        first.is_there = True
        assert (await store.count("waiting"), await store.count("done")) == (0, 1)

    play(script)


def test_an_engine_that_is_away_is_not_asked_for_a_while() -> None:
    """After a failure the first is left alone, so that no call waits for it again and again."""

    async def script(store: FallbackStore, first: Engine, clock: Clock) -> tuple[int, int]:
        first.is_there = False
        await store.put(delivery(1), 0.0)
        asked = first.asked
        await store.put(delivery(2), 0.0)
        await store.claim(0.0, ROOM)
        within = first.asked - asked
        clock.now = 6.0
        await store.claim(0.0, ROOM)
        return within, first.asked - asked

    assert play(script) == (0, 1)


def test_what_waits_is_handed_on_when_the_engine_is_back(caplog: pytest.LogCaptureFixture) -> None:
    """Undelivered entries move to the first store, once, and both changes are logged."""

    async def script(store: FallbackStore, first: Engine, clock: Clock) -> None:
        first.is_there = False
        for number in (1, 2, 3):
            await store.put(delivery(number), 0.0)
        first.is_there, clock.now = True, 6.0
        assert sorted(await ids(store)) == ["msg_1", "msg_2", "msg_3"]
        assert [entry.id for entry in await first.list("waiting")] == ["msg_1", "msg_2", "msg_3"]
        assert await store.count("waiting") == 3
        assert await ids(store) == []

    with caplog.at_level(logging.INFO, "orchestrator.outbox"):
        play(script)
    assert [record.message for record in caplog.records] == [
        "the outbox store is away, another takes over", "the outbox store is back",
        "deliveries were handed on",
    ]  # fmt: skip


def test_order_is_kept_over_a_change_of_stores() -> None:
    """What must follow is not sent from the second, and not put past what waits there."""

    async def script(store: FallbackStore, first: Engine, clock: Clock) -> list[str]:
        await store.put(delivery(1, "call"), 0.0)
        first.is_there = False
        await store.put(delivery(2, "call"), 0.0)
        assert await ids(store) == []
        assert (await store.next_due(0.0, ROOM) or 0) >= 5.0
        first.is_there, clock.now = True, 6.0
        await store.put(delivery(3, "call"), 0.0)
        left: list[str] = []
        for _ in range(6):
            for entry in await store.claim(0.0, ROOM):
                left.append(entry.id)
                await store.done(entry)
        return left

    assert play(script) == ["msg_1", "msg_2", "msg_3"]


def test_memory_sends_what_has_nothing_ahead_of_it() -> None:
    """It would be lost there; what has something of its order in the first waits for that."""

    async def script(store: FallbackStore, first: Engine, clock: Clock) -> None:
        await store.put(delivery(1, order="a"), 0.0)
        first.is_there = False
        for number, order in ((2, "a"), (3, "b"), (4, "b")):
            with pytest.raises(StoreFailed):
                await store.put(delivery(number, order=order), 0.0)
        (entry,) = await store.claim(0.0, ROOM)
        assert entry.id == "msg_3"
        await store.done(entry)
        assert await ids(store) == ["msg_4"]
        first.is_there, clock.now = True, 6.0
        assert await ids(store) == ["msg_1"]

    play(script, MemoryStore())


def test_two_that_stand_in_do_not_overtake_what_is_in_the_server() -> None:
    """With server and file away, memory knows what went to either."""

    async def main() -> None:
        server, file, clock = Engine(), Engine(), Clock()
        inner = FallbackStore(file, MemoryStore(), rest=5.0, now=clock)
        store = FallbackStore(server, inner, rest=5.0, now=clock)
        await store.put(delivery(1, order="a"), 0.0)
        server.is_there = False
        await store.put(delivery(2, order="b"), 0.0)
        file.is_there = False
        for number, order in ((3, "a"), (4, "b"), (5, "c")):
            with pytest.raises(StoreFailed):
                await store.put(delivery(number, order=order), 0.0)
        assert await ids(store) == ["msg_5"]

    asyncio.run(main())


def test_memory_as_the_second_is_no_success() -> None:
    """A put that only memory took fails, so that the journal says so, and is sent all the same."""

    async def script(store: FallbackStore, first: Engine, clock: Clock) -> list[str]:
        first.is_there = False
        with pytest.raises(StoreFailed, match=r"the server is away; kept in memory, to be sent"):
            await store.put(delivery(1), 0.0)
        return await ids(store)

    assert play(script, MemoryStore()) == ["msg_1"]


@pytest.mark.parametrize("end", ["done", "dead"])
def test_what_memory_has_sent_is_waited_for_no_longer(end: str) -> None:
    """Later ones of its order go to the first again, which is back: they would be lost in memory."""

    async def script(store: FallbackStore, first: Engine, clock: Clock) -> list[str]:
        first.is_there = False
        with pytest.raises(StoreFailed):
            await store.put(delivery(1, order="a"), 0.0)
        (entry,) = await store.claim(0.0, ROOM)
        await (store.done(entry) if end == "done" else store.dead(entry, "no"))
        first.is_there, clock.now = True, 6.0
        assert await store.put(delivery(2, order="a"), 0.0)
        return [entry.id for entry in await first.list("waiting")]

    assert play(script, MemoryStore()) == ["msg_2"]


def test_closing_saves_what_memory_would_lose(caplog: pytest.LogCaptureFixture) -> None:
    """At the end memory's entries go to the first store, or are counted as lost."""

    async def script(store: FallbackStore, first: Engine, clock: Clock) -> list[int]:
        first.is_there = False
        for number in (1, 2):
            with pytest.raises(StoreFailed):
                await store.put(delivery(number), 0.0)
        await store.aclose()
        first.is_there = True
        await store.aclose()
        return [await first.count("waiting")]

    with caplog.at_level(logging.ERROR, "orchestrator.outbox"):
        assert play(script, MemoryStore()) == [2]
    assert caplog.records[-1].count == 2  # type: ignore[attr-defined]


def test_what_became_of_an_entry_is_said_to_the_store_that_gave_it() -> None:
    """An attempt begun before the engine went away is reported to it when it is back."""

    async def script(store: FallbackStore, first: Engine, clock: Clock) -> None:
        await store.put(delivery(1), 0.0)
        (entry,) = await store.claim(0.0, ROOM)
        first.is_there = False
        with pytest.raises(StoreFailed):
            await store.done(entry)
        first.is_there, clock.now = True, 6.0
        await store.done(entry)
        assert await first.count("done") == 1

    play(script)


def test_an_entry_that_both_stores_hold_is_told_to_each() -> None:
    """The answer to a put was lost: the server has it, and the file that took over has it too."""
    second = Engine()

    async def script(store: FallbackStore, first: Engine, clock: Clock) -> None:
        await MemoryStore.put(first, delivery(1), 0.0)
        first.is_there = False
        await store.put(delivery(1), 0.0)
        (nearby,) = await store.claim(0.0, ROOM)
        first.is_there, clock.now = True, 6.0
        (far,) = await store.claim(0.0, ROOM)
        assert nearby.id == far.id
        await store.done(nearby)
        assert (await first.count("done"), await second.count("done")) == (0, 1)
        await store.done(far)
        assert (await first.count("done"), await second.count("done")) == (1, 1)

    play(script, second)


# --- which store


@pytest.mark.parametrize(
    ("setting", "kind", "where"),
    [
        ("memory:", MemoryStore, "memory"),
        ("/x/outbox.db", SqliteStore, "/x/outbox.db"),
        ("sqlite:////x/outbox.db", SqliteStore, "/x/outbox.db"),
        ("sqlite:///outbox.db", SqliteStore, "outbox.db"),
        ("", SqliteStore, "/state/hook-orchestrator/outbox.db"),
        ("nats://user:canary@h:4222/p?replicas=3", NatsStore, "h:4222/p"),
    ],
)  # fmt: skip
def test_one_word_chooses_the_engine(setting: str, kind: type, where: str) -> None:
    """A path, a URL or nothing; credentials in it are not shown."""
    environment = {"ORCHESTRATOR_OUTBOX": setting, "XDG_STATE_HOME": "/state"}
    choice = Choice(None, environment)
    assert str(choice) == where
    store: Any = choice.open()
    if kind is not MemoryStore:
        assert isinstance(store._first, kind)
    assert (Choice("memory:", environment).is_memory, "canary" in str(choice)) == (True, False)


@pytest.mark.parametrize("setting", ["redis://x", "postgresql://x/y", "sqlite://x", "https://a/b"])
def test_another_url_is_refused(setting: str) -> None:
    """The message shows what is possible."""
    with pytest.raises(EnvironmentFailure, match=r"sqlite:///path, nats://host or memory:"):
        Choice(setting, {})


@pytest.mark.parametrize(
    ("url", "why"),
    [
        *[(f"nats://h/{prefix}", "the prefix has") for prefix in ("a.b", "a/b", "a#b", "x" * 41)],
        *[(f"nats://h/a?replicas={number}", "`replicas` is 1, 3 or 5")
          for number in ("2", "13", "35", "135", "", "-1", "\uff11")],
        *[(f"nats://h/a?{query}", "its options are")
          for query in ("x=1", "x", "replicas=1&replicas=3")],
        *[(f"nats://{host}", "the host cannot be read")
          for host in ("[x", "x]", "[x]", "cnry:p[w@h", "h,[::1", "h\u2100x")],
        *[(f"nats://{host}", "the host is missing") for host in ("", "/p", "h,", "u:cnry@", ":4222")],
        *[(f"nats://h:{port}", "a port is") for port in ("0", "99999", "notaport", "-1", "1,h:x")],
        *[(f"nats://{host}", "the host cannot be looked up") for host in ("a..b", "a" * 64)],
        *[(f"nats://h{text}", "there is a") for text in ("\n1", " 1", "\x01", "\t:1", "/p\nq")],
    ],
)  # fmt: skip
def test_a_nats_url_is_checked(url: str, why: str) -> None:
    """Hosts, ports, prefix, replicas and options, in one sentence that holds no password."""
    for opened in (Choice, open_memory):
        with pytest.raises(EnvironmentFailure, match=f"the NATS URL is .*: .*{why}") as caught:
            opened(url, {})
        assert "cnry" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "servers"),
    [("nats://u:p@[::1]:4222,h2/p?replicas=5", ("nats://u:p@[::1]:4222", "nats://h2")),
     ("tls://b\u00fccher.example?replicas=3", ("tls://b\u00fccher.example",))],
)  # fmt: skip
def test_a_nats_url_that_is_right_is_taken(url: str, servers: tuple[str, ...]) -> None:
    """Several servers, IPv6 addresses, options without a prefix."""
    assert Target.parse(url).servers == servers


def test_a_creds_file_with_a_nul_in_its_name_is_not_there() -> None:
    """The system refuses to look for it."""
    with pytest.raises(EnvironmentFailure, match="`creds` cannot be read"):
        Target.parse("nats://h?creds=a%00b")


@pytest.mark.parametrize("command", ["deliver", "deliveries", "serve"])
def test_a_nats_url_that_cannot_be_read_is_one_line(command: str, tmp_path: Path) -> None:
    """And the exit code of the environment."""
    (tmp_path / "line.yaml").write_text("version: 1\nsession: {call_start: [{say: hi}]}\n")
    options = {"deliver": ["line.yaml"], "deliveries": ["list"],
               "serve": ["line.yaml", "--port", "0", "--insecure-no-signatures"]}[command]  # fmt: skip
    ran = run_process(command, *options, "--outbox", "nats://[x", cwd=tmp_path)
    assert ran.returncode == 3
    assert ran.stderr.count("\n") == 1, ran.stderr


def test_the_default_file_follows_xdg() -> None:
    """`$XDG_STATE_HOME` when it is an absolute path, else `~/.local/state`."""
    assert state_file("outbox.db", {"XDG_STATE_HOME": "/s"}) == Path(
        "/s/hook-orchestrator/outbox.db"
    )
    assert state_file("outbox.db", {"XDG_STATE_HOME": "s"}).parts[-4:-2] == (".local", "state")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nats-py the message says which extra to install."""
    monkeypatch.setitem(__import__("sys").modules, "nats", None)
    with pytest.raises(EnvironmentFailure, match=r"pip install 'hook-orchestrator\[nats\]'"):
        Choice("nats://h", {}).open()
