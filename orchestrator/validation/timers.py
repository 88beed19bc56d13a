"""Timers and silence ladders: ladders that never end, timers that collide, `after` out of place."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.durations import parse_duration
from orchestrator.validation.caps import check_caps, seconds_after
from orchestrator.validation.everywhere import expanded
from orchestrator.validation.findings import Findings, related
from orchestrator.validation.known import is_read
from orchestrator.validation.names import timer_name

__all__ = ["check_timers"]

_TIMERS = ("timer", "silence_timer")


def check_timers(config: Config, findings: Findings, *, has_all_steps: bool) -> None:
    """Report timers and ladders that cannot work as written."""
    rungs = {id(rung) for s in config.steps() for rung in _rungs(s)}
    for step in config.steps():
        if step.after is not None and id(step) not in rungs:
            message = "`after` belongs to the steps of a `silence_timer`"
            hint = "write `- wait: ...` before this step, or use `timer`"
            findings.at(step.settings["after"], "HK406", message, on="key", help=hint)
        if step.word == "silence_timer" and has_all_steps and is_read(step):
            _check_end(config, step, findings)
        if step.word == "silence_timer":
            _check_nested(config, step, findings)
            _check_grace(step, findings)
        if step.word == "timer":
            _check_cancel(step, findings)
    for hook in config.hooks:
        _check_loops(config, hook, findings)
    _check_shared_names(config, findings)
    check_caps(config, findings)


def _check_grace(step: StepConfig, findings: Findings) -> None:
    """Who asks for more time should not get less."""
    grace = step.options.get("grace")
    time = grace.items.get("for") if grace is not None else None
    if (
        time is None
        or time.parts
        or not parse_duration(time.raw) < seconds_after(step) < float("inf")
    ):
        return
    message = f"who asks for time gets {time.raw} in place of {step.options['after'].raw}"
    hint = "make it longer than `after`"
    where = [related(step.options["after"].place, "the silence without it", on="value")]
    findings.at(time.place, "HK417", message, severity="warning", help=hint, related=where)


def _check_cancel(step: StepConfig, findings: Findings) -> None:
    """Events that never come while a timer runs."""
    value = step.options.get("cancel_on")
    for inner in value.walk() if value is not None else ():
        if inner.raw in ("call_start", "call_end"):
            message, hint = f"`{inner.raw}` never comes while this timer runs", "remove it"
            findings.at(inner.place, "HK124", message, help=hint)


def _rungs(step: StepConfig) -> tuple[StepConfig, ...]:
    return step.blocks.get("steps", ()) if step.word == "silence_timer" else ()


def _check_end(config: Config, step: StepConfig, findings: Findings) -> None:
    """A ladder that does not end says how often it runs."""
    rungs = _rungs(step)
    if not rungs or "max" in step.options:
        return
    steps = expanded(config, (s for rung in rungs for s in rung.walk()))
    ends = [s.word in ("end_call", "escalate_transfer") or _is_unknown(config, s) for s in steps]
    if not any(ends):
        message = "this ladder neither ends the call nor transfers it"
        hint = "end it with `end_call`, or say with `max` how often it may run"
        findings.at(step.place, "HK407", message, on="key", help=hint)


def _is_unknown(config: Config, step: StepConfig) -> bool:
    """Whether a step runs a chain that is not there, which is reported."""
    return step.kind == "run" and str(step.options["run"].raw) not in config.chains


def _check_nested(config: Config, step: StepConfig, findings: Findings) -> None:
    for inner in expanded(config, (s for rung in _rungs(step) for s in rung.walk())):
        if inner.word == "silence_timer" and timer_name(inner) == timer_name(step):
            message = "this ladder starts itself again"
            hint = "take it out; `max` says how often a ladder may run"
            where = [related(step.place, "inside of this ladder")]
            findings.at(inner.place, "HK412", message, on="key", help=hint, related=where)


def _check_loops(config: Config, hook: HookConfig, findings: Findings) -> None:
    """A ladder that what it says itself starts again."""
    for step in expanded(config, hook.walk()):
        if step.word == "silence_timer" and hook.event == "state":
            message = "what this ladder says changes the state, which starts it again"
            hint = "start it in `call_start`; it re-arms by itself"
            findings.at(step.place, "HK412", message, on="key", help=hint)


def _check_shared_names(config: Config, findings: Findings) -> None:
    """Two timers of one name in the hooks of one event: the second restarts the first."""
    first: dict[tuple[str, str, str], StepConfig] = {}
    for hook in config.hooks:
        for step in _armed(hook.steps):
            key = (hook.scope, hook.event, timer_name(step))
            before = first.setdefault(key, step)
            if before is step or before.place == step.place or before.when or step.when:
                continue
            message = f"this replaces the timer {key[2]!r} that is armed before it"
            where = [related(before.place, "the first one")]
            hint = "give each its own `name`"
            findings.at(step.place, "HK414", message, on="key", related=where, help=hint)


def _armed(steps: tuple[StepConfig, ...]) -> Iterator[StepConfig]:
    """Timers that a list of steps arms itself, not those inside of other timers."""
    for step in steps:
        if step.word in _TIMERS and step.action is not None:
            yield step
