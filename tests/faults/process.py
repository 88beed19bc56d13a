"""Processes that tests kill: `python -m tests.faults.process phone|work CONFIG OUTBOX [ID]...`.

`phone` carries a call for each id and prints the id once the call's work is done; SIGTERM lets the
calls that are on end. `work` delivers what is in the outbox. Leases are short.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from orchestrator import AgentRunner, Orchestrator
from orchestrator.callscript import parse_script
from orchestrator.compiler import compile_config
from orchestrator.outbox import Limits, sqlite_file
from orchestrator.outbox.fallback import FallbackStore
from orchestrator.outbox.memory import MemoryStore
from orchestrator.outbox.nats import NatsStore
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.outbox.store import OutboxStore
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import load_config
from orchestrator.worker import Worker
from tests.faults.record import Fault, watched

LEASE = 1.0
AT_ONCE = 10


def open_store(where: str) -> OutboxStore:
    if where.startswith("nats:"):
        return NatsStore(where, lease=LEASE)
    return SqliteStore(Path(where), lease=LEASE)


def say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def script(call_id: str, seconds: float) -> str:
    lines = [
        {"call": {"id": call_id, "user_number": "+15550100"}},
        {"t": seconds / 2, "event": "user_turn", "text": "hello"},
        {"t": seconds, "event": "hangup"},
    ]
    return "\n".join(map(json.dumps, lines))


async def phone(config: Path, where: str, calls: list[str]) -> None:
    seconds = float(os.environ.get("CALL_SECONDS", "0.02"))
    app = Orchestrator.from_file(config, outbox=FallbackStore(open_store(where), MemoryStore()))
    runner, stop, fault = AgentRunner(), asyncio.Event(), Fault("phone")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app.attach(runner)
    queue = iter(calls)

    async def carry(wait: float) -> None:
        await asyncio.sleep(wait)
        for call_id in queue:
            if stop.is_set():
                return
            say(begun=call_id)
            ctx = await runner.handle(
                ScriptBridge(parse_script(script(call_id, seconds), "t"), PlayOptions())
            )
            await app.settle()
            say(ended=call_id, state=ctx.final_state)

    async with watched(fault):
        work = asyncio.gather(*(carry(n / 100) for n in range(AT_ONCE)))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await runner.shutdown(drain_timeout=5.0)
        stopping.cancel()
        await work
        await app.aclose()
    say(stall=fault.stall, lag=fault.lag)


async def work(configs: Path, where: str) -> None:
    plan = compile_config(load_config(configs), os.environ)
    for prepare in plan.prepare:
        prepare()
    stop, fault = asyncio.Event(), Fault("work")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    worker = Worker([plan], open_store(where), limits=Limits(8, 20))
    say(ready=True)
    async with watched(fault):
        await worker.run(stop)
        await worker.aclose(5.0)
    say(stall=fault.stall, lag=fault.lag)


if __name__ == "__main__":
    kind, file, outbox, *ids = sys.argv[1:]
    # A test machine's disk may stand still for seconds; what memory took then would die with us.
    sqlite_file.BUSY = 30.0
    asyncio.run(phone(Path(file), outbox, ids) if kind == "phone" else work(Path(file), outbox))
