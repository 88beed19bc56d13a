"""Our own runner on the Unpod wire as a process: what SIGTERM, Ctrl-C and a second one do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.runtimes.sdk import played
from tests.runtimes.unpod_peer import Call, Peer, within
from tests.servers import Server

ROOT = Path(__file__).parent.parent.parent
REPORTS = """
version: 1
name: reporter
connections: {crm: {kind: http, base_url: "%s"}}
session:
  call_start: [{say: welcome}]
  call_end: [{webhook: {connection: crm, path: /calls, json: {state: "{{ event.state }}"}}}]
"""


@dataclass
class Agent:
    """The process, the peer that it works for, and the receiver of its webhooks."""

    process: asyncio.subprocess.Process
    peer: Peer
    crm: Server
    folder: Path

    async def ends(self) -> tuple[int | None, str]:
        """Its exit code, and what it had to say."""
        _, words = await within(self.process.communicate())
        return self.process.returncode, words.decode()

    def journal(self, call: Call) -> list[dict[str, Any]]:
        text = (self.folder / "journals" / f"{call.id}.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    @property
    def reported(self) -> list[str]:
        return [seen.json["state"] for seen in self.crm.seen]


@contextlib.asynccontextmanager
async def agent(folder: Path, drain: float) -> AsyncIterator[Agent]:
    async with Peer() as peer, Server() as crm:
        config = folder / "reporter.yaml"
        config.write_text(REPORTS % crm.url)
        variables = {"PYTHONPATH": str(ROOT), "ORCHESTRATOR_OUTBOX": str(folder / "o.db")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.runtimes.unpod_entry", peer.url, str(config),
            str(folder / "journals"), str(drain), env={**os.environ, **variables}, cwd=ROOT,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield Agent(process, peer, crm, folder)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def ends_of(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Which ends a journal tells, and the line that closes it."""
    told = [("session", line["state"]) for line in lines if line.get("session") == "call_end"]
    told += [("runner", line["final_state"]) for line in lines if line.get("runner") == "call_end"]
    return [*told, *(("end", "") for line in lines if "end" in line)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_calls_end_and_the_process_with_0(tmp_path: Path, number: int) -> None:
    """The caller is answered on, new jobs are refused; post-call work has left before the end."""

    async def main() -> None:
        async with agent(tmp_path, drain=30) as on:
            call = await on.peer.connect()
            await call.until_verb("agent.say")
            on.process.send_signal(number)
            while on.peer.frames("job.ack")[-1]["accepted"]:  # until it has heard of it
                await on.peer.assign()
                acks = len(on.peer.frames("job.ack"))
                await on.peer.until(lambda n=acks: len(on.peer.frames("job.ack")) > n)
            assert on.peer.frames("job.ack")[-1]["reason"] == "at_capacity"
            await call.say("hello")
            await call.until_verb("agent.text.end")
            assert call.replies == ["you said hello"]
            taken = sum(ack["accepted"] for ack in on.peer.frames("job.ack"))
            for live in list(on.peer.calls.values())[:taken]:  # those after them were refused
                await live.until_connected()  # the last may still dial
                await live.hang_up()
            code, words = await on.ends()
            assert (code, words) == (0, "")
            assert ends_of(on.journal(call)) == [
                ("session", "hangup"), ("runner", "ended"), ("end", "")
            ]  # fmt: skip
            assert "hangup" in on.reported

    played(main())


def test_what_does_not_end_in_time_is_ended_with_a_reason(tmp_path: Path) -> None:
    """The caller's line is given back, the end says `shutdown`, the webhook still leaves."""

    async def main() -> None:
        async with agent(tmp_path, drain=0.2) as on:
            call = await on.peer.connect()
            await call.until_verb("agent.say")
            on.process.send_signal(signal.SIGTERM)
            await call.until_verb("agent.end_call")
            assert (await on.ends())[0] == 0
            assert call.verbs("agent.end_call")[0]["reason"] == "shutdown"
            assert ("session", "shutdown") in ends_of(on.journal(call))
            assert on.reported == ["shutdown"]

    played(main())


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """However long the drain may be; the journal has the end all the same."""

    async def main() -> None:
        async with agent(tmp_path, drain=3600) as on:
            call = await on.peer.connect()
            await call.until_verb("agent.say")
            on.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            on.process.send_signal(signal.SIGTERM)
            assert (await on.ends())[0] == 0
            assert ("session", "shutdown") in ends_of(on.journal(call))

    played(main())


def test_a_job_accepted_before_the_signal_is_carried(tmp_path: Path) -> None:
    """Its caller was promised an agent, and rings while the worker is being dialled."""

    async def main() -> None:
        async with agent(tmp_path, drain=30) as on:
            gate = asyncio.Event()
            call = await on.peer.assign(call=Call("late", gate=gate))
            await call.until(lambda: call.dials == 1)
            on.process.send_signal(signal.SIGTERM)
            refused = await on.peer.assign()
            while on.peer.frames("job.ack")[-1]["accepted"]:
                refused = await on.peer.assign()
                acks = len(on.peer.frames("job.ack"))
                await on.peer.until(lambda n=acks: len(on.peer.frames("job.ack")) > n)
            gate.set()
            await call.until_verb("agent.say")
            assert refused.dials == 0
            for live in on.peer.calls.values():
                await live.hang_up()
            assert (await on.ends())[0] == 0
            assert ("session", "hangup") in ends_of(on.journal(call))

    played(main())
