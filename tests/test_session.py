"""The session: what fires when, what is cut short, and that it ends once whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from wire import Slow, Wire, at, forever, now, virtual

from orchestrator.dialog import Echo, from_callable
from orchestrator.errors import CommandRefused, LineGone, NotSupported, UserError
from orchestrator.events import check_event
from orchestrator.runtime import (
    ALL_CAPABILITIES,
    CallEvent,
    End,
    Filler,
    Inject,
    Interrupt,
    Play,
    Recording,
    ReplyDelta,
    Say,
    SendDigits,
    SetLanguage,
    Transfer,
)
from orchestrator.runtimes.session import Session


class Log:
    """Handlers of all seed events that write down what they got."""

    def __init__(self, session: Session) -> None:
        self.lines: list[tuple[Any, ...]] = []

        @session.on("call_start")
        async def start() -> None:
            self.lines.append(("call_start",))

        @session.on("user_turn")
        async def user(text: str) -> None:
            self.lines.append(("user_turn", text))

        @session.on("agent_turn")
        async def agent(text: str, interrupted: bool = False) -> None:
            self.lines.append(("agent_turn", text, *(["interrupted"] if interrupted else [])))

        @session.on("interruption")
        async def interruption() -> None:
            self.lines.append(("interruption",))

        @session.on("call_end")
        async def end(state: str) -> None:
            self.lines.append(("call_end", state))

    @property
    def ends(self) -> list[Any]:
        return [line[1] for line in self.lines if line[0] == "call_end"]


def a_call(**options: Any) -> tuple[Wire, Session, Log]:
    wire = Wire(**options)
    session = Session(wire)
    return wire, session, Log(session)


async def carry(session: Session) -> None:
    await session.run()
    await session.aclose()


# --- the order of things -----------------------------------------------------------------------


@virtual
async def test_a_call_fires_its_seed_events_in_order() -> None:
    """Start, turn, reply, end: each once, and the reply only after the turn's handlers."""
    wire, session, log = a_call()
    session.dialog_machine = Echo()
    at(1, wire.say, "hi")
    at(2, wire.feed, "hangup")
    await carry(session)
    assert log.lines == [
        ("call_start",),
        ("user_turn", "hi"),
        ("agent_turn", "You said: hi"),
        ("call_end", "hangup"),
    ]
    assert [c.text for c in wire.commands if isinstance(c, ReplyDelta)] == ["You", " said:", " hi"]
    assert wire.replies == [("You said: hi", False)]


@virtual
async def test_handlers_of_one_event_run_in_order_of_registration_each_awaited() -> None:
    """The second begins when the first is done."""
    wire, session, _ = a_call()
    seen: list[tuple[str, float]] = []
    for name in ("first", "second"):

        @session.on("user_turn")
        async def handler(text: str, name: str = name) -> None:
            await asyncio.sleep(1)
            seen.append((name, now()))

    at(1, wire.say, "hi")
    at(5, wire.feed, "hangup")
    await carry(session)
    assert seen == [("first", 2), ("second", 3)]


@virtual
async def test_on_returns_the_handler_and_late_registration_joins_the_next_event() -> None:
    """A handler that registers itself again runs once per event that was pending."""
    wire, session, _ = a_call()
    seen: list[str] = []

    async def again(text: str) -> None:
        seen.append(text)
        session.on("user_turn")(again)

    assert session.on("user_turn")(again) is again
    at(1, wire.say, "a")
    at(2, wire.feed, "hangup")
    await carry(session)
    assert seen == ["a"]


@virtual
async def test_the_dialog_machine_may_be_changed_by_the_turn_s_handlers() -> None:
    """A user turn's handlers act before the reply to that very turn is asked for."""
    wire, session, log = a_call()

    @session.on("user_turn")
    async def choose(text: str) -> None:
        session.dialog_machine = from_callable(answer)

    async def answer(text: str) -> str:
        return f"about {text}"

    at(1, wire.say, "cards")
    at(2, wire.feed, "hangup")
    await carry(session)
    assert ("agent_turn", "about cards") in log.lines


@virtual
async def test_several_turns_queue_and_replies_come_one_at_a_time() -> None:
    """The next turn's handlers run while the reply streams; its reply waits."""
    wire, session, log = a_call()
    session.dialog_machine = Slow()
    at(1, wire.say, "a")
    at(2, wire.say, "b")
    at(9, wire.feed, "hangup")
    await carry(session)
    assert [line[0] for line in log.lines] == [
        "call_start", "user_turn", "user_turn", "agent_turn", "agent_turn", "call_end",
    ]  # fmt: skip
    assert wire.replies == [("one two three", False)] * 2


@virtual
async def test_agent_turns_of_the_bridge_fire_directly() -> None:
    """In a recorded call the replies come from the recording."""
    wire, session, log = a_call()
    at(1, functools.partial(wire.feed, "agent_turn", text="How can I help?"))
    at(2, wire.feed, "hangup")
    await carry(session)
    assert ("agent_turn", "How can I help?") in log.lines


@virtual
async def test_fields_go_by_position_and_extras_to_who_takes_them() -> None:
    """`transfer` gives outcome and target; `heard` only goes to a handler that has it."""
    wire, session, _ = a_call()
    seen: list[Any] = []

    @session.on("transfer")
    async def transfer(outcome: str, target: str) -> None:
        seen.append((outcome, target))

    @session.on("interruption")
    async def plain() -> None:
        seen.append("plain")

    @session.on("interruption")
    async def named(heard: str = "") -> None:
        seen.append(heard)

    @session.on("interruption")
    async def all_of_them(**extras: Any) -> None:
        seen.append(extras)

    @session.on("custom.vip")
    async def custom(level: int, *, note: str = "none") -> None:
        seen.append((level, note))

    wire.feed("transfer", target="q", outcome="refused")
    wire.feed("interruption", heard="Hel")
    at(1, functools.partial(session.fire, "custom.vip", level=3, other=1))
    at(2, wire.feed, "hangup")
    await carry(session)
    assert seen == [("refused", "q"), "plain", "Hel", {"heard": "Hel"}, (3, "none")]


# --- registration ------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["silence", "user_trun", "custom.", "hangup", ""])
def test_an_unknown_event_is_refused_with_the_valid_ones(event: str) -> None:
    """The message names what there is."""
    with pytest.raises(ValueError, match=r"user_turn, agent_turn, interruption"):
        Session(Wire()).on(event)


async def _no_arguments() -> None: ...
async def _generator(text: str) -> AsyncIterator[str]:
    yield text


@pytest.mark.parametrize("handler", [None, 3, lambda text: None, print, _generator, Session])
def test_what_is_not_async_is_refused_at_registration(handler: Any) -> None:
    """A sync handler would do its work and then break the call."""
    with pytest.raises(TypeError, match="async def"):
        Session(Wire()).on("user_turn")(handler)


def test_a_handler_with_other_arguments_is_refused_at_registration() -> None:
    """Otherwise it would fail at each event of each call."""
    with pytest.raises(TypeError, match=r"async def handler\(text\)"):
        Session(Wire()).on("user_turn")(_no_arguments)


@virtual
async def test_partials_methods_and_callable_objects_can_be_handlers() -> None:
    """Whatever is async when it is called will do."""
    wire, session, _ = a_call()
    seen: list[str] = []

    class Handler:
        async def __call__(self, text: str) -> None:
            seen.append("object")

        async def method(self, text: str) -> None:
            seen.append("method")

    async def two(prefix: str, text: str) -> None:
        seen.append(prefix + text)

    for handler in (Handler(), Handler().method, functools.partial(two, "partial ")):
        session.on("user_turn")(handler)
    wire.say("x")
    wire.feed("hangup")
    await carry(session)
    assert seen == ["object", "method", "partial x"]


# --- isolation ---------------------------------------------------------------------------------


@virtual
async def test_a_raising_handler_stops_neither_the_next_nor_the_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged with a static message; the caller's words are not in it."""
    wire, session, log = a_call()

    @session.on("user_turn")
    async def broken(text: str) -> None:
        raise RuntimeError("no")

    @session.on("user_turn")
    async def after(text: str) -> None:
        log.lines.append(("after",))

    wire.say("secret words")
    at(1, wire.feed, "hangup")
    await carry(session)
    assert ("after",) in log.lines
    assert log.ends == ["hangup"]
    record = next(r for r in caplog.records if r.message == "handler raised")
    assert (record.call_id, record.event) == ("c1", "user_turn")  # type: ignore[attr-defined]
    assert "secret" not in caplog.text


@virtual
async def test_a_hanging_handler_is_stopped_at_its_limit() -> None:
    """The next handler runs after the limit."""
    wire, session, log = a_call()

    @session.on("user_turn")
    async def hangs(text: str) -> None:
        await forever()

    @session.on("user_turn")
    async def after(text: str) -> None:
        log.lines.append(("after", now()))

    wire.say("x")
    at(9, wire.feed, "hangup")
    await carry(session)
    assert ("after", 5.0) in log.lines


@virtual
async def test_a_handler_that_keeps_its_own_deadlines_has_no_limit() -> None:
    """Hooks limit each step by themselves and may wait longer as a whole."""
    wire, session, log = a_call()

    async def long(text: str) -> None:
        await asyncio.sleep(8)
        log.lines.append(("done", now()))

    long.keeps_deadline = True  # type: ignore[attr-defined]
    session.on("user_turn")(long)
    wire.say("x")
    at(9, wire.feed, "hangup")
    await carry(session)
    assert ("done", 8.0) in log.lines


@virtual
async def test_a_handler_that_keeps_its_own_deadlines_has_time_to_clean_up() -> None:
    """Its `finally` steps run to their end after a hang-up, before the call ends."""
    wire, session, log = a_call()

    async def hooks(text: str) -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(2)
            log.lines.append(("cleaned up", now()))

    hooks.keeps_deadline = True  # type: ignore[attr-defined]
    session.on("user_turn")(hooks)
    wire.say("x")
    at(9, wire.feed, "hangup")
    await carry(session)
    assert log.lines[-2:] == [("cleaned up", 11.0), ("call_end", "hangup")]


@virtual
async def test_a_handler_that_swallows_cancellation_is_abandoned_and_ended_with_the_call() -> None:
    """The call goes on without it, and no task outlives the call."""
    wire, session, log = a_call()
    asked = 0

    @session.on("user_turn")
    async def deaf(text: str) -> None:
        nonlocal asked
        while text == "x" and asked < 3:
            try:
                await forever()
            except asyncio.CancelledError:
                asked += 1

    wire.say("x")
    at(6, wire.say, "y")
    at(20, wire.feed, "hangup")
    await carry(session)
    assert [line for line in log.lines if line[0] == "user_turn"] == [
        ("user_turn", "x"), ("user_turn", "y"),
    ]  # fmt: skip
    assert log.ends == ["hangup"]
    assert asked == 3


@virtual
async def test_a_handler_that_awaits_a_cancelled_task_is_isolated_too() -> None:
    """A CancelledError that nobody sent to the call does not end it."""
    wire, session, log = a_call()

    @session.on("user_turn")
    async def unlucky(text: str) -> None:
        task = asyncio.create_task(forever())
        task.cancel()
        await task

    wire.say("x")
    at(1, wire.say, "y")
    at(2, wire.feed, "hangup")
    await carry(session)
    assert log.ends == ["hangup"]
    assert ("user_turn", "y") in log.lines


@virtual
async def test_malformed_and_unknown_events_of_a_bridge_are_passed_over() -> None:
    """One bad frame must not cost the caller the agent."""
    wire, session, log = a_call()
    wire.feed("silence")
    wire.feed("user_turn")
    wire.feed("dtmf", digit="5")
    at(1, wire.feed, "hangup")
    await carry(session)
    assert log.lines == [("call_start",), ("call_end", "hangup")]


@virtual
async def test_a_tap_sees_events_while_a_handler_waits_and_may_raise() -> None:
    """Taps are called at arrival, handlers in turn."""
    wire, session, log = a_call()
    seen: list[tuple[str, float]] = []

    @session.on("user_turn")
    async def slow(text: str) -> None:
        await asyncio.sleep(3)

    def tap(event: CallEvent) -> None:
        seen.append((event.name, now()))
        raise RuntimeError("a tap's own fault")

    session.tap(tap)
    at(1, wire.say, "a")
    at(2, wire.say, "b")
    at(3, functools.partial(session.untap, tap))
    at(9, wire.feed, "hangup")
    await carry(session)
    assert seen == [("user_turn", 1), ("user_turn", 2)]
    assert log.ends == ["hangup"]


# --- interruption ------------------------------------------------------------------------------


@virtual
async def test_an_interruption_stops_the_reply_at_once() -> None:
    """The text so far is the agent's turn, marked; the next reply is not touched."""
    wire, session, log = a_call()
    machine = session.dialog_machine = Slow()
    at(1, wire.say, "a")
    at(3.5, wire.feed, "interruption")
    at(4, wire.say, "b")
    at(9, wire.feed, "hangup")
    await carry(session)
    assert log.lines[2:5] == [
        ("interruption",), ("agent_turn", "one two ", "interrupted"), ("user_turn", "b"),
    ]  # fmt: skip
    assert wire.replies == [("one two ", True), ("one two three", False)]
    assert machine.closed == 2


@virtual
async def test_an_interruption_is_not_held_up_by_a_waiting_handler() -> None:
    """It acts at arrival, though its own handlers run in turn."""
    wire, session, log = a_call()
    session.dialog_machine = Slow()

    @session.on("dtmf")
    async def slow(digit: str) -> None:
        await asyncio.sleep(3)

    at(1, wire.say, "a")
    at(1.5, functools.partial(wire.feed, "dtmf", digit="1"))
    at(2.5, wire.feed, "interruption")
    at(9, wire.feed, "hangup")
    await carry(session)
    assert wire.replies == [("one ", True)]
    assert ("agent_turn", "one ", "interrupted") in log.lines


@virtual
async def test_an_interruption_before_the_first_word_gives_no_turn() -> None:
    """A reply without text is no turn, but its end is told to the far side."""
    wire, session, log = a_call()
    session.dialog_machine = Slow()
    at(1, wire.say, "a")
    at(1.5, wire.feed, "interruption")
    at(9, wire.feed, "hangup")
    await carry(session)
    assert wire.replies == [("", True)]
    assert not [line for line in log.lines if line[0] == "agent_turn"]


@virtual
async def test_interrupt_stops_speech_and_the_reply() -> None:
    """The control does what the caller's barge-in does, and sends the command."""
    wire, session, _ = a_call()
    session.dialog_machine = Slow()

    @session.on("dtmf")
    async def stop(digit: str) -> None:
        await session.interrupt()

    at(1, wire.say, "a")
    at(2.5, functools.partial(wire.feed, "dtmf", digit="1"))
    at(9, wire.feed, "hangup")
    await carry(session)
    assert wire.words == ["interrupt", "reply"]


@pytest.mark.parametrize(
    "pieces", [[b"x"], [None], ValueError("model"), SystemExit(1), GeneratorExit()]
)
def test_a_broken_dialog_machine_becomes_an_error_event(pieces: Any) -> None:
    """The call goes on, and hooks can act on the error."""

    @virtual
    async def test() -> None:
        wire, session, log = a_call()

        class Broken:
            async def stream(self, text: str) -> AsyncIterator[Any]:
                yield "well "
                if isinstance(pieces, BaseException):
                    raise pieces
                yield pieces[0]

        @session.on("error")
        async def error(code: str, message: str, severity: str, source: str) -> None:
            log.lines.append((severity, source))

        session.dialog_machine = Broken()
        wire.say("a")
        at(1, wire.feed, "hangup")
        await carry(session)
        assert ("error", "dialog_machine") in log.lines
        assert ("agent_turn", "well ", "interrupted") in log.lines
        assert log.ends == ["hangup"]

    test()


@virtual
async def test_a_dialog_machine_that_ignores_cancellation_does_not_block_the_next_reply() -> None:
    """The reply that would not stop is given away."""
    wire, session, _ = a_call()

    class Deaf:
        def __init__(self) -> None:
            self.turns = 0

        async def stream(self, text: str) -> AsyncIterator[str]:
            self.turns += 1
            while self.turns == 1 and now() < 8:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(8)
            yield text

    session.dialog_machine = Deaf()
    at(1, wire.say, "a")
    at(2, wire.feed, "interruption")
    at(3, wire.say, "b")
    at(9, wire.feed, "hangup")
    await carry(session)
    assert ("b", False) in wire.replies


# --- controls ----------------------------------------------------------------------------------


@virtual
async def test_each_control_is_one_command() -> None:
    """What is asked is what is sent."""
    wire, session, _ = a_call()
    await session.say("hello")
    await session.say("legal", interruptible=False)
    await session.interrupt()
    await session.transfer("+15550111", announcement="hi", answer_within=9)
    await session.transfer_to_human("tier-2", mode="warm")
    await session.transfer_to_agent("billing")
    await session.recording.pause("card")
    await session.recording.resume()
    await session.set_filler("one moment")
    await session.send_digits("12#")
    await session.set_language("de-DE")
    await session.play("https://example.com/a.mp3", loop=2)
    await session.inject("be brief")
    assert wire.commands == [
        Say("hello"),
        Say("legal", interruptible=False),
        Interrupt(),
        Transfer("number", "+15550111", "cold", "hi", 9),
        Transfer("queue", "tier-2", "warm"),
        Transfer("agent", "billing"),
        Recording("pause", "card"),
        Recording("resume"),
        Filler("one moment"),
        SendDigits("12#"),
        SetLanguage("de-DE"),
        Play("https://example.com/a.mp3", 2),
        Inject("be brief"),
    ]


@pytest.mark.parametrize(
    ("needs", "control"),
    [
        ("say", lambda s: s.say("x")),
        ("say.protected", lambda s: s.say("x", interruptible=False)),
        ("interrupt", lambda s: s.interrupt()),
        ("end", lambda s: s.end()),
        ("transfer.number", lambda s: s.transfer("+1")),
        ("transfer.queue", lambda s: s.transfer_to_human("q")),
        ("transfer.warm", lambda s: s.transfer_to_human("q", mode="warm")),
        ("transfer.agent", lambda s: s.transfer_to_agent("a")),
        ("recording", lambda s: s.recording.pause()),
        ("filler", lambda s: s.set_filler("x")),
        ("digits", lambda s: s.send_digits("1")),
        ("language", lambda s: s.set_language("de-DE")),
        ("play", lambda s: s.play("https://example.com/a.mp3")),
        ("inject", lambda s: s.inject("x")),
    ],
)
def test_a_control_that_the_runtime_lacks_names_the_capability(needs: str, control: Any) -> None:
    """Nothing is sent that the bridge did not declare."""

    @virtual
    async def test() -> None:
        wire, session, _ = a_call(capabilities=ALL_CAPABILITIES - {needs})
        with pytest.raises(NotSupported, match=f"capability '{needs}'"):
            await control(session)
        assert wire.commands == []
        assert not session.is_over

    test()


class Refusing(Wire):
    """A wire whose far side breaks on some commands."""

    async def send(self, command: Any) -> None:
        await super().send(command)
        if command.name in ("transfer", "end_call", "reply"):
            raise self.trouble or CommandRefused("no")


@pytest.mark.parametrize("trouble", [None, ConnectionError("reset")])
def test_a_far_side_that_refuses_or_breaks_ends_no_call(trouble: Exception | None) -> None:
    """A refused transfer is not under way; a failing reply or end is logged."""

    @virtual
    async def test() -> None:
        wire = Refusing()
        wire.trouble = trouble
        session = Session(wire)
        log = Log(session)
        session.dialog_machine = Echo()

        @session.on("dtmf")
        async def human(digit: str) -> None:
            with pytest.raises((CommandRefused, ConnectionError)):
                await session.transfer_to_human("q")
            await session.end()

        wire.say("hi")
        at(1, functools.partial(wire.feed, "dtmf", digit="0"))
        await carry(session)
        assert ("agent_turn", "You said: hi") in log.lines
        assert log.ends == ["ended"]

    test()


@virtual
async def test_words_only_positional_are_not_taken_for_extras() -> None:
    """An extra goes by name, so a positional-only parameter never gets it."""
    wire, session, _ = a_call()
    seen: list[Any] = []

    @session.on("interruption")
    async def handler(heard: str = "none", /) -> None:
        seen.append(heard)

    wire.feed("interruption", heard="Hel")
    wire.feed("hangup")
    await carry(session)
    assert seen == ["none"]


@virtual
async def test_bad_words_for_a_transfer_are_refused() -> None:
    """A typo does not become a transfer."""
    _, session, _ = a_call()
    with pytest.raises(ValueError, match="transfer_type must be one of"):
        await session.transfer("x", transfer_type="que")
    with pytest.raises(ValueError, match="mode must be cold or warm"):
        await session.transfer("x", mode="hot")  # type: ignore[arg-type]


@virtual
async def test_a_note_goes_to_a_dialog_machine_that_takes_notes() -> None:
    """Its `assist` may be async or not; the bridge is then left alone."""
    wire, session, _ = a_call()
    notes: list[str] = []

    class Plain(Echo):
        def assist(self, note: str) -> None:
            notes.append(note)

    class Async(Echo):
        async def assist(self, note: str) -> None:
            notes.append(note)

    for machine in (Plain(), Async()):
        session.dialog_machine = machine
        await session.inject("brief")
    assert (notes, wire.commands) == (["brief", "brief"], [])
    await session.end()
    with pytest.raises(LineGone):
        await session.inject("late")


@virtual
async def test_only_custom_events_can_be_fired() -> None:
    """A hook cannot pretend that the caller spoke."""
    _, session, _ = a_call()
    with pytest.raises(UserError, match=r"custom\.<name>"):
        session.fire("user_turn", text="x")


@virtual
async def test_events_fired_in_a_handler_come_after_those_that_arrived() -> None:
    """`fire` queues; it does not run handlers inside handlers."""
    wire, session, log = a_call()

    @session.on("user_turn")
    async def emit(text: str) -> None:
        session.fire("custom.seen", text=text)
        log.lines.append(("emitted",))

    @session.on("custom.seen")
    async def seen(text: str) -> None:
        log.lines.append(("seen", text))

    wire.say("a")
    at(1, wire.feed, "hangup")
    await carry(session)
    assert log.lines[2:4] == [("emitted",), ("seen", "a")]


# --- the end -----------------------------------------------------------------------------------


@virtual
async def test_end_lets_the_present_handlers_finish_and_sends_end_once() -> None:
    """Later handlers of the event run; later events do not; a second end() does nothing."""
    wire, session, log = a_call()
    session.dialog_machine = Echo()

    @session.on("user_turn")
    async def bye(text: str) -> None:
        await session.say("bye")
        await session.end("no_response")
        await session.end("other")
        with pytest.raises(LineGone):
            await session.say("too late")

    @session.on("user_turn")
    async def after(text: str) -> None:
        await asyncio.sleep(1)
        log.lines.append(("after",))

    wire.say("a")
    wire.say("b")
    await carry(session)
    assert wire.commands == [Say("bye"), End("no_response")]
    assert log.lines[-2:] == [("after",), ("call_end", "ended")]
    assert (session.state, session.end_reason) == ("ended", "no_response")


@virtual
async def test_end_from_outside_a_handler_wakes_the_loop() -> None:
    """A timer may end the call while nothing happens."""
    wire, session, log = a_call()

    async def later() -> None:
        await asyncio.sleep(3)
        await session.end("silence")

    timer = asyncio.create_task(later())
    await carry(session)
    await timer
    assert (now(), log.ends, wire.words) == (3, ["ended"], ["end_call"])


@virtual
async def test_what_happened_before_a_hang_up_is_still_handled() -> None:
    """A last word that comes with the hang-up is a turn, though nothing can be said any more."""
    wire, session, log = a_call()
    session.dialog_machine = Echo()

    @session.on("user_turn")
    async def answer(text: str) -> None:
        await asyncio.sleep(0.5)
        log.lines.append(("waited",))
        with pytest.raises(LineGone):
            await session.say("bye")

    wire.say("thanks, bye")
    wire.feed("hangup", reason="caller")
    await carry(session)
    assert log.lines == [
        ("call_start",), ("user_turn", "thanks, bye"), ("waited",), ("call_end", "hangup"),
    ]  # fmt: skip
    assert wire.commands == []


@virtual
async def test_a_hang_up_cuts_short_what_waits() -> None:
    """The handler that is waiting is cancelled at once and its finally blocks run."""
    wire, session, log = a_call()

    @session.on("user_turn")
    async def waits(text: str) -> None:
        try:
            await forever()
        finally:
            log.lines.append(("cut", now()))

    wire.say("a")
    at(2, wire.feed, "hangup")
    await carry(session)
    assert log.lines[-2:] == [("cut", 2), ("call_end", "hangup")]
    assert now() == 2


@virtual
async def test_what_the_agent_had_written_at_a_hang_up_is_a_turn() -> None:
    """Transcripts keep the last half sentence."""
    wire, session, log = a_call()
    session.dialog_machine = Slow()
    wire.say("a")
    at(2.5, wire.feed, "hangup")
    await carry(session)
    assert log.lines[-2:] == [("agent_turn", "one two ", "interrupted"), ("call_end", "hangup")]


@virtual
async def test_a_deaf_handler_does_not_hold_up_the_end() -> None:
    """It is asked twice and then abandoned; the call's end does not wait for it."""
    wire, session, log = a_call()

    @session.on("user_turn")
    async def deaf(text: str) -> None:
        while not session.state:
            with contextlib.suppress(asyncio.CancelledError):
                await forever()

    wire.say("a")
    at(2, wire.feed, "hangup")
    await session.run()
    assert (now(), log.ends) == (2.1, ["hangup"])
    await session.aclose()


@virtual
async def test_the_last_reply_of_a_lost_line_cuts_nothing_short() -> None:
    """Only the hang-up itself cuts; a turn that is handled after it has its time."""
    wire, session, log = a_call()
    session.dialog_machine = Slow()

    @session.on("dtmf")
    async def slow(digit: str) -> None:
        await asyncio.sleep(1)
        log.lines.append(("done", now()))

    wire.say("a")
    at(2.5, functools.partial(wire.feed, "dtmf", digit="1"))
    at(2.5, functools.partial(wire.feed, "dtmf", digit="2"))
    at(2.5, wire.feed, "hangup")
    await carry(session)
    assert log.lines[2:] == [
        ("done", 3.5), ("done", 4.5), ("agent_turn", "one two ", "interrupted"),
        ("call_end", "hangup"),
    ]  # fmt: skip


@virtual
async def test_a_bridge_cannot_start_or_end_the_session() -> None:
    """Such events, from a journal say, are ours to tell."""
    wire, session, log = a_call()
    wire.feed("call_start")
    wire.feed("call_end", state="hangup")
    at(1, wire.feed, "hangup")
    await carry(session)
    assert log.lines == [("call_start",), ("call_end", "hangup")]


CASES = [
    ("answered", ALL_CAPABILITIES, "cold", "transferred"),
    ("answered", ALL_CAPABILITIES, "warm", "hangup"),
    ("refused", ALL_CAPABILITIES, "cold", "hangup"),
    ("no_answer", ALL_CAPABILITIES, "cold", "hangup"),
    (None, ALL_CAPABILITIES, "cold", "hangup"),
    (None, ALL_CAPABILITIES - {"transfer.outcome"}, "cold", "transferred"),
    (None, ALL_CAPABILITIES - {"transfer.outcome"}, "warm", "hangup"),
]


@pytest.mark.parametrize(("outcome", "capabilities", "mode", "state"), CASES)
def test_how_a_call_ends_after_a_transfer(
    outcome: str | None, capabilities: frozenset[str], mode: Any, state: str
) -> None:
    """Only a cold transfer that was answered, or vanished without report, is `transferred`."""

    @virtual
    async def test() -> None:
        wire, session, log = a_call(capabilities=capabilities)

        @session.on("user_turn")
        async def human(text: str) -> None:
            await session.transfer_to_human("q", mode=mode)

        wire.say("human")
        if outcome:
            at(3, functools.partial(wire.feed, "transfer", outcome=outcome, target="q"))
        at(5, wire.feed, "hangup")
        await carry(session)
        assert log.ends == [state]
        assert now() == (3 if state == "transferred" and outcome else 5)
        assert wire.words == ["transfer"]

    test()


@virtual
async def test_a_fatal_error_ends_the_call_after_its_handlers() -> None:
    """The error handlers may still speak; then the caller is not left on a dead line."""
    wire, session, log = a_call()

    @session.on("error")
    async def error(code: str, message: str, severity: str, source: str) -> None:
        await session.say("sorry")

    wire.feed("error", code="x", message="y", severity="warn", source="stt")
    at(
        1,
        functools.partial(wire.feed, "error", code="x", message="y", severity="fatal", source="s"),
    )
    await carry(session)
    assert wire.words == ["say", "say", "end_call"]
    assert (log.ends, now()) == (["error"], 1)


@virtual
async def test_a_bridge_that_raises_is_an_error_of_its_call() -> None:
    """Error handlers fire first, as for any fatal error."""
    wire, session, log = a_call()

    @session.on("error")
    async def error(code: str, message: str, severity: str, source: str) -> None:
        log.lines.append((code, message, severity, source))

    at(1, wire.lose, ConnectionError("reset"))
    await carry(session)
    assert log.lines[-2:] == [
        ("ConnectionError", "reset", "fatal", "bridge"), ("call_end", "error"),
    ]  # fmt: skip


@virtual
async def test_cancelling_run_still_fires_call_end_and_passes_on() -> None:
    """Cancellation from outside is a shutdown, and never swallowed."""
    wire, session, log = a_call()

    @session.on("call_end")
    async def slow(state: str) -> None:
        await asyncio.sleep(1)
        log.lines.append(("waited",))

    task = asyncio.create_task(carry(session))
    at(1, task.cancel)
    at(1.5, task.cancel)  # impatient: cuts the waiting handler short, not the ones after it
    session.on("call_end")(_note(log))
    with pytest.raises(asyncio.CancelledError):
        await task
    await session.aclose()
    assert log.lines == [("call_start",), ("call_end", "shutdown"), ("noted", "shutdown")]
    assert wire.words == ["end_call"]


def _note(log: Log) -> Any:
    async def note(state: str) -> None:
        log.lines.append(("noted", state))

    return note


@virtual
async def test_running_twice_is_refused() -> None:
    """A second run would fire the call's end again."""
    wire, session, log = a_call()
    wire.feed("hangup")
    await session.run()
    with pytest.raises(UserError, match="already"):
        await carry(session)
    await session.aclose()
    assert log.ends == ["hangup"]


MOMENTS = ["call_start", "user_turn", "stream", "interruption", "agent_turn", "call_end"]
CAUSES = [
    "hangup", "lose", "break", "fatal", "end", "cancel", "shut_down", "hangup+end", "end+lose",
    "break+cancel", "hangup+hangup", "end+shut_down", "cancel+cancel",
]  # fmt: skip


@pytest.mark.parametrize("waits", [0.0, 0.5, 60.0])
@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_whatever_ends_the_call_at_whatever_moment_it_ends_once(
    moment: str, cause: str, waits: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Exactly one `call_end`, soon, with nothing left running."""

    @virtual
    async def test() -> None:
        wire, session, log = a_call()
        session.dialog_machine = Slow()
        task: asyncio.Task[None]
        acts = {
            "hangup": lambda: wire.feed("hangup"),
            "lose": wire.lose,
            "break": lambda: wire.lose(ConnectionError("reset")),
            "fatal": lambda: wire.feed(
                "error", code="x", message="y", severity="fatal", source="z"
            ),
            "end": lambda: asyncio.ensure_future(session.end()),
            "cancel": lambda: task.cancel(),
            "shut_down": session.shut_down,
        }
        happened: list[float] = []

        def strike() -> None:
            if not happened:
                happened.append(now())
                for part in cause.split("+"):
                    acts[part]()

        async def handler(*_: Any) -> None:
            strike()
            await asyncio.sleep(waits)

        if moment == "stream":
            at(2.5, strike)
        else:
            session.on(moment)(handler)
        wire.say("hello")
        at(2.6, wire.feed, "interruption")
        at(9, wire.feed, "hangup")
        task = asyncio.create_task(carry(session))
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await session.aclose()
        assert len(log.ends) == 1
        assert log.lines[-1] == ("call_end", session.state)
        assert wire.words.count("end_call") <= 1
        assert now() <= happened[0] + 16
        await asyncio.sleep(100)
        assert len(log.ends) == 1

    with caplog.at_level(logging.CRITICAL):
        test()


@pytest.mark.parametrize("name", [None, 5, ["user_turn"], b"user_turn"])
def test_an_event_is_named_by_a_text(name: Any) -> None:
    """A slip at registration is a ValueError that names the events."""
    with pytest.raises(ValueError, match="valid: call_start, "):
        check_event("session", name)
