"""Playing call scripts: times, commands, transfers, and when the line closes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from wire import now, virtual

from orchestrator.callscript import CallScript, TimedEvent
from orchestrator.clock import run_virtual
from orchestrator.errors import CommandRefused, LineGone
from orchestrator.runtime import CallEvent, End, Say, Transfer
from orchestrator.runtimes.native import AgentRunner, CallContext
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge, ScriptExchange


def script(*events: tuple[float, str, dict[str, Any]], call_id: str = "s1") -> CallScript:
    timed = tuple(TimedEvent(t, CallEvent(name, fields)) for t, name, fields in events)
    return CallScript({"id": call_id}, timed)


HI = (1.0, "user_turn", {"text": "hi"})


async def arrivals(bridge: ScriptBridge) -> list[tuple[float, str]]:
    return [(bridge.now(), event.name) async for event in bridge.events()]


@virtual
async def test_events_come_at_their_times() -> None:
    """Also several at one time, in the order of the script."""
    bridge = ScriptBridge(script(HI, (2.5, "interruption", {}), (2.5, "hangup", {})))
    assert await arrivals(bridge) == [(1, "user_turn"), (2.5, "interruption"), (2.5, "hangup")]


@virtual
async def test_times_count_from_the_start_of_the_call() -> None:
    """Not from the start of the loop."""
    await asyncio.sleep(100)
    bridge = ScriptBridge(script(HI, (2.0, "hangup", {})))
    assert await arrivals(bridge) == [(1, "user_turn"), (2, "hangup")]
    assert now() == 102


def test_it_plays_in_real_time_too() -> None:
    """The same code, on an ordinary loop."""
    bridge = ScriptBridge(script((0.02, "user_turn", {"text": "hi"}), (0.04, "hangup", {})))
    start = time.monotonic()
    names = [name for _, name in asyncio.run(arrivals(bridge))]
    assert names == ["user_turn", "hangup"]
    assert time.monotonic() - start >= 0.04


@virtual
async def test_commands_are_recorded_with_their_time() -> None:
    """What we say takes no time on the line."""

    async def entry(ctx: CallContext) -> None:
        @ctx.session.on("user_turn")
        async def answer(text: str) -> None:
            await ctx.session.say("one")
            await asyncio.sleep(0.5)
            await ctx.session.end("done")

        await ctx.session.run()

    bridge = ScriptBridge(script(HI, (9.0, "hangup", {})))
    ctx = await AgentRunner(entry).handle(bridge)
    assert bridge.commands == [(1, Say("one")), (1.5, End("done"))]
    assert (ctx.session.state, now()) == ("ended", 1.5)


@virtual
async def test_after_end_nothing_more_can_be_asked() -> None:
    """The stream of events ends with the call."""
    bridge = ScriptBridge(script(HI))
    await bridge.send(End())
    with pytest.raises(LineGone):
        await bridge.send(Say("x"))
    assert await arrivals(bridge) == []


@pytest.mark.parametrize("linger", [0.0, 30.0])
def test_a_script_without_hang_up_ends_after_the_linger(linger: float) -> None:
    """The last event's hooks still find the line; timers get the linger."""

    async def entry(ctx: CallContext) -> None:
        @ctx.session.on("user_turn")
        async def answer(text: str) -> None:
            await ctx.session.say("heard")

        await ctx.session.run()

    @virtual
    async def test() -> None:
        bridge = ScriptBridge(script(HI), PlayOptions(linger=linger))
        ctx = await AgentRunner(entry).handle(bridge)
        assert bridge.commands == [(1, Say("heard"))]
        assert (ctx.session.state, now()) == ("hangup", 1 + linger)

    test()


@virtual
async def test_an_empty_script_is_a_call_that_is_hung_up_at_once() -> None:
    """No events are no reason to wait."""
    ctx = await AgentRunner().handle(ScriptBridge(script()))
    assert (ctx.session.state, now()) == ("hangup", 0)


@pytest.mark.parametrize(
    ("outcomes", "state", "seconds"),
    [({"q": "answered"}, "transferred", 4), ({"*": "refused"}, "hangup", 4), ({}, "hangup", 1)],
)
def test_a_transfer_is_answered_as_the_options_say(
    outcomes: dict[str, str], state: str, seconds: float
) -> None:
    """Though it is asked for at the last event, its outcome is awaited."""

    async def entry(ctx: CallContext) -> None:
        @ctx.session.on("user_turn")
        async def human(text: str) -> None:
            await ctx.session.transfer_to_human("q")

        await ctx.session.run()

    @virtual
    async def test() -> None:
        options = PlayOptions(transfer_outcome=outcomes, transfer_delay=3)
        bridge = ScriptBridge(script(HI), options)
        ctx = await AgentRunner(entry).handle(bridge)
        assert bridge.commands == [(1, Transfer("queue", "q"))]
        assert (ctx.session.state, now()) == (state, seconds)

    test()


@virtual
async def test_a_transfer_can_be_answered_by_the_script() -> None:
    """An event of the script is as good as a policy."""
    answered = (2.0, "transfer", {"outcome": "answered", "target": "q"})
    bridge = ScriptBridge(script(HI, answered, (9.0, "hangup", {})))

    async def entry(ctx: CallContext) -> None:
        await ctx.session.transfer_to_human("q")
        await ctx.session.run()

    ctx = await AgentRunner(entry).handle(bridge)
    assert (ctx.session.state, now()) == ("transferred", 2)


@virtual
async def test_refused_commands_are_recorded_and_refused() -> None:
    """A test sees that it was tried."""
    bridge = ScriptBridge(script(HI), PlayOptions(refuses=frozenset({"transfer"})))
    with pytest.raises(CommandRefused, match="refused 'transfer'"):
        await bridge.send(Transfer("queue", "q"))
    assert [c.name for _, c in bridge.commands] == ["transfer"]


@virtual
async def test_an_exchange_offers_so_many_at_a_time() -> None:
    """The next call comes when one is closed; all bridges are kept in order."""
    scripts = [script((2.0, "hangup", {}), call_id=f"s{n}") for n in range(4)]
    exchange = ScriptExchange(scripts, concurrency=2)
    await AgentRunner(exchange=exchange).run()
    assert now() == 4
    assert [bridge.offer.call_id for bridge in exchange.bridges] == ["s0", "s1", "s2", "s3"]


@virtual
async def test_a_closed_exchange_offers_nothing_more() -> None:
    """Also to somebody who already waits for the next call."""
    exchange = ScriptExchange([script(HI, call_id=f"s{n}") for n in range(3)])
    calls = exchange.calls()
    await anext(calls)
    waiting = asyncio.ensure_future(anext(calls, None))
    await asyncio.sleep(1)
    await exchange.aclose()
    assert await waiting is None


@pytest.mark.parametrize("t", [0.01 + 6.0 * 3, 0.1 + 0.2, 1.0000000000000002, 1.23456789])
def test_times_with_many_digits_are_reached(t: float) -> None:
    """A time that lies a hair behind the rounded clock is now, not never."""
    script = CallScript({}, (TimedEvent(t, CallEvent("hangup")),))

    async def play() -> list[str]:
        return [event.name async for event in ScriptBridge(script).events()]

    assert run_virtual(asyncio.wait_for(play(), 60)) == ["hangup"]
