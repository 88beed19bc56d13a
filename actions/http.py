"""`http`: ask another system, and use its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from orchestrator.action import (
    ANY,
    INT,
    Action,
    ActionContext,
    ConnectionName,
    Fault,
    Path,
    Shape,
    Url,
    check_target,
    json_bytes,
    record,
)

__all__ = ["Http"]


class Http(Action):
    """Send an HTTP request and wait for the answer, which is `{status, body}`.

    The body is read as JSON where the answer says that it is JSON. A status other than 2xx fails
    the step, unless `expect` lists it; then only what is listed is right, and `status` is one of
    these. All but GET and HEAD
    carry an `Idempotency-Key` that stays the same when the step is tried again.

    ```yaml
    - http: {connection: shop, path: "/orders/{{ data.order_id }}"}
      save: order
      timeout: 800ms
    - http: {connection: shop, path: /returns, method: POST, json: {order: "{{ data.order_id }}"}}
      retry: 1
    ```
    """

    connection: Annotated[ConnectionName | None, "an http connection; `path` is under it"] = None
    path: Annotated[Path, "where on the connection; its base URL when left out"] = Path("")
    url: Annotated[Url | None, "a whole URL instead of connection and path"] = None
    method: Annotated[
        Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], "the HTTP method"
    ] = "GET"
    query: Annotated[dict[str, Any], "the query, encoded for you"] = {}
    json: Annotated[Any, "what to send, as JSON"] = None
    body: Annotated[str | None, "what to send, as text"] = None
    headers: Annotated[dict[str, str], "further headers"] = {}
    expect: Annotated[int | list[int], "statuses that are right, such as [200, 404]"] = []

    main: ClassVar[str] = "url"
    output: ClassVar[Shape] = record({"status": INT, "body": ANY})
    taint: ClassVar[str] = "remote"
    connection_kinds: ClassVar[tuple[str, ...]] = ("http",)

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """One target, one body."""
        if "json" in options and "body" in options:
            return [Fault("`json` and `body` exclude each other", "body")]
        given = next((name for name in ("json", "body") if name in options), None)
        if given and options.get("method", "GET") in ("GET", "HEAD"):
            return [Fault("a GET has no body", given, "add `method: POST`, or use `query`")]
        expect = options.get("expect", [])
        for status in expect if isinstance(expect, list) else [expect]:
            if isinstance(status, int) and not 100 <= status <= 599:
                return [Fault(f"{status} is no HTTP status", "expect", "such as [200, 404]")]
        return check_target(options)

    @classmethod
    def output_for(cls, options: Mapping[str, Any]) -> Shape:
        """Of the statuses only those come that do not fail the step."""
        expect = options.get("expect") or range(200, 300)
        known = [expect] if isinstance(expect, int) else expect
        if isinstance(known, str) or not all(isinstance(status, int) for status in known):
            return cls.output
        status = replace(INT, bounds=(min(known), max(known)))
        return record({"status": status, "body": ANY})

    async def run(self, ctx: ActionContext) -> dict[str, Any]:
        """Send the request and read the answer."""
        headers, body = _without_key(self.headers), None
        if self.method not in ("GET", "HEAD"):
            headers["Idempotency-Key"] = ctx.id
        if self.json is not None:
            headers.setdefault("Content-Type", "application/json")
            body = json_bytes(self.json)
        answer = await ctx.connection(self.connection or "").request(
            self.method,
            self.url or self.path,
            query=self.query,
            body=self.body if body is None else body,
            headers=headers,
            expect=[self.expect] if isinstance(self.expect, int) else self.expect,
        )
        return {"status": answer.status, "body": answer.content}


def _without_key(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of the step; the key by which a repetition is told is never its own."""
    return {name: value for name, value in headers.items() if name.lower() != "idempotency-key"}
