"""Functions of one's own: the form of their names; with `--check-env`, that they are there."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.action import bind_arguments
from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.errors import ActionFailed, EnvironmentFailure
from orchestrator.events import Event, find_event, is_custom, near_miss
from orchestrator.registry import import_name
from orchestrator.validation.everywhere import expanded
from orchestrator.validation.findings import Findings
from orchestrator.values import Value

__all__ = ["check_callables"]

_FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def check_callables(config: Config, findings: Findings, *, is_strict: bool) -> None:
    """Check every function that a step names; `is_strict` imports it."""
    for step in config.steps():
        for value in _names(step):
            if not _FORM.fullmatch(value.raw):
                message, hint = f"{value.raw!r} names no function", "write `module:function`"
                findings.at(value.place, "HK226", message, help=hint)
            elif is_strict:
                _check_import(value, findings)
    if is_strict:
        for hook in config.hooks:
            for step in expanded(config, hook.walk()):
                _check_signature(hook, step, findings)


def _names(step: StepConfig) -> list[Value]:
    names = step.action.accepting("python") if step.action is not None else ()
    values = [step.options[name] for name in names if name in step.options]
    return [v for v in values if isinstance(v.raw, str) and not v.parts]


def _load(name: str) -> object | None:
    try:
        return import_name(name)  # type: ignore[no-any-return]
    except EnvironmentFailure:
        return None


def _check_import(value: Value, findings: Findings) -> None:
    try:
        found = import_name(value.raw)
    except EnvironmentFailure as error:
        module, _, attribute = value.raw.partition(":")
        near = near_miss(attribute, vars(_load(module)) if _load(module) else ())
        hint = f"did you mean `{module}:{near}`?" if near else None
        findings.at(value.place, "HK604", str(error), help=hint)
        return
    if not callable(found):
        findings.at(value.place, "HK604", f"{value.raw!r} is no function")


def _check_signature(hook: HookConfig, step: StepConfig, findings: Findings) -> None:
    """A function must take what it is called with: the context and the event's fields, or fewer."""
    event = None if is_custom(hook.event) else find_event(hook.scope, hook.event)
    values: list[Any] = [None] * (1 + len(event.fields) if event is not None else MOST_FIELDS)
    for value in _names(step):
        function = _load(value.raw) if _FORM.fullmatch(value.raw) else None
        if function is None or not callable(function):
            continue
        if fault := _kind_of_fault(function):
            findings.at(value.place, "HK605", f"{value.raw!r} {fault}", help=_WANTED)
            continue
        args = step.options.get("args")
        names = args.raw if args is not None and isinstance(args.raw, dict) else {}
        try:
            bind_arguments(function, values, names)
        except ActionFailed as error:
            message = f"{value.raw!r} cannot be called on `{hook.event}`: {error}"
            findings.at(value.place, "HK605", message, help=_given(hook.event, names, event))
        except (TypeError, ValueError):  # it has no signature that can be read
            continue


_WANTED = "write `async def name(ctx, ...)` that returns its answer"
#: Fields that a custom event may have, at most: what an `emit` gives it is not looked up.
MOST_FIELDS = 64


def _kind_of_fault(function: Callable[..., Any]) -> str:
    if inspect.isclass(function):
        return "is a class: what a call of it gives is no plain data"
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return "is a generator: it has no answer"
    return ""


def _given(event_name: str, names: Mapping[str, Any], event: Event | None) -> str:
    fields = [*event.fields] if event is not None else [f"the fields of {event_name}"]
    args = f"; by name: {', '.join(names)}" if names else ""
    return f"it gets, in this order: {', '.join(['ctx', *fields])}{args}"
