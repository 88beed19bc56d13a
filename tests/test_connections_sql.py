"""Records in real SQLite files and a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.action import Delivery
from orchestrator.config import Allow
from orchestrator.connections.sql import SqlConnection
from orchestrator.errors import ActionFailed, EnvironmentFailure
from tests.servers import run, services

SCHEMA = """
CREATE TABLE customers (phone TEXT PRIMARY KEY, first_name TEXT, visits INTEGER);
INSERT INTO customers VALUES ('+15550100', 'Ada', 3);
INSERT INTO customers VALUES ('+15550101', 'Bo', NULL);
CREATE TABLE "order" ("select" TEXT, "from" TEXT);
INSERT INTO "order" VALUES ('a', 'b');
CREATE TABLE notes (phone TEXT, note TEXT);
"""
ADA = {"phone": "+15550100", "first_name": "Ada", "visits": 3}


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    file = tmp_path / "crm.db"
    with_sqlite(file, SCHEMA)
    return file


def with_sqlite(file: Path, script: str) -> None:
    db = sqlite3.connect(file)
    db.executescript(script)
    db.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server of its own, from PyPI."""
    with warnings.catch_warnings():  # it warns of a missing XDG_RUNTIME_DIR
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pgserver")
        folder = tempfile.mkdtemp(prefix="pg")
        server = pgserver.get_server(folder)
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database, once for each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('sqlite_file')}"
    server = request.getfixturevalue("postgres")
    server.psql('DROP TABLE IF EXISTS customers; DROP TABLE IF EXISTS "order", notes;')
    server.psql(SCHEMA)
    return str(server.get_uri())


def with_crm(url: str, use: Callable[[SqlConnection], Awaitable[Any]], **options: Any) -> Any:
    """Open a connection, use it, close it."""

    async def main() -> Any:
        crm = SqlConnection.open("crm", SqlConnection(url=url, **options), services(), Allow())
        try:
            return await use(crm)
        finally:
            await crm.aclose()

    return run(main())


def failure(url: str, use: Callable[[SqlConnection], Awaitable[Any]], **options: Any) -> Any:
    with pytest.raises(ActionFailed) as caught:
        with_crm(url, use, **options)
    return caught.value


def test_a_record_is_found_by_its_columns(url: str) -> None:
    """A match gives the whole record as plain data."""
    assert with_crm(url, lambda crm: crm.fetch_one("customers", {"phone": "+15550100"})) == ADA


def test_only_the_columns_wanted_are_read(url: str) -> None:
    """`fields` limits what is read."""
    found = with_crm(url, lambda crm: crm.fetch_one("customers", {"visits": 3}, ["first_name"]))
    assert found == {"first_name": "Ada"}


def test_a_miss_is_none(url: str) -> None:
    """No record is no error."""
    assert with_crm(url, lambda crm: crm.fetch_one("customers", {"phone": "+1"})) is None


def test_null_is_matched_as_null(url: str) -> None:
    """A match by null finds records without a value."""
    found = with_crm(url, lambda crm: crm.fetch_one("customers", {"visits": None}))
    assert found["first_name"] == "Bo"


def test_words_of_sql_are_names_like_others(url: str) -> None:
    """Tables and columns named like keywords are quoted."""
    found = with_crm(url, lambda crm: crm.fetch_one("order", {"select": "a"}, ["from"]))
    assert found == {"from": "b"}


@pytest.mark.parametrize(
    "value",
    [
        "' OR '1'='1",
        "+15550100'; DROP TABLE customers; --",
        '" OR ""="',
        "\\' OR 1=1",
        "%",
        "\ud83d",
    ],
)
def test_values_are_never_sql(url: str, value: str) -> None:
    """Whatever a caller says is compared, not run."""
    assert with_crm(url, lambda crm: crm.fetch("customers", {"phone": value})) == []
    assert with_crm(url, lambda crm: crm.fetch_one("customers", {"phone": "+15550100"})) == ADA


@pytest.mark.parametrize(
    "name",
    [
        'customers"; DROP TABLE customers; --',
        "",
        "a;b",
        "a'b",
        "1a",
        "a.b.c",
        "x" * 64,
        "a\n",
        "a\x00",
    ],
)
def test_names_that_are_none_are_refused(url: str, name: str) -> None:
    """A table or column is a name, and nothing else."""
    failure(url, lambda crm: crm.fetch(name, {"phone": "x"}))
    failure(url, lambda crm: crm.fetch("customers", {name: "x"}))
    failure(url, lambda crm: crm.fetch("customers", {"phone": "x"}, [name]))
    failure(url, lambda crm: crm.write("customers", {"phone": "x"}, {name: "x"}))


def test_a_write_changes_the_record_or_adds_one(url: str) -> None:
    """What matches is changed, and only in what is given; else a record is added."""

    async def use(crm: SqlConnection) -> list[Any]:
        await crm.write("customers", {"phone": "+15550100"}, {"visits": 4})
        await crm.write("customers", {"phone": "+15550199"}, {"first_name": "Cy"})
        phones = ("+15550100", "+15550199", "+15550101")
        return [await crm.fetch_one("customers", {"phone": phone}) for phone in phones]

    ada, cy, bo = with_crm(url, use)
    assert ada == {**ADA, "visits": 4}
    assert cy == {"phone": "+15550199", "first_name": "Cy", "visits": None}
    assert bo["first_name"] == "Bo"


def test_two_writers_of_a_new_record_do_not_fail(url: str) -> None:
    """When others add the record between look and write, it is changed instead."""

    async def use(crm: SqlConnection) -> Any:
        writes = [crm.write("customers", {"phone": "+1"}, {"visits": n}) for n in range(5)]
        await asyncio.gather(*writes)
        return await crm.fetch("customers", {"phone": "+1"}, limit=9)

    assert len(with_crm(url, use)) == 1


def test_lists_and_mappings_are_written_as_json(url: str) -> None:
    """A value with parts goes in as JSON text."""

    async def use(crm: SqlConnection) -> Any:
        await crm.write("notes", {"phone": "+1"}, {"note": {"a": [1, 2]}})
        return await crm.fetch_one("notes", {"phone": "+1"})

    assert with_crm(url, use)["note"] == '{"a": [1, 2]}'


def test_a_delivery_is_a_write(url: str) -> None:
    """What went through the outbox is written."""
    body = b'{"match": {"phone": "+15550100"}, "values": {"visits": 9}}'

    async def use(crm: SqlConnection) -> Any:
        await crm.send(Delivery("msg_1", "crm", "customers", body, "WRITE"))
        return await crm.fetch_one("customers", {"phone": "+15550100"})

    assert with_crm(url, use)["visits"] == 9


def test_many_calls_at_once_share_the_pool(url: str) -> None:
    """More look-ups than connections wait for one another."""

    async def use(crm: SqlConnection) -> Any:
        asks = [crm.fetch_one("customers", {"phone": "+15550100"}) for _ in range(40)]
        return await asyncio.gather(*asks)

    assert with_crm(url, use, pool=2) == [ADA] * 40


def test_cancelled_look_ups_do_not_use_up_the_pool(url: str) -> None:
    """Steps that run out of time give their connection back."""

    async def use(crm: SqlConnection) -> Any:
        await crm.fetch_one("customers", {"phone": "x"})
        for n in range(20):
            task = asyncio.create_task(crm.fetch_one("customers", {"phone": "x"}))
            await asyncio.sleep(0.0003 * n)
            task.cancel()
            await asyncio.wait({task})
        return await crm.fetch_one("customers", {"phone": "+15550100"})

    assert with_crm(url, use, pool=2) == ADA


@pytest.mark.parametrize(
    ("table", "match", "word"), [("nope", {"a": 1}, "nope"), ("customers", {"nope": 1}, "nope")]
)
def test_a_missing_table_or_column_is_said_in_a_line(
    url: str, table: str, match: dict[str, Any], word: str
) -> None:
    """The message names what is missing, in one line, without SQL, and trying again is no use."""
    error = failure(url, lambda crm: crm.fetch(table, match))
    assert word in str(error)
    assert "\n" not in str(error)
    assert "SELECT" not in str(error)
    assert not error.retryable


def test_a_broken_rule_of_the_table_is_not_tried_again(url: str) -> None:
    """A value that the table refuses fails for good."""
    error = failure(
        url, lambda crm: crm.write("customers", {"first_name": "Bo"}, {"phone": "+15550100"})
    )
    assert not error.retryable


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
def test_a_number_that_no_column_holds_is_refused(url: str, value: int) -> None:
    """A number of over 64 bits fails in plain words."""
    error = failure(url, lambda crm: crm.fetch("customers", {"visits": value}))
    assert "too large" in str(error)


def test_an_empty_match_is_refused(url: str) -> None:
    """Without a condition every record would match."""
    assert "no column" in str(failure(url, lambda crm: crm.fetch("customers", {})))
    failure(url, lambda crm: crm.write("customers", {}, {"visits": 1}))


# --- SQLite alone


def test_a_missing_file_is_an_error_and_stays_missing(tmp_path: Path) -> None:
    """A mistyped file name is said, and no empty database appears."""
    file = tmp_path / "typo.db"
    error = failure(f"sqlite:///{file}", lambda crm: crm.fetch("customers", {"a": 1}))
    assert str(error) == f"crm: there is no SQLite file {file}"
    assert not file.exists()


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    """Spaces, percent and question marks in a file's name do no harm."""
    with_sqlite(tmp_path / "c r%20m#.db", SCHEMA)
    url = f"sqlite:///{tmp_path}/c r%2520m#.db"
    assert with_crm(url, lambda crm: crm.fetch_one("customers", {"visits": 3})) == ADA


def test_a_relative_file_is_beside_where_the_program_runs(
    sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sqlite:///crm.db` is in the working directory."""
    monkeypatch.chdir(sqlite_file.parent)
    found = with_crm("sqlite:///crm.db", lambda crm: crm.fetch_one("customers", {"visits": 3}))
    assert found == ADA


def test_a_locked_file_is_worth_another_try(sqlite_file: Path) -> None:
    """A lock of somebody else is waited for, then said."""
    other = sqlite3.connect(sqlite_file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    write = failure(
        f"sqlite:///{sqlite_file}",
        lambda crm: crm.write("customers", {"visits": 3}, {"visits": 4}),
        timeout=0.1,
    )
    other.close()
    assert write.retryable
    assert "locked" in str(write)


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    """A text file is no database."""
    (tmp_path / "x.db").write_text("hello, this is text" * 100)
    error = failure(f"sqlite:///{tmp_path}/x.db", lambda crm: crm.fetch("customers", {"a": 1}))
    assert "not a database" in str(error)
    assert not error.retryable


def test_bytes_come_out_as_null(tmp_path: Path) -> None:
    """A picture in a record does not spoil the rest of it."""
    with_sqlite(tmp_path / "p.db", "CREATE TABLE p (id, photo); INSERT INTO p VALUES (1, x'ff')")
    url = f"sqlite:///{tmp_path}/p.db"
    assert with_crm(url, lambda crm: crm.fetch_one("p", {"id": 1})) == {"id": 1, "photo": None}


# --- PostgreSQL alone


def test_types_of_postgresql_come_out_as_plain_data(postgres: Any) -> None:
    """What JSON has no word for comes out as something a template can read."""
    from orchestrator.plain import plain

    postgres.psql(
        "DROP TABLE IF EXISTS kinds; CREATE TABLE kinds (id int, at timestamptz, day date, "
        "cost numeric(8,2), who uuid, ip inet, tags text[], gap interval, raw bytea, yes bool);"
        "INSERT INTO kinds VALUES (1, '2026-01-05 12:00Z', '2026-01-05', 9.50, "
        "'00000000-0000-0000-0000-000000000001', '10.0.0.1', '{a,b}', '1 day', '\\xff', true);"
    )
    found = plain(with_crm(postgres.get_uri(), lambda crm: crm.fetch_one("kinds", {"id": 1})))
    assert (found["cost"], found["tags"], found["yes"]) == (9.5, ["a", "b"], True)
    assert (found["day"], found["raw"], found["ip"]) == ("2026-01-05", None, "10.0.0.1")


def test_a_value_of_the_wrong_type_is_said(postgres: Any) -> None:
    """Comparing a number column with text fails for good, in one line."""
    postgres.psql("DROP TABLE IF EXISTS ids; CREATE TABLE ids (id int);")
    error = failure(postgres.get_uri(), lambda crm: crm.fetch("ids", {"id": "x"}))
    assert not error.retryable
    assert "\n" not in str(error)


def test_a_connection_that_the_server_closed_is_replaced(postgres: Any) -> None:
    """After a restart or a cut, the next look-up works."""
    postgres.psql('DROP TABLE IF EXISTS customers, "order", notes;')
    postgres.psql(SCHEMA)

    async def use(crm: SqlConnection) -> Any:
        await crm.fetch_one("customers", {"visits": 3})
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        await asyncio.to_thread(postgres.psql, cut)
        return await crm.fetch_one("customers", {"visits": 3})

    assert with_crm(postgres.get_uri(), use) == ADA


@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid"])
def test_a_server_that_is_not_there_is_worth_another_try(host: str) -> None:
    """Nobody listening, or an unknown name, is retryable; the password is not repeated."""
    error = failure(
        f"postgresql://user:pa55word@{host}/crm", lambda crm: crm.fetch("customers", {"a": 1})
    )
    assert error.retryable
    assert "pa55word" not in str(error)


def test_an_unknown_database_is_said(postgres: Any) -> None:
    """A database that does not exist fails for good."""
    url = postgres.get_uri().replace("/postgres?", "/nope?")
    error = failure(url, lambda crm: crm.fetch("customers", {"a": 1}))
    assert "nope" in str(error)
    assert not error.retryable


# --- without the packages


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("sqlite:///x.db", "sqlalchemy", "sql"),
        ("sqlite:///x.db", "aiosqlite", "sql"),
        ("postgresql://h/x", "asyncpg", "postgres"),
    ],
)
def test_a_missing_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, url: str, package: str, extra: str
) -> None:
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, package, None)
    if package == "sqlalchemy":
        monkeypatch.setitem(sys.modules, "sqlalchemy.ext.asyncio", None)
    with pytest.raises(EnvironmentFailure, match=rf"hook-orchestrator\[{extra}\]"):
        with_crm(url, lambda crm: crm.fetch("customers", {"a": 1}))


@pytest.mark.parametrize("url", ["mysql://h/x", "crm.db", "", "http://h"])
def test_other_databases_are_refused_when_a_config_is_loaded(url: str) -> None:
    """Only SQLite and PostgreSQL are known."""
    assert [fault.option for fault in SqlConnection(url=url).faults(Allow())] == ["url"]
