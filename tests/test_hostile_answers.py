"""Hostile text on its way out to real servers, and in their answers and a real database's rows."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import AgentRunner, Orchestrator
from orchestrator.callscript import CallScript, TimedEvent
from orchestrator.runtime import CallEvent
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import check_text
from tests import hostile
from tests.servers import Reply, Server
from tests.test_hostile_events import check_logs, logged

SLOW = settings(
    max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
MANY = st.lists(hostile.TEXT, min_size=12, max_size=12)

OUT = """
version: 1
connections:
  shop: {kind: http, base_url: "%s", auth: {bearer: "${TOKEN}"}}
  crm: {kind: sql, url: "sqlite:///%s"}
session:
  dtmf: [{end_call: done}]
  user_turn:
    - name: path
      do: [{http: {connection: shop, path: "/path/{{ event.text }}"}}]
    - name: query
      do: [{http: {connection: shop, path: /query, query: {q: "{{ event.text }}"}}}]
    - name: header
      do: [{http: {connection: shop, path: /header, headers: {x-said: "{{ event.text }}"}}}]
    - name: json
      do: [{http: {connection: shop, path: /json, method: POST, json: {said: "{{ event.text }}"}}}]
    - name: body
      do: [{webhook: {connection: shop, path: /body, body: "{{ event.text }}"}}]
    - name: durable
      do: [{webhook: {connection: shop, path: /durable, json: {said: "{{ event.text }}"}, headers: {x-said: "{{ event.text }}"}}}]
    - name: find
      do: [{crm_lookup: {connection: crm, table: customers, match: {phone: "{{ event.text }}"}}, save: found}]
    - name: write
      do: [{crm_write: {connection: crm, table: customers, match: {phone: "{{ event.text }}"}, values: {note: "{{ event.text }}"}}}]
"""


def carry(
    text: str, folder: Path, events: Iterable[tuple[str, dict[str, Any]]], header: Any = None
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, list[str]]]:
    """Carry one call in real time, with an outbox and journals on the disk; data, journal, log."""

    async def main() -> dict[str, Any]:
        checked = check_text(text)
        errors = [str(p) for p in checked.problems if p.is_error and p.code < "HK400"]
        assert checked.config is not None
        assert errors == []
        app = Orchestrator(
            checked.config, variables={"TOKEN": "t0ken"}, journals=folder / "journals",
            outbox=folder / "outbox.db",
        )  # fmt: skip
        runner = AgentRunner()
        app.attach(runner)
        every = (*events, ("dtmf", {"digit": "#"}))  # the last event ends the call
        timed = tuple(TimedEvent(n / 1000, CallEvent(*event)) for n, event in enumerate(every))
        script = CallScript(header or {"id": "../../c 1\x00"}, timed, "test")
        context = await runner.handle(ScriptBridge(script, PlayOptions(linger=20)))
        await app.aclose()
        assert context.final_state == "ended"
        return dict(context.data)

    with logged() as found:
        data = asyncio.run(main())
    check_logs(found)
    files = list((folder / "journals").rglob("*"))
    assert [file.suffix for file in files] == [".jsonl"]
    lines = files[0].read_bytes().split(b"\n")
    assert lines.pop() == b""
    return data, [json.loads(line) for line in lines], found


def replaced(text: str) -> str:
    """What UTF-8 can hold of a text."""
    return text.encode(errors="replace").decode()


def table(folder: Path, rows: Iterable[tuple[str, str]] = ()) -> Path:
    database = sqlite3.connect(folder / "crm.db")
    database.execute("create table customers (phone text primary key, note text)")
    database.executemany("insert into customers values (?, ?)", list(rows))
    database.commit()
    database.close()
    return folder / "crm.db"


@SLOW
@given(texts=MANY)
def test_what_leaves_stays_in_its_place(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    """One path segment, one query value, one header value, one body: as it was said, or not at all."""
    folder = tmp_path_factory.mktemp("out")
    file = table(folder, [("+15550100", "untouched")])
    seen: list[Any] = []

    async def serve() -> None:
        async with Server() as server:
            seen.append(server)
            turns = [("user_turn", {"text": text}) for text in texts]
            await asyncio.to_thread(carry, OUT % (server.url, file), folder, turns)

    asyncio.run(serve())
    usual = {"host", "accept", "connection", "user-agent", "accept-encoding", "authorization", "x-said",
             "content-length", "content-type", "idempotency-key", "webhook-id", "webhook-timestamp"}  # fmt: skip
    got: dict[str, list[Any]] = {}
    for request in seen[0].seen:
        path, _, query = request.target.partition("?")
        assert set(request.headers) <= usual
        assert request.headers["authorization"] == "Bearer t0ken"
        assert request.headers["host"] == f"127.0.0.1:{seen[0].port}"
        assert path.isascii()
        assert path.isprintable()
        _, place, *rest = path.split("/")
        assert len(rest) == (place == "path"), path
        what = {
            "path": lambda rest=rest: unquote(rest[0]),
            "query": lambda query=query: parse_qs(query, keep_blank_values=True, strict_parsing=True)["q"][0],
            "header": lambda request=request: unquote(request.headers["x-said"]),
            "json": lambda request=request: request.json["said"],
            "body": lambda request=request: request.body.decode(),
            "durable": lambda request=request: request.json["said"],
        }[place]()  # fmt: skip
        got.setdefault(place, []).append(what)
    spoken = [replaced(text) for text in texts]
    for place in ("query", "json"):
        assert got[place] == spoken, place
    assert sorted(got["body"]) == sorted(spoken)
    assert set(got.get("path", [])) <= set(spoken)
    assert set(got.get("durable", [])) <= set(spoken)
    harmless = {text for text in spoken if text.isprintable() and text.isascii()}
    assert {t for t in harmless if "%" not in t and t == t.strip()} <= {
        unquote(h) for h in got.get("header", [""])
    }
    database = sqlite3.connect(file)
    rows = dict(database.execute("select phone, note from customers").fetchall())
    database.close()
    assert rows.pop("+15550100") == "untouched"
    assert set(rows) <= set(spoken)
    assert all(phone == note for phone, note in rows.items())


IN = """
version: 1
connections:
  shop: {kind: http, base_url: "%s"}
session:
  dtmf: [{end_call: done}]
  user_turn:
    - http: {connection: shop, path: /answer}
      save: answer
    - crm_lookup: {connection: shop, path: /answer, record: record}
      save: record
    - set: {copy: "{{ data.answer.body.record | default(none) }}", status: "{{ data.answer.status | default(0) }}"}
    - say: "{{ data.record | default('nobody') }}"
    - log: {message: "found {{ data.record | default('nobody') }}", fields: {found: "{{ data.record | default('nobody') }}"}}
    - set: {reached: true}
"""


@SLOW
@given(
    records=st.lists(
        st.dictionaries(hostile.TEXT, hostile.JSON, min_size=1, max_size=3), min_size=4, max_size=4
    )
)
def test_what_a_service_answers_is_kept_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    """JSON of any content goes into `data` and out of it, and is never read as anything else."""
    for record in records:
        folder = tmp_path_factory.mktemp("in")
        got: list[Any] = []

        async def serve(record: Any = record, folder: Path = folder, got: list[Any] = got) -> None:
            async with Server(Reply(body={"record": record})) as server:
                turns = [("user_turn", {"text": "x"})]
                got.append(await asyncio.to_thread(carry, IN % server.url, folder, turns))

        asyncio.run(serve())
        data, lines, _ = got[0]
        sent = json.loads(json.dumps(record))  # two halves that stand together are one character
        assert data["copy"] == sent
        assert data["record"] == sent
        assert data["status"] == 200
        assert [x["status"] for x in lines if x.get("step") == "http"] == ["ok"]


_BODY = st.one_of(
    st.binary(max_size=200), hostile.TEXT.map(lambda t: t.encode(errors="replace")),
    st.sampled_from([b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe\x00", b"1" * 10_000, b'"\\ud83d"', b"NaN", b"null"]),
)  # fmt: skip
_TYPE = st.sampled_from(
    ["application/json", "text/plain", "application/json; charset=utf-16", "x\x1b[31m", ""]
)


@SLOW
@given(
    replies=st.lists(
        st.tuples(_BODY, _TYPE, hostile.TEXT, st.sampled_from([200, 201, 204, 302, 404, 500, 999])),
        min_size=4,
        max_size=4,
    )
)
def test_whatever_is_answered_the_call_goes_on(
    tmp_path_factory: pytest.TempPathFactory, replies: list[tuple[bytes, str, str, int]]
) -> None:
    """Bodies that are no JSON, headers that are none, statuses that nobody knows."""
    for body, kind, header, status in replies:
        folder = tmp_path_factory.mktemp("odd")
        line = replaced(header).replace("\r", "").replace("\n", "")
        headers = {"Content-Type": kind, "X-Odd": line, "Location": line, "Retry-After": line}

        async def serve(
            body: bytes = body, headers: Any = headers, status: int = status, folder: Path = folder
        ) -> None:
            async with Server(Reply(status, body, headers)) as server:
                turns = [("user_turn", {"text": "x"}), ("user_turn", {"text": "y"})]
                _, lines, _ = await asyncio.to_thread(carry, IN % server.url, folder, turns)
                steps = [x for x in lines if x.get("step") == "http"]
                assert len(steps) == 2
                assert {step["status"] for step in steps} <= {"ok", "failed"}

        asyncio.run(serve())


CRM = """
version: 1
connections:
  crm: {kind: sql, url: "sqlite:///%s"}
session:
  dtmf: [{end_call: done}]
  user_turn:
    - crm_lookup: {connection: crm, table: customers, match: {phone: "{{ event.text }}"}}
      save: found
    - set: {notes: "{{ (data.notes | default([])) + [data.found.note | default('-')] }}"}
    - say: "{{ data.found.note | default('-') }}"
    - log: "{{ data.found.note | default('-') }}"
"""


@SLOW
@given(notes=st.lists(hostile.TEXT.map(replaced), min_size=10, max_size=10))
def test_what_a_row_holds_is_kept_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, notes: list[str]
) -> None:
    """Rows of a real database, read one after another."""
    folder = tmp_path_factory.mktemp("crm")
    file = table(folder, [(f"+1555{n}", note) for n, note in enumerate(notes)])
    turns = [("user_turn", {"text": f"+1555{n}"}) for n in range(len(notes))]
    data, lines, _ = carry(CRM % file, folder, turns)
    assert data["notes"] == notes
    said = [x["text"] for x in lines if x.get("do") == "say"]
    assert said == [note for note in notes if note.strip()]


def test_a_row_of_a_million_characters(tmp_path: Path) -> None:
    """It is kept, or fails its step; the next row is read."""
    rows = [("big", "{{" * 500_000), ("bigger", "x" * 3_000_000), ("small", "fine")]
    file = table(tmp_path, rows)
    turns = [("user_turn", {"text": phone}) for phone, _ in rows]
    data, _, _ = carry(CRM % file, tmp_path, turns)
    assert data["found"]["note"] == "fine"


def test_names_of_columns_are_data_too(tmp_path: Path) -> None:
    """A record is a mapping, whatever its keys are."""
    names = ["{{ 7*7 }}", "a.b", "a b", "x\ny", "__class__", "\u202e", "; drop table customers"]
    database = sqlite3.connect(tmp_path / "crm.db")
    columns = ", ".join(f'"{name}" text' for name in names)
    database.execute(f"create table customers (phone text, note text, {columns})")
    database.execute(
        "insert into customers values (?, ?, ?, ?, ?, ?, ?, ?, ?)", ("+1", "n", *names)
    )
    database.commit()
    database.close()
    data, _, _ = carry(CRM % (tmp_path / "crm.db"), tmp_path, [("user_turn", {"text": "+1"})])
    assert data["found"] == {"phone": "+1", "note": "n", **{name: name for name in names}}
