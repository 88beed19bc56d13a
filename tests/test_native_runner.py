"""The runner: each call starts and ends once, and none disturbs another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import pytest
from wire import Wire, at, forever, now, virtual

from orchestrator.callscript import CallScript, TimedEvent, import_segments
from orchestrator.clock import run_virtual
from orchestrator.dialog import Echo
from orchestrator.errors import UserError
from orchestrator.runtime import ALL_CAPABILITIES, CallEvent, End, Say
from orchestrator.runtimes.native import AgentRunner, CallContext, RunnerStats
from orchestrator.runtimes.script_bridge import ScriptBridge, ScriptExchange


class Log:
    """Runner handlers and session handlers that write down what they got."""

    def __init__(self, runner: AgentRunner) -> None:
        self.lines: list[tuple[Any, ...]] = []

        @runner.on("call_start")
        async def start(ctx: CallContext) -> None:
            self.lines.append(("runner.call_start", ctx.call_id))

            @ctx.session.on("call_start")
            async def begun() -> None:
                self.lines.append(("session.call_start",))

            @ctx.session.on("call_end")
            async def done(state: str) -> None:
                self.lines.append(("session.call_end", state))

        @runner.on("call_end")
        async def end(ctx: CallContext, final_state: str) -> None:
            self.lines.append(("runner.call_end", ctx.call_id, final_state))

    def count(self, name: str) -> int:
        return sum(line[0] == name for line in self.lines)


def hung_up(wire: Wire) -> Wire:
    wire.feed("hangup")
    return wire


def script(call_id: str = "s1", *events: tuple[float, str, dict[str, Any]]) -> CallScript:
    timed = tuple(TimedEvent(t, CallEvent(name, fields)) for t, name, fields in events)
    return CallScript({"id": call_id}, timed)


@virtual
async def test_a_call_starts_and_ends_once_on_both_levels() -> None:
    """The runner's handlers are around the entrypoint, which is around the session."""
    runner = AgentRunner(lambda ctx: entry(ctx))
    log = Log(runner)

    async def entry(ctx: CallContext) -> None:
        log.lines.append(("entrypoint",))
        await ctx.session.run()

    ctx = await runner.handle(hung_up(Wire()))
    assert log.lines == [
        ("runner.call_start", "c1"),
        ("entrypoint",),
        ("session.call_start",),
        ("session.call_end", "hangup"),
        ("runner.call_end", "c1", "ended"),
    ]
    assert (ctx.final_state, ctx.error) == ("ended", None)


@virtual
async def test_the_context_says_what_the_bridge_knows() -> None:
    """`session.data` is the same dict as `ctx.data`, and no other call's."""
    given = {"tier": "gold"}
    wire = hung_up(Wire(direction="outbound", instructions="be kind", data=given))
    ctx = await AgentRunner(agent_id="support").handle(wire)
    assert (ctx.call_id, ctx.session_id, ctx.agent_id) == ("c1", "c1", "support")
    assert (ctx.direction, ctx.user_number, ctx.instructions) == (
        "outbound", "+15550100", "be kind",
    )  # fmt: skip
    assert ctx.data is ctx.session.data
    assert ctx.data == given
    assert ctx.data is not given


@virtual
async def test_without_an_entrypoint_the_session_is_run() -> None:
    """The default is what nearly every entrypoint does."""
    ctx = await AgentRunner().handle(hung_up(Wire()))
    assert ctx.session.state == "hangup"


@virtual
async def test_an_entrypoint_that_does_not_run_the_session_ends_the_line() -> None:
    """Then the session never started: only the runner's end is told."""

    async def entry(ctx: CallContext) -> None:
        await ctx.session.say("we are closed")

    runner, wire = AgentRunner(entry), Wire()
    log = Log(runner)
    ctx = await runner.handle(wire)
    assert wire.commands == [Say("we are closed"), End("completed")]
    assert log.lines == [("runner.call_start", "c1"), ("runner.call_end", "c1", "ended")]
    assert ctx.session.state is None


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_entrypoint_that_raises_fails_its_call_only(
    when: str, error: type[BaseException]
) -> None:
    """The error is kept in the context, the line is ended, `handle` raises nothing."""

    async def entry(ctx: CallContext) -> None:
        if when == "after":
            await ctx.session.run()
        raise error("no")

    @virtual
    async def test() -> None:
        runner, wire = AgentRunner(entry), Wire()
        log = Log(runner)
        if when == "after":
            wire.feed("hangup")
        ctx = await runner.handle(wire)
        assert log.lines[-1] == ("runner.call_end", "c1", "failed")
        assert isinstance(ctx.error, error)
        assert wire.words == ([] if when == "after" else ["end_call"])
        assert wire.closings == 1
        assert runner.stats().failed == 1

    test()


@virtual
async def test_a_session_that_ends_in_error_is_a_failed_call() -> None:
    """A bridge that broke is told as `failed`."""
    runner, wire = AgentRunner(), Wire()
    log = Log(runner)
    wire.lose(ConnectionError("reset"))
    await runner.handle(wire)
    assert log.lines[-2:] == [("session.call_end", "error"), ("runner.call_end", "c1", "failed")]


@virtual
async def test_raising_and_hanging_runner_handlers_stop_nothing() -> None:
    """The entrypoint runs, later handlers run, and the call counts as ended."""
    runner = AgentRunner()

    @runner.on("call_start")
    async def broken(ctx: CallContext) -> None:
        raise RuntimeError("no")

    @runner.on("call_end")
    async def hangs(ctx: CallContext, final_state: str) -> None:
        await forever()

    log = Log(runner)
    await runner.handle(hung_up(Wire()))
    assert log.count("session.call_start") == log.count("runner.call_end") == 1
    assert runner.stats() == RunnerStats(in_flight=0, completed=1, failed=0, capacity=100)


@virtual
async def test_the_line_is_free_before_the_last_handlers_run() -> None:
    """A caller does not wait for the billing system."""
    runner, wire = AgentRunner(), Wire()
    seen: list[int] = []

    @runner.on("call_end")
    async def late(ctx: CallContext, final_state: str) -> None:
        seen.append(wire.closings)

    await runner.handle(hung_up(wire))
    assert seen == [1]


@virtual
async def test_a_bridge_that_cannot_close_does_not_keep_the_call() -> None:
    """Neither an exception nor a hang in `aclose` matters."""

    class Stuck(Wire):
        async def aclose(self) -> None:
            await forever()

    runner = AgentRunner()
    log = Log(runner)
    await runner.handle(hung_up(Stuck()))
    assert log.count("runner.call_end") == 1


@virtual
async def test_a_tap_registered_at_call_start_misses_no_event() -> None:
    """Events are read only once the runner's call_start handlers are done."""
    runner, wire = AgentRunner(), Wire()
    seen: list[str] = []

    @runner.on("call_start")
    async def start(ctx: CallContext) -> None:
        await asyncio.sleep(1)
        ctx.session.tap(lambda event: seen.append(event.name))

    wire.say("hi")
    await runner.handle(hung_up(wire))
    assert seen == ["user_turn", "hangup"]


@virtual
async def test_cancelling_a_call_tells_its_ends_and_passes_on() -> None:
    """Cancellation is the only thing that `handle` raises."""
    runner, wire = AgentRunner(), Wire()
    log = Log(runner)
    task = asyncio.create_task(runner.handle(wire))
    at(1, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log.lines[-2:] == [
        ("session.call_end", "shutdown"), ("runner.call_end", "c1", "failed"),
    ]  # fmt: skip
    assert runner.active_calls() == []


@virtual
async def test_an_entrypoint_that_awaits_a_cancelled_task_fails_its_call_only() -> None:
    """A CancelledError that nobody sent is an error like others."""

    async def entry(ctx: CallContext) -> None:
        task = asyncio.create_task(forever())
        task.cancel()
        await task

    ctx = await AgentRunner(entry).handle(Wire())
    assert ctx.final_state == "failed"


def test_session_events_are_refused_on_the_runner() -> None:
    """The message says where the event belongs and what the runner has."""
    with pytest.raises(
        ValueError, match="'user_turn' is an event of the session; valid: call_start"
    ):
        AgentRunner().on("user_turn")
    with pytest.raises(TypeError, match=r"async def handler\(ctx, final_state\)"):
        AgentRunner().on("call_end")(_ctx_only)


async def _ctx_only(ctx: CallContext) -> None: ...


def test_a_runner_needs_room_for_a_call() -> None:
    """Zero would wait for ever."""
    with pytest.raises(ValueError, match="max_concurrent"):
        AgentRunner(max_concurrent=0)


# --- many calls --------------------------------------------------------------------------------


@virtual
async def test_run_carries_the_calls_of_its_exchange() -> None:
    """It returns when the exchange is exhausted and the last call has ended."""
    scripts = [script(f"s{n}", (n + 1.0, "hangup", {})) for n in range(5)]
    exchange = ScriptExchange(scripts, concurrency=5)
    runner = AgentRunner(exchange=exchange)
    log = Log(runner)
    await runner.run()
    assert log.count("runner.call_end") == 5
    assert now() == 5
    assert runner.stats().completed == 5


@virtual
async def test_no_more_calls_than_fit_are_taken() -> None:
    """What does not fit waits at the exchange."""
    scripts = [script(f"s{n}", (1.0, "hangup", {})) for n in range(6)]
    runner = AgentRunner(exchange=ScriptExchange(scripts, concurrency=6), max_concurrent=2)
    most = 0

    @runner.on("call_start")
    async def count(ctx: CallContext) -> None:
        nonlocal most
        most = max(most, runner.stats().in_flight)

    await runner.run()
    assert (most, now()) == (2, 3)


@virtual
async def test_one_hanging_call_delays_no_other() -> None:
    """Each call has a task of its own."""

    async def entry(ctx: CallContext) -> None:
        @ctx.session.on("dtmf")
        async def hangs(digit: str) -> None:
            await forever()

        await ctx.session.run()

    scripts = [
        script("stuck", (1.0, "dtmf", {"digit": "1"}), (4.0, "hangup", {})),
        script("fine", (2.0, "hangup", {})),
    ]
    runner = AgentRunner(entry, exchange=ScriptExchange(scripts, concurrency=2))
    ends: list[tuple[str, float]] = []

    @runner.on("call_end")
    async def end(ctx: CallContext, final_state: str) -> None:
        ends.append((ctx.call_id, now()))

    await runner.run()
    assert ends == [("fine", 2), ("stuck", 4)]


@virtual
async def test_run_without_an_exchange_or_twice_is_refused() -> None:
    """Mistakes of the developer are told at once."""
    with pytest.raises(UserError, match="no exchange"):
        await AgentRunner().run()
    runner = AgentRunner(exchange=ScriptExchange([]))
    await runner.run()
    with pytest.raises(UserError, match="already"):
        await runner.run()


@virtual
async def test_an_exchange_that_breaks_lets_live_calls_end_first() -> None:
    """Then `run` raises what the exchange raised."""

    class Breaks(ScriptExchange):
        async def calls(self) -> Any:
            yield ScriptBridge(script("s", (3.0, "hangup", {})))
            raise ConnectionError("exchange")

    runner = AgentRunner(exchange=Breaks([]))
    log = Log(runner)
    with pytest.raises(ConnectionError):
        await runner.run()
    assert log.lines[-1] == ("runner.call_end", "s", "ended")
    assert now() == 3


@pytest.mark.parametrize("is_of_run", [False, True])
@pytest.mark.parametrize(
    ("drain", "state", "ends_at"), [(10.0, "hangup", 6), (2.0, "shutdown", 3), (0.0, "shutdown", 1)]
)
def test_shutdown_drains_then_stops(
    drain: float, state: str, ends_at: float, is_of_run: bool
) -> None:
    """No new calls, time for live ones (`run` may have said it), then `shutdown`, all ends told."""

    @virtual
    async def test() -> None:
        scripts = [script(f"s{n}", (6.0, "hangup", {})) for n in range(3)]
        runner = AgentRunner(exchange=ScriptExchange(scripts, concurrency=1))
        log = Log(runner)
        running = asyncio.create_task(runner.run(**({"drain": drain} if is_of_run else {})))
        await asyncio.sleep(1)
        await runner.shutdown(*([] if is_of_run else [drain]))
        await running
        assert log.lines[-2:] == [("session.call_end", state), ("runner.call_end", "s0", "ended")]
        assert log.count("runner.call_start") == 1
        assert now() == ends_at

    test()


@virtual
async def test_shutdown_cancels_an_entrypoint_that_does_not_return() -> None:
    """Its call ends as failed, its handlers are told, and nothing is left."""

    async def entry(ctx: CallContext) -> None:
        await forever()

    runner = AgentRunner(entry, exchange=ScriptExchange([script("s", (1.0, "hangup", {}))]))
    log = Log(runner)
    running = asyncio.create_task(runner.run())
    await asyncio.sleep(1)
    await runner.shutdown(1)
    await running
    assert log.lines[-1] == ("runner.call_end", "s", "failed")


@virtual
async def test_shutdown_of_an_idle_runner_returns_at_once() -> None:
    """Also when it never ran."""
    runner = AgentRunner()
    await runner.shutdown()
    assert now() == 0


@virtual
async def test_shutdown_waits_for_calls_handled_by_somebody_else() -> None:
    """A server that calls `handle` itself is drained like an exchange."""
    runner, wire = AgentRunner(), Wire()
    task = asyncio.create_task(runner.handle(wire))
    at(2, wire.feed, "hangup")
    await asyncio.sleep(1)
    await runner.shutdown(5)
    assert now() == 2
    await task


@virtual
async def test_cancelling_run_ends_its_calls() -> None:
    """Ctrl-C: every call tells its end before `run` is done."""
    runner = AgentRunner(exchange=ScriptExchange([script("s", (9.0, "hangup", {}))]))
    log = Log(runner)
    task = asyncio.create_task(runner.run())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log.lines[-2:] == [("session.call_end", "shutdown"), ("runner.call_end", "s", "failed")]


MOMENTS = ["call_start", "entrypoint", "session.call_start", "user_turn", "session.call_end",
           "call_end"]  # fmt: skip
CAUSES = ["hangup", "lose", "break", "cancel", "shutdown", "end", "raise", "break+cancel",
          "shutdown+hangup", "cancel+cancel", "end+raise"]  # fmt: skip


@pytest.mark.parametrize("waits", [0.0, 0.5, 60.0])
@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_call_ends_once_whatever_happens_whenever(
    moment: str, cause: str, waits: float, caplog: pytest.LogCaptureFixture
) -> None:
    """One runner call_end, and one session call_end if the session was started."""

    @virtual
    async def test() -> None:
        wire = Wire()
        tasks: list[asyncio.Task[Any]] = []
        struck: list[str] = []

        async def strike(name: str, ctx: CallContext) -> None:
            if name != moment or struck:
                return
            struck.append(name)
            for part in cause.split("+"):
                match part:
                    case "hangup":
                        wire.feed("hangup")
                    case "lose":
                        wire.lose()
                    case "break":
                        wire.lose(ConnectionError("reset"))
                    case "cancel":
                        call.cancel()
                    case "shutdown":
                        tasks.append(asyncio.create_task(runner.shutdown(1)))
                    case "end":
                        await ctx.session.end()
                    case "raise":
                        raise RuntimeError("no")
            await asyncio.sleep(waits)

        async def entry(ctx: CallContext) -> None:
            for name in ("call_start", "user_turn", "call_end"):
                key = name if name == "user_turn" else f"session.{name}"

                async def handler(*_: Any, key: str = key) -> None:
                    await strike(key, ctx)

                ctx.session.on(name)(handler)
            ctx.session.dialog_machine = Echo(1.0)
            await strike("entrypoint", ctx)
            await ctx.session.run()

        runner = AgentRunner(entry)
        log = Log(runner)

        @runner.on("call_start")
        async def start(ctx: CallContext) -> None:
            await strike("call_start", ctx)

        @runner.on("call_end")
        async def end(ctx: CallContext, final_state: str) -> None:
            await strike("call_end", ctx)

        wire.say("hello")
        at(9, wire.feed, "hangup")
        call = asyncio.create_task(runner.handle(wire))
        with contextlib.suppress(asyncio.CancelledError):
            await call
        if tasks:
            await asyncio.wait(tasks)
        assert log.count("runner.call_start") == log.count("runner.call_end") == 1
        assert log.count("session.call_end") == log.count("session.call_start")
        assert wire.words.count("end_call") <= 1
        assert wire.closings == 1
        assert runner.active_calls() == []
        assert struck == [moment]

    with caplog.at_level(logging.CRITICAL):
        test()


def test_every_recorded_call_plays(recorded_calls: list[Path]) -> None:
    """All 30 at once, in virtual time: each turn is heard, each call ends by its hang-up."""
    scripts = [import_segments(file.read_text(), file.name) for file in recorded_calls]
    turns: dict[str, list[str]] = {}

    async def play() -> AgentRunner:
        runner = AgentRunner(exchange=ScriptExchange(scripts, concurrency=len(scripts)))

        @runner.on("call_start")
        async def start(ctx: CallContext) -> None:
            @ctx.session.on("user_turn")
            async def turn(text: str) -> None:
                turns.setdefault(ctx.call_id, []).append(text)

        @runner.on("call_end")
        async def end(ctx: CallContext, final_state: str) -> None:
            assert ctx.session.state == "hangup"

        await runner.run()
        return runner

    runner = run_virtual(play())
    assert runner.stats() == RunnerStats(0, len(scripts), 0, 100)
    for one in scripts:
        said = [e.event.fields["text"] for e in one.events if e.event.name == "user_turn"]
        assert turns.get(one.call_id, []) == said


def test_the_default_capabilities_are_all() -> None:
    """Unless told, a runner expects bridges that can do everything."""
    assert AgentRunner().capabilities == ALL_CAPABILITIES
    assert AgentRunner.runtime_name == "native"
