"""Time and order: what an event may cost the caller, ladders, steps that are never reached.

`worst_case` counts what waits for somebody else in gating hooks: a step counts with its whole
deadline, `on_error` steps included; speech, logs and background work cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.durations import format_duration, parse_duration
from orchestrator.errors import ProblemList
from orchestrator.events import Scope
from orchestrator.values import Value

__all__ = ["BEARABLE", "check_timing", "worst_case", "worst_case_of_hook"]

#: Seconds that an event may add to a turn before a warning.
BEARABLE = 3.0
#: Call ends have no caller who waits.
_UNHEARD = frozenset({"call_end"})
_SPEECH = frozenset({"say", "escalate_transfer", "set_filler", "send_dtmf", "interrupt", "inject"})
_ENDS = frozenset({"end_call"})


def worst_case(config: Config) -> Mapping[tuple[Scope, str], float]:
    """Seconds that each event may wait in all, by (scope, event)."""
    totals: dict[tuple[Scope, str], float] = {}
    for hook in config.hooks:
        key = (hook.scope, hook.event)
        totals[key] = totals.get(key, 0.0) + worst_case_of_hook(config, hook)
    return totals


def worst_case_of_hook(config: Config, hook: HookConfig) -> float:
    """Seconds that one hook may hold up its event."""
    if hook.background:
        return 0.0
    total = _total(config, hook.steps)
    if hook.timeout is not None:
        total = min(total, hook.timeout)
    return total + _total(config, hook.on_error_steps) + _total(config, hook.cleanup)


def _total(config: Config, steps: tuple[StepConfig, ...]) -> float:
    return sum(_cost(config, step) for step in steps)


def _cost(config: Config, step: StepConfig) -> float:
    if step.runs_in_background:
        return 0.0
    own = _OWN.get(step.kind, _no_wait)(config, step)
    # The outcome of a transfer comes later, and its `on_error` steps with it, off the event's path.
    late = step.word == "escalate_transfer"
    return own + (0.0 if late else _total(config, step.blocks.get("on_error", ())))


def _no_wait(config: Config, step: StepConfig) -> float:
    return 0.0


def _action(config: Config, step: StepConfig) -> float:
    if step.action is None or not step.action.cls.waits:
        return 0.0
    return step.timeout if step.timeout is not None else config.defaults.timeout


def _wait(config: Config, step: StepConfig) -> float:
    return parse_duration(step.options["wait"].raw)


def _if(config: Config, step: StepConfig) -> float:
    return max(_total(config, step.blocks.get(name, ())) for name in ("then", "else"))


def _parallel(config: Config, step: StepConfig) -> float:
    slowest = max((_cost(config, s) for s in step.blocks.get("parallel", ())), default=0.0)
    return min(slowest, step.timeout if step.timeout is not None else config.defaults.timeout)


def _chain(config: Config, step: StepConfig) -> float:
    chain = config.chains.get(str(step.options["run"].raw))
    if chain is None or any(s.kind == "run" for s in chain.steps):
        return 0.0
    total = _total(config, chain.steps)
    return min(total, step.timeout) if step.timeout is not None else total


_OWN: Mapping[str, Callable[[Config, StepConfig], float]] = {
    "action": _action,
    "wait": _wait,
    "if": _if,
    "parallel": _parallel,
    "run": _chain,
}


def check_timing(config: Config, problems: ProblemList) -> None:
    """Report waits that a caller should not bear, and steps in an order that cannot be meant."""
    _check_waits(config, problems)
    for hook in config.hooks:
        _check_timeouts(hook, problems)
        _check_order(hook, hook.steps, problems)
        _check_call_end(config, hook, problems)
    for chain in config.chains.values():
        _check_list(chain.steps, problems)
    for step in config.steps():
        _check_after(config, step, problems)
        if step.word == "silence_timer":
            _check_ladder(step, problems)
        if step.kind == "parallel":
            _check_race(step, problems)
    _check_recording(config, problems)


def _check_waits(config: Config, problems: ProblemList) -> None:
    for (scope, event), seconds in worst_case(config).items():
        if seconds <= BEARABLE or event in _UNHEARD:
            continue
        hooks = [h for h in config.hooks if (h.scope, h.event) == (scope, event)]
        slowest = max(hooks, key=lambda h: worst_case_of_hook(config, h))
        problems.add(
            slowest.place.document.problem(
                "HK401",
                f"`{event}` may keep the caller waiting for {format_duration(seconds)}",
                slowest.place.key_position,
                severity="warning",
                help=f"keep it under {BEARABLE:g}s: shorten timeouts, or use `background: true`",
            )
        )


def _check_timeouts(hook: HookConfig, problems: ProblemList) -> None:
    if hook.timeout is None:
        return
    for step in hook.walk():
        if step.timeout is not None and step.timeout > hook.timeout and not step.background:
            place, whole = step.settings["timeout"], hook.settings["timeout"]
            related = whole.document.related(whole.value_position, "the hook's timeout")
            problems.add(
                place.document.problem(
                    "HK402",
                    f"this step may take longer than its hook "
                    f"({format_duration(step.timeout)} > {format_duration(hook.timeout)})",
                    place.value_position,
                    related=[related],
                    help="shorten it, or give the hook more time",
                )
            )


def _check_order(hook: HookConfig, steps: tuple[StepConfig, ...], problems: ProblemList) -> None:
    for block in (steps, hook.on_error_steps, hook.cleanup):
        _check_list(block, problems)


def _check_list(steps: tuple[StepConfig, ...], problems: ProblemList) -> None:
    """Steps after `stop` are never reached; speech after the call's end is never heard."""
    stopped: StepConfig | None = None
    ended: StepConfig | None = None
    for step in steps:
        if stopped is not None:
            _add_after(step, stopped, "HK403", "this step is never reached", problems)
            break
        if ended is not None and step.word in _SPEECH:
            _add_after(step, ended, "HK404", f"nobody hears `{step.word}` after the end", problems)
        for name, block in step.blocks.items():
            if name != "steps" or step.word != "silence_timer":
                _check_list(block, problems)
        if step.when is None:
            stopped = step if step.kind == "stop" else stopped
            ended = step if step.word in _ENDS or _is_cold(step) else ended


def _is_cold(step: StepConfig) -> bool:
    if step.word != "escalate_transfer" or "on_error" in step.blocks:
        return False
    mode = step.options.get("mode")
    return mode is None or mode.raw == "cold"


def _add_after(
    step: StepConfig, before: StepConfig, code: str, message: str, problems: ProblemList
) -> None:
    related = before.place.document.related(before.place.key_position, "because of this step")
    problems.add(
        step.place.document.problem(
            code,
            message,
            step.place.key_position,
            related=[related],
            help="move it before, or remove it",
        )
    )


def _check_call_end(config: Config, hook: HookConfig, problems: ProblemList) -> None:
    if hook.event != "call_end":
        return
    for step in _with_chains(config, hook):
        if step.word in (*_SPEECH, *_ENDS, "silence_timer", "timer"):
            problems.add(
                step.place.document.problem(
                    "HK405",
                    f"`{step.word}` in `call_end`: the call is over",
                    step.place.key_position,
                    help="do it before the end, or remove it",
                )
            )


def _with_chains(config: Config, hook: HookConfig) -> Iterator[StepConfig]:
    for step in hook.walk():
        yield step
        chain = config.chains.get(str(step.options["run"].raw)) if step.kind == "run" else None
        for chained in chain.steps if chain is not None else ():
            yield from chained.walk()


def _check_after(config: Config, step: StepConfig, problems: ProblemList) -> None:
    """`after` belongs to the rungs of a silence ladder."""
    rungs = step.blocks.get("steps", ()) if step.word == "silence_timer" else ()
    inner = [s for block in step.blocks.values() for s in block if s not in rungs]
    tops = [s for hook in config.hooks for s in (*hook.steps, *hook.cleanup) if s is step]
    for found in (*inner, *tops):
        if found.after is not None:
            place = found.settings["after"]
            problems.add(
                place.document.problem(
                    "HK406",
                    "`after` belongs to the steps of a `silence_timer`",
                    place.key_position,
                    help="write `- wait: ...` before this step, or use `timer`",
                )
            )


def _check_ladder(step: StepConfig, problems: ProblemList) -> None:
    rungs = step.blocks.get("steps", ())
    if not rungs or "max" in step.options:
        return
    ends = any(s.word in ("end_call", "escalate_transfer") for s in rungs[-1].walk())
    if not ends and rungs[-1].kind != "run":
        problems.add(
            step.place.document.problem(
                "HK407",
                "this ladder neither ends the call nor transfers it",
                step.place.key_position,
                help="end it with `end_call`, or say with `max` how often it may run",
            )
        )


def _check_race(step: StepConfig, problems: ProblemList) -> None:
    """Two steps side by side that save the same key: which one wins is left to chance."""
    first: dict[str, StepConfig] = {}
    for branch in step.blocks.get("parallel", ()):
        for inner in branch.walk():
            if inner.save is None:
                continue
            before = first.setdefault(inner.save, inner)
            if before is not inner:
                place, other = inner.settings["save"], before.settings["save"]
                related = other.document.related(other.value_position, "the first one")
                problems.add(
                    place.document.problem(
                        "HK408",
                        f"two steps of `parallel` save `{inner.save}`",
                        place.value_position,
                        related=[related],
                        help="give each a name of its own",
                    )
                )


def _check_recording(config: Config, problems: ProblemList) -> None:
    """A pause that nothing resumes; `max` resumes by itself."""
    pauses = [s for s in config.steps() if s.word == "recording" and _pauses(s)]
    resumes = [s for s in config.steps() if s.word == "recording" and _resumes(s)]
    for step in pauses:
        if not resumes and "max" not in step.options:
            problems.add(
                step.place.document.problem(
                    "HK409",
                    "this recording is paused and nothing resumes it",
                    step.place.key_position,
                    help="add `- recording: resume`, or say `max` for how long it may stay off",
                )
            )


def _pauses(step: StepConfig) -> bool:
    return "pause" in step.options or _word(step.options.get("do")) == "pause"


def _resumes(step: StepConfig) -> bool:
    return _word(step.options.get("do")) == "resume"


def _word(value: Value | None) -> object:
    return value.raw if value is not None else None
