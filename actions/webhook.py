"""`webhook`: tell another system what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Annotated, Any, ClassVar, Literal

from orchestrator.action import (
    ANY,
    INT,
    TEXT,
    Action,
    ActionContext,
    ConnectionName,
    Delivery,
    Fault,
    Limit,
    Path,
    Shape,
    Url,
    check_target,
    encode_query,
    json_within,
    record,
    text_within,
)

__all__ = ["Webhook"]


class Webhook(Action):
    """Send an HTTP request to another system, and see to it that it arrives.

    Without `save` it runs in the background: it is put into the outbox, and repeated for more than
    a day until the receiver takes it. With `save`, or `delivery: direct`, it is sent at once and
    the step waits for the answer, which is `{status, body}`.

    Every attempt carries the same `webhook-id` and `Idempotency-Key`, so that a receiver can tell
    a repetition; with a `signing_secret` on the connection it is signed as in Standard Webhooks.
    A body of more than 256 KiB, as a long transcript makes one, is shortened: its longest texts are
    cut, then lists lose their middle, each with a note.

    With `order: call` the webhooks of one call that have it reach an endpoint in the order of their
    steps: the next leaves when the one before was taken or given up.

    `type` wraps what is under `json` into their envelope, `{type, timestamp, data}`.

    ```yaml
    - webhook:
        connection: billing
        path: /calls
        type: call.completed
        json: {call_id: "{{ call.id }}", seconds: "{{ call.duration }}"}
    - webhook: {url: "https://hooks.example.test/in", json: {number: "{{ call.user_number }}"}}
    ```
    """

    connection: Annotated[ConnectionName | None, "an http connection; `path` is under it"] = None
    path: Annotated[Path, "where on the connection; its base URL when left out"] = Path("")
    url: Annotated[Url | None, "a whole URL instead of connection and path"] = None
    type: Annotated[str | None, "the event's type, such as call.completed; adds the envelope"] = (
        None
    )
    json: Annotated[
        Any, "what to send, as JSON; over 256 KiB its longest texts and lists are shortened"
    ] = None
    body: Annotated[str | None, "what to send, as text; over 256 KiB its end is cut"] = None
    method: Annotated[Literal["POST", "PUT", "PATCH", "DELETE"], "the HTTP method"] = "POST"
    headers: Annotated[dict[str, str], "further headers"] = {}
    query: Annotated[dict[str, Any], "the query, encoded for you"] = {}
    delivery: Annotated[
        Literal["durable", "direct"] | None, "through the outbox (durable), or at once"
    ] = None

    order: Annotated[
        Literal["call"] | None, "`call`: one after another, with the others of this call"
    ] = None

    main: ClassVar[str] = "url"
    taint: ClassVar[str] = "remote"
    limited: ClassVar[Limit | None] = Limit("webhooks", per_call=500)
    connection_kinds: ClassVar[tuple[str, ...]] = ("http",)

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """One target, one body, and an envelope around JSON only."""
        if "json" in options and "body" in options:
            return [Fault("`json` and `body` exclude each other", "body")]
        if "type" in options and "body" in options:
            return [Fault("`type` adds an envelope of JSON", "body", "write `json` for `body`")]
        if "order" in options and options.get("delivery") == "direct":
            return [Fault("`order` is kept by the outbox only", "order", "drop `delivery: direct`")]
        return check_target(options)

    @classmethod
    def is_background(cls, options: Mapping[str, Any], *, saves: bool) -> bool:
        """A step whose answer nobody reads need not wait for it."""
        return not saves and options.get("delivery") != "direct"

    @classmethod
    def output_for(cls, options: Mapping[str, Any]) -> Shape:
        """The answer, or the id under which it is delivered."""
        if options.get("delivery") == "durable":
            return record({"id": TEXT})
        return record({"status": INT, "body": ANY})

    async def run(self, ctx: ActionContext) -> dict[str, Any]:
        """Hand it to the outbox, or send it and wait."""
        delivery = self._delivery(ctx)
        if self.delivery == "durable" or (self.delivery is None and not ctx.saves):
            await ctx.deliver(delivery)
            return {"id": delivery.id}
        answer = await ctx.connection(self.connection or "").send(delivery)
        answer.check()
        return {"status": answer.status, "body": answer.content}

    def _delivery(self, ctx: ActionContext) -> Delivery:
        target = str(self.url or self.path)
        if self.query:
            target += ("&" if "?" in target else "?") + encode_query(self.query)
        (body, is_cut), content_type = self._content(ctx)
        if is_cut:
            extra = {"call_id": ctx.call.id, "delivery": ctx.id}
            ctx.log.warning("a body is too large and is shortened", extra=extra)
        return Delivery(
            id=ctx.id,
            connection=self.connection or "",
            url=target,
            body=body,
            method=self.method,
            headers=self.headers,
            content_type=content_type,
            call_id=ctx.call.id,
            order=ctx.call.id if self.order else "",
        )

    def _content(self, ctx: ActionContext) -> tuple[tuple[bytes, bool], str]:
        """The body, whether it was shortened, and its type."""
        if self.body is not None:
            return text_within(self.body), "text/plain; charset=utf-8"
        if self.type is None and self.json is None:
            return (b"", False), "application/json"
        if self.type is None:
            return json_within(self.json), "application/json"
        moment = ctx.now().astimezone(UTC).isoformat(timespec="milliseconds")
        envelope = {
            "type": self.type,
            "timestamp": moment.replace("+00:00", "Z"),
            "data": {} if self.json is None else self.json,
        }
        return json_within(envelope), "application/json"
