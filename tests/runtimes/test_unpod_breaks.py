"""Our own runner on the Unpod wire when texts, sockets or our own code break."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from orchestrator.runtimes.unpod import bridge
from orchestrator.runtimes.unpod.wire import Frame
from tests.runtimes.sdk import Words, entrypoint, one_call, played
from tests.runtimes.test_unpod_native import SAYS, native

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own


def test_half_a_character_is_sent_as_a_mark(tmp_path: Path) -> None:
    """What the caller said and what the machine writes may hold one; no connection breaks of it."""

    async def main() -> None:
        async with native(SAYS, tmp_path, entrypoint(Words("you said {text} \ud83d"))) as on:
            call = await on.peer.connect()
            await call.send_raw('{"event": "user.text", "text": "\\ud800", "is_final": true}')
            await call.until_verb("agent.text.end")
            assert call.replies == ["you said \ufffd \ufffd"]
            assert (call.said[-1], call.dials) == ("heard \ufffd", 1)
            await call.hang_up()

    played(main())


def test_a_connection_that_breaks_again_and_again_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses grow, dials are counted, and the call ends for one reason."""
    monkeypatch.setattr(bridge, "FIRST_PAUSE", 0.02)

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            for dial in range(bridge.MOST_BREAKS + 1):
                await call.until_connected(dial + 1)
                await call.drop()
            await on.settle()
            assert call.dials == bridge.MOST_BREAKS + 1
            one_call(on.lines)
            (hangup,) = on.lines.of(event="hangup")
            assert "broke 6 times" in hangup["reason"]

    played(main())


def test_pauses_before_dials_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None before the first, then from `FIRST_PAUSE` on twice the last one."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def count(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    async def main() -> None:
        breaks = bridge.Breaks()
        monkeypatch.setattr(asyncio, "sleep", count)
        for _ in range(bridge.MOST_BREAKS):
            await breaks.pause()

    asyncio.run(main())
    assert pauses == [0.2, 0.4, 0.8, 1.6]


def test_what_we_did_not_foresee_ends_the_call_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One reason in the journal, one log line, no traceback, no dial."""

    class Odd(dict[str, object]):
        """A frame that the socket cannot take."""

    def odd(frame: Frame) -> object:
        return Odd() if frame.get("event") == "agent.text.delta" else as_text(frame)

    as_text = bridge.json_text
    monkeypatch.setattr(bridge, "json_text", odd)

    async def main() -> None:
        async with native(SAYS, tmp_path) as on:
            call = await on.peer.connect()
            await call.say("hello")
            await on.settle()
            assert call.dials == 1
            one_call(on.lines)
            (hangup,) = on.lines.of(event="hangup")
            assert hangup["reason"] == "the connection failed: TypeError"

    with caplog.at_level(logging.WARNING):
        played(main())
    lines = [r for r in caplog.records if r.message.startswith("the connection failed")]
    assert len(lines) == 1
    assert [r for r in caplog.records if r.exc_info] == []
