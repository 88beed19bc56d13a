"""The caller at a keyboard: what lines mean, what is shown, and clean ends on real pipes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from wire import Slow, forever, now, virtual

from orchestrator.dialog import Echo
from orchestrator.errors import LineGone
from orchestrator.runtime import (
    Command,
    DialogMachine,
    End,
    Filler,
    Inject,
    Play,
    Recording,
    Say,
    SendDigits,
    SetLanguage,
    Transfer,
)
from orchestrator.runtimes.console_bridge import COMMANDS, ConsoleBridge, read_lines
from orchestrator.runtimes.native import AgentRunner, CallContext


async def typed(*lines: str) -> AsyncIterator[str]:
    for line in lines:
        yield line


class Call:
    """A console call with a list for a screen; all session events are written down."""

    def __init__(self, lines: AsyncIterator[str], machine: DialogMachine | None = None) -> None:
        self.screen: list[tuple[str, str]] = []
        self.events: list[tuple[str, ...]] = []
        self.bridge = ConsoleBridge(lines, lambda who, text: self.screen.append((who, text)))
        self.runner = AgentRunner(self.entry)
        self.machine = machine

    async def entry(self, ctx: CallContext) -> None:
        def tap(event: object) -> None:
            name, fields = event.name, event.fields  # type: ignore[attr-defined]
            self.events.append((name, *map(str, fields.values())))

        ctx.session.tap(tap)
        ctx.session.dialog_machine = self.machine
        await ctx.session.run()

    async def run(self) -> CallContext:
        return await self.runner.handle(self.bridge)


SPOKEN = [("state", "speaking", "caller"), ("state", "listening", "caller")]


@virtual
async def test_a_line_is_a_turn_and_the_end_of_lines_hangs_up() -> None:
    """With the states around it that a real line would report."""
    call = Call(typed("hello there", "", "  "))
    ctx = await call.run()
    assert call.events == [*SPOKEN, ("user_turn", "hello there"), ("hangup", "end of input")]
    assert ctx.session.state == "hangup"


@pytest.mark.parametrize(
    ("line", "events"),
    [
        ("/interrupt", [("interruption",)]),
        ("/dtmf 5", [("dtmf", "5")]),
        ("/noise", SPOKEN),
        ("/transfer refused", [("transfer", "refused", "")]),
        ("/voicemail beep", [("voicemail", "beep")]),
        ("/dtmf", []),
        ("/dtmf x", []),
        ("/transfer maybe", []),
        ("/help", []),
        ("/nonsense", []),
        ("/wait soon", []),
    ],
)
def test_commands_become_events_or_a_hint(line: str, events: list[tuple[str, ...]]) -> None:
    """A command that cannot be understood says what it needs."""

    @virtual
    async def test() -> None:
        call = Call(typed(line))
        await call.run()
        assert call.events[:-1] == events
        assert bool(call.screen) is (not events)

    test()


@virtual
async def test_hangup_ends_the_call_and_later_lines_are_not_read() -> None:
    """As on a phone."""
    call = Call(typed("/hangup", "never"))
    await call.run()
    assert call.events == [("hangup", "caller")]


@virtual
async def test_wait_says_nothing_for_so_long() -> None:
    """Silence timers can be tried from a pipe."""
    call = Call(typed("/wait 10", "hello"))
    await call.run()
    assert now() == 10


@virtual
async def test_what_the_agent_says_is_shown() -> None:
    """Says come whole, replies in pieces with an empty one at their end."""

    async def slowly() -> AsyncIterator[str]:
        yield "hi"
        await asyncio.sleep(1)

    call = Call(slowly(), Echo())
    await call.run()
    assert call.screen == [("reply", "You"), ("reply", " said:"), ("reply", " hi"), ("reply", "")]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (Say("hello"), ("agent", "hello")),
        (Transfer("queue", "q", "warm"), "warm transfer to queue 'q' asked"),
        (Recording("pause", "card"), "recording: pause (card)"),
        (Recording("resume"), "recording: resume"),
        (SendDigits("12"), "key tones: 12"),
        (SetLanguage("de-DE"), "language: de-DE, heard in -"),
        (Play("https://e.com/a.mp3", 2), "plays https://e.com/a.mp3, 2 times"),
        (Inject("be brief"), "note to the dialog machine: be brief"),
        (Filler("hm"), "set_filler"),
        (End("bye"), "the agent ended the call (bye)"),
    ],
)
def test_each_command_is_shown(command: Command, shown: str | tuple[str, str]) -> None:
    """A person at the console sees what the agent does."""

    @virtual
    async def test() -> None:
        call = Call(typed())
        await call.bridge.send(command)
        who, text = call.screen[0]
        assert ((who, text) == shown) if isinstance(shown, tuple) else (shown in text)

    test()


@virtual
async def test_a_transfer_is_answered_with_its_target() -> None:
    """The last transfer asked for is the one that /transfer answers."""
    call = Call(typed("/transfer busy"))
    await call.bridge.send(Transfer("number", "+15550111"))
    await call.run()
    assert call.events[0] == ("transfer", "busy", "+15550111")


@virtual
async def test_end_stops_a_call_whose_caller_types_nothing() -> None:
    """A pending read is given up, and its iterator closed."""
    closed: list[bool] = []

    async def silent() -> AsyncIterator[str]:
        try:
            await forever()
            yield "never"
        finally:
            closed.append(True)

    call = Call(silent())
    running = asyncio.create_task(call.run())
    await asyncio.sleep(1)
    await call.runner.active_calls()[0].session.end("silence")
    ctx = await running
    assert ctx.session.state == "ended"
    assert closed == [True]
    with pytest.raises(LineGone):
        await call.bridge.send(Say("x"))


@virtual
async def test_an_interruption_stops_a_reply_that_is_being_shown() -> None:
    """/interrupt is the caller's barge-in."""
    call = Call(typed("tell me", "/wait 1.5", "/interrupt", "/wait 1"), Slow())
    await call.run()
    assert call.screen == [("reply", "one "), ("reply", "")]


def test_help_lists_every_command() -> None:
    """The list is made from the same table."""
    assert {word.split()[0] for word in COMMANDS} >= {"/hangup", "/wait", "/transfer", "/help"}


# --- reading real descriptors ------------------------------------------------------------------


async def all_lines(fd: int) -> list[str]:
    return [line async for line in read_lines(fd)]


def test_lines_of_a_pipe_are_read_to_their_end() -> None:
    """Split characters are joined, a last line needs no end, bad bytes are replaced."""
    source, sink = os.pipe()
    os.write(sink, "caf\u00e9\nsecond\r\n".encode() + b"\xff last")
    os.close(sink)
    lines = asyncio.run(all_lines(source))
    os.close(source)
    assert [line.strip() for line in lines] == ["caf\u00e9", "second", "\ufffd last"]


def test_lines_of_a_file_are_read(tmp_path: Path) -> None:
    """`console < lines.txt` works, though an event loop cannot wait for a file."""
    file = tmp_path / "lines.txt"
    file.write_text("one\ntwo\n")
    with file.open() as opened:
        assert asyncio.run(all_lines(opened.fileno())) == ["one", "two"]


def test_a_reader_that_waits_ends_with_its_iterator() -> None:
    """No thread is left that waits for a key nobody will press."""
    source, sink = os.pipe()
    before = threading.active_count()

    async def main() -> None:
        lines = read_lines(source)
        task = asyncio.ensure_future(anext(lines, None))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert threading.active_count() == before
    os.close(source)
    os.close(sink)


PROGRAM = """
import asyncio, sys
from orchestrator.dialog import Echo
from orchestrator.runtimes.console_bridge import ConsoleBridge, read_lines
from orchestrator.runtimes.native import AgentRunner

def show(who, text):
    print(who + ":" + text, flush=True)

async def entry(ctx):
    @ctx.session.on("user_turn")
    async def turn(text):
        await ctx.session.say("heard " + text)
        if text == "bye":
            await ctx.session.end("done")
    await ctx.session.run()
    print("state:" + ctx.session.state, flush=True)

asyncio.run(AgentRunner(entry).handle(ConsoleBridge(read_lines(), show)))
"""


def console() -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(  # our own program
        [sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def test_a_process_fed_by_a_pipe_answers_and_exits() -> None:
    """The whole way: standard input, a call, standard output."""
    out, err = console().communicate("hello\n/hangup\n", timeout=20)
    assert out.splitlines() == ["agent:heard hello", "state:hangup"]
    assert err == ""


def test_a_process_whose_input_stays_open_exits_when_the_call_ends() -> None:
    """The agent hangs up; no stuck thread holds the process."""
    with console() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("bye\n")
        process.stdin.flush()
        assert process.wait(timeout=20) == 0
        assert process.stdout.read().splitlines()[-1] == "state:ended"
        assert process.stderr.read() == ""
