"""`crm_lookup` and `crm_write`, on real databases and servers."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actions.crm_lookup import CrmLookup
from actions.crm_write import CrmWrite
from orchestrator.action import MOST_BYTES
from orchestrator.clock import real_clock, run_virtual
from orchestrator.config import Allow
from orchestrator.connections.sql import SqlConnection
from orchestrator.errors import ActionFailed, NotSent
from orchestrator.outbox import Outbox
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.shapes import Shape
from tests.fakes import FakeContext
from tests.servers import Opened, Reply, Server, run, services

SCHEMA = """
CREATE TABLE customers (phone TEXT, given_name TEXT, plan TEXT);
INSERT INTO customers VALUES ('+15550100', 'Ada', NULL);
INSERT INTO customers VALUES ('+15550101', 'Bo', 'pro'), ('+15550101', 'Cy', 'pro');
INSERT INTO customers VALUES ('', 'Nobody', 'x');
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    db = sqlite3.connect(tmp_path / "crm.db")
    db.executescript(SCHEMA)
    db.close()
    return tmp_path / "crm.db"


def in_sql(file: Path, *lookups: Mapping[str, Any]) -> list[Any]:
    """Run look-ups one after another on one connection."""

    async def main() -> list[Any]:
        crm = SqlConnection.open("crm", SqlConnection(url=f"sqlite:///{file}"), services(), Allow())
        given = {"connection": "crm", "table": "customers"}
        try:
            ctx = FakeContext({"crm": crm})
            return [await CrmLookup(**{**given, **options}).run(ctx) for options in lookups]
        finally:
            await crm.aclose()

    return list(run(main()))


def in_http(reply: Reply, **options: Any) -> Any:
    """Run one look-up against one answer; gives its output and the request."""

    async def main() -> Any:
        async with Server(reply) as server, Opened(server.url) as crm:
            given = {"connection": "crm", "path": "/customers", **options}
            output = await CrmLookup(**given).run(FakeContext({"crm": crm}))
            return output, server.seen

    return run(main())


ADA = {"phone": "+15550100"}


def test_a_record_is_saved_whole(file: Path) -> None:
    """Without `fields` the record comes as it is."""
    assert in_sql(file, {"match": ADA}) == [{**ADA, "given_name": "Ada", "plan": None}]


def test_fields_are_chosen_and_renamed(file: Path) -> None:
    """`fields` is a list of names, or a map of ours to theirs."""
    lookups = (
        {"match": ADA, "fields": ["given_name"]},
        {"match": ADA, "fields": {"first_name": "given_name", "tier": "plan"}},
    )
    assert in_sql(file, *lookups) == [{"given_name": "Ada"}, {"first_name": "Ada", "tier": None}]


def test_defaults_fill_what_is_null(file: Path) -> None:
    """A field without a value gets its own default; one with a value keeps it."""
    given = {"fields": {"tier": "plan"}, "defaults": {"tier": "basic"}}
    found = in_sql(file, {"match": ADA, **given}, {"match": {"given_name": "Bo"}, **given})
    assert found == [{"tier": "basic"}, {"tier": "pro"}]


def test_a_miss_is_null_or_the_default(file: Path) -> None:
    """No record gives null; with `default` it gives a record with all declared fields."""
    lookups = (
        {"match": {"phone": "+1"}},
        {"match": {"phone": "+1"}, "default": {"name": "there"}},
        {
            "match": {"phone": "+1"},
            "fields": ["given_name", "plan"],
            "defaults": {"plan": "basic"},
            "default": {"given_name": "there"},
        },
    )
    assert in_sql(file, *lookups) == [
        None,
        {"name": "there"},
        {"given_name": "there", "plan": "basic"},
    ]


@pytest.mark.parametrize("number", ["", None])
def test_a_withheld_number_finds_nobody(file: Path, number: str | None) -> None:
    """An empty value is a miss, even if some record has no number either."""
    assert in_sql(file, {"match": {"phone": number}}) == [None]


def test_of_several_records_one_is_taken_and_the_log_says_so(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two records that match are no error, but are noted."""
    with caplog.at_level(logging.WARNING):
        (found,) = in_sql(file, {"match": {"phone": "+15550101"}, "fields": ["plan"]})
    assert found == {"plan": "pro"}
    assert "several records match" in caplog.text


def test_a_failure_is_not_a_miss(file: Path) -> None:
    """A missing table fails the step, `default` or not."""
    with pytest.raises(ActionFailed, match="nope"):
        in_sql(file, {"table": "nope", "match": ADA, "default": {}})


def test_the_connection_must_be_of_the_kind_that_is_asked(file: Path) -> None:
    """A path needs an http connection."""
    with pytest.raises(ActionFailed, match="is sql, not http"):
        in_sql(file, {"table": None, "path": "/x"})


def test_a_found_record_is_remembered_for_a_while() -> None:
    """With `cache` the same question is asked once; another question, or a miss, is asked."""

    async def main() -> list[str]:
        found = [Reply(body={"n": n}) for n in (1, 2, 3)]
        replies = [*found[:2], Reply(404), Reply(404), found[2]]
        async with Server(*replies) as server, Opened(server.url) as crm:
            ctx = FakeContext({"crm": crm})

            async def ask(phone: str, cache: float = 60.0) -> Any:
                options = {"path": "/c", "query": {"phone": phone}, "cache": cache}
                return await CrmLookup(connection="crm", **options).run(ctx)

            assert [await ask("+1"), await ask("+1"), await ask("+2")] == [
                {"n": 1},
                {"n": 1},
                {"n": 2},
            ]
            assert [await ask("+3"), await ask("+3")] == [None, None]
            assert await ask("+1", cache=0) == {"n": 3}
            return [seen.target for seen in server.seen]

    assert len(run(main())) == 5


def test_the_cache_is_bounded() -> None:
    """Old answers make room for new ones."""

    async def main() -> int:
        async with Opened("https://crm.test") as crm:
            for number in range(1500):

                async def load(number: int = number) -> Any:
                    return {"n": number}

                await crm.cached(number, 60.0, load)
            return len(crm._cache)

    assert run(main()) == 1000


@pytest.mark.parametrize(
    ("body", "where", "found"),
    [
        ({"name": "Ada"}, "", {"name": "Ada"}),
        ([{"name": "Ada"}], "", {"name": "Ada"}),
        ({"data": {"items": [{"name": "Ada"}]}}, "data.items[0]", {"name": "Ada"}),
        ({"data": {"items": [{"name": "Ada"}]}}, "data.items", {"name": "Ada"}),
        ([[{"name": "Ada"}]], "[0][0]", {"name": "Ada"}),
        ({"data": {"items": []}}, "data.items[0]", None),
        ({"data": None}, "data.items[0]", None),
        ([], "", None),
        ({}, "", None),
        ({"data": {"items": [1]}}, "nowhere", None),
    ],
)
def test_the_record_is_where_record_says(body: Any, where: str, found: Any) -> None:
    """A path leads to the record; where it ends early there is none."""
    assert in_http(Reply(body=body), record=where)[0] == found


def test_the_query_is_encoded() -> None:
    """A `+` in a number arrives as a plus."""
    _, seen = in_http(Reply(body={}), query={"phone": "+15550100", "x": "a&b=c"})
    assert seen[0].target == "/customers?phone=%2B15550100&x=a%26b%3Dc"


@pytest.mark.parametrize("status", [404, 204])
def test_not_found_is_a_miss(status: int) -> None:
    """HTTP 404 and 204 say that there is no record."""
    assert in_http(Reply(status))[0] is None


@pytest.mark.parametrize(("status", "is_retryable"), [(500, True), (401, False), (302, False)])
def test_other_answers_are_failures(status: int, is_retryable: bool) -> None:
    """A CRM that is down or refuses fails the step."""
    with pytest.raises(ActionFailed) as caught:
        in_http(Reply(status))
    assert caught.value.retryable is is_retryable


@pytest.mark.parametrize("body", ["<html>", '"Ada"', "[1]"])
def test_an_answer_without_a_record_is_a_failure(body: str) -> None:
    """What is no JSON, or no mapping, is no miss."""
    with pytest.raises(ActionFailed):
        in_http(Reply(body=body))


def test_deep_fields_of_an_answer_are_reached() -> None:
    """Their name may be a path into the record."""
    body = {"name": {"first": "Ada"}, "phones": [{"n": 1}]}
    output, _ = in_http(Reply(body=body), fields={"first": "name.first", "n": "phones[0].n"})
    assert output == {"first": "Ada", "n": 1}


def test_in_virtual_time_nothing_is_asked() -> None:
    """`NotSent` comes through untouched."""

    async def main() -> None:
        given = {"connection": "crm", "table": "t", "match": {"a": 1}, "values": {"b": 1}}
        for action in (CrmLookup, CrmWrite):
            with pytest.raises(NotSent):
                await action(**given).run(FakeContext())

    run_virtual(main())


# --- what validation knows


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "needs `table`"),
        ({"table": "t", "path": "/x"}, "needs `table`"),
        ({"table": "t"}, "needs `match`"),
        ({"table": "t", "match": {}}, "needs `match`"),
        ({"table": "t", "match": {"a": 1}, "query": {}}, "`query` does not go"),
        ({"table": "t", "match": {"a": 1}, "record": "x"}, "`record` does not go"),
        ({"path": "/x", "match": {"a": 1}}, "`match` does not go"),
        ({"path": "/x", "record": "a..b"}, "no path"),
        ({"path": "/x", "record": "a[x]"}, "no path"),
        ({"path": "/x", "fields": ["a"], "defaults": {"b": 1}}, "'b'"),
    ],
)
def test_options_that_do_not_go_together_are_found(options: dict[str, Any], word: str) -> None:
    """`check` finds what cannot be meant."""
    (fault,) = CrmLookup.check(options)
    assert word in fault.message


@pytest.mark.parametrize(
    "options",
    [
        {"table": "t", "match": {"a": "{{ call.user_number }}"}},
        {"path": "/x", "record": "data.items[0]", "query": {"a": 1}},
        {"path": "/x", "fields": {"a": "b"}, "defaults": {"a": 1}},
    ],
)
def test_options_that_go_together_pass(options: dict[str, Any]) -> None:
    """`check` is silent on what is fine."""
    assert CrmLookup.check(options) == ()


def shape(**options: Any) -> Shape:
    return CrmLookup.output_for({"connection": "crm", **options})


def test_the_shape_says_what_may_be_null() -> None:
    """Without `default` the record may be null; with it, what it leaves out is on a miss."""
    assert shape().is_optional
    assert not shape(default={}).is_optional
    fields = shape(fields=["a", "b"], defaults={"a": 1}).fields
    assert (fields["a"].is_optional, fields["b"].is_optional) == (False, False)
    fields = shape(fields=["a", "b", "c"], defaults={"a": 1}, default={"b": 1}).fields
    assert [fields[name].is_optional for name in "abc"] == [False, False, True]


def test_the_shape_has_the_declared_fields_only() -> None:
    """Declared fields close the record, so that a misspelt name is found."""
    declared = shape(fields={"first_name": "given_name"}, default={"tier": "basic"})
    assert set(declared.fields) == {"first_name", "tier"}
    assert not declared.is_open
    assert shape().is_open


# --- crm_write


def write(**options: Any) -> tuple[Any, Any]:
    """Run one write; its output and what went to the outbox."""
    ctx = FakeContext({})

    async def main() -> Any:
        return await CrmWrite(connection="crm", **options).run(ctx)

    return run(main()), ctx.sent[0]


def test_a_write_goes_through_the_outbox_and_into_the_table(file: Path) -> None:
    """What the outbox holds is enough to write the record, once or twice."""
    output, sent = write(table="customers", match=ADA, values={"plan": "none"})
    assert output == {"id": "msg_1"}

    async def main() -> Any:
        crm = SqlConnection.open("crm", SqlConnection(url=f"sqlite:///{file}"), services(), Allow())
        await crm.send(sent)
        await crm.send(sent)
        found = await crm.fetch("customers", ADA)
        await crm.aclose()
        return found

    assert run(main()) == [{**ADA, "given_name": "Ada", "plan": "none"}]


def test_a_write_over_http_is_a_request(file: Path) -> None:
    """The values are the body, under the path, with one key over all attempts."""
    _, sent = write(path="/contacts/1", values={"stage": "won"})
    assert (sent.method, sent.url, json.loads(sent.body)) == (
        "PATCH",
        "/contacts/1",
        {"stage": "won"},
    )


def test_values_that_are_too_large_are_shortened_and_what_they_match_is_not() -> None:
    """However much was said, the note of the call is written, into the right record."""
    match = {"phone": "+1" + "5" * 20_000}
    _, sent = write(table="customers", match=match, values={"plan": "x" * 900_000, "n": 1})
    assert len(sent.body) <= MOST_BYTES
    written = json.loads(sent.body)
    assert written["match"] == match
    assert written["values"]["n"] == 1
    assert written["values"]["plan"].endswith("… (cut: it had 900,000 characters)")


@pytest.mark.parametrize("options", [{}, {"table": "t"}, {"table": "t", "path": "/x"}])
def test_a_write_needs_a_table_with_match_or_a_path(options: dict[str, Any]) -> None:
    """`check` finds a write that has no single place."""
    assert CrmWrite.check({"values": {}, **options})


IN_TABLE = {"table": "customers", "match": ADA}
UNDER_PATH = {"path": "/contacts/1"}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (IN_TABLE, IN_TABLE, True),
        (IN_TABLE, {"table": "customers", "match": {"plan": "pro"}}, True),
        (IN_TABLE, {"table": "public.Customers", "match": ADA}, True),
        (IN_TABLE, {"table": "notes", "match": ADA}, False),
        (UNDER_PATH, {"path": "contacts/1/"}, True),
        (UNDER_PATH, {"path": "/contacts/1?v=2", "method": "PUT"}, True),
        (UNDER_PATH, {"path": "/contacts/2"}, False),
        ({**UNDER_PATH, "order": "call"}, {"path": "/notes", "order": "call"}, True),
    ],
)
def test_writes_of_one_call_to_one_place_have_one_order(
    one: dict[str, Any], other: dict[str, Any], is_same: bool
) -> None:
    """Whichever step writes it, and however the place is written; nothing of a path is told."""
    orders = [write(values={"a": 1}, **options)[1].order for options in (one, other)]
    assert (orders[0] == orders[1]) is is_same
    assert all(order.startswith("call-1") and "contacts" not in order for order in orders)


def test_a_later_write_is_never_overtaken(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is locked when the call writes; the first is tried again later than the second."""
    waits = iter([0.3, *[0.0] * 20])
    monkeypatch.setattr("orchestrator.outbox.outbox.delay_before", lambda *_: next(waits))
    lock = sqlite3.connect(file, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    writes = [write(**IN_TABLE, values={"plan": plan})[1] for plan in ("old", "new")]

    async def main() -> None:
        options = SqlConnection(url=f"sqlite:///{file}", timeout=0.05)
        crm = SqlConnection.open("crm", options, services(), Allow())
        store = SqliteStore(file.with_name("outbox.db"))
        box = Outbox(crm.send, clock=real_clock(), store=store)
        for number, one in enumerate(writes):
            await box.put(replace(one, id=f"msg_{number}"))
        async with asyncio.timeout(20):
            while not [entry for entry in await box.list() if entry.reason]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            lock.execute("COMMIT")
            while await box.count("done") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await box.aclose()
        await crm.aclose()

    run(main())
    plans = lock.execute("SELECT plan FROM customers WHERE phone = ?", (ADA["phone"],)).fetchall()
    lock.close()
    assert plans == [("new",)]
