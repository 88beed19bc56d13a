"""The contract for action authors: `Action`, what its fields may be, and `ActionContext`.

An action is a class. Its annotated fields are its options; its docstring is its manual; `run` does
the work. Everything that an action needs comes from this module::

    class PageOnCall(Action):
        \"\"\"Page the on-call engineer about a live call.\"\"\"

        service: Annotated[str, "which service to page"]
        urgency: Literal["low", "high"] = "high"

        async def run(self, ctx: ActionContext) -> str:
            reply = await ctx.http.post(URL, json={"service": self.service, "call": ctx.call.id})
            if reply.is_error:
                raise ActionFailed(f"pager answered HTTP {reply.status_code}", retryable=True)
            return str(reply.json()["incident"])
"""

from orchestrator.action.base import (
    Action,
    Fault,
    check_columns,
    check_target,
    is_sql_name,
    snake_case,
)
from orchestrator.action.calling import bind_arguments
from orchestrator.action.context import ActionContext, CallFactsLike, LadderOptions, MemoryLike
from orchestrator.action.delivery import Cut, Delivery
from orchestrator.action.kinds import (
    Condition,
    ConnectionName,
    Destination,
    Duration,
    EventName,
    Filled,
    Form,
    Options,
    Path,
    PythonName,
    Seconds,
    Secret,
    Steps,
    Trusted,
    Url,
    Written,
)
from orchestrator.encoding import (
    MOST_BYTES,
    encode_query,
    json_bytes,
    json_within,
    text_within,
)
from orchestrator.errors import ActionFailed, CommandRefused, LineGone, NotSent, named
from orchestrator.limits import Limit, Rate
from orchestrator.shapes import (
    ANY,
    BOOL,
    INT,
    NULL,
    NUMBER,
    TEXT,
    Shape,
    list_of,
    maybe,
    one_of,
    record,
)

__all__ = [
    "ANY",
    "BOOL",
    "INT",
    "MOST_BYTES",
    "NULL",
    "NUMBER",
    "TEXT",
    "Action",
    "ActionContext",
    "ActionFailed",
    "CallFactsLike",
    "CommandRefused",
    "Condition",
    "ConnectionName",
    "Cut",
    "Delivery",
    "Destination",
    "Duration",
    "EventName",
    "Fault",
    "Filled",
    "Form",
    "LadderOptions",
    "Limit",
    "LineGone",
    "MemoryLike",
    "NotSent",
    "Options",
    "Path",
    "PythonName",
    "Rate",
    "Seconds",
    "Secret",
    "Shape",
    "Steps",
    "Trusted",
    "Url",
    "Written",
    "bind_arguments",
    "check_columns",
    "check_target",
    "encode_query",
    "is_sql_name",
    "json_bytes",
    "json_within",
    "list_of",
    "maybe",
    "named",
    "one_of",
    "record",
    "snake_case",
    "text_within",
]
