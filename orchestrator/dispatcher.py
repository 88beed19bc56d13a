"""Run the handlers of one event, in order, each isolated.

`dispatch` never raises but for cancellation. Whatever a hook does, the outcome is in the journal,
and the next hook runs. Way of the data: event -> scope -> hook -> steps (`steps`) -> action.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Mapping
from typing import Any

from orchestrator.call import Call, Scope
from orchestrator.deadline import StepTimeout, bounded
from orchestrator.durations import format_duration
from orchestrator.errors import ActionFailed, words
from orchestrator.journal.lines import hook_line
from orchestrator.plan import Handler
from orchestrator.steps import Flow, run_list

__all__ = ["CLEANUP_LIMIT", "dispatch"]

#: Seconds for all `finally` steps of a hook together.
CLEANUP_LIMIT = 5.0


async def dispatch(call: Call, handlers: tuple[Handler, ...], fields: Mapping[str, Any]) -> None:
    """Run the hooks of one event, one after another."""
    scope = Scope(call, fields)
    runs, records, now = call.runs, call.journal.records, call.journal.now
    floor = call.floor if call.plan.has_ladder else None
    if floor is not None:
        floor.hooks_begin()
    try:
        for handler in handlers:
            if handler.is_conditional and not _admit(call, handler, scope):
                continue
            number = runs[handler.key] = runs.get(handler.key, 0) + 1
            records.append((hook_line, now(), handler, number))
            if handler.background:
                call.in_background(_Later(call, handler, fields))
                continue
            if scope.is_used:
                scope = Scope(call, fields)
            if handler.is_simple:
                await run_list(call, scope, handler.steps)
            else:
                await _run_guarded(call, handler, scope)
    finally:
        if floor is not None:
            floor.hooks_end()
        call.journal.flush()


class _Later:
    """A hook that runs in the background, with the event of its moment."""

    def __init__(self, call: Call, handler: Handler, fields: Mapping[str, Any]) -> None:
        self._call = call
        self._handler = handler
        self._scope = Scope(call, fields)

    async def __call__(self) -> None:
        await _run_guarded(self._call, self._handler, self._scope)
        self._call.journal.flush()


def _admit(call: Call, handler: Handler, scope: Scope) -> bool:
    """Whether a hook runs now; if not, the journal says why."""
    if handler.when is not None:
        try:
            is_met = handler.when(scope)
        except ActionFailed as error:
            call.journal.skip(handler, f"`when` could not be decided: {words(error)}")
            return False
        if not is_met:
            saw = handler.explain(scope) if handler.explain is not None else None
            call.journal.skip(handler, f"when: {handler.when_text}", saw)
            return False
    why = call.may_run(handler)
    if why:
        call.journal.skip(handler, why)
    return not why


# --- one hook


async def _run_guarded(call: Call, handler: Handler, scope: Scope) -> None:
    """A hook with a limit, an error policy or a clean-up of its own."""
    try:
        work = run_list(call, scope, handler.steps)
        if handler.timeout is not None:
            work = bounded(work, handler.timeout, on_stray=call.spawn)
        if await work is Flow.FAILED and handler.on_error:
            await run_list(call, scope, handler.on_error)
    except StepTimeout:
        why = f"the hook took longer than {format_duration(handler.timeout or 0)}"
        call.journal.hook_end(handler, "timed_out", why)
        if handler.on_error:
            error = {"message": why, "step": handler.name}
            await run_list(call, scope.fork(error), handler.on_error)
    except CancelledError:
        call.journal.hook_end(handler, "cancelled")
        raise
    finally:
        if handler.cleanup:
            await _clean_up(call, handler, scope)


async def _clean_up(call: Call, handler: Handler, scope: Scope) -> None:
    """Run `finally` steps in a task that the call owns: they go on if this one is cancelled."""
    work = call.spawn(run_list(call, scope.fork(), handler.cleanup))
    await asyncio.wait({work}, timeout=CLEANUP_LIMIT)
    if not work.done():
        work.cancel()
        call.journal.hook_end(handler, "timed_out", "its `finally` steps took too long")
