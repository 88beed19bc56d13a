"""`kind: sql`: a SQLite or PostgreSQL database, read and written one record at a time."""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import quote, unquote
from uuid import UUID

from orchestrator.action import Delivery, Duration, Fault, Secret, is_sql_name
from orchestrator.connections.base import AllowLike, Connection, ServicesLike, digest_of
from orchestrator.errors import (
    ActionFailed,
    EnvironmentFailure,
    OrchestratorError,
    Unsendable,
    words,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, TableClause
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["SqlConnection"]

_URL = re.compile(r"(sqlite|postgres(?:ql)?)(\+[a-z0-9]+)?://")
_FILE = re.compile(r"sqlite(\+[a-z0-9]+)?:///[^?]")
_HOST = re.compile(r"postgres(?:ql)?(\+[a-z0-9]+)?://[^/\s]*/[^/\s]")
_FORMS = "write sqlite:///file.db or postgresql://user:password@host/database"
_DRIVERS = {
    "sqlite": ("sqlite+aiosqlite", "aiosqlite", "sql"),
    "postgres": ("postgresql+asyncpg", "asyncpg", "postgres"),
    "postgresql": ("postgresql+asyncpg", "asyncpg", "postgres"),
}
#: What a database says when it may be better next time.
_PASSING = re.compile(
    r"locked|busy|timed? ?out|connection|closed|starting up|shutting down|too many clients|"
    r"deadlock|serializ|not available|disk i/o|refused|unreachable|no such file",
    re.IGNORECASE,
)
_PLAIN = (str, bool, int, float, Decimal, datetime, date, time, UUID, list, dict, type(None))


class SqlConnection(Connection):
    """A database. `sqlite:///crm.db` is a file beside where the program runs, and must exist.

    ```yaml
    connections:
      crm: {kind: sql, url: "${CRM_URL:-sqlite:///crm.db}"}
      orders: {kind: sql, url: "${ORDERS_URL}"}     # postgresql://user:password@host/database
    ```

    SQLite needs `pip install 'hook-orchestrator[sql]'`, PostgreSQL `hook-orchestrator[postgres]`.
    """

    url: Annotated[Secret, "sqlite:///file.db or postgresql://user:password@host/database"]
    pool: Annotated[int, "connections that are kept open", range(1, 101)] = 5
    timeout: Annotated[Duration, "how long to wait for a connection or a lock"] = Duration(5)

    kind: ClassVar[str] = "sql"

    def faults(self, allow: AllowLike) -> Iterator[Fault]:
        """An unknown kind of database."""
        if not _URL.match(self.url):
            yield Fault("`url` must begin with sqlite:/// or postgresql://", "url", _FORMS)
        elif self.url.startswith("sqlite") and not _FILE.match(self.url):
            yield Fault("`url` names no SQLite file: three slashes stand before it", "url", _FORMS)
        elif not self.url.startswith("sqlite") and not _HOST.match(self.url):
            yield Fault("`url` names no database of a PostgreSQL server", "url", _FORMS)

    def _start(self, services: ServicesLike, allow: AllowLike) -> None:
        super()._start(services, allow)
        self._engine: AsyncEngine | None = None
        self._file: str | None = None

    async def aclose(self) -> None:
        """Close what is open."""
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    async def fetch_one(
        self, table: str, match: Mapping[str, Any], fields: Sequence[str] | None = None
    ) -> dict[str, Any] | None:
        """The record whose columns equal `match`, or None. Raises as `fetch` does."""
        rows = await self.fetch(table, match, fields, limit=1)
        return rows[0] if rows else None

    async def fetch(
        self,
        table: str,
        match: Mapping[str, Any],
        fields: Sequence[str] | None = None,
        *,
        limit: int = 2,
    ) -> list[dict[str, Any]]:
        """At most `limit` records whose columns equal `match`; `fields` are the columns wanted.

        Raises:
            ActionFailed: the database cannot be asked; `retryable` when it may be better next time.
            EnvironmentFailure: a package is missing.
        """
        async with self._talking(f"read {table}") as db:
            import sqlalchemy as sa

            where = _conditions(match)
            wanted = [_column(name) for name in fields] if fields else [sa.literal_column("*")]
            query = sa.select(*wanted).select_from(_table(table)).where(*where).limit(limit)
            rows = (await db.execute(query)).mappings().all()
        return [{str(k): _value(v) for k, v in row.items()} for row in rows]

    @property
    def address(self) -> str:
        """Its database; who logs in there may change."""
        scheme, _, place = self.url.partition("://")
        return digest_of(f"{scheme}://{place.rpartition('@')[2]}")

    def prepare(self) -> None:
        """Import SQLAlchemy and the driver."""
        import_driver(self.url)
        import sqlalchemy.ext.asyncio  # noqa: F401 - what the first query would import

    async def write(self, table: str, match: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Set `values` where columns equal `match`, or add a record. Raises as `fetch`."""
        import_driver(self.url)
        import sqlalchemy as sa

        for attempt in (1, 2):
            try:
                async with self._talking(f"write {table}") as db:
                    target = _table(table, [*match, *values])
                    known = {name: _bound(value) for name, value in match.items()}
                    bound = {name: _bound(value) for name, value in values.items()}
                    update = sa.update(target).where(*_conditions(match)).values(bound)
                    if (await db.execute(update)).rowcount == 0:
                        await db.execute(sa.insert(target).values({**known, **bound}))
                return
            except ActionFailed as error:
                # Somebody else added the record between our update and insert: update it then.
                if attempt == 2 or not isinstance(error.__cause__, sa.exc.IntegrityError):
                    raise

    async def send(self, delivery: Delivery, timeout: float | None = None) -> None:
        """Make one attempt at a write that went through the outbox.

        Raises:
            Unsendable: the database is not as the config says: another password, no such table.
            ActionFailed: it cannot be asked, or refuses the record.
        """
        what = json.loads(delivery.body)
        try:
            await self.write(delivery.url, what["match"], what["values"])
        except ActionFailed as error:
            import sqlalchemy.exc

            refusals = (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.DataError)
            if error.retryable or isinstance(error.__cause__, refusals):
                raise
            raise Unsendable(words(error), retryable=True) from error

    @asynccontextmanager
    async def _talking(self, what: str) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction; whatever goes wrong comes out in plain words."""
        engine = self._open_engine()
        import sqlalchemy.exc

        try:
            if self._file is not None and not os.path.exists(self._file):  # noqa: ASYNC240 - one stat
                raise ActionFailed(f"{self.name}: there is no SQLite file {self._file}")
            async with engine.begin() as db:
                yield db
        except OrchestratorError:
            raise
        except (sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError) as error:
            raise self._failure(what, error) from error
        except Exception as error:
            # asyncpg's own errors while it connects are no SQLAlchemy errors
            if not type(error).__module__.startswith(("asyncpg", "sqlite3", "aiosqlite")):
                raise
            raise self._failure(what, error) from error

    def _failure(self, what: str, error: Exception) -> ActionFailed:
        cause = getattr(error, "orig", None) or error
        said = re.sub(r"<class '[^']*'>: ", "", str(cause)).strip().partition("\n")[0]
        said = said or type(error).__name__
        is_passing = isinstance(error, (OSError, TimeoutError)) or bool(_PASSING.search(said))
        return ActionFailed(f"{self.name}: cannot {what}: {said[:200]}", retryable=is_passing)

    def _open_engine(self) -> AsyncEngine:
        if self._engine is not None:
            return self._engine
        driver = import_driver(self.url)
        from sqlalchemy import make_url
        from sqlalchemy.ext.asyncio import create_async_engine

        url = make_url(self.url).set(drivername=driver)
        arguments: dict[str, Any] = {"timeout": self.timeout}
        if driver.startswith("sqlite"):
            # taken from the text: whether `database` is decoded depends on SQLAlchemy's version
            self._file = os.path.abspath(unquote(self.url.partition(":///")[2].partition("?")[0]))
            # `rw`: a mistyped name is an error, never a new and empty database
            name = f"file:{quote(self._file)}?mode=rw"
            url = url.set(database=name, query={"uri": "true"})
        self._engine = create_async_engine(
            url,
            pool_size=self.pool,
            max_overflow=0,
            pool_timeout=self.timeout,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=arguments,
        )
        return self._engine


def import_driver(url: str) -> str:
    """The SQLAlchemy driver of a URL, its packages imported.

    Raises:
        EnvironmentFailure: a package is missing; says what to install.
    """
    match = _URL.match(url)
    driver, package, extra = _DRIVERS[match[1] if match else "sqlite"]
    try:
        importlib.import_module("sqlalchemy.ext.asyncio")
        importlib.import_module(package)
    except ImportError as error:
        raise EnvironmentFailure(
            f"databases need more packages: pip install 'hook-orchestrator[{extra}]' ({error})"
        ) from error
    return driver


def _checked(name: str, what: str) -> str:
    if not is_sql_name(name):
        raise ActionFailed(f"{name[:60]!r} is no name of a {what}")
    return name


def _table(name: str, columns: Sequence[str] = ()) -> TableClause:
    import sqlalchemy as sa

    schema, _, short = _checked(name, "table").rpartition(".")
    return sa.table(short, *map(_column, dict.fromkeys(columns)), schema=schema or None)


def _column(name: str) -> Any:
    import sqlalchemy as sa

    return sa.column(_checked(name, "column"))


def _conditions(match: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    if not match:
        raise ActionFailed("`match` names no column")
    return [_column(name) == _bound(value) for name, value in match.items()]


def _bound(value: Any) -> Any:
    """A value as databases take it: parts as JSON, text without half surrogate pairs."""
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ActionFailed(f"{value} is too large a number for a database")
    return value


def _value(value: Any) -> Any:
    """A cell as plain data: of bytes nothing can be said or compared, other types by their text."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return None
    return value if isinstance(value, _PLAIN) else str(value)
