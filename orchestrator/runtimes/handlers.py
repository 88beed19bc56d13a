"""Handlers: how they are registered, what arguments they get, and how one event's are run."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.deadline import GRACE, Cut, Rest, StepCut, StepTimeout, begun, bounded
from orchestrator.events import Event, Scope, check_event, is_custom
from orchestrator.runtime import Handler

__all__ = ["HandlerTable", "Limits", "Registered", "run_handlers"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Registered:
    """A handler, and which fields beyond the event's own it takes: by name, or all (None).

    `keeps_deadline` handlers limit what they do by themselves; they say so by an attribute of
    that name. They get no time limit from the runner, and the whole of it to clean up when cut.
    """

    function: Callable[..., Awaitable[Any]]
    extras: frozenset[str] | None
    keeps_deadline: bool

    def call(self, args: Sequence[Any], extras: Mapping[str, Any]) -> Awaitable[Any]:
        """The coroutine of one run."""
        if not extras or self.extras == frozenset():
            return self.function(*args)
        taken = {k: v for k, v in extras.items() if self.extras is None or k in self.extras}
        return self.function(*args, **taken)


class HandlerTable:
    """The handlers of one scope by event, in the order of their registration."""

    def __init__(self, scope: Scope) -> None:
        self._scope: Scope = scope
        self._leading = ("ctx",) if scope == "runner" else ()
        self._handlers: dict[str, tuple[Registered, ...]] = {}

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """A decorator that registers an async function and returns it.

        Raises:
            UnknownEvent: this scope has no such event (a `ValueError` that names the valid ones).
            TypeError: from the decorator: the function is not async or has other arguments.
        """
        spec = check_event(self._scope, event)

        def register(function: Handler) -> Handler:
            names = (*self._leading, *spec.fields)
            entry = _registered(function, spec, names)
            # A new tuple: what is registered while an event's handlers run joins the next event.
            self._handlers[event] = (*self._handlers.get(event, ()), entry)
            return function

        return register

    def clear(self) -> None:
        """Let go of all handlers, and so of what they hold."""
        self._handlers.clear()

    def of(self, event: str) -> tuple[Registered, ...]:
        """The handlers of one event."""
        return self._handlers.get(event, ())


def _registered(function: Any, spec: Event, names: tuple[str, ...]) -> Registered:
    where = f"a handler of {spec.scope} event {spec.name!r}"
    if not callable(function):
        raise TypeError(f"{where} must be an `async def` function, got {function!r}")
    if not _is_async(function):
        raise TypeError(f"{where} must be an `async def` function that returns, got {function!r}")
    signature = inspect.signature(function)
    if not is_custom(spec.name):  # which fields a custom event has is known only when it fires
        try:
            signature.bind(*names)
        except TypeError as error:
            wanted = f"async def handler({', '.join(names)})"
            raise TypeError(f"{where} must be callable as {wanted!r}: {error}") from None
    keeps = getattr(function, "keeps_deadline", False) is True
    return Registered(function, _extras(signature, len(names)), keeps)


def _is_async(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004  # an object with an async __call__
    )


def _extras(signature: inspect.Signature, taken: int) -> frozenset[str] | None:
    by_name: list[str] = []
    positional = 0
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            return None
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            positional += 1
            by_name += [parameter.name] if positional > taken else []
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            positional += 1
        elif parameter.kind is parameter.KEYWORD_ONLY:
            by_name.append(parameter.name)
    return frozenset(by_name)


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a handler: `seconds` of waiting, who takes over strays, who may cut it short."""

    seconds: float
    on_stray: Callable[[Rest], object]
    cut: Cut | None = None


async def run_handlers(
    handlers: Sequence[Registered],
    args: Sequence[Any],
    extras: Mapping[str, Any],
    limits: Limits,
    *,
    about: Mapping[str, Any],
    is_last: bool = False,
) -> None:
    """Run handlers one after another; whatever one does, the next one runs.

    `about` goes into the log beside each failure. `is_last` is for the end of a call: all handlers
    run even when the task is cancelled meanwhile, and only then the cancellation passes.
    """
    pending: asyncio.CancelledError | None = None
    for handler in handlers:
        try:
            await _run_one(handler, args, extras, limits, about=about)
        except asyncio.CancelledError as error:
            if not is_last:
                raise
            pending = error
    if pending is not None:
        raise pending


async def _run_one(
    handler: Registered,
    args: Sequence[Any],
    extras: Mapping[str, Any],
    limits: Limits,
    *,
    about: Mapping[str, Any],
) -> None:
    # Who keeps deadlines also ends by itself once cut short, and may have `finally` steps to run.
    keeps = handler.keeps_deadline
    seconds, grace = (None, limits.seconds) if keeps else (limits.seconds, GRACE)
    try:
        work = begun(handler.call, args, extras)
        await bounded(work, seconds, on_stray=limits.on_stray, cut=limits.cut, grace=grace)
    except StepCut:
        logger.info("handler cut short by the end of the call", extra=_who(handler, about))
    except StepTimeout:
        logger.warning("handler exceeded its time limit", extra=_who(handler, about))
    except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException:
        logger.exception("handler raised", extra=_who(handler, about))


def _who(handler: Registered, about: Mapping[str, Any]) -> dict[str, Any]:
    name = getattr(handler.function, "__qualname__", type(handler.function).__name__)
    return {"handler": name, **about}
