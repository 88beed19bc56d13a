"""Functions of one's own: the form of their names; with `--check-env`, that they are there."""

from __future__ import annotations

import inspect
import re

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.errors import EnvironmentFailure
from orchestrator.events import find_event, near_miss
from orchestrator.registry import import_name
from orchestrator.validation.everywhere import expanded
from orchestrator.validation.findings import Findings
from orchestrator.values import Value

__all__ = ["check_callables"]

_FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


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
    options = step.action.options if step.action is not None else {}
    values = [v for n, v in step.options.items() if n in options and options[n].accepts("python")]
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
    event = find_event(hook.scope, hook.event)
    count = 1 + (len(event.fields) if event is not None else 0)
    for value in _names(step):
        function = _load(value.raw) if _FORM.fullmatch(value.raw) else None
        if function is None or not callable(function) or hook.event.startswith("custom."):
            continue
        args = step.options.get("args")
        names = set(args.raw) if args is not None and isinstance(args.raw, dict) else set()
        needed = [name for name in _required(function) if name not in names]
        if len(needed) > count:
            message = f"{value.raw!r} needs {len(needed)} arguments; `{hook.event}` gives {count}"
            hint = "it is called with (ctx, the event's fields)"
            findings.at(value.place, "HK605", message, help=hint)


def _required(function: object) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in _POSITIONAL and p.default is p.empty]
