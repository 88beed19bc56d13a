"""The outbox in virtual time: schedule, judgement, limits, closing."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.action import Delivery
from orchestrator.clock import VIRTUAL_START, run_virtual, virtual_clock
from orchestrator.errors import ActionFailed, StoreFailed, Unsendable
from orchestrator.outbox import ATTEMPT_LIMIT, Outbox
from orchestrator.outbox.breaker import FAILURES, LONGEST, PAUSE, Breaker
from orchestrator.outbox.fallback import FallbackStore
from orchestrator.outbox.memory import MemoryStore
from orchestrator.outbox.schedule import SCHEDULE, delay_before, retry_after
from orchestrator.outbox.slots import ASIDE, MOST_ASIDE
from orchestrator.outbox.store import Room

Answer = Any


def delivery(number: int = 1, connection: str = "billing", url: str = "/calls") -> Delivery:
    return Delivery(f"msg_{number}", connection, url, b"{}")


def answer(status: int, **headers: str) -> Any:
    return SimpleNamespace(
        status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


class Receiver:
    """Answers attempts as told; the last answer is given again. Remembers who came when."""

    def __init__(self, *answers: Answer, takes: float = 0.0) -> None:
        self.answers = list(answers) or [answer(200)]
        self.takes = takes
        self.seen: list[tuple[str, float]] = []
        self.now = self.most = 0

    async def __call__(self, sent: Delivery) -> Any:
        self.seen.append((sent.id, asyncio.get_running_loop().time()))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.now -= 1
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(given):
            given = given(sent)
        if isinstance(given, Exception):
            raise given
        return given

    @property
    def times(self) -> list[float]:
        return [time for _, time in self.seen]


def play(
    receiver: Receiver,
    script: Callable[[Outbox], Coroutine[Any, Any, Any]],
    store: MemoryStore | None = None,
) -> Any:
    """Run a script with an outbox in virtual time, and close the outbox."""

    async def main() -> Any:
        outbox = Outbox(receiver, clock=virtual_clock(), store=store)
        try:
            return await script(outbox)
        finally:
            await outbox.aclose()

    return run_virtual(main())


def put_and_wait(*deliveries: Delivery, seconds: float = 200_000.0) -> Any:
    async def script(outbox: Outbox) -> dict[str, tuple[str, str]]:
        for one in deliveries:
            await outbox.put(one)
        await asyncio.sleep(seconds)
        return {entry.id: (entry.state, entry.reason) for entry in await outbox.list()}

    return script


def test_a_delivery_is_sent_at_once_and_once() -> None:
    """What is taken is sent one time, without waiting."""
    receiver = Receiver()
    assert play(receiver, put_and_wait(delivery())) == {"msg_1": ("done", "")}
    assert receiver.seen == [("msg_1", 0.0)]


def test_the_schedule_is_kept_within_its_jitter() -> None:
    """A receiver that never answers well is tried eight times, at the schedule's times."""
    receiver = Receiver(answer(500))
    state, reason = play(receiver, put_and_wait(delivery()))["msg_1"]
    assert (state, reason) == ("dead", "HTTP 500")
    assert len(receiver.times) == len(SCHEDULE) == 8
    gaps = [b - a for a, b in zip(receiver.times, receiver.times[1:], strict=False)]
    for gap, before, planned in zip(gaps, SCHEDULE, SCHEDULE[1:], strict=False):
        assert abs(gap - planned) <= 0.1 * (before + planned) + 0.01  # 10 % of each interval


def test_jitter_spreads_ids_and_repeats_itself() -> None:
    """The same id waits the same, different ids wait differently."""
    delays = [delay_before(f"msg_{n}", 3) for n in range(200)]
    assert delays == [delay_before(f"msg_{n}", 3) for n in range(200)]
    assert all(1440 <= delay <= 2160 for delay in delays)
    assert len(set(delays)) > 150


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 301, 302, 307])
def test_what_may_pass_is_tried_again(status: int) -> None:
    """408, 425, 429, 5xx and redirects are failures that may pass."""
    receiver = Receiver(answer(status), answer(200))
    assert play(receiver, put_and_wait(delivery()))["msg_1"][0] == "done"
    assert len(receiver.seen) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_what_is_refused_is_given_up_at_once(status: int) -> None:
    """Other 4xx go to the dead letters after one attempt."""
    receiver = Receiver(answer(status))
    assert play(receiver, put_and_wait(delivery()))["msg_1"] == ("dead", f"HTTP {status}")
    assert len(receiver.seen) == 1


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (ActionFailed("no route", retryable=True), 2),
        (ValueError("a bug"), 2),
        (ActionFailed("egress refused"), 1),
    ],
)
def test_errors_are_tried_again_when_they_may_pass(error: Exception, attempts: int) -> None:
    """Network errors and surprises are tried again, what cannot help is not."""
    receiver = Receiver(error, answer(200))
    play(receiver, put_and_wait(delivery()))
    assert len(receiver.seen) == attempts


def test_an_attempt_ends_after_fifteen_seconds() -> None:
    """A receiver that hangs is cut off and tried again."""
    receiver = Receiver(takes=60)
    state = play(receiver, put_and_wait(delivery(), seconds=30))["msg_1"]
    assert state == ("waiting", "no answer within 15 s")
    assert receiver.times[1] - receiver.times[0] > ATTEMPT_LIMIT


def test_without_an_answer_an_attempt_that_returns_is_a_success() -> None:
    """A sender that has no status, such as a database, succeeds by returning."""
    assert play(Receiver(None, None), put_and_wait(delivery()))["msg_1"][0] == "done"


def test_retry_after_is_honoured() -> None:
    """The receiver's wish is kept when it is longer than the schedule."""
    receiver = Receiver(answer(429, Retry_After="120"), answer(200))
    play(receiver, put_and_wait(delivery()))
    assert 120 <= receiver.times[1] < 121


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0), ("0", 0.0), ("999999999999", 36_000.0), ("9" * 400, 36_000.0),
        (format_datetime(datetime(2026, 1, 5, 12, 1, tzinfo=UTC), usegmt=True), 60.0),
        (format_datetime(datetime(2020, 1, 5, tzinfo=UTC), usegmt=True), 0.0),
        (format_datetime(datetime(2099, 1, 5, tzinfo=UTC), usegmt=True), 36_000.0),
        ("120.5", 120.5), ("2026-01-05T12:01:00Z", 60.0), ("2026-01-05T13:02:00+01:00", 120.0),
        ("60, 120", 120.0), ("soon, 30", 30.0), ("00000000000000120", 120.0),
        (f"{VIRTUAL_START.timestamp() + 90:.0f}", 90.0), ("1600000000", 0.0),
        (f"{VIRTUAL_START.timestamp() * 1_000 + 90_000:.0f}", 90.0), ("1600000000000", 0.0),
        ("4102444800", 36_000.0),
        ("soon", None), ("-5", None), ("1e5", None), ("", None), ("١٢", None),
        ("Mon, 99 Foo 2026", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    """Numbers and HTTP dates are read, rubbish is ignored, and ten hours are the most."""
    assert retry_after({"Retry-After": text}, VIRTUAL_START) == seconds


def test_retry_after_stretches_the_schedule() -> None:
    """A receiver that asks for ten hours each time has eight attempts over seventy hours."""
    receiver = Receiver(answer(503, Retry_After="36000"))
    play(receiver, put_and_wait(delivery(), seconds=300_000.0))
    assert len(receiver.times) == len(SCHEDULE)
    assert receiver.times[-1] == pytest.approx(70 * 3_600, rel=0.05)


def test_retry_after_is_the_endpoints() -> None:
    """What waits for it does not ask it one by one; other endpoints go on."""
    receiver = Receiver(
        lambda sent: answer(429 if sent.connection == "billing" else 200, Retry_After="3600"),
        takes=1,
    )

    async def script(outbox: Outbox) -> None:
        for number in range(20):
            await outbox.put(delivery(number))
        await outbox.put(delivery(99, connection="other"))
        await asyncio.sleep(3_500)
        assert len(receiver.seen) == 5  # four were under way at once
        await asyncio.sleep(200)
        assert len(receiver.seen) > 5

    play(receiver, script)


def test_what_failed_before_a_start_is_tried_with_one() -> None:
    """A process does not know how an endpoint did under the one before it, so it asks with one."""
    store = MemoryStore()
    receiver = Receiver(answer(503), takes=1)

    async def before(outbox: Outbox) -> None:
        for number in range(8):
            await outbox.put(delivery(number))
        await asyncio.sleep(4)

    async def after(outbox: Outbox) -> None:
        await asyncio.sleep(2_000)
        outbox.start()
        await asyncio.sleep(20)

    play(receiver, before, store)
    receiver.seen, receiver.most = [], 0
    play(receiver, after, store)
    assert receiver.seen
    assert receiver.most == 1
    receiver.answers, receiver.seen = [answer(200)], []

    async def much_later(outbox: Outbox) -> None:
        await asyncio.sleep(20_000)
        await after(outbox)

    play(receiver, much_later, store)
    assert receiver.times[1] >= receiver.times[0] + 1
    assert receiver.most == 4


def test_an_attempt_that_the_end_cuts_off_does_not_count() -> None:
    """Restarts use up no attempts: only those that were judged count."""
    store = MemoryStore()
    hanging = Receiver(takes=1_000)

    async def restart(outbox: Outbox) -> None:
        await asyncio.sleep(5 * len(hanging.seen))  # each play begins at the same time of day
        outbox.start()
        await asyncio.sleep(1)
        assert await outbox.aclose(0) == 1

    async def first(outbox: Outbox) -> None:
        await outbox.put(delivery(1))
        await restart(outbox)

    play(hanging, first, store)
    for _ in range(10):
        play(hanging, restart, store)
    assert len(hanging.seen) == 11
    failing = Receiver(answer(503))

    async def last(outbox: Outbox) -> list[tuple[str, int, str]]:
        await asyncio.sleep(100)
        outbox.start()
        await asyncio.sleep(1)
        return [(entry.state, entry.attempts, entry.reason) for entry in await outbox.list()]

    assert play(failing, last, store) == [("waiting", 1, "HTTP 503")]


class SlowStore(MemoryStore):
    """Gives what is claimed a second later, as a busy disk does."""

    async def claim(self, now: float, room: Room) -> Any:
        claimed = await super().claim(now, room)
        await asyncio.sleep(1)
        return claimed


class LockedStore(MemoryStore):
    """Can be written after three seconds, or not at all."""

    def __init__(self, is_lost: bool) -> None:
        super().__init__()
        self.is_lost = is_lost

    async def put(self, delivery: Delivery, due: float) -> bool:
        await asyncio.sleep(3)
        if self.is_lost:
            raise StoreFailed("database is locked")
        return await super().put(delivery, due)


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("waits", [0.5, 30.0])
def test_a_step_that_is_cut_off_while_its_delivery_is_stored_loses_nothing(
    is_lost: bool, waits: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Its time is up, it is stored all the same: by who stands in, where the store fails."""
    receiver = Receiver()

    async def main() -> None:
        clock = virtual_clock()
        store = FallbackStore(LockedStore(is_lost), MemoryStore(), now=clock.now)
        outbox = Outbox(receiver, clock=clock, store=store)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(outbox.put(delivery(1)), 2)
        await asyncio.sleep(waits)
        await outbox.aclose()

    with caplog.at_level(logging.WARNING):
        run_virtual(main())
    assert [name for name, _ in receiver.seen] == ["msg_1"]
    assert ("kept in memory, to be sent by this process" in caplog.text) is is_lost


def test_what_is_claimed_while_the_outbox_closes_is_given_back() -> None:
    """No lease has to run out before the next process has it."""
    store = SlowStore()

    async def main() -> list[int]:
        outbox = Outbox(Receiver(), clock=virtual_clock(), store=store)
        await outbox.put(delivery(1))
        await asyncio.sleep(0.5)
        await outbox.aclose(0)
        now = virtual_clock().wall().timestamp()
        return [entry.attempts for entry in await MemoryStore.claim(store, now, Room(9))]

    assert run_virtual(main()) == [1]


def test_what_cannot_be_sent_for_our_own_reasons_says_nothing_of_the_receiver() -> None:
    """It is tried again, and the endpoint's other deliveries do not wait for it."""
    receiver = Receiver(
        lambda sent: Unsendable("KEY is not set") if sent.url == "/bad" else answer(200)
    )

    async def script(outbox: Outbox) -> None:
        for number in range(10):
            await outbox.put(delivery(number, url="/bad"))
        await asyncio.sleep(1)
        await outbox.put(delivery(99))
        await asyncio.sleep(1)
        assert [entry.id for entry in await outbox.list("done")] == ["msg_99"]
        assert {entry.reason for entry in await outbox.list("waiting")} == {"KEY is not set"}

    play(receiver, script)


def test_gone_closes_the_address() -> None:
    """After 410 nothing is sent to that path again; other paths go on; redrive opens it."""
    receiver = Receiver(lambda sent: answer(410 if sent.url.startswith("/calls") else 200))

    async def script(outbox: Outbox) -> list[str]:
        await outbox.put(delivery(1))
        await asyncio.sleep(1)
        await outbox.put(delivery(2, url="/calls?again=1"))
        await outbox.put(delivery(3, url="/other"))
        await asyncio.sleep(1)
        assert [id for id, _ in receiver.seen] == ["msg_1", "msg_3"]
        receiver.answers = [answer(200)]
        assert await outbox.redrive("msg_2")
        await asyncio.sleep(1)
        return [entry.id for entry in await outbox.list("dead")]

    assert play(receiver, script) == ["msg_1"]


def test_the_same_id_is_one_delivery() -> None:
    """An id that is waiting, done or dead is not taken a second time."""
    receiver = Receiver(answer(200), answer(400))

    async def script(outbox: Outbox) -> list[bool]:
        taken = [await outbox.put(delivery(1)), await outbox.put(delivery(1))]
        await asyncio.sleep(1)
        taken += [await outbox.put(delivery(1)), await outbox.put(delivery(2))]
        await asyncio.sleep(1)
        return [*taken, await outbox.put(delivery(2))]

    assert play(receiver, script) == [True, False, False, True, False]
    assert len(receiver.seen) == 2


def test_redrive_sends_a_dead_letter_again() -> None:
    """A dead letter starts over; what is not dead is not redriven."""
    receiver = Receiver(answer(400), answer(200))

    async def script(outbox: Outbox) -> list[bool]:
        await outbox.put(delivery())
        await asyncio.sleep(1)
        first = await outbox.redrive("msg_1")
        await asyncio.sleep(1)
        return [first, await outbox.redrive("msg_1"), await outbox.redrive("msg_9")]

    assert play(receiver, script) == [True, False, False]
    assert len(receiver.seen) == 2


def test_each_attempt_knows_its_number() -> None:
    """The sender sees which attempt it makes."""
    numbers: list[int] = []

    async def send(sent: Delivery) -> Any:
        numbers.append(sent.attempt)
        return answer(500 if len(numbers) < 3 else 200)

    play(send, put_and_wait(delivery()))  # type: ignore[arg-type]
    assert numbers == [1, 2, 3]


def test_one_endpoint_gets_four_attempts_at_a_time() -> None:
    """A slow endpoint is not overrun, and does not hold up another."""
    receiver = Receiver(lambda sent: answer(200), takes=10)

    async def script(outbox: Outbox) -> None:
        for number in range(12):
            await outbox.put(delivery(number))
        await outbox.put(delivery(99, connection="other"))
        await asyncio.sleep(0.1)
        assert receiver.most == 5
        assert ("msg_99", 0.0) in receiver.seen
        await asyncio.sleep(60)

    play(receiver, script)
    assert len(receiver.seen) == 13


def test_twenty_attempts_are_made_in_all() -> None:
    """Many endpoints together have a limit too."""
    receiver = Receiver(takes=1)

    async def script(outbox: Outbox) -> None:
        for number in range(50):
            await outbox.put(delivery(number, connection=f"c{number}"))
        await asyncio.sleep(60)

    play(receiver, script)
    assert (receiver.most, len(receiver.seen)) == (20, 50)


def test_a_dead_endpoint_does_not_starve_another() -> None:
    """Hundreds of deliveries for a dead endpoint leave a good one its turn at once."""

    def judge(sent: Delivery) -> Any:
        return answer(500) if sent.connection == "dead" else answer(200)

    receiver = Receiver(judge, takes=1.0)

    async def script(outbox: Outbox) -> float:
        for number in range(300):
            await outbox.put(delivery(number, connection="dead"))
        await asyncio.sleep(3)
        await outbox.put(delivery(999, connection="good"))
        await asyncio.sleep(2)
        return dict(receiver.seen)["msg_999"]

    assert play(receiver, script) == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize(("hanging", "waits"), [(5, ASIDE), (30, 2 * ASIDE), (60, 3 * ASIDE)])
def test_endpoints_that_hang_do_not_hold_up_one_that_answers(hanging: int, waits: float) -> None:
    """Attempts that are not over soon make room, and their endpoints get no further ones."""
    taken: dict[str, float] = {}
    under_way: Counter[str] = Counter()

    async def send(sent: Delivery) -> Any:
        under_way[sent.connection] += 1
        if sent.connection != "good":
            await asyncio.sleep(1_000)
        taken[sent.id] = asyncio.get_running_loop().time()

    async def script(outbox: Outbox) -> None:
        for number in range(hanging * 6):
            await outbox.put(delivery(number, connection=f"c{number % hanging}"))
        await asyncio.sleep(0.1)
        for number in range(5):
            await outbox.put(delivery(1_000 + number, connection="good"))
        await asyncio.sleep(ATTEMPT_LIMIT - 1)
        del under_way["good"]
        assert max(under_way.values()) <= 4
        assert under_way.total() <= 20 * MOST_ASIDE

    play(send, script)  # type: ignore[arg-type]
    assert len(taken) == 5
    assert max(taken.values()) <= waits + 0.01


def test_what_is_set_aside_has_a_limit_too() -> None:
    """However many endpoints hang, so many attempts are under way and no more."""
    receiver = Receiver(takes=10)

    async def script(outbox: Outbox) -> None:
        for number in range(20 * MOST_ASIDE + 50):
            await outbox.put(delivery(number, connection=f"c{number}"))
        await asyncio.sleep(60)

    play(receiver, script)
    assert (receiver.most, len(receiver.seen)) == (20 * MOST_ASIDE, 20 * MOST_ASIDE + 50)


def test_the_breaker_spares_an_endpoint_that_keeps_failing() -> None:
    """After five failures in a row nothing goes out for half a minute, then one, then all."""
    receiver = Receiver(*[answer(500)] * 6, answer(200))

    async def script(outbox: Outbox) -> None:
        for number in range(5):
            await outbox.put(delivery(number))
        await asyncio.sleep(4)
        await outbox.put(delivery(100))
        await outbox.put(delivery(101))
        await asyncio.sleep(400)

    play(receiver, script)
    later = [time for time in receiver.times if time > 1]
    assert later[0] == pytest.approx(PAUSE, abs=0.1)  # one trial, which fails
    assert later[1] == pytest.approx(PAUSE + 2 * PAUSE, abs=0.1)  # one more, which succeeds
    assert len(later) == 8


def test_the_breakers_pause_doubles_up_to_its_limit() -> None:
    """Each failed trial doubles the pause, five minutes are the most, and success closes it."""
    breaker, now, pauses = Breaker(), 0.0, []
    for _ in range(FAILURES + 6):
        breaker.failed("a", now)
        until = breaker.next_trial(now)
        if until is not None:
            pauses.append(until - now)
            breaker.failed("a", now)  # was under way already: counts no further
            now = until
    assert pauses == [30, 60, 120, 240, LONGEST, LONGEST, LONGEST]
    breaker.succeeded("a")
    assert not breaker.is_open("a")
    assert breaker.paused(now) == set()


def test_closing_delivers_what_is_due() -> None:
    """`aclose` waits for what is due and under way, and nothing stays."""
    receiver = Receiver(takes=2)

    async def main() -> int:
        outbox = Outbox(receiver, clock=virtual_clock())
        for number in range(6):
            await outbox.put(delivery(number))
        return await outbox.aclose(limit=5.0)

    assert run_virtual(main()) == 0
    assert len(receiver.seen) == 6


def test_closing_says_what_stays_behind(caplog: pytest.LogCaptureFixture) -> None:
    """What is due later, or not done in time, is counted in a warning and not waited for."""

    async def main() -> tuple[int, float]:
        outbox = Outbox(Receiver(answer(500)), clock=virtual_clock())
        await outbox.put(delivery(1))
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        return await outbox.aclose(), asyncio.get_running_loop().time() - began

    with caplog.at_level(logging.WARNING, "orchestrator.outbox"):
        assert run_virtual(main()) == (1, 0.0)
    assert "stay behind" in caplog.text
    assert caplog.records[-1].count == 1  # type: ignore[attr-defined]


def test_closing_takes_no_longer_than_its_limit() -> None:
    """An attempt that hangs is cancelled at the limit; its delivery stays."""

    async def main() -> tuple[int, float]:
        outbox = Outbox(Receiver(takes=14), clock=virtual_clock())
        await outbox.put(delivery(1))
        await asyncio.sleep(0.1)
        return await outbox.aclose(limit=3), asyncio.get_running_loop().time()

    assert run_virtual(main()) == (1, pytest.approx(3.1))


def test_closing_an_unused_outbox_is_fine() -> None:
    """Nothing was put, nothing is waited for."""
    assert run_virtual(_close_unused()) == 0


async def _close_unused() -> int:
    return await Outbox(Receiver(), clock=virtual_clock()).aclose()


class BrokenStore(MemoryStore):
    """One of its methods fails three times."""

    def __init__(self, broken: str) -> None:
        super().__init__()
        self.left = 3

        async def fail(*args: Any) -> Any:
            self.left -= 1
            if self.left >= 0:
                raise StoreFailed("disk full")
            return await working(*args)

        working = getattr(self, broken)
        setattr(self, broken, fail)


@pytest.mark.parametrize("broken", ["claim", "next_due", "done", "is_closed"])
def test_a_failing_store_does_not_end_the_deliveries(broken: str) -> None:
    """When the store works again, deliveries go on; what it did not record is recorded then."""
    receiver = Receiver()
    states = play(receiver, put_and_wait(*map(delivery, range(6))), BrokenStore(broken))
    assert [state for state, _ in states.values()] == ["done"] * 6
    assert len(receiver.seen) == 6


def test_what_is_done_is_forgotten_at_last() -> None:
    """The memory of ids is bounded."""
    store = MemoryStore(remembers=10)
    play(Receiver(), put_and_wait(*map(delivery, range(30))), store)
    assert len(asyncio.run(_all(store))) == 10


async def _all(store: MemoryStore) -> Any:
    return await store.list()


def test_ten_thousand_deliveries_are_no_trouble() -> None:
    """The store's work does not grow with the square of what waits."""
    receiver = Receiver()
    play(receiver, put_and_wait(*map(delivery, range(10_000))))
    assert len(receiver.seen) == 10_000


def test_what_waits_for_a_config_that_is_not_served_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once, at the start; a renamed config's deliveries would wait without a word."""
    store = MemoryStore()

    async def main() -> None:
        for number, config in enumerate(("old", "old", "new")):
            one = Delivery(f"msg_{number}", "billing", "/", b"", config=config)
            await store.put(one, VIRTUAL_START.timestamp())
        box = Outbox(
            Receiver(), clock=virtual_clock(), store=store, configs=frozenset({"new", "quiet"})
        )
        box.start()
        await asyncio.sleep(100)
        await box.aclose()

    run_virtual(main())
    (record,) = [one for one in caplog.records if "not served here" in one.message]
    assert (record.belong_to, record.count) == ("old", 2)
