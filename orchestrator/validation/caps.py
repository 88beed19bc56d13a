"""The longest that a call may last: what needs more time than that never comes.

A call has an end of its own where `call_start` arms, in any case, a timer that surely ends it.
A timer that only some calls arm, or that is armed anew on the way, says nothing of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.durations import format_duration, parse_duration
from orchestrator.errors import Related
from orchestrator.validation.everywhere import expanded
from orchestrator.validation.findings import Findings, related
from orchestrator.validation.names import timer_name

__all__ = ["check_caps", "seconds_after"]

_TIMERS = ("timer", "silence_timer")
_LENGTH = "call.duration"
#: Seconds that an end may take: what is being said or played is heard first.
_LATE = 60.0


def check_caps(config: Config, findings: Findings) -> None:
    """Warn of ladders and timers that need more time than the call may last."""
    caps = [(seconds_after(step), step) for step in _caps(config)]
    if not caps:
        return
    limit, cap = min(caps, key=lambda pair: pair[0])
    where, end = [related(cap.place, "ends the call")], format_duration(limit)
    for hook in config.hooks:
        _check_hook(hook, limit, where, findings)
    inside = {id(step) for step in cap.walk()}
    for step in config.steps():
        total = _ladder_time(step)
        if total >= limit:
            times = f"{format_duration(total)} of silence; the call ends at {end}"
            message, hint = f"this ladder needs {times}", "shorten its `after`"
            findings.at(
                step.place, "HK410", message, on="key", severity="warning", related=where, help=hint
            )
        is_late = step.word == "timer" and limit < seconds_after(step) < float("inf")
        if is_late and id(step) not in inside:
            message = f"this timer never fires: the call ends at {end}"
            place, hint = step.options["after"].place, "let it fire earlier, or remove it"
            findings.at(place, "HK410", message, severity="warning", related=where, help=hint)


def _check_hook(hook: HookConfig, limit: float, where: list[Related], findings: Findings) -> None:
    """A pause between runs, or a time in the call, that no call comes to."""
    end = format_duration(limit)
    if hook.cooldown is not None and hook.cooldown >= limit:
        message, hint = f"this hook runs once: the call ends at {end}", "write `max_count: 1`"
        place = hook.settings["cooldown"]
        findings.at(place, "HK410", message, severity="warning", related=where, help=hint)
    conditions = [hook.when, *(step.when for step in hook.walk())]
    for condition in conditions:
        if condition is None or _LENGTH not in condition.template.source:
            continue
        if any(
            all(c.is_above(_LENGTH, limit + _LATE) for c in g)
            for g in condition.template.claims(True)
        ):
            source, place = condition.template.source, condition.place
            on = place.inside(source, source.index(_LENGTH), len(_LENGTH))
            message, hint = f"this is never true: the call ends at {end}", "ask for less"
            findings.at(
                place, "HK410", message, on=on, severity="warning", related=where, help=hint
            )


def seconds_after(step: StepConfig) -> float:
    """The `after` of a timer or ladder in seconds; without end where it is not written out."""
    value = step.options.get("after")
    if value is None or not isinstance(value.raw, str) or value.parts:
        return float("inf")
    return parse_duration(value.raw)


def _caps(config: Config) -> Iterator[StepConfig]:
    """The timers that are armed when any call starts, run on whatever happens, and end it."""
    steps = config.steps()
    again = Counter(timer_name(step) for step in steps if step.word in _TIMERS and step.action)
    names = [s.options["name"].raw for s in steps if s.word == "cancel_timer" and s.options]
    runs = Counter(str(step.options["run"].raw) for step in steps if step.kind == "run")
    once = {name for name, count in runs.items() if count == 1}
    for hook in config.hooks:
        if hook.event != "call_start" or hook.when is not None:
            continue
        for step in _surely(config, hook.steps, once):
            if step.word != "timer" or step.action is None or "cancel_on" in step.options:
                continue
            is_kept = again[timer_name(step)] == 1 and timer_name(step) not in names
            if is_kept and _ends(config, step.blocks.get("steps", ()), set(runs)):
                yield step


def _ends(config: Config, steps: tuple[StepConfig, ...], chains: set[str]) -> bool:
    return any(step.word == "end_call" for step in _surely(config, steps, chains))


def _surely(
    config: Config, steps: Iterable[StepConfig], chains: set[str], trail: tuple[str, ...] = ()
) -> Iterator[StepConfig]:
    """The steps of a list that run at once in any case, with those of the `chains` they run."""
    for step in steps:
        if step.when is None:
            yield step
            if step.kind == "parallel":
                yield from _surely(config, step.blocks.get("parallel", ()), chains, trail)
            name = str(step.options["run"].raw) if step.kind == "run" else ""
            if name in chains and name in config.chains and name not in trail:
                yield from _surely(config, config.chains[name].steps, chains, (*trail, name))
        if _may_hold_up(config, step):
            return


def _may_hold_up(config: Config, step: StepConfig) -> bool:
    """Whether what comes after a step comes later, or never: it waits, stops, or may fail."""
    if step.background or step.word in _TIMERS:
        return False
    return any(
        inner.kind in ("stop", "wait")
        or (inner.action is not None and inner.action.cls.waits and inner.on_error != "continue")
        for inner in expanded(config, step.walk())
    )


def _ladder_time(step: StepConfig) -> float:
    usual = seconds_after(step) if step.word == "silence_timer" else 0.0
    if usual == float("inf"):
        return 0.0
    rungs = step.blocks.get("steps", ())
    return sum(usual if rung.after is None else rung.after for rung in rungs)
