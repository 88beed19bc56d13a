"""`crm_write`: write a record to a CRM."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from orchestrator.action import (
    MOST_BYTES,
    TEXT,
    Action,
    ActionContext,
    ConnectionName,
    Delivery,
    Fault,
    Filled,
    Path,
    Shape,
    Written,
    check_columns,
    json_bytes,
    json_within,
    record,
)

__all__ = ["CrmWrite"]


class CrmWrite(Action):
    """Write a record to a CRM: it succeeds, or waits in the outbox until it does.

    On a `sql` connection name `table` and `match`: the records whose columns equal `match` get the
    `values`; where there is none, one is added. On an `http` connection name `path`; the values go
    there as JSON, under one `Idempotency-Key` over all attempts. Values of more than 256 KiB are
    shortened as those of a `webhook` are.

    It runs in the background, so no caller waits for it; `background: false` waits until it is in
    the outbox, and then `steps.<id>` tells what became of that.

    What one call writes to one table, or under one path, arrives in the order of its steps: the
    next leaves when the one before was taken or given up, so the value that was
    written last stays, but where an older one is sent again by `deliveries redrive`.
    With `order: call` that holds for all of the call that has it, on the same connection.

    ```yaml
    - crm_write:
        connection: crm
        table: customers
        match: {phone: "{{ call.user_number }}"}
        values: {do_not_call: true}
    - crm_write: {connection: hub, path: "/contacts/{{ data.contact.id }}", values: {stage: won}}
    ```
    """

    connection: Annotated[ConnectionName, "a sql or http connection"]
    values: Annotated[dict[str, Any], "what to write: names of columns or fields to values"]
    table: Annotated[str | None, "sql: the table", Filled, Written] = None
    match: Annotated[dict[str, Any], "sql: which records, names of columns to values"] = {}
    path: Annotated[Path | None, "http: where the record is"] = None
    method: Annotated[Literal["PATCH", "PUT", "POST"], "http: the HTTP method"] = "PATCH"
    order: Annotated[
        Literal["record", "call"],
        "what leaves one after another: what goes to one table or path, or all of the call",
    ] = "record"

    output: ClassVar[Shape] = record({"id": TEXT})
    in_background: ClassVar[bool] = True
    connection_kinds: ClassVar[tuple[str, ...]] = ("sql", "http")
    option_kinds: ClassVar[Mapping[str, str]] = {
        "table": "sql", "match": "sql", "path": "http", "method": "http",
    }  # fmt: skip

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """Either a table with `match`, or a path."""
        if ("table" in options) == ("path" in options):
            return [Fault("needs `table` and `match` (sql), or `path` (http)", code="HK104")]
        if "table" in options and not options.get("match"):
            return [Fault("`table` needs `match`", "table", "say which records", code="HK104")]
        return check_columns(options, "match", "values") if "table" in options else ()

    async def run(self, ctx: ActionContext) -> dict[str, str]:
        """Hand it to the outbox."""
        is_sql = self.table is not None
        body, is_cut = self._body(is_sql=is_sql)
        if is_cut:
            extra = {"call_id": ctx.call.id, "delivery": ctx.id}
            ctx.log.warning("a body is too large and is shortened", extra=extra)
        await ctx.deliver(
            Delivery(
                id=ctx.id,
                connection=self.connection,
                url=(self.table if is_sql else self.path) or "",
                body=body,
                method="WRITE" if is_sql else self.method,
                call_id=ctx.call.id,
                order=self._order(ctx.call.id),
            )
        )
        return {"id": ctx.id}

    def _order(self, call_id: str) -> str:
        """What must not overtake another: any `match` may find the same record of a table."""
        if self.order == "call":
            return call_id
        # `public.People` and `people` may be one table; a wait too many only makes it late
        place = (self.table or "").rpartition(".")[2].lower() or _place(self.path or "")
        # A path may hold a secret or what a caller said, and an order is stored as it is.
        return f"{call_id} {hashlib.sha256(place.encode(errors='replace')).hexdigest()[:16]}"

    def _body(self, *, is_sql: bool) -> tuple[bytes, bool]:
        """What to write, and whether values were shortened; never what says which records."""
        if not is_sql:
            return json_within(self.values)
        match = json_bytes(self.match)
        values, is_cut = json_within(self.values, MOST_BYTES - len(match) - 24)
        return b'{"match":%b,"values":%b}' % (match, values), is_cut


def _place(path: str) -> str:
    """A path, however it is written."""
    return path.partition("?")[0].strip("/")
