"""A reload while calls are on: what they send goes where the config that they began with says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.action import Delivery
from orchestrator.connections.sql import SqlConnection
from orchestrator.outbox.packed import pack, unpack
from tests.servers import Reply, Server
from tests.wire import Wire

HOOKS = """
version: 1
name: %(name)s
connections: {%(crm)s: {kind: http, base_url: "%(url)s/%(path)s", allow_private: true,
                        auth: {bearer: "tok-%(token)s"}}}
session:
  call_end: [{webhook: {connection: %(crm)s, path: /end, json: {}}}]
"""


class Line:
    """A config in a file, and calls under it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.file, self._url = folder / "c.yaml", server.url
        self.write()
        variables = {
            "ORCHESTRATOR_JOURNAL_DAYS": "1",
            "OLD_KEY": "old-secret",
            "NEW_KEY": "new-secret",
        }
        self.app = Orchestrator.from_file(self.file, variables=variables, outbox="memory:")
        self.runner = AgentRunner(self._enter)
        self.app.attach(self.runner)
        self.wires: list[Wire] = []
        self._began = asyncio.Event()
        self._calls: list[asyncio.Task[Any]] = []

    def write(self, path: str = "1", token: str = "1", crm: str = "crm", name: str = "c") -> None:
        options = {"path": path, "token": token, "crm": crm, "name": name, "url": self._url}
        self.file.write_text(HOOKS % options)

    async def reload(self, **options: str) -> None:
        self.write(**options)
        await self.app.reload()

    async def call(self) -> None:
        wire = Wire(call_id=f"c{len(self.wires)}")
        self.wires.append(wire)
        self._calls.append(asyncio.create_task(self.runner.handle(wire)))
        await self._began.wait()
        self._began.clear()

    async def _enter(self, ctx: Any) -> None:
        self._began.set()
        await ctx.session.run()

    async def hang_up(self) -> None:
        for wire, call in zip(self.wires, self._calls, strict=True):
            wire.feed("hangup")
            await call
        await self.app.aclose()


def played(folder: Path, play: Callable[[Line], Any], *replies: Reply) -> list[tuple[str, str]]:
    """What a server was asked in calls and reloads: the path, and under which token."""

    async def main() -> list[tuple[str, str]]:
        async with Server(*replies) as server:
            line = Line(folder, server)
            await play(line)
            await line.hang_up()
            return [(seen.target, seen.headers["authorization"]) for seen in server.seen]

    return asyncio.run(main())


@pytest.mark.parametrize(("name", "sent"), [("NEW_KEY", "old-secret"), ("OLD_KEY", "old-secret")])
def test_a_variable_that_a_reload_no_longer_names_is_still_known(
    tmp_path: Path, name: str, sent: str
) -> None:
    """To the calls that began with it: what they send at their end holds it."""

    async def main() -> list[str]:
        async with Server() as server:
            line = Line(tmp_path, server)
            for variable in ("OLD_KEY", name):
                line.file.write_text(
                    f"version: 1\nname: c\nsession:\n  call_end:\n"
                    f"    - webhook: {{connection: crm, path: /end, json: {{}}, headers: {{x-key: '${{{variable}}}'}}}}\n"
                    f"connections: {{crm: {{kind: http, base_url: '{server.url}', allow_private: true}}}}\n"
                )
                await line.app.reload()
                if variable == "OLD_KEY" and not line.wires:
                    await line.call()
            await line.hang_up()
            return [seen.headers["x-key"] for seen in server.seen]

    assert asyncio.run(main()) == [sent]


def test_what_a_call_sends_goes_where_its_config_says(tmp_path: Path) -> None:
    """Of each of several reloads, under the credentials of that system, whatever the name."""

    async def play(line: Line) -> None:
        await line.call()
        await line.reload(path="2", token="2")
        await line.call()
        await line.reload(path="3", token="3", name="other")
        await line.call()
        await line.reload(path="4", token="4", crm="elsewhere")

    asked = played(tmp_path, play)
    assert asked == [(f"/{n}/end", f"Bearer tok-{n}") for n in (1, 2, 3)]


def test_credentials_that_are_rotated_are_those_of_the_day(tmp_path: Path) -> None:
    """The same place has the same connection, with what the new config says of it."""

    async def play(line: Line) -> None:
        await line.call()
        await line.reload(token="2")

    assert played(tmp_path, play) == [("/1/end", "Bearer tok-2")]


@pytest.mark.parametrize(
    ("change", "is_told"),
    [({"path": "2"}, True), ({"crm": "other"}, True), ({"token": "2"}, False)],
    ids=["moved", "gone", "rotated"],
)
def test_a_reload_warns_of_connections_that_calls_still_use(
    change: dict[str, str], is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not of what has only new credentials."""

    async def play(line: Line) -> None:
        with caplog.at_level(logging.WARNING, "orchestrator"):
            await line.reload(**change)  # nobody uses it yet
            await line.reload()
            assert not caplog.records
            await line.call()
            await line.reload(**change)

    played(tmp_path, play)
    found = [r for r in caplog.records if "lead elsewhere" in r.message]
    assert [(vars(r)["reason"], vars(r)["count"]) for r in found] == (
        [("crm", 1)] if is_told else []
    )


def test_an_address_is_stored_and_tells_no_credentials() -> None:
    """Who logs in may change; an entry of an earlier version has none."""

    def of(url: str) -> str:
        return SqlConnection(url=url).address

    assert of("postgresql://a:b@h/d") == of("postgresql://c@h/d") != of("postgresql://c@h/e")
    assert "h" not in of("sqlite:///hh.db")
    delivery = Delivery("1", "crm", "/", b"x", address="a1")
    assert unpack(pack(delivery)) == delivery
    assert unpack(pack(Delivery("1", "crm", "/", b"x"))).address == ""
