"""`escalate_transfer`: hand the caller over to a person, a number or another agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from orchestrator.action import (
    TEXT,
    Action,
    ActionContext,
    ActionFailed,
    Destination,
    Duration,
    Fault,
    Filled,
    Form,
    Limit,
    Options,
    Rate,
    Shape,
    Trusted,
    Written,
    record,
)

__all__ = ["EscalateTransfer"]

_TARGETS = ("queue", "number", "agent_id")


class Hours(Options):
    """When a transfer may be made."""

    between: Annotated[str, "times of day, HH:MM-HH:MM", Form("hours")]
    zone: Annotated[str, "the time zone, such as Europe/Berlin", Form("zone")] = "UTC"
    days: Annotated[str, "weekdays, such as mon-fri or sat,sun", Form("days")] = "mon-sun"


class EscalateTransfer(Action):
    """Hand the caller over to a queue of people, a phone number, or another agent.

    The step waits only until the runtime takes or refuses the request. The outcome comes later, as
    the `transfer` event; for every outcome but `answered` the step's `on_error` steps run, and the
    agent stays on the line. A runtime without `transfer.outcome` (`validate --target` says so)
    reports none: there they only run when the request fails at once. `mode: warm` briefs the other
    side first. Outside of `hours` the step fails at once. A number that holds text of the caller or
    of another system is dialled only if `allow` (here or at the top of the file) lists it.

    ```yaml
    - escalate_transfer:
        queue: tier-2-support
        mode: warm
        announcement: "{{ data.customer.first_name | default('A caller') }} needs help"
        answer_within: 25s
        hours: {between: "09:00-18:00", zone: Asia/Kolkata, days: mon-fri}
      on_error:
        - say: "Nobody is free. We will call you back."
    ```
    """

    queue: Annotated[str | None, "a queue of people", Filled, Trusted("queues")] = None
    number: Annotated[Destination | None, "a phone number, E.164"] = None
    agent_id: Annotated[str | None, "another agent", Filled, Trusted("agents")] = None
    mode: Annotated[Literal["cold", "warm"], "warm briefs the other side first"] = "cold"
    announcement: Annotated[str, "what the other side hears before a warm transfer"] = ""
    answer_within: Annotated[Duration, "how long the other side may take to answer"] = Duration(25)
    hours: Annotated[Hours | None, "when transfers are made"] = None
    allow: Annotated[
        list[str], "numbers that may be dialled, beside the config's `allow`", Written
    ] = []

    main: ClassVar[str] = "queue"
    output: ClassVar[Shape] = record({"target": TEXT, "mode": TEXT})
    limited: ClassVar[Limit | None] = Limit("transfers", per_call=5, all_calls=Rate(300, 60))
    in_journal: ClassVar[bool] = False

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """Exactly one target; an announcement needs a warm transfer."""
        given = [name for name in _TARGETS if name in options]
        if len(given) > 1:
            names = " and ".join(f"`{name}`" for name in given)
            return [Fault(f"{names} exclude each other", given[1], "name one target")]
        if not given:
            return [
                Fault(
                    "has no target", help="name one of `queue`, `number`, `agent_id`", code="HK104"
                )
            ]
        if "announcement" in options and options.get("mode", "cold") == "cold":
            return [
                Fault("a cold transfer has no announcement", "announcement", "add `mode: warm`")
            ]
        return ()

    @classmethod
    def needs_for(cls, options: Mapping[str, Any]) -> frozenset[str]:
        """What the runtime must be able to do for this target and mode."""
        kind = {"queue": "queue", "number": "number", "agent_id": "agent"}
        needs = {f"transfer.{kind[name]}" for name in _TARGETS if name in options}
        return frozenset(needs | ({"transfer.warm"} if options.get("mode") == "warm" else set()))

    async def run(self, ctx: ActionContext) -> dict[str, str]:
        """Ask for the transfer; the outcome comes as an event."""
        self._check_hours(ctx)
        options = {
            "mode": self.mode,
            "announcement": self.announcement,
            "answer_within": self.answer_within,
        }
        if self.number is not None:
            target = ctx.check_destination(self.number, self.allow)
            await ctx.transfer("number", target, **options)
        elif self.queue is not None:
            target = self.queue
            await ctx.transfer("queue", target, **options)
        else:
            target = self.agent_id or ""
            await ctx.transfer("agent", target, **options)
        return {"target": target, "mode": self.mode}

    def _check_hours(self, ctx: ActionContext) -> None:
        hours = self.hours
        if hours is None:
            return
        is_open = ctx.call.hour_in(hours.between, hours.zone)
        if not (is_open and ctx.call.weekday_in(hours.days, hours.zone)):
            raise ActionFailed(
                f"outside of business hours ({hours.days} {hours.between} {hours.zone})"
            )
