"""A thousand idle calls and a hundred busy ones on one `serve`, beside a bare WebSocket server.

Both are processes of their own under uvicorn with the same settings and send the same frames. The
bare one does nothing else: no webhook, signature, hook, journal, silence clock or session. Figures
are of the server's process: CPU time and resident memory from /proc; latency is what the callers,
who share the machine, see from their words to the end of the reply.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from orchestrator.relay.signatures import twilio_signature

ROOT = Path(__file__).parent.parent
IDLE, BUSY, TURNS, PAUSE, QUIET = 1000, 100, 20, 0.25, 4.0
TOKEN, PUBLIC = "token", "https://calls.example.com"
WORDS = "where is my parcel please"
GREETING = "Hello, how can I help?"

BARE = f"""
import json, sys
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from orchestrator.relay.listener import Listener, open_socket
import asyncio

async def relay(socket):
    await socket.accept()
    async for raw in socket.iter_text():
        frame = json.loads(raw)
        if frame["type"] == "setup":
            await send(socket, {GREETING!r}, True)
        elif frame["type"] == "prompt":
            words = ("said: " + frame["voicePrompt"]).split(" ")
            for token in ("You", *(" " + word for word in words)):
                await asyncio.sleep(0)
                await send(socket, token, False)
            await send(socket, "", True)

async def send(socket, token, last):
    await socket.send_text(json.dumps({{"type": "text", "token": token, "last": last}}))

async def main():
    listener = Listener(Starlette(routes=[WebSocketRoute("/relay", relay)]),
                        open_socket("127.0.0.1", 0))
    await listener.start()
    print("serving on " + listener.url + ";", file=sys.stderr, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass(frozen=True)
class Figures:
    """Of one server: seconds of CPU, kilobytes, milliseconds."""

    connect_cpu: float
    idle_memory: float
    idle_cpu: float
    turn_cpu: float
    p50: float
    p99: float


class Server:
    """A server process."""

    def __init__(self, *command: str) -> None:
        self.command = command

    async def start(self) -> str:
        own = {
            "PYTHONPATH": str(ROOT), "TWILIO_AUTH_TOKEN": TOKEN,
            "ORCHESTRATOR_OUTBOX": "memory:", "ORCHESTRATOR_LOG_LEVEL": "warning",
        }  # fmt: skip
        environment = {**os.environ, **own}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *self.command, env=environment, stderr=asyncio.subprocess.PIPE
        )
        assert self.process.stderr is not None
        line = (await self.process.stderr.readline()).decode()
        found = re.search(r"on (http://\S+);", line)
        assert found is not None, line
        return found[1]

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert found is not None
        return float(found[1])

    async def stop(self) -> None:
        self.process.kill()
        await self.process.wait()


async def dial_bare(base: str, number: int, client: httpx.AsyncClient) -> ClientConnection:
    return await greeted(await _open(f"{base}/relay", {}), number)


async def dial_serve(base: str, number: int, client: httpx.AsyncClient) -> ClientConnection:
    form = {"CallSid": f"CA{number}", "From": "+15550100", "To": "+15550199"}
    url = f"{PUBLIC}/voice"
    headers = {"X-Twilio-Signature": twilio_signature(TOKEN, url, list(form.items()))}
    answer = await client.post(f"{base}/voice", data=form, headers=headers)
    found = re.search(r'url="wss://calls.example.com(/relay/[^"]+)"', answer.text)
    assert found is not None, answer.text
    headers = {"X-Twilio-Signature": twilio_signature(TOKEN, PUBLIC + found[1])}
    return await greeted(await _open(base + found[1], headers), number)


async def _open(url: str, headers: dict[str, str]) -> ClientConnection:
    return await connect(
        url.replace("http", "ws", 1), additional_headers=headers, proxy=None, compression=None,
        ping_interval=None,
    )  # fmt: skip


async def greeted(socket: ClientConnection, number: int) -> ClientConnection:
    setup = {"type": "setup", "callSid": f"CA{number}", "sessionId": f"VX{number}",
             "from": "+15550100", "to": "+15550199", "direction": "inbound"}  # fmt: skip
    await socket.send(json.dumps(setup))
    assert json.loads(await socket.recv())["token"] == GREETING
    return socket


async def turn(socket: ClientConnection) -> float:
    """Say something and wait for the end of the reply; seconds."""
    began = time.perf_counter()
    await socket.send(json.dumps({"type": "prompt", "voicePrompt": WORDS, "last": True}))
    while not json.loads(await socket.recv())["last"]:
        pass
    return time.perf_counter() - began


async def talk(socket: ClientConnection, number: int) -> list[float]:
    await asyncio.sleep(PAUSE * number / BUSY)  # callers do not speak in chorus
    times = []
    for _ in range(TURNS):
        times.append(await turn(socket))
        await asyncio.sleep(PAUSE)
    return times


async def measure(server: Server, dial: Any) -> Figures:
    base = await server.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        sockets = [await dial(base, 0, client)]
        cpu, memory = server.cpu(), server.memory()
        for start in range(1, IDLE, 25):
            numbers = range(start, min(start + 25, IDLE))
            sockets += await asyncio.gather(*(dial(base, n, client) for n in numbers))
    connected = server.cpu() - cpu
    held = (server.memory() - memory) / IDLE
    cpu = server.cpu()
    await asyncio.sleep(QUIET)
    quiet = (server.cpu() - cpu) / QUIET
    cpu = server.cpu()
    talks = await asyncio.gather(*(talk(s, n) for n, s in enumerate(sockets[:BUSY])))
    times = [seconds for calls in talks for seconds in calls]
    spent = server.cpu() - cpu
    await server.stop()
    for socket in sockets:
        socket.transport.abort()
    points = statistics.quantiles(times, n=100)
    return Figures(connected / IDLE * 1e3, held, quiet * 100, spent / len(times) * 1e3,
                   points[49] * 1e3, points[98] * 1e3)  # fmt: skip


CONFIG = f"""
version: 1
session:
  call_start:
    - say: "{GREETING}"
    - silence_timer:
        after: 120s
        steps: [{{say: Are you there?}}, {{after: 60s, end_call: no_response}}]
  user_turn:
    - name: asks for a human
      when: event.text is matching('human|representative|real person')
      do: [{{escalate_transfer: {{queue: people}}}}]
"""


def main() -> None:
    """Measure and print."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with tempfile.TemporaryDirectory() as name:
        config, bare = Path(name) / "line.yaml", Path(name) / "bare.py"
        config.write_text(CONFIG)
        bare.write_text(BARE)
        options = {"--port": "0", "--public-url": PUBLIC, "--max-calls": "2000",
                   "--journal-dir": f"{name}/journals"}  # fmt: skip
        spread = [word for pair in options.items() for word in pair]
        serve = Server("-m", "orchestrator", "serve", str(config), *spread)
        ours = asyncio.run(measure(serve, dial_serve))
        theirs = asyncio.run(measure(Server(str(bare)), dial_bare))
    print(f"{IDLE} calls on the line, of which {BUSY} then talk: {TURNS} turns each, with journals")
    print(f"{'':34} {'serve':>9} {'bare':>9} {'ratio':>7}")
    for title, field in (
        ("CPU ms to connect a call", "connect_cpu"),
        ("kB of memory a call", "idle_memory"),
        (f"CPU % while {IDLE} are idle", "idle_cpu"),
        ("CPU ms a turn", "turn_cpu"),
        ("latency of a turn, p50 ms", "p50"),
        ("latency of a turn, p99 ms", "p99"),
    ):
        a, b = getattr(ours, field), getattr(theirs, field)
        ratio = f"{a / b:.1f}" if b else "-"
        print(f"{title:34} {a:>9.2f} {b:>9.2f} {ratio:>7}")
