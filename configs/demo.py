"""`make demo`: a conversation through support-line.yaml with real parts, at the speed of life.

A SQLite file is the CRM, an HTTP server on this machine receives the webhooks and prints them. The
caller's lines are played by a call script; everything else is what runs in production.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from orchestrator import AgentRunner, CallContext, Orchestrator
from orchestrator.callscript import parse_script
from orchestrator.commands import command_fields
from orchestrator.logs import set_up_logging
from orchestrator.runtime import CallEvent
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.signing import key_of, verify

HERE = Path(__file__).parent
FOLDER = Path("demo")
SECRET = "whsec_ZGVtby1zZWNyZXQtZGVtby1zZWNyZXQtMTIzNA=="  # noqa: S105 - of this demo only

#: The caller: what is said and when, in seconds. The agent is `Agent` below.
CALL = """
{"call": {"id": "demo-1", "user_number": "+15550100"}}
{"t": 3, "event": "user_turn", "text": "Hello, I lost my debit card"}
{"t": 7, "event": "user_turn", "text": "Could I talk to a real person please"}
{"t": 10, "event": "transfer", "outcome": "no_answer", "target": "tier-2-support"}
{"t": 13, "event": "user_turn", "text": "ok, bye"}
{"t": 15, "event": "hangup", "reason": "bye"}
"""


class Agent:
    """A dialog machine: in production a language model, here a few sentences."""

    def __init__(self) -> None:
        self.replies = iter(["I am sorry to hear that. I can send you a new one.", "", "Goodbye!"])

    async def stream(self, text: str) -> Any:
        """The reply, word by word."""
        for word in next(self.replies, "").split():
            await asyncio.sleep(0.05)
            yield word + " "


class Receiver(BaseHTTPRequestHandler):
    """Takes webhooks, checks their signature and prints what arrived."""

    def do_POST(self) -> None:
        """Take one."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        why_not = verify([key_of(SECRET)], dict(self.headers.items()), body, now=time.time())
        signature = f"NOT TRUSTED: {why_not}" if why_not else "signature ok"
        self.send_response(204)
        self.end_headers()
        show("webhook", f"POST {self.path}  {signature}  {self.headers['webhook-id']}")
        show("", json.dumps(json.loads(body), ensure_ascii=False))

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing of its own."""


def show(who: str, text: str) -> None:
    """One line of the demo."""
    print(f"  {who:>8}  {text}", flush=True)


def make_crm() -> None:
    """A customer database with one customer in it, and room for the journal of this call."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    with sqlite3.connect(FOLDER / "crm.db") as database:
        database.execute("drop table if exists customers")
        database.execute("create table customers (phone text, first_name text, plan text)")
        database.execute("insert into customers values ('+15550100', 'Ada', 'gold')")


class Line(ScriptBridge):
    """The line of the call: prints what goes out on it."""

    async def send(self, command: Any) -> None:
        """Hand over a command, and print it."""
        if command.name == "reply" and command.text:
            show("agent", command.text)
        elif command.name == "say":
            show("agent", f"{command.text}   (a hook's words)")
        elif not command.name.startswith("reply"):
            fields = ", ".join(f"{k}={v!r}" for k, v in command_fields(command).items())
            show("command", f"{command.name} {fields}")
        await super().send(command)


def show_caller(event: CallEvent) -> None:
    """Print what the caller says, as it arrives."""
    if event.name == "user_turn":
        show("caller", event.fields["text"])


async def carry() -> None:
    """Carry the call."""
    orchestrator = Orchestrator.from_file(
        HERE / "support-line.yaml", journals=FOLDER / "journals", outbox=FOLDER / "outbox.db"
    )

    async def entrypoint(ctx: CallContext) -> None:
        ctx.session.dialog_machine = Agent()
        ctx.session.tap(
            lambda e: show("caller", e.fields["text"]) if e.name == "user_turn" else None
        )
        await ctx.session.run()

    runner = AgentRunner(entrypoint)
    orchestrator.attach(runner)
    await runner.handle(Line(parse_script(CALL.strip(), "demo"), PlayOptions()))
    await orchestrator.aclose()


def main() -> None:
    """Set the parts up, carry the call, and say where to look."""
    make_crm()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ.update(
        CRM_URL=f"sqlite:///{FOLDER / 'crm.db'}",
        BILLING_URL=f"http://127.0.0.1:{server.server_port}",
        BILLING_TOKEN="demo-token",  # noqa: S106 - of a server that this script started
        BILLING_SECRET=SECRET,
    )
    set_up_logging({"ORCHESTRATOR_LOG_LEVEL": "warning", **os.environ}, sys.stderr)
    print("A call through configs/support-line.yaml, with a SQLite CRM and a webhook receiver:\n")
    asyncio.run(carry())
    server.shutdown()
    print("\nWhy each hook ran or did not: orchestrator journal show demo/journals/demo-1.jsonl")


if __name__ == "__main__":
    main()
