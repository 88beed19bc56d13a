"""Why a delivery was not sent: said without a secret and without the caller's words."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpcore
import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.action import Delivery
from orchestrator.callscript import parse_script
from orchestrator.connections.transport import _translated
from orchestrator.errors import ActionFailed
from orchestrator.journal import Redactor
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.outbox.store import Entry
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import check_text
from orchestrator.worker import Worker
from tests.servers import Opened, Reply, Server
from tests.test_attachment import Lines

CONFIG = """
version: 1
name: reasons
privacy: redact
connections:
  billing: {kind: http, base_url: "${SERVER}"}
session:
  user_turn:
    - webhook: {connection: billing, path: "/hooks/${E_THING}/{{ event.text }}", json: {}}
      on_error: [{set: {one: "{{ error.message }}"}}]
    - webhook: {url: "${HOOK_URL}/{{ event.text }}", json: {}}
      on_error: [{set: {two: "{{ error.message }}"}}]
    - http: {connection: billing, path: "/hooks/${E_THING}/{{ event.text }}"}
      on_error: [{set: {three: "{{ error.message }}"}}]
"""


def app_for(config: str, tmp_path: Path, variables: Mapping[str, str]) -> Orchestrator:
    checked = check_text(config)
    assert checked.config is not None, checked
    return Orchestrator(
        checked.config, variables=variables, journals=Lines(), outbox=tmp_path / "outbox.db"
    )


async def play(app: Orchestrator, text: str) -> Any:
    runner = AgentRunner()
    app.attach(runner)
    lines = [{"call": {"id": "c"}}, {"t": 0, "user_turn": text}]
    script = parse_script("\n".join(map(json.dumps, lines)))
    context = await runner.handle(ScriptBridge(script, PlayOptions(linger=0.5)))
    await app.aclose()
    return context


def stored(tmp_path: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))


@pytest.mark.parametrize("said", ["..", "Ludmilla Hrdlicka\r\n..", ".", "a\x00b", "%2e%2e"])
def test_a_path_that_cannot_be_sent_fails_its_step_and_is_not_quoted(
    said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a caller says cannot bring a secret, nor those words, into a log, a store or an error."""
    caplog.set_level(logging.DEBUG)

    async def main() -> tuple[Any, Any]:
        async with Server() as server:
            variables = {
                "SERVER": server.url, "E_THING": "cnry-thing", "HOOK_URL": f"{server.url}/cnry-url",
            }  # fmt: skip
            app = app_for(CONFIG, tmp_path, variables)
            return await play(app, said), app._sink

    context, sink = asyncio.run(main())
    seen = f"{stored(tmp_path)!r}{caplog.text}{sink.lines}{dict(context.data)}"
    assert "cnry" not in seen
    assert "Ludmilla" not in seen
    if said not in ("%2e%2e",):  # which is percent-encoded once more
        assert set(context.data) == {"one", "two", "three"}
        failed = [line for line in sink.lines if line.get("status") == "failed"]
        assert sorted(line["step"] for line in failed) == ["http", "webhook", "webhook"]


ROTATING = """
version: 1
name: reasons
connections:
  api: {kind: http, base_url: "${SERVER}"}
session:
  user_turn:
    - webhook: {url: "${HOOK_URL}", json: {}}
    - webhook: {connection: api, path: /x, json: {}, headers: {x-key: "${E_THING}"}}
    - webhook: {connection: api, path: "/y/${E_PART}", json: {}}  # hooks: ignore[HK501]
"""
BAD = {"HOOK_URL": "SERVER/cnry-url \n", "E_THING": "cnry\nthing", "E_PART": "../cnry"}


async def entries(tmp_path: Path) -> list[Entry]:
    store = SqliteStore(tmp_path / "outbox.db")
    try:
        return list(await store.list())
    finally:
        await store.aclose()


async def until_all(tmp_path: Path, is_so: Callable[[Entry], bool]) -> None:
    """Wait until something is true of every entry; what asserts it comes after."""
    end = time.monotonic() + 20
    while not all(map(is_so, await entries(tmp_path))):
        assert time.monotonic() < end, await entries(tmp_path)
        await asyncio.sleep(0.02)


def test_a_variable_that_does_not_fit_is_named_and_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It kills no backlog: what waits leaves once the variable is mended."""
    monkeypatch.setattr("orchestrator.outbox.schedule.SCHEDULE", (0.0, *[0.1] * 30))

    async def work(variables: Mapping[str, str], is_judged: Callable[[Entry], bool]) -> list[Entry]:
        app = app_for(ROTATING, tmp_path, variables)
        worker = Worker([app.plan], SqliteStore(tmp_path / "outbox.db"))
        worker.outbox.start()
        await until_all(tmp_path, is_judged)
        await worker.aclose(0.3)
        return await entries(tmp_path)

    async def main() -> tuple[list[Entry], list[Entry], int]:
        async with Server(Reply(503)) as server:
            good = {
                "SERVER": server.url, "HOOK_URL": f"{server.url}/good", "E_THING": "good-thing",
                "E_PART": "good-part",
            }  # fmt: skip
            await play(app_for(ROTATING, tmp_path, good), "hi")
            assert len(await entries(tmp_path)) == 3
            count = len(server.seen)
            bad = {name: value.replace("SERVER", server.url) for name, value in BAD.items()}
            after_bad = await work({**good, **bad}, lambda entry: "as set now" in entry.reason)
            assert len(server.seen) == count  # nobody was asked
            server.replies = [Reply()]
            after_good = await work(good, lambda entry: entry.state == "done")
            return after_bad, after_good, len(server.seen) - count

    bad, good, sent = asyncio.run(main())
    assert [entry.state for entry in bad] == ["waiting"] * 3
    assert all("as set now" in entry.reason for entry in bad)
    assert [name for entry in bad for name in BAD if name in entry.reason] == list(BAD)
    assert "cnry" not in f"{bad}{stored(tmp_path)!r}{caplog.text}"
    assert [entry.state for entry in good] == ["done"] * 3
    assert sent == 3


def test_a_connection_that_is_renamed_is_waited_for(tmp_path: Path) -> None:
    """A config without it delivers nothing and loses nothing."""

    async def main() -> Entry:
        async with Server() as server:
            app = app_for(ROTATING, tmp_path, {"SERVER": server.url, **BAD})
            worker = Worker([app.plan], SqliteStore(tmp_path / "outbox.db"))
            await worker.outbox.put(Delivery("m", "old-name", "/x", b"", config="reasons"))
            await until_all(tmp_path, lambda entry: bool(entry.reason) or entry.state != "waiting")
            await worker.aclose(0.3)
            return (await entries(tmp_path))[0]

    entry = asyncio.run(main())
    assert entry.state == "waiting"
    assert "'old-name'" in entry.reason


def worker_after(config: str, tmp_path: Path, variables: Mapping[str, str], one: Delivery) -> Entry:
    """What became of a delivery after one attempt."""

    async def main() -> Entry:
        app = app_for(config, tmp_path, variables)
        worker = Worker([app.plan], SqliteStore(tmp_path / "outbox.db"))
        await worker.outbox.put(one)
        await until_all(tmp_path, lambda entry: bool(entry.reason) or entry.state != "waiting")
        await worker.aclose(0.3)
        return next(e for e in await entries(tmp_path) if e.id == one.id)

    return asyncio.run(main())


def test_a_name_that_leads_inside_for_now_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver's wrong answer is no judgement of the receiver."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    one = Delivery("m", "api", "/x", b"", config="reasons")
    entry = worker_after(ROTATING, tmp_path, {"SERVER": "https://crm.test", **BAD}, one)
    assert (entry.state, entry.attempts) == ("waiting", 1)
    assert "has the private address 10.0.0.1" in entry.reason


def test_what_a_database_refuses_is_given_up(tmp_path: Path) -> None:
    """Its judgement of a record is final, as a 4xx is; a missing column may be added."""
    file = tmp_path / "crm.db"
    made = "create table people (id text, age integer check (age < 200))"
    sqlite3.connect(file).execute(made).connection.close()
    config = (
        "version: 1\nname: reasons\nprivacy: redact\n"
        "connections: {crm: {kind: sql, url: '${CRM}'}}\n"
        "session: {user_turn: [{crm_write: {connection: crm, table: people, match: {id: x},"
        " values: {a: 1}}}]}\n"
    )
    variables = {"CRM": f"sqlite:///{file}"}
    for number, (values, state) in enumerate(
        [({"age": 900}, "dead"), ({"nope": 1}, "waiting"), ({"age": 9}, "done")]
    ):
        body = json.dumps({"table": "people", "match": {"id": "Ludmilla"}, "values": values})
        one = Delivery(f"m{number}", "crm", "people", body.encode(), config="reasons")
        assert worker_after(config, tmp_path, variables, one).state == state
    assert not any("Ludmilla" in entry.reason for entry in asyncio.run(entries(tmp_path)))


def test_only_plain_words_are_shown_where_people_are_hidden() -> None:
    """An error's own words are kept, all else is masked; secrets are in either case."""
    redactor = Redactor(["s3cret"], is_private=True)
    assert redactor.reason(ActionFailed("HTTP 503", is_plain=True)) == "HTTP 503"
    assert redactor.reason(ActionFailed("key s3cret", is_plain=True)) == "key ***"
    assert redactor.reason(ActionFailed("no such Ludmilla")) == "[16 characters]"
    assert redactor.reason(ValueError("Ludmilla")) == "ValueError: [8 characters]"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 what was said: {}\r\n\r\n", b"{}\r\n\r\n", b"HTTP/1.1 200 OK\r\n{}\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: {}\r\n\r\n", b"HTTP/1.1 200 {}\r\nx: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n",
    ],
)  # fmt: skip
def test_a_receiver_cannot_put_its_words_into_a_reason(answer: bytes) -> None:
    """What gives back the request, whole or encoded anyhow, as an answer that is none of HTTP."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.replace(b"{}", b"UGxhbmV0YXJ5Ludmilla"))
        await writer.drain()
        writer.close()

    async def main() -> str:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, Opened(url) as http:
            try:
                return str(await http.send(Delivery("m", "crm", "/", b""), 1.0))
            except ActionFailed as error:
                return str(error)

    said = asyncio.run(main())
    assert "Ludmilla" not in said
    assert said


def test_what_the_parser_quotes_of_a_request_is_cut_off() -> None:
    """A header that it does not like, say."""
    error = httpcore.LocalProtocolError("Illegal header value b'cnry'")
    assert str(_translated(error)) == "Illegal header value"
