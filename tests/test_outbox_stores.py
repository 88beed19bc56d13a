"""The contract of outbox stores: the same tests for memory, a SQLite file, NATS, and a fallback."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.action import Delivery
from orchestrator.outbox import nats, sqlite
from orchestrator.outbox.fallback import FallbackStore
from orchestrator.outbox.memory import MemoryStore
from orchestrator.outbox.nats import NatsStore
from orchestrator.outbox.packed import pack
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.outbox.store import HORIZON, Entry, OutboxStore, Room
from tests.engines import NatsServer

Script = Callable[[OutboxStore], Awaitable[None]]
Run = Callable[[Script], None]

ROOM = Room(20, 20)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


def opener(kind: str, tmp_path: Path, server: Callable[[], NatsServer]) -> Callable[..., Any]:
    """A function that opens a store; every store that it opens shares what is kept."""
    if kind == "sqlite":
        return lambda **options: SqliteStore(tmp_path / "outbox.db", **options)
    if kind == "nats":
        url = f"{server().url}/t{next(_numbers)}"
        return lambda **options: NatsStore(url, **options)
    memory = MemoryStore()
    return lambda **options: memory if kind == "memory" else FallbackStore(memory, MemoryStore())


@pytest.fixture(params=["memory", "sqlite", "nats", "fallback"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    open_store = opener(request.param, tmp_path, lambda: request.getfixturevalue("nats_server"))

    def play(script: Script) -> None:
        async def main() -> None:
            store = open_store()
            try:
                await script(store)
            finally:
                await store.aclose()

        asyncio.run(main())

    return play


@pytest.fixture(params=["sqlite", "nats"])
def open_shared(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Opens stores that share their entries, as several processes do."""
    return opener(request.param, tmp_path, lambda: request.getfixturevalue("nats_server"))


def delivery(id: str, connection: str = "crm", **fields: Any) -> Delivery:
    return Delivery(
        f"msg_{id}",
        connection,
        fields.pop("url", "/calls"),
        b'{"a": 1}',
        config=fields.pop("config", "one"),
        **fields,
    )


async def claim(
    store: OutboxStore,
    count: int = 1,
    room: Room = ROOM,
    seconds: float = 3.0,
    ahead: float = 0.0,
) -> Sequence[Entry]:
    """Claim until so many are there; a server's messages take a moment."""
    entries: list[Entry] = []
    until = time.time() + seconds
    while len(entries) < count and time.time() < until:
        entries += await store.claim(time.time() + ahead, room)
        await asyncio.sleep(0.005)
    return entries


async def put(store: OutboxStore, *deliveries: Delivery) -> list[bool]:
    return [await store.put(one, time.time()) for one in deliveries]


def ids(entries: Sequence[Entry]) -> list[str]:
    return [entry.id.removeprefix("msg_") for entry in entries]


def test_what_is_put_comes_out_whole(run: Run) -> None:
    """Every field and every byte of a delivery is kept, and it counts as its first attempt."""
    one = delivery("é\u2028 *.>", headers={"x-a": "ü"}, method="PUT", content_type="text/plain",
                   call_id="c 1", url="/a?b=c&d=%20", order="c 1")  # fmt: skip

    async def script(store: OutboxStore) -> None:
        assert await put(store, one) == [True]
        (entry,) = await claim(store)
        assert (entry.delivery, entry.attempts, entry.state) == (one, 1, "waiting")

    run(script)


def test_only_attempts_that_were_judged_count(run: Run) -> None:
    """What is given back without a judgement, as at the end of a process, is no attempt."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"))
        for number, is_judged in ((1, False), (1, True), (2, False)):
            (entry,) = await claim(store)
            assert entry.attempts == number
            said = entry if is_judged else replace(entry, attempts=number - 1)
            await store.later(said, time.time(), "HTTP 503")
        (entry,) = await store.list("waiting")
        assert entry.attempts == 1

    run(script)


def test_an_id_is_taken_once(run: Run) -> None:
    """An id that waits, is leased, put off, done or dead is not taken a second time."""

    async def script(store: OutboxStore) -> None:
        assert await put(store, delivery("1"), delivery("1")) == [True, False]
        (entry,) = await claim(store)
        assert await put(store, delivery("1")) == [False]
        await store.done(entry)
        assert await put(store, delivery("1"), delivery("2")) == [False, True]
        (entry,) = await claim(store)
        await store.dead(entry, "refused")
        assert await put(store, delivery("2")) == [False]

    run(script)


def test_what_is_leased_is_not_claimed_again(run: Run) -> None:
    """A second claim gives nothing, and nothing is due."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"))
        assert ids(await claim(store)) == ["1"]
        assert ids(await claim(store, seconds=0.1)) == []
        due = await store.next_due(time.time(), ROOM)
        assert due is None or due > time.time() + 30

    run(script)


def test_what_is_put_off_comes_back_when_it_is_due(run: Run) -> None:
    """An entry put off comes out again at its time, with its attempts and the reason."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"))
        (entry,) = await claim(store)
        due = time.time() + 0.3
        await store.later(entry, due, "HTTP 500")
        assert ids(await claim(store, seconds=0.1)) == []
        (waiting,) = await store.list("waiting")
        assert (waiting.attempts, waiting.reason) == (1, "HTTP 500")
        assert waiting.due == pytest.approx(due, abs=0.01)
        (again,) = await claim(store)
        assert time.time() >= due - 0.06
        assert (again.attempts, again.reason) == (2, "HTTP 500")

    run(script)


def test_what_is_done_is_gone(run: Run) -> None:
    """A delivered entry is no longer among those that wait, and its body is not kept."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"))
        (entry,) = await claim(store)
        await store.done(entry)
        assert await store.list("waiting") == []
        assert await store.count("waiting") == 0
        kept = await store.find("msg_1")
        assert kept is None or (kept.state, kept.delivery.body) == ("done", b"")

    run(script)


def test_dead_letters_are_kept_and_redriven(run: Run) -> None:
    """A dead letter has its reason; redriven it starts over, once."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"))
        (entry,) = await claim(store)
        await store.dead(entry, "HTTP 400\r\nx")
        (letter,) = await store.list("dead")
        assert (letter.delivery, letter.reason, letter.attempts) == (
            entry.delivery,
            "HTTP 400\r\nx",
            1,
        )
        assert (await store.count("dead"), await store.count("waiting")) == (1, 0)
        assert [await store.redrive("msg_1", time.time()) for _ in "12"] == [True, False]
        (again,) = await claim(store)
        assert (again.attempts, await store.count("dead")) == (1, 0)

    run(script)


def test_a_redriven_letter_can_die_again(run: Run) -> None:
    """Dying and coming back twice works as once."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"))
        for _ in range(3):
            (entry,) = await claim(store)
            await store.dead(entry, "HTTP 400")
            assert await store.redrive("msg_1", time.time())
        assert not await store.redrive("msg_2", time.time())

    run(script)


def test_closed_addresses_are_known_and_opened_by_redrive(run: Run) -> None:
    """`close_address` holds for one address; redriving what died there opens it."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"))
        (entry,) = await claim(store)
        assert not await store.is_closed(entry.address)
        await store.close_address(entry.address)
        await store.dead(entry, "HTTP 410")
        assert await store.is_closed(entry.address)
        assert not await store.is_closed("one|crm|/other")
        await store.redrive("msg_1", time.time())
        assert not await store.is_closed(entry.address)

    run(script)


def test_an_endpoint_that_asked_to_be_left_alone_is(run: Run) -> None:
    """For so long nothing of it comes out, also what is put later; of others it does."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"))
        (entry,) = await claim(store)
        until = time.time() + 3_600
        await store.hold(entry.endpoint, until)
        await store.hold(entry.endpoint, until - 3_000)  # the longer wait counts
        await store.later(entry, time.time(), "HTTP 429")
        await put(store, delivery("2"), delivery("3", "other"))
        (other,) = await claim(store)
        await store.done(other)
        assert other.id == "msg_3"
        due = await store.next_due(time.time(), ROOM)
        assert due is None or due >= until
        found = await claim(store, 2, seconds=10, ahead=3_601)
        assert sorted(ids(found)) == ["1", "2"]

    run(script)


def test_a_hold_that_a_wrong_clock_has_set_is_none(run: Run) -> None:
    """Further ahead than anybody may ask for."""

    async def script(store: OutboxStore) -> None:
        await store.hold("one:crm", time.time() + 2 * HORIZON)
        await put(store, delivery("1"))
        assert ids(await claim(store)) == ["1"]

    run(script)


def test_removed_entries_are_forgotten(run: Run) -> None:
    """`remove` takes what waits and what is dead, and says whether it was there."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"), delivery("2"))
        (entry,) = [e for e in await claim(store, 2) if e.id == "msg_1"]
        await store.dead(entry, "HTTP 400")
        assert [await store.remove(f"msg_{n}") for n in "1123"] == [True, False, True, False]
        assert await store.list() == []

    run(script)


def test_removal_may_be_of_one_state_only(run: Run) -> None:
    """What has been redriven since, or has died, is not what was meant."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"))
        assert not await store.remove("msg_1", "dead")
        (entry,) = await claim(store)
        await store.dead(entry, "HTTP 400")
        assert not await store.remove("msg_1", "waiting")
        assert await store.redrive("msg_1", time.time())
        assert not await store.remove("msg_1", "dead")
        assert await store.count("waiting") == 1
        assert await store.remove("msg_1", "waiting")
        assert not await store.remove("msg_1")

    run(script)


def test_find_knows_what_waits_and_what_is_dead(run: Run) -> None:
    """An entry is found by its id."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1"))
        assert await store.find("msg_2") is None
        found = await store.find("msg_1")
        assert found is not None
        assert (found.state, found.delivery.body) == ("waiting", b'{"a": 1}')
        (entry,) = await claim(store)
        await store.dead(entry, "x")
        found = await store.find("msg_1")
        assert found is not None
        assert (found.state, found.reason) == ("dead", "x")

    run(script)


def test_what_waits_is_counted_by_config(run: Run) -> None:
    """What is leased waits too; what is done or dead does not."""

    async def script(store: OutboxStore) -> None:
        names = ["one", "a b.*>é", "x" * 200]
        for number, name in enumerate(names):
            await put(store, delivery(f"{number}", config=name))
        await put(store, delivery("3"))
        (entry,) = [one for one in await claim(store, 4) if one.id == "msg_3"]
        await store.done(entry)
        found = dict(await store.waiting())
        assert {found.pop("one"), found.pop("a b.*>é")} == {1}
        assert [count for count in found.values() if count] == [1]

    run(script)


def test_the_list_is_in_order_and_limited(run: Run) -> None:
    """Entries are listed as they were put, as many as asked."""

    async def script(store: OutboxStore) -> None:
        await put(store, *(delivery(f"{n:02}") for n in range(12)))
        assert ids(await store.list("waiting")) == [f"{n:02}" for n in range(12)]
        assert ids(await store.list(limit=3)) == ["00", "01", "02"]

    run(script)


def test_an_endpoint_gives_no_more_than_there_is_room_for(run: Run) -> None:
    """The room at one endpoint is kept, and does not hold up another."""

    async def script(store: OutboxStore) -> None:
        await put(store, *(delivery(f"a{n}", "a") for n in range(6)), delivery("b", "b"))
        room = Room(20, 3, {"one:a": 1})
        found = ids(await claim(store, 3, room))
        assert sorted(found)[-1] == "b"
        assert len(found) == 3
        full = Room(20, 3, {"one:a": 3, "one:b": 3})
        assert ids(await claim(store, 1, full, seconds=0.1)) == []
        due = await store.next_due(time.time(), full)
        assert due is None or due > time.time() + 1

    run(script)


def test_the_room_in_all_is_kept(run: Run) -> None:
    """No claim gives more than the limit."""

    async def script(store: OutboxStore) -> None:
        await put(store, *(delivery(f"{n}", f"c{n}") for n in range(6)))
        for _ in range(100):
            if found := await store.claim(time.time(), Room(2)):
                break
            await asyncio.sleep(0.01)
        assert 1 <= len(found) <= 2

    run(script)


async def arrived(store: OutboxStore, count: int, room: Room) -> None:
    """Let a server send what waits at so many endpoints; other stores have it at hand."""
    async with asyncio.timeout(10):
        while isinstance(store, NatsStore):
            pulls = store._consumers.pulls.values()
            if len([pull for pull in pulls if pull.waiting]) == count:
                return
            assert await store.claim(time.time(), room) == []
            await asyncio.sleep(0.01)


def test_endpoints_have_their_turns(run: Run) -> None:
    """What waits for one, and was due first, does not take the room of the others."""

    async def script(store: OutboxStore) -> None:
        await put(store, *(delivery(f"a{n}", "a") for n in range(6)))
        await put(store, delivery("b", "b"), delivery("c", "c"), delivery("c2", "c"))
        await arrived(store, 3, Room(3, 20))
        assert sorted(ids(await store.claim(time.time(), Room(3, 20)))) == ["a0", "b", "c"]

    run(script)


def test_endpoints_with_the_fewest_under_way_come_first(run: Run) -> None:
    """Also where what is under way was claimed before."""

    async def script(store: OutboxStore) -> None:
        await put(store, *(delivery(f"a{n}", "a") for n in range(3)))
        await put(store, *(delivery(f"b{n}", "b") for n in range(3)))
        room = Room(2, 20, {"one:a": 2})
        await arrived(store, 2, room)
        assert sorted(ids(await store.claim(time.time(), room))) == ["b0", "b1"]

    run(script)


def test_only_the_configs_that_are_served_come_out(run: Run) -> None:
    """Two configs may have connections of the same name; each gets its own deliveries."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1", config="one"), delivery("2", config="two"))
        two = Room(20, 20, configs=frozenset({"two"}))
        assert ids(await claim(store, 1, two)) == ["2"]
        assert ids(await claim(store, 1, two, seconds=0.1)) == []
        assert await store.next_due(time.time(), Room(9, configs=frozenset({"three"}))) is None

    run(script)


def test_a_chain_leaves_one_after_another(run: Run) -> None:
    """Ordered entries of one call come out in their order, also when the first is put off."""

    async def script(store: OutboxStore) -> None:
        await put(
            store,
            *(delivery(f"{n}", order="call-1") for n in range(4)),
            delivery("x", order="call-2"),
        )
        first = await claim(store, 2)
        assert sorted(ids(first)) == ["0", "x"]
        (head,) = [entry for entry in first if entry.id == "msg_0"]
        await store.later(head, time.time() + 0.2, "HTTP 500")
        assert ids(await claim(store, seconds=0.1)) == []
        for expected in ("0", "1", "2", "3"):
            (entry,) = await claim(store)
            assert ids([entry]) == [expected]
            await (store.dead(entry, "refused") if expected == "1" else store.done(entry))

    run(script)


def test_a_chain_is_one_endpoints(run: Run) -> None:
    """The same call's deliveries to another endpoint do not wait."""

    async def script(store: OutboxStore) -> None:
        await put(store, delivery("1", "a", order="c"), delivery("2", "b", order="c"))
        assert sorted(ids(await claim(store, 2))) == ["1", "2"]

    run(script)


def test_a_store_that_learns_of_entries_says_so(run: Run) -> None:
    """Whoever waits is woken, or looks again within seconds."""

    async def script(store: OutboxStore) -> None:
        woken = asyncio.Event()
        store.watch(woken.set)
        if store.poll >= 60:
            return
        await store.claim(time.time(), ROOM)
        await put(store, delivery("1"))
        assert ids(await claim(store)) == ["1"]

    run(script)


# --- shared by processes


@pytest.mark.parametrize("order", ["", "call-1"])
def test_what_a_later_version_has_put_is_left_to_it(
    open_shared: Callable[..., Any], order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither claimed nor given up, holds its place in its chain, and nothing else up."""
    monkeypatch.setattr(nats, "LATER_VERSION", 0.1)

    async def main() -> None:
        store = open_shared()
        with monkeypatch.context() as later:
            for module in (nats, sqlite):
                later.setattr(
                    module, "pack", lambda one: pack(one).replace(b'"v":1,', b'"v":22,"new":1,')
                )
            await put(store, *(delivery(f"new{n}", order=order) for n in range(6)))
        await put(store, delivery("old", order=order), delivery("other"))
        expected = ["other"] if order else ["old", "other"]
        assert sorted(ids(await claim(store, len(expected), Room(9, 4)))) == expected
        assert ids(await claim(store, seconds=0.5)) == []
        if isinstance(store, SqliteStore):  # a server offers them again and again
            due = await store.next_due(time.time(), ROOM)
            assert due is None or due > time.time() + 30
        assert (await store.count("waiting"), await store.count("dead")) == (8, 0)
        await store.aclose()

    asyncio.run(main())


def test_what_a_lost_process_held_comes_back(open_shared: Callable[..., Any]) -> None:
    """When the lease of one owner ends, another can claim, and the first can no longer put it off."""

    async def main() -> None:
        lost, other = open_shared(lease=1.0), open_shared(lease=30.0)
        await put(lost, delivery("1"))
        (held,) = await claim(lost)
        assert ids(await claim(other, seconds=0.3)) == []
        (entry,) = await claim(other)
        assert entry.id == "msg_1"
        await lost.later(held, time.time() + 9_000, "too late")
        await other.done(entry)
        assert await other.count("waiting") == 0
        await lost.aclose()
        await other.aclose()

    asyncio.run(main())


def test_what_one_process_was_told_holds_for_the_others(open_shared: Callable[..., Any]) -> None:
    """A receiver that asked one worker to wait is left alone by the next one too."""

    async def main() -> None:
        told, other = open_shared(), open_shared()
        await told.hold("one:crm", time.time() + 3_600)
        await put(told, delivery("1"), delivery("2", "other"))
        await told.aclose()
        assert ids(await claim(other)) == ["2"]
        assert ids(await claim(other, seconds=0.2)) == []
        await other.aclose()

    asyncio.run(main())


def test_entries_outlive_the_process(open_shared: Callable[..., Any]) -> None:
    """What was put before the store was closed is there when it is opened again."""

    async def main() -> None:
        first = open_shared()
        await put(first, delivery("1"), delivery("2"))
        await first.aclose()
        second = open_shared()
        assert sorted(ids(await claim(second, 2))) == ["1", "2"]
        assert await put(second, delivery("1")) == [False]
        await second.aclose()

    asyncio.run(main())


def test_two_claimants_share_without_doubling(open_shared: Callable[..., Any]) -> None:
    """Entries put by one process are claimed by one of two, each once."""

    async def main() -> None:
        stores = [open_shared(), open_shared()]
        await asyncio.gather(*(stores[0].put(delivery(f"{n}"), time.time()) for n in range(60)))
        found: list[str] = []

        async def work(store: OutboxStore) -> None:
            until = time.time() + 4
            while len(found) < 60 and time.time() < until:
                for entry in await store.claim(time.time(), Room(4)):
                    found.append(entry.id)
                    await store.done(entry)
                await asyncio.sleep(0.002)

        await asyncio.gather(*map(work, stores))
        assert (len(found), len(set(found))) == (60, 60)
        for store in stores:
            await store.aclose()

    asyncio.run(main())


def test_two_who_redrive_at_once_send_once(open_shared: Callable[..., Any]) -> None:
    """The letter comes out one time."""

    async def main() -> None:
        stores = [open_shared(), open_shared()]
        await put(stores[0], delivery("1"))
        (entry,) = await claim(stores[0])
        await stores[0].dead(entry, "x")
        answers = await asyncio.gather(*(s.redrive("msg_1", time.time()) for s in stores))
        assert sorted(answers) == [False, True]
        assert len(await claim(stores[0], 2, seconds=0.3)) == 1
        for store in stores:
            await store.aclose()

    asyncio.run(main())
