"""Join a plan to a runtime: one call, `attach(runner)`, and every call is looked after.

The attachment registers one handler for each event, once, on the runner and on each session; the
entrypoint needs no change. Handlers registered by hand keep their order around ours.
"""

from __future__ import annotations

import functools
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from orchestrator.call import Call
from orchestrator.dispatcher import dispatch
from orchestrator.errors import ActionFailed, NotSupported, UnknownEvent
from orchestrator.events import SESSION_EVENTS, find_event
from orchestrator.facts import CallFacts
from orchestrator.journal import Journal, Sink
from orchestrator.plan import Plan
from orchestrator.runtime import ALL_CAPABILITIES, ContextLike, RunnerLike
from orchestrator.services import Services
from orchestrator.steps import run_steps

__all__ = ["Attachment", "Host"]

_log = logging.getLogger("orchestrator")

#: Custom events that the hooks of one call may emit: a hook that emits its own event must end.
MAX_EMITTED = 1_000
#: Calls remembered after their end, to recognise a redial.
MAX_REMEMBERED = 10_000


class Host(Protocol):
    """What the attachment needs of the composition root."""

    plan: Plan

    def services(self) -> Services:
        """The services, opened on the running loop."""
        ...

    def sink(self) -> Sink:
        """Where journals go."""
        ...

    def own(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that outlives its call; awaited when the host closes."""
        ...


class Attachment:
    """The hooks of a host's plan on one runner."""

    def __init__(self, host: Host, runner: RunnerLike) -> None:
        self.host = host
        self.runner = runner
        self.calls: dict[int, Call] = {}
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self.check(host.plan)
        runner.on("call_start")(_unlimited(self._call_started))
        runner.on("call_end")(_unlimited(self._call_ended))

    @property
    def runtime_name(self) -> str:
        """The runtime's word in journals and messages."""
        return str(getattr(self.runner, "runtime_name", type(self.runner).__name__))

    def check(self, plan: Plan) -> None:
        """Refuse a plan that needs what this runner cannot do.

        Raises:
            NotSupported: names each missing capability and the steps that need it.
        """
        declared = getattr(self.runner, "capabilities", None)
        if declared is not None:
            by_kind = plan.lent.get(self.runtime_name, {})
            # Of a runner whose calls one carrier brings, only connections to that one count.
            lenders = getattr(self.runner, "lenders", frozenset(by_kind))
            lent = frozenset().union(*(by_kind[kind] for kind in by_kind.keys() & lenders))
            check_capabilities(plan, declared | lent, self.runtime_name, lenders=lenders)

    # --- the runner's two events

    async def _call_started(self, ctx: ContextLike, *_: Any) -> None:
        call = self._new_call(ctx)
        self.calls[id(ctx)] = call
        self._register(call, ctx.session)
        call.journal.scope("runner", "call_start", {})
        await _run(call, "runner", "call_start", {})

    async def _call_ended(self, ctx: ContextLike, final_state: str = "ended", *_: Any) -> None:
        call = self.calls.pop(id(ctx), None)
        if call is None:
            return  # attached while the call was already on
        call.close("the call is over")
        if call.facts.outcome is None:
            call.facts.outcome = final_state
        fields = {"final_state": final_state}
        call.journal.scope("runner", "call_end", fields)
        try:
            await _run(call, "runner", "call_end", fields)
        finally:
            self.host.own(_settle(call, final_state))

    def _new_call(self, ctx: ContextLike) -> Call:
        services, plan = self.host.services(), self.host.plan
        facts = CallFacts(ctx, services.clock, runtime=self.runtime_name)
        facts.id = ctx.call_id
        facts.attempt = self._attempt(facts.session_id)
        journal = Journal(facts.id, self.host.sink(), plan.redactor(), services.clock.now)
        take_connections = getattr(ctx.session, "take_connections", None)
        if take_connections is not None:  # for as long as the call is on, whatever is reloaded
            take_connections(_Lender(plan, services))
        session_can = getattr(ctx.session, "capabilities", None)
        runner_can = getattr(self.runner, "capabilities", None)
        capabilities = session_can or runner_can or ALL_CAPABILITIES
        call = Call(plan, facts, ctx.session, services=services, journal=journal,
                    capabilities=capabilities, run=run_steps)  # fmt: skip
        for key, value in (ctx.data or {}).items():
            call.data.setdefault(key, value)
        header = {
            "id": facts.id, "session_id": facts.session_id, "agent_id": facts.agent_id,
            "direction": facts.direction, "user_number": facts.user_number,
            "runtime": facts.runtime, "attempt": facts.attempt, "data": dict(call.data),
        }  # fmt: skip
        for name in ("called_number", "instructions"):
            if value := getattr(facts, name):
                header[name] = value
        config = {"name": plan.name, "digest": plan.digest}
        if plan.is_private:
            config["privacy"] = "redact"
        journal.call(header, config, facts.started_at)
        return call

    def _attempt(self, session_id: str) -> int:
        number = self._attempts.pop(session_id, 0) + 1
        self._attempts[session_id] = number
        if len(self._attempts) > MAX_REMEMBERED:
            self._attempts.popitem(last=False)
        return number

    # --- the session's events

    def _register(self, call: Call, session: Any) -> None:
        call.emit = _Emitter(call, session)
        tap = getattr(session, "tap", None)
        if tap is not None:
            tap(lambda event: call.arrive(event.name, event.fields))
        take_notes = getattr(session, "take_notes", None)
        if take_notes is not None:
            take_notes(call.journal.note)
        custom = [event for event in call.plan.events("session") if event.startswith("custom.")]
        for name in (*SESSION_EVENTS, *custom):
            handler = self._handler(call, name, arrives=tap is None)
            try:
                session.on(name)(_unlimited(handler))
            except (UnknownEvent, ValueError):
                if call.plan.handlers.get(("session", name)):
                    call.journal.note("this runtime has no such event", event=name)

    def _handler(self, call: Call, name: str, *, arrives: bool) -> Callable[..., Any]:
        event = find_event("session", name)
        names = tuple(event.fields) if event is not None else ()
        if name == "call_start":
            return lambda *_a, **_k: _session_started(call)
        if name == "call_end":
            return lambda state="hangup", *_a, **_k: _session_ended(call, state)

        async def handle(*args: Any, **extras: Any) -> None:
            fields = {**dict(zip(names, args, strict=False)), **extras}
            if arrives:
                call.arrive(name, fields)
            await _happened(call, name, fields)

        return handle


async def _session_started(call: Call) -> None:
    call.facts.state = "live"
    call.journal.scope("session", "call_start", {})
    await _run(call, "session", "call_start", {})


async def _session_ended(call: Call, state: str) -> None:
    call.facts.state = state
    call.facts.end_reason = call.facts.end_reason or state
    call.close(state)
    fields = {"state": state}
    call.journal.scope("session", "call_end", fields)
    await _run(call, "session", "call_end", fields)


async def _happened(call: Call, name: str, fields: Mapping[str, Any]) -> None:
    call.facts.note_event(name, fields)
    if name != "error" or call.admits_error(fields):
        await _run(call, "session", name, fields)


async def _run(call: Call, scope: Any, name: str, fields: Mapping[str, Any]) -> None:
    handlers = call.plan.handlers.get((scope, name))
    if handlers:
        await dispatch(call, handlers, fields)


async def _settle(call: Call, final_state: str) -> None:
    """What is left of a call once it is over; off the runtime's path, so that no slot is held."""
    try:
        await call.drain()
    finally:  # also when the process goes down
        facts = call.facts
        call.journal.end(final_state=final_state, state=facts.state, reason=facts.end_reason,
            turns=facts.turns, interruptions=facts.interruptions,
        )  # fmt: skip
        call.journal.flush()


class _Lender:
    """Finds connections of the plan that a call began with, by their kind."""

    def __init__(self, plan: Plan, services: Services) -> None:
        self._plan, self._services = plan, services

    def __call__(self, kind: str) -> Mapping[str, Callable[[], Any]]:
        """What opens each connection of a kind, by name, in the order written."""
        return {
            name: functools.partial(self._services.connection, name)
            for name, found in self._plan.kinds.items()
            if found == kind
        }


class _Emitter:
    """Custom events of one call's hooks: through the session's own queue where it has one."""

    def __init__(self, call: Call, session: Any) -> None:
        self._call = call
        self._fire = getattr(session, "fire", None)
        self._count = 0

    def __call__(self, name: str, fields: dict[str, Any]) -> None:
        self._count += 1
        if self._count > MAX_EMITTED:
            raise ActionFailed(f"this call's hooks emitted {MAX_EMITTED} events; is it a loop?")
        self._call.expect_own(name)
        if self._fire is not None:
            self._fire(name, **fields)
        else:
            self._call.arrive(name, fields)
            self._call.spawn(_happened(self._call, name, fields))


def check_capabilities(
    plan: Plan,
    capabilities: frozenset[str],
    runtime: str,
    *,
    lenders: frozenset[str] = frozenset(),
) -> None:
    """Refuse a plan that needs what a runtime cannot do.

    Raises:
        NotSupported: names each missing capability and the steps that need it; where a connection
            of another kind than `lenders` would have lent one, that too.
    """
    missing = [f"{need} ({', '.join(places)})" for need, places in sorted(plan.needs.items())
               if need not in capabilities]  # fmt: skip
    if missing:
        others = plan.lent.get(runtime, {})
        foreign = sorted(k for k in others if k not in lenders and others[k] - capabilities)
        hint = (
            f"; a connection of kind {' or '.join(sorted(lenders))} would add to that, "
            f"one of kind {' or '.join(foreign)} does not"
            if foreign
            else ""
        )
        raise NotSupported(f"{runtime} cannot do what the config needs: {'; '.join(missing)}{hint}")


def _unlimited(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a handler whose steps have deadlines of their own: a runner sets it none."""

    async def run(*args: Any, **kwargs: Any) -> None:
        await handler(*args, **kwargs)

    run.keeps_deadline = True  # type: ignore[attr-defined]
    return run
