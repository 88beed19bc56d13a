"""Run the handlers of one event, in order, each isolated and under its deadlines.

`dispatch` never raises but for cancellation. Whatever a step does, the outcome is a record in the
journal, and the next hook runs. Way of the data: event -> scope -> hook -> step -> action.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from asyncio import CancelledError
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Literal

from orchestrator.call import Call, Scope
from orchestrator.context import StepContext
from orchestrator.deadline import StepTimeout, bounded
from orchestrator.durations import format_duration
from orchestrator.errors import ActionFailed, NotSent
from orchestrator.plain import plain
from orchestrator.plan import (
    ActionBody,
    ChainBody,
    Handler,
    IfBody,
    ParallelBody,
    SetBody,
    Step,
    StopBody,
    WaitBody,
)

__all__ = ["CLEANUP_LIMIT", "dispatch", "run_steps"]

_log = logging.getLogger("orchestrator")

#: Seconds for all `finally` steps of a hook together.
CLEANUP_LIMIT = 5.0
Outcome = Literal["done", "stopped", "failed"]


async def dispatch(call: Call, handlers: tuple[Handler, ...], fields: Mapping[str, Any]) -> None:
    """Run the hooks of one event, one after another."""
    scope = Scope(call, fields)
    call.floor.hooks_begin()
    try:
        for handler in handlers:
            if not _admit(call, handler, scope):
                continue
            if handler.background:
                call.in_background(lambda h=handler: _run_hook(call, h, Scope(call, fields)))  # type: ignore[misc]
            else:
                await _run_hook(call, handler, scope)
    finally:
        call.floor.hooks_end()
        call.journal.flush()


def _admit(call: Call, handler: Handler, scope: Scope) -> bool:
    """Whether a hook runs now; if not, the journal says why."""
    if handler.when is not None:
        try:
            is_met = handler.when(scope)
        except ActionFailed as error:
            call.journal.skip(call.t, handler, f"`when` could not be decided: {error}")
            return False
        if not is_met:
            saw = handler.explain(scope) if handler.explain is not None else None
            call.journal.skip(call.t, handler, f"when: {handler.when_text}", saw)
            return False
    if handler.max_count is not None or handler.cooldown is not None:
        why = call.may_run(handler)
        if why:
            call.journal.skip(call.t, handler, why)
            return False
    return True


async def _run_hook(call: Call, handler: Handler, scope: Scope) -> None:
    """Run one hook to its end, `finally` steps included. Raises nothing but cancellation."""
    call.journal.hook(call.t, handler, call.occurrence(handler.key))
    scope.steps, scope.error = {}, None
    try:
        if handler.timeout is None:
            outcome = await _run_list(call, scope, handler.steps)
        else:
            work = _run_list(call, scope, handler.steps)
            outcome = await bounded(work, handler.timeout, on_stray=call.spawn)
        if outcome == "failed" and handler.on_error:
            await _run_list(call, scope, handler.on_error)
    except StepTimeout:
        limit = format_duration(handler.timeout or 0)
        call.journal.hook_end(call.t, handler, "timed_out", f"the hook took longer than {limit}")
        if handler.on_error:
            error = {"message": f"the hook took longer than {limit}", "step": handler.name}
            await _run_list(call, scope.fork(error), handler.on_error)
    except CancelledError:
        call.journal.hook_end(call.t, handler, "cancelled")
        raise
    finally:
        if handler.cleanup:
            await _clean_up(call, handler, scope)


async def _clean_up(call: Call, handler: Handler, scope: Scope) -> None:
    """Run `finally` steps in a task that the call owns: they go on if this one is cancelled."""
    work = call.spawn(_run_list(call, scope, handler.cleanup))
    await asyncio.wait({work}, timeout=CLEANUP_LIMIT)
    if not work.done():
        work.cancel()
        call.journal.hook_end(call.t, handler, "timed_out", "its `finally` steps took too long")


async def run_steps(call: Call, scope: Scope, steps: tuple[Step, ...]) -> None:
    """Run steps of a timer, a ladder or a late outcome, outside of any event."""
    with contextlib.suppress(CancelledError):
        await _run_list(call, scope, steps)
    call.journal.flush()


async def _run_list(call: Call, scope: Scope, steps: tuple[Step, ...]) -> Outcome:
    for step in steps:
        if step.when is not None and not _is_met(call, step, scope):
            continue
        if step.background:
            _send_to_background(call, scope, step)
            continue
        outcome = await _run_step(call, scope, step)
        if outcome != "done":
            return outcome
    return "done"


def _is_met(call: Call, step: Step, scope: Scope) -> bool:
    assert step.when is not None  # noqa: S101 - narrows the type for the checker
    why = "its `when` is false"
    try:
        if step.when(scope):
            return True
    except ActionFailed as error:
        why = f"its `when` could not be decided: {error}"
    _finish(call, scope, step, "skipped", call.clock.now(), None, why)
    return False


async def _run_step(call: Call, scope: Scope, step: Step) -> Outcome:
    """Run one step; its failure is recorded here and goes no further than its policy says."""
    started = call.clock.now()
    try:
        outcome, output = await _execute(call, scope, step)
    except StepTimeout:
        message = f"no answer within {format_duration(step.timeout or 0)}"
        return await _fail(call, scope, step, "timed_out", started, message)
    except NotSent as error:
        if step.save is not None:
            scope.data[step.save] = None
        _finish(call, scope, step, "not_sent", started, None, str(error))
        return "done"
    except CancelledError:
        _finish(call, scope, step, "cancelled", started, None, None)
        raise
    except ActionFailed as error:
        return await _fail(call, scope, step, "failed", started, str(error))
    except Exception as error:  # noqa: BLE001 - whatever a hook raises, the call goes on
        _log.warning("a step raised", exc_info=error, extra={"step": step.key})
        message = f"{type(error).__name__}: {error}"
        return await _fail(call, scope, step, "failed", started, message)
    if step.save is not None:
        scope.data[step.save] = output
    _finish(call, scope, step, "ok", started, output, None)
    return outcome


def _finish(
    call: Call,
    scope: Scope,
    step: Step,
    status: str,
    started: float,
    output: Any,
    error: str | None,
) -> None:
    now = call.clock.now()
    call.journal.step(now - call.began, step, status, now - started, output, error)
    if step.id is not None:
        scope.steps[step.id] = {"status": status, "output": output, "error": error}


async def _fail(
    call: Call, scope: Scope, step: Step, status: str, started: float, message: str
) -> Outcome:
    _finish(call, scope, step, status, started, None, message)
    if step.on_error is None:
        scope.error = {"message": message, "step": step.id or step.word}
        return "failed"
    if not step.on_error:
        return "done"
    error = {"message": message, "step": step.id or step.word}
    await _run_list(call, scope.fork(error), step.on_error)
    return "stopped"


# --- bodies: each returns how the list goes on, and an output


async def _execute(call: Call, scope: Scope, step: Step) -> tuple[Outcome, Any]:
    body = step.body
    if body.__class__ is ActionBody:
        return "done", await _run_action(call, scope, step)
    return await _BODIES[body.__class__](call, scope, step, body)


async def _run_action(call: Call, scope: Scope, step: Step) -> Any:
    body: ActionBody = step.body  # type: ignore[assignment]
    if call.services.given is not None:
        answer = call.services.given.answer(call.facts.id, step)
        if answer is not None:
            return await bounded(answer, step.timeout, on_stray=call.spawn)
    action = body.constant or body.make(scope)
    context = StepContext(scope, step, run_steps)
    if step.retry is not None:
        work = _with_retries(call, step, action, context)
        return plain(await bounded(work, step.timeout, on_stray=call.spawn))
    output = action.run(context)
    if output is None:
        return None
    if inspect.isawaitable(output):
        output = await bounded(output, step.timeout, on_stray=call.spawn)
    return plain(output)


async def _with_retries(call: Call, step: Step, action: Any, context: StepContext) -> Any:
    assert step.retry is not None  # noqa: S101 - narrows the type for the checker
    pause = step.retry.backoff
    for attempt in range(1, step.retry.times + 1):
        try:
            output = action.run(context)
            return await output if inspect.isawaitable(output) else output
        except NotSent:
            raise
        except Exception as error:
            if isinstance(error, ActionFailed) and not error.retryable:
                raise
            call.journal.note(
                call.t, "a step is tried again", at=step.key, attempt=attempt, why=str(error)
            )
        await asyncio.sleep(pause)
        pause = min(pause * 2, step.retry.max)
    output = action.run(context)
    return await output if inspect.isawaitable(output) else output


async def _run_if(call: Call, scope: Scope, step: Step, body: IfBody) -> tuple[Outcome, Any]:
    is_met = bool(body.condition(scope))
    return await _run_list(call, scope, body.then if is_met else body.otherwise), None


async def _run_chain(call: Call, scope: Scope, step: Step, body: ChainBody) -> tuple[Outcome, Any]:
    work = _run_list(call, scope, body.steps)
    if step.timeout is not None:
        return await bounded(work, step.timeout, on_stray=call.spawn), None
    return await work, None


async def _run_wait(call: Call, scope: Scope, step: Step, body: WaitBody) -> tuple[Outcome, Any]:
    await asyncio.sleep(body.seconds)
    return "done", None


async def _run_stop(call: Call, scope: Scope, step: Step, body: StopBody) -> tuple[Outcome, Any]:
    return "stopped", body.reason(scope)


async def _run_set(call: Call, scope: Scope, step: Step, body: SetBody) -> tuple[Outcome, Any]:
    values = {key: plain(read(scope)) for key, read in body.values}
    scope.data.update(values)
    return "done", values


async def _run_parallel(
    call: Call, scope: Scope, step: Step, body: ParallelBody
) -> tuple[Outcome, Any]:
    """Run steps side by side under one deadline."""
    tasks = {call.spawn(_run_list(call, scope, (inner,))) for inner in body.steps}
    deadline = call.clock.now() + step.timeout if step.timeout is not None else None
    pending = set(tasks)
    failed = False
    try:
        while pending and not (failed and body.first_error == "cancel"):
            left = None if deadline is None else deadline - call.clock.now()
            if left is not None and left <= 0:
                break
            done, pending = await asyncio.wait(
                pending, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            failed = failed or any(not t.cancelled() and t.result() == "failed" for t in done)
    except CancelledError:
        await _cancel(pending)
        raise
    if pending and not (body.keeps_late and not failed):
        await _cancel(pending)
    if failed:
        raise ActionFailed("a step of `parallel` failed")
    if pending:
        raise StepTimeout
    return "done", None


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=0.1)


_BODIES: Mapping[type, Callable[..., Coroutine[Any, Any, tuple[Outcome, Any]]]] = {
    IfBody: _run_if,
    ChainBody: _run_chain,
    WaitBody: _run_wait,
    StopBody: _run_stop,
    SetBody: _run_set,
    ParallelBody: _run_parallel,
}


# --- the background lane


def _send_to_background(call: Call, scope: Scope, step: Step) -> None:
    """Queue a step. Its options are rendered now, so that it sees the values of its moment."""
    forked = scope.fork()
    body = step.body
    if isinstance(body, ActionBody) and body.constant is None:
        try:
            action = body.make(forked)
        except ActionFailed as error:
            _finish(call, scope, step, "failed", call.clock.now(), None, str(error))
            return
        step = replace(step, body=replace(body, constant=action))

    async def work() -> None:
        await _run_step(call, forked, step)
        call.journal.flush()

    call.in_background(work)
