"""`crm_lookup`: find a record about the caller."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from orchestrator.action import (
    ANY,
    Action,
    ActionContext,
    ActionFailed,
    ConnectionName,
    Duration,
    Fault,
    Filled,
    Path,
    Shape,
    Written,
    check_columns,
    maybe,
    record,
)

__all__ = ["CrmLookup"]

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_PATH = re.compile(r"[^.\[\]]+(\.[^.\[\]]+|\[\d+\])*|(\[\d+\])(\.[^.\[\]]+|\[\d+\])*")


class CrmLookup(Action):
    """Find a record, such as the customer who calls.

    On a `sql` connection name `table` and `match`; on an `http` connection `path` and `query`, and
    with `record` where in the answer the record is (`data.items[0]`; the first of a list if it is
    a list). `fields` says what you want of it: a list, or your names for theirs. Declaring it lets
    `validate` find misspelt names.

    A miss is no error: it gives null, or `default`. HTTP 404, an empty list, and a match by an
    empty value (a withheld number) are misses; a database that is away is an error. When several
    records fit, one of them is taken, and the log says so.

    ```yaml
    - crm_lookup:
        connection: crm
        table: customers
        match: {phone: "{{ call.user_number }}"}
        fields: {first_name: given_name, plan: plan_code}
        defaults: {plan: basic}
        default: {first_name: there}
        cache: 5m
      save: customer
      timeout: 800ms
      on_error: continue
    ```
    """

    connection: Annotated[ConnectionName, "a sql or http connection"]
    table: Annotated[str | None, "sql: the table", Filled, Written] = None
    match: Annotated[dict[str, Any], "sql: names of columns to the values they must have"] = {}
    path: Annotated[Path | None, "http: what to ask"] = None
    query: Annotated[dict[str, Any], "http: the query, encoded for you"] = {}
    record: Annotated[str, "http: where the record is, such as data.items[0]"] = ""
    fields: Annotated[
        list[str] | dict[str, str] | None, "what you want: names, or your names to theirs"
    ] = None
    defaults: Annotated[dict[str, Any], "values for fields that are missing or null"] = {}
    default: Annotated[dict[str, Any] | None, "the record to use when there is none"] = None
    cache: Annotated[Duration | None, "for how long a found record may be used again"] = None

    taint: ClassVar[str] = "remote"
    connection_kinds: ClassVar[tuple[str, ...]] = ("sql", "http")
    option_kinds: ClassVar[Mapping[str, str]] = {
        "table": "sql", "match": "sql", "path": "http", "query": "http", "record": "http",
    }  # fmt: skip

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """Either a table or a path, each with its own partners; a record path that can be read."""
        if ("table" in options) == ("path" in options):
            return [Fault("needs `table` and `match` (sql), or `path` (http)", code="HK104")]
        kind, foreign = (
            ("table", ("query", "record")) if "table" in options else ("path", ("match",))
        )
        for name in foreign:
            if name in options:
                return [Fault(f"`{name}` does not go with `{kind}`", name)]
        if "table" in options and not options.get("match"):
            return [Fault("`table` needs `match`", "table", "say which record", code="HK104")]
        columns = check_columns(options, "match", "fields") if "table" in options else ()
        if columns:
            return columns
        where = options.get("record")
        if isinstance(where, str) and where.startswith("$"):
            advice = f"write it without `$`: {where.removeprefix('$').removeprefix('.')}"
            return [Fault(f"{where!r} is a JSONPath", "record", advice)]
        if isinstance(where, str) and where and not _PATH.fullmatch(where):
            return [Fault(f"{where!r} is no path", "record", "write it as data.items[0]")]
        return _check_defaults(options)

    @classmethod
    def output_for(cls, options: Mapping[str, Any]) -> Shape:
        """The declared fields; null unless `default` is given."""
        defaults, fields = options.get("defaults"), options.get("fields")
        default = options.get("default")
        sure = _shapes(defaults)
        if isinstance(fields, (list, Mapping)):
            # A field of a record that was found is trusted; one that a miss leaves out is null.
            missed = {**sure, **_shapes(default)}
            known = set(map(str, fields))
            is_missed = isinstance(default, Mapping) and known.issuperset(map(str, default))
            is_left_out = maybe(ANY) if is_missed else ANY
            given = {str(name): missed.get(str(name), is_left_out) for name in fields}
            shape = record({**dict.fromkeys(missed, ANY), **given})
        else:
            shape = record(sure, is_open=True)
        return shape if default is not None else maybe(shape)

    async def run(self, ctx: ActionContext) -> dict[str, Any] | None:
        """Look it up, or remember it."""
        connection = ctx.connection(self.connection)
        wanted = "sql" if self.table is not None else "http"
        if connection.kind != wanted:
            raise ActionFailed(f"connection {self.connection} is {connection.kind}, not {wanted}")
        if any(value in (None, "") for value in {**self.match, **self.query}.values()):
            return self._missed()

        async def load() -> dict[str, Any] | None:
            look = self._in_table if self.table is not None else self._in_service
            return await look(ctx, connection)

        found = await connection.cached(self._key(), self.cache, load)
        return self._missed() if found is None else self._shaped(found)

    def _key(self) -> str:
        place = [self.table, self.match, self.path, self.query, self.record, self._theirs()]
        return json.dumps(place, default=str, sort_keys=True)

    def _theirs(self) -> list[str]:
        fields = self.fields or []
        return list(dict.fromkeys(fields.values() if isinstance(fields, dict) else fields))

    async def _in_table(self, ctx: ActionContext, connection: Any) -> dict[str, Any] | None:
        rows = await connection.fetch(self.table, self.match, self._theirs() or None, limit=2)
        row: dict[str, Any] | None = _first(ctx, rows)
        return row

    async def _in_service(self, ctx: ActionContext, connection: Any) -> dict[str, Any] | None:
        answer = await connection.request(
            "GET", self.path, query=self.query, expect=(200, 204, 404)
        )
        if answer.status != 200:
            return None
        found = _first(ctx, _reach(answer.json, self.record))
        if isinstance(found, dict):
            return found or None
        if found is None:
            return None
        raise ActionFailed(f"the answer has no record at {self.record or 'its top'!r}")

    def _missed(self) -> dict[str, Any] | None:
        if self.default is None:
            return None
        names = self.fields or ()
        return {**dict.fromkeys(names), **self.defaults, **self.default}

    def _shaped(self, found: Mapping[str, Any]) -> dict[str, Any]:
        fields = self.fields
        if fields is None:
            shaped = dict(found)
        else:
            pairs = (
                fields.items() if isinstance(fields, dict) else ((name, name) for name in fields)
            )
            shaped = {ours: _reach(found, theirs) for ours, theirs in pairs}
        for name, value in self.defaults.items():
            if shaped.get(name) is None:
                shaped[name] = value
        return shaped


def _check_defaults(options: Mapping[str, Any]) -> Sequence[Fault]:
    """Faults of names that `fields` does not have."""
    fields = options.get("fields")
    known = tuple(map(str, fields)) if isinstance(fields, (list, Mapping)) else ()
    given = [(option, options.get(option)) for option in ("defaults", "default")]
    return tuple(
        Fault(f"`{option}` names {name!r}, which is not in `fields`", option, key=name, names=known)
        for option, values in given
        if isinstance(values, Mapping) and known
        for name in map(str, values)
        if name not in known
    )


def _shapes(values: Any) -> dict[str, Shape]:
    """What is known of fields that have a default: they are not null."""
    if not isinstance(values, Mapping):
        return {}
    return {str(name): _shape(value) for name, value in values.items()}


def _shape(value: Any) -> Shape:
    # The record's own value may be of another type than its default: only null is excluded.
    return maybe(ANY) if value is None else ANY


def _first(ctx: ActionContext, found: Any) -> Any:
    if not isinstance(found, list):
        return found
    if len(found) > 1:
        ctx.log.warning("several records match, one is taken", extra={"call_id": ctx.call.id})
    return found[0] if found else None


def _reach(value: Any, path: str) -> Any:
    """The value at a path such as `data.items[0]`; None where it ends early."""
    if isinstance(value, Mapping) and path in value:
        return value[path]  # a column named `a.b` is its own path
    for name, index in _STEP.findall(path):
        if name:
            value = value.get(name) if isinstance(value, Mapping) else None
        else:
            value = (
                value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
            )
    return value
