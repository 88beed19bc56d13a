"""Run a list of steps: each under its deadline, its outcome a record in the journal.

A step that never waits makes no task, no timer and no context manager: `run_list` calls it, appends
one record, and goes on. All else (failures, waits, policies) leaves that path.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import traceback
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any

from orchestrator.call import Call, Scope
from orchestrator.context import StepContext
from orchestrator.deadline import BLOCKING, Escaped, StepTimeout, bounded
from orchestrator.durations import format_duration
from orchestrator.errors import ActionFailed, NotSent, named, words
from orchestrator.journal.lines import act_line, step_line
from orchestrator.options import shown_options
from orchestrator.plain import plain
from orchestrator.plan import (
    ActionBody,
    ChainBody,
    IfBody,
    ParallelBody,
    SetBody,
    Step,
    StopBody,
    WaitBody,
)
from orchestrator.services import GivenLike

__all__ = ["Flow", "run_list", "run_steps"]

_log = logging.getLogger("orchestrator")


class Flow(Enum):
    """How a list of steps goes on after one of them."""

    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


async def run_steps(call: Call, scope: Scope, steps: tuple[Step, ...]) -> None:
    """Run steps of a timer, a ladder or a late outcome, outside of any event."""
    with contextlib.suppress(CancelledError):
        await run_list(call, scope, steps)
    call.journal.flush()


async def run_list(call: Call, scope: Scope, steps: tuple[Step, ...]) -> Flow:
    """Run steps one after another; what one of them does stays in the journal."""
    now, append = call.journal.now, call.journal.records.append
    is_virtual, started = call.clock.is_virtual, now()
    for step in steps:
        if step.is_conditional and not _enter(call, scope, step):
            continue
        try:
            try:
                output = _ACTS[step.body.__class__](call, scope, step, step.body)
            except GeneratorExit as error:
                raise Escaped from error
            if output.__class__ not in _DATA and inspect.isawaitable(output):
                watch = None if is_virtual else partial(_blocked, call, step)
                output = await bounded(output, step.timeout, on_stray=call.spawn, on_block=watch)
            elif not is_virtual and now() - started > BLOCKING:
                _blocked(call, step, now() - started)
            if output.__class__ is Flow:
                if output is not Flow.DONE:
                    status = "failed" if output is Flow.FAILED else "ok"
                    _finish(call, scope, step, status, started)
                    return output
                output = None
            elif output is not None and step.body.__class__ is ActionBody:
                output = plain(output)
        except CancelledError:
            _finish(call, scope, step, "cancelled", started)
            raise
        except (KeyboardInterrupt, GeneratorExit):  # a person, or whoever closes us, wants out
            raise
        except BaseException as error:  # noqa: BLE001 - also SystemExit: the call goes on
            flow = await _failed(call, scope, step, started, error)
            if flow is not Flow.DONE:
                return flow
            started = now()
        else:
            if step.save is not None:
                scope.data[step.save] = output
            ended = now()
            append((step_line, ended, step, started, "ok", output, None))
            started = ended
            if step.id is not None:
                _keep(scope, step.id, "ok", output, None)
    return Flow.DONE


def _blocked(call: Call, step: Step, seconds: float) -> None:
    """A step kept the event loop, and with it every call: say which."""
    call.journal.note("a step blocked the event loop", at=step.key, seconds=round(seconds, 3))
    _log.warning("a step blocked the event loop", extra=_about(call, step))


def _about(call: Call, step: Step) -> dict[str, Any]:
    """Which step of which call, for a log line."""
    return {"call_id": call.facts.id, "step": step.key, "place": step.place}


#: What is surely nothing to wait for; asking `isawaitable` costs ten times as much.
_DATA = frozenset({type(None), dict, str, list, bool, int, float, Flow})


def _enter(call: Call, scope: Scope, step: Step) -> bool:
    """Whether a step with a condition, or in the background, is to be run here and now."""
    if step.when is not None:
        why = "its `when` is false"
        try:
            is_met = step.when(scope)
        except ActionFailed as error:
            is_met, why = False, f"its `when` could not be decided: {error}"
        if not is_met:
            _finish(call, scope, step, "skipped", call.journal.now(), error=why)
            return False
    if step.background:
        _send_to_background(call, scope, step)
        return False
    return True


def _send_to_background(call: Call, scope: Scope, step: Step) -> None:
    """Queue a step. Its options are rendered now, so that it sees the values of its moment."""
    body = step.body
    if isinstance(body, ActionBody) and body.constant is None:
        try:
            action = body.make(scope)
        except Exception as error:  # noqa: BLE001 - the words of an option's own type, perhaps
            status, message = _describe(call, step, error)
            _finish(call, scope, step, status, call.journal.now(), error=message)
            return
        made = replace(body, constant=action, shown=shown_options(action))
        step = replace(step, body=made)
    forked, inline = scope.fork(), replace(step, when=None, background=False, is_detached=True)

    async def work() -> None:
        await run_list(call, forked, (inline,))
        call.journal.flush()

    call.in_background(work)


def _finish(
    call: Call, scope: Scope, step: Step, status: str, started: float, *, error: str | None = None
) -> None:
    """Record a step that did not simply succeed."""
    call.journal.step(step, started, status, None, error)
    if step.id is not None:
        _keep(scope, step.id, status, None, error)


def _keep(scope: Scope, name: str, status: str, output: Any, error: str | None) -> None:
    scope.is_used = True
    scope.steps[name] = {"status": status, "output": output, "error": error}


async def _failed(
    call: Call, scope: Scope, step: Step, started: float, error: BaseException
) -> Flow:
    """Record a step that raised, and do what its policy says."""
    if isinstance(error, NotSent):
        if step.save is not None:
            scope.data[step.save] = None
        _finish(call, scope, step, "not_sent", started, error=words(error))
        return Flow.DONE
    status, message = _describe(call, step, error)
    _finish(call, scope, step, status, started, error=message)
    if step.on_error == ():
        return Flow.DONE
    details = {"message": message, "step": step.id or step.word}
    if step.on_error is None:
        scope.error, scope.is_used = details, True
        return Flow.FAILED
    await run_list(call, scope.fork(details), step.on_error)
    return Flow.STOPPED


def _describe(call: Call, step: Step, error: BaseException) -> tuple[str, str]:
    if isinstance(error, StepTimeout):
        stray = "; it ignores being stopped" if error.is_stray else ""
        return "timed_out", f"no answer within {format_duration(step.timeout or 0)}{stray}"
    if isinstance(error, ActionFailed):
        return "failed", words(error)
    message = named(error)
    _log_raised(call, step, error)
    return "failed", message


#: Characters of a traceback that are searched for what must not be shown.
_MOST_TRACE = 20_000


def _log_raised(call: Call, step: Step, error: BaseException) -> None:
    """Write down what an action raised; in full only if no secret and no caller's word is in it."""
    redact, extra = call.journal.redactor.personal, _about(call, step)
    trace = "".join(traceback.format_exception(error))
    if len(trace) < _MOST_TRACE and redact(trace) == trace:
        _log.warning("a step raised", exc_info=error, extra=extra)
        return
    shown = f"{type(error).__name__}: {redact(words(error))}"
    _log.warning("a step raised", extra={**extra, "reason": shown})


# --- bodies: each acts at once, or gives a coroutine; a `Flow` says how the list goes on


def _act(call: Call, scope: Scope, step: Step, body: ActionBody) -> Any:
    action = body.constant
    if action is None:
        action = body.make(scope)
    if body.limit is not None:
        return _within_limit(call, scope, step, body, action)
    return _begin(call, scope, step, body, action)


async def _within_limit(call: Call, scope: Scope, step: Step, body: ActionBody, action: Any) -> Any:
    assert body.limit is not None  # noqa: S101 - narrows the type for the checker
    await call.take(body.limit)
    output = _begin(call, scope, step, body, action)
    return await output if inspect.isawaitable(output) else output


def _begin(call: Call, scope: Scope, step: Step, body: ActionBody, action: Any) -> Any:
    if body.cls.in_journal:
        shown = body.shown if body.constant is not None else shown_options(action)
        call.journal.records.append((act_line, call.journal.now(), step, shown))
    context = StepContext(scope, step)
    if step.retry is not None:
        return _with_retries(call, step, action, context)
    given = call.services.given
    return action.run(context) if given is None else _ask(given, action, context, step)


def _ask(given: GivenLike, action: Any, context: StepContext, step: Step) -> Any:
    """The answer of a call test where it has one, else the action's own work."""
    answer = given.answer(context.live.facts.id, step, action)
    return action.run(context) if answer is None else answer


async def _with_retries(call: Call, step: Step, action: Any, context: StepContext) -> Any:
    assert step.retry is not None  # noqa: S101 - narrows the type for the checker
    pause = step.retry.backoff
    for attempt in range(1, step.retry.times + 1):
        try:
            return await _try(call, step, action, context)
        except NotSent:
            raise
        except Exception as error:
            if isinstance(error, ActionFailed) and not error.retryable:
                raise
            why = words(error)
            call.journal.note("a step is tried again", at=step.key, attempt=attempt, why=why)
        await asyncio.sleep(pause)
        pause = min(pause * 2, step.retry.max)
    return await _try(call, step, action, context)


async def _try(call: Call, step: Step, action: Any, context: StepContext) -> Any:
    given = call.services.given
    output = action.run(context) if given is None else _ask(given, action, context, step)
    return await output if inspect.isawaitable(output) else output


def _if(call: Call, scope: Scope, step: Step, body: IfBody) -> Any:
    return run_list(call, scope, body.then if body.condition(scope) else body.otherwise)


def _chain(call: Call, scope: Scope, step: Step, body: ChainBody) -> Any:
    return run_list(call, scope, body.steps)


async def _wait(call: Call, scope: Scope, step: Step, body: WaitBody) -> None:
    await asyncio.sleep(body.seconds)


def _stop(call: Call, scope: Scope, step: Step, body: StopBody) -> Flow:
    reason = body.reason(scope)
    call.journal.note("the hook stops", at=step.key, why=str(reason))
    return Flow.STOPPED


def _set(call: Call, scope: Scope, step: Step, body: SetBody) -> Any:
    values = {key: plain(read(scope)) for key, read in body.values}
    scope.data.update(values)
    return values


async def _parallel(call: Call, scope: Scope, step: Step, body: ParallelBody) -> Flow:
    """Run steps side by side; the step's deadline is kept by whoever awaits this."""
    tasks = {call.spawn(run_list(call, scope, (inner,))) for inner in body.steps}
    pending, failed, stopped = tasks, False, False
    try:
        while pending and not stopped and not (failed and body.first_error == "cancel"):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            flows = {task.result() for task in done if not task.cancelled()}
            failed, stopped = failed or Flow.FAILED in flows, Flow.STOPPED in flows
    except CancelledError:
        if not body.keeps_late:
            await _cancel(pending)
        raise
    await _cancel(pending)
    if failed:
        raise ActionFailed("a step of `parallel` failed")
    return Flow.STOPPED if stopped else Flow.DONE


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=0.05)


_ACTS: Mapping[type, Callable[[Call, Scope, Step, Any], Any]] = {
    ActionBody: _act,
    IfBody: _if,
    ChainBody: _chain,
    WaitBody: _wait,
    StopBody: _stop,
    SetBody: _set,
    ParallelBody: _parallel,
}
