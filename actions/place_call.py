"""`place_call`: start another call."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from orchestrator.action import (
    TEXT,
    Action,
    ActionContext,
    ConnectionName,
    Destination,
    Duration,
    Filled,
    Limit,
    Path,
    Rate,
    Shape,
    Trusted,
    Written,
    json_bytes,
    maybe,
    record,
)

__all__ = ["PlaceCall"]


class PlaceCall(Action):
    """Start an outbound call, through a carrier or the backend of your telephony.

    With a connection of the kind `twilio` or `telnyx` a real call is placed; `orchestrator serve`
    answers it, and `data` is what it starts with. Any other backend gets
    `{number, from, agent_id, data, answer_within}` as JSON, and answers with the
    new call's `id` (or `call_id`) and `status`, which are the output. A number that holds text of
    the caller or of another system is dialled only if `allow` (here or at the top of the file)
    lists it. Tried again, the request carries the same `Idempotency-Key`.

    ```yaml
    - place_call:
        number: "+15550123"
        connection: telephony
        agent_id: reminder
        data: {appointment: "{{ data.appointment.id }}"}
      save: reminder
    ```
    """

    number: Annotated[Destination, "whom to call, E.164"]
    connection: Annotated[
        ConnectionName, "a carrier (twilio, telnyx), or the http connection of a backend"
    ]
    path: Annotated[Path, "where a backend starts calls"] = Path("/calls")
    from_: Annotated[str | None, "the number that is shown", Filled, Trusted("numbers")] = None
    agent_id: Annotated[str | None, "which agent speaks", Filled, Trusted("agents")] = None
    data: Annotated[dict[str, Any], "what the new call starts with"] = {}
    answer_within: Annotated[Duration, "how long it may ring"] = Duration(30)
    allow: Annotated[
        list[str], "numbers that may be dialled, beside the config's `allow`", Written
    ] = []

    output: ClassVar[Shape] = record({"id": maybe(TEXT), "status": maybe(TEXT)})
    taint: ClassVar[str] = "remote"
    limited: ClassVar[Limit | None] = Limit("outbound_calls", per_call=3, all_calls=Rate(60, 3600))
    connection_kinds: ClassVar[tuple[str, ...]] = ("http", "telnyx", "twilio")

    async def run(self, ctx: ActionContext) -> dict[str, str | None]:
        """Ask the backend for the call."""
        number = ctx.check_destination(self.number, self.allow)
        wanted: dict[str, Any] = {
            "number": number,
            "from": self.from_,
            "agent_id": self.agent_id,
            "data": self.data,
            "answer_within": float(self.answer_within),
        }
        connection = ctx.connection(self.connection)
        place_call = getattr(connection, "place_call", None)
        if place_call is not None:
            placed: dict[str, str | None] = await place_call(wanted, ctx.id)
            return placed
        answer = await connection.request(
            "POST",
            self.path,
            body=json_bytes({name: value for name, value in wanted.items() if value is not None}),
            headers={"Content-Type": "application/json", "Idempotency-Key": ctx.id},
        )
        found = answer.json if isinstance(answer.json, dict) else {}
        return {"id": _text(found.get("id", found.get("call_id"))),
                "status": _text(found.get("status"))}  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
