"""Recording: a pause must have a way back.

The runtime resumes by itself after `max`, at a transfer, at the end of the call and on an error.
Short of that a `resume` anywhere in the config will do, unless it can only come before the pause,
or the pausing hook leaves it out on one of its own ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.errors import Related
from orchestrator.validation.everywhere import expanded
from orchestrator.validation.findings import Findings, related
from orchestrator.validation.known import goes_on, is_read

__all__ = ["check_recording"]

#: Events of which only the first is certain to come, before all others.
_ONCE = (("runner", "call_start"), ("session", "call_start"))
_TIMERS = ("timer", "silence_timer")
_Block = tuple[StepConfig, ...]
_ADD = "add `- recording: resume`, or say with `max` for how long it may stay off"


@dataclass(slots=True)
class _State:
    """Which pause is open, and which step left a way on which it stays open."""

    open: StepConfig | None = None
    left: StepConfig | None = None
    hook: HookConfig | None = None


def check_recording(config: Config, findings: Findings) -> None:
    """Report pauses that nothing, or not every way, resumes.

    Nothing is said where a step that may resume could not be read.
    """
    recordings = [s for s in config.steps() if s.word == "recording"]
    if not recordings:
        return
    chains = [str(s.options["run"].raw) for s in config.steps() if s.kind == "run"]
    if any(name not in config.chains for name in chains):
        return
    if any(not s.options or not is_read(s) or findings.is_faulty(s.place) for s in recordings):
        return
    homes = [(h, s) for h in config.hooks for s in expanded(config, h.walk()) if _resumes(s)]
    for hook in config.hooks:
        steps = list(expanded(config, hook.walk()))
        pauses = [s for s in steps if _stays_off(s)]
        elsewhere = [home for home, _ in homes if home is not hook and _can_follow(home, hook)]
        if not pauses or elsewhere:
            continue
        apart = list(_apart(config, hook))
        inside = {id(s) for block, _ in apart for s in expanded(config, _walk_all(block))}
        usual = [pause for pause in pauses if id(pause) not in inside]
        if usual:
            _check_hook(config, hook, usual[0], findings)
        for block, later in apart:
            _check_apart(config, block, later, findings)


def _apart(config: Config, hook: HookConfig) -> Iterator[tuple[_Block, list[StepConfig]]]:
    """Lists that run aside from the hook's steps, each with what surely runs beside or after it."""
    timed = [
        step.blocks["steps"]
        for step in expanded(config, hook.walk())
        if step.word in _TIMERS and "steps" in step.blocks
    ]
    for block in timed:
        yield block, [s for other in timed if other is not block for s in other]
    later = [s for block in timed for s in block]
    yield hook.cleanup, later
    later += hook.cleanup
    yield hook.on_error_steps, later
    for step in expanded(config, hook.walk()):
        if "on_error" in step.blocks:
            yield step.blocks["on_error"], later


def _walk_all(block: _Block) -> Iterator[StepConfig]:
    for step in block:
        yield from step.walk()


def _check_apart(
    config: Config, block: _Block, later: list[StepConfig], findings: Findings
) -> None:
    if any(map(_resumes, expanded(config, _walk_all(tuple(later))))):
        return
    state = _State()
    _walk(config, block, state)
    if state.open is not None:
        message = "this recording is paused and nothing resumes it"
        findings.at(state.open.place, "HK409", message, on="key", help=_ADD)


def _check_hook(config: Config, hook: HookConfig, pause: StepConfig, findings: Findings) -> None:
    if any(_resumes(step) for step in _sure(config, hook)):
        return
    is_caught = any(_resumes(s) for step in hook.on_error_steps for s in step.walk())
    state = _State(hook=None if is_caught else hook)
    _walk(config, hook.steps, state)
    if state.open is None and state.left is None and any(map(_pauses, hook.walk())):
        return
    resumes = [s for s in expanded(config, hook.walk()) if _resumes(s)]
    if state.left is not None and resumes:
        where: list[Related] = [related(state.left.place, "on this way it stays off")]
        message = "on one way this recording stays paused"
        hint = "put the `resume` under `finally`, or say `max` for how long it may stay off"
        findings.at(pause.place, "HK409", message, on="key", related=where, help=hint)
    elif state.open is not None or not resumes:
        message = "this recording is paused and nothing resumes it"
        findings.at(pause.place, "HK409", message, on="key", help=_ADD)


def _sure(config: Config, hook: HookConfig) -> Iterator[StepConfig]:
    """Steps that run whatever happens: those of `finally`, and of timers that the hook arms."""
    yield from expanded(config, iter(hook.cleanup))
    for step in hook.walk():
        if step.word in _TIMERS and "cancel_on" not in step.options:
            yield from expanded(config, iter(step.blocks.get("steps", ())))


def _walk(config: Config, steps: tuple[StepConfig, ...], state: _State) -> bool:
    """Follow a list of steps; whether its end can be reached."""
    for step in steps:
        before = state.open
        if not _step(config, step, state):
            if step.when is None:
                _skip(config, steps, step, state)
                return False
            state.left = state.left or (step if before is not None else None)
            state.open = before
        elif step.when is not None and before is not None and state.open is None:
            state.left = state.left or step  # the resume is skipped when its condition fails
    return True


def _skip(config: Config, steps: _Block, ending: StepConfig, state: _State) -> None:
    """A resume behind what ends the list is never reached, which is reported there."""
    later = steps[steps.index(ending) + 1 :]
    if any(_any(config, step, _resumes) for step in later):
        state.open = None
        state.left = None if state.left is ending else state.left


def _step(config: Config, step: StepConfig, state: _State) -> bool:
    if _stays_off(step):
        state.open = step
    elif _resumes(step):
        state.open = None
    elif step.kind == "stop":
        state.left = state.left or (step if state.open is not None and step.when is None else None)
        return False
    elif step.kind == "if":
        return _if(config, step, state)
    elif step.kind == "parallel":
        return _parallel(config, step, state)
    elif step.kind == "run":
        chain = config.chains.get(str(step.options["run"].raw))
        runs_chain = chain is not None and not any(s.kind == "run" for s in chain.steps)
        return _walk(config, chain.steps, state) if chain is not None and runs_chain else True
    elif _ends_hook(config, step, state):
        state.left = state.left or step
    elif any(map(_resumes, step.walk())):
        if "cancel_on" in step.options:  # whoever cancels the timer keeps it off
            state.left = state.left or (step if state.open is not None else None)
        state.open = None  # a timer, a ladder or an `on_error` that resumes later
    return True


def _ends_hook(config: Config, step: StepConfig, state: _State) -> bool:
    """Whether a step may fail while the recording is paused, and its hook ends then."""
    if state.open is None or state.hook is None or step.action is None:
        return False
    is_caught = any(_resumes(s) for inner in step.blocks.get("on_error", ()) for s in inner.walk())
    return step.action.cls.waits and not is_caught and not goes_on(config, state.hook, step)


def _if(config: Config, step: StepConfig, state: _State) -> bool:
    start, ends, opens = state.open, [], []
    for name in ("then", "else"):
        state.open = start
        reached = _walk(config, step.blocks.get(name, ()), state)
        ends.append(reached)
        if reached:
            opens.append(state.open)
    still = [pause for pause in opens if pause is not None]
    if start is not None and still and len(still) < len(opens):
        state.left = state.left or step
    state.open = still[0] if still else None
    return any(ends)


def _parallel(config: Config, step: StepConfig, state: _State) -> bool:
    """Steps side by side: what one of them pauses is off for all that comes after."""
    start, reached, opened, is_resumed = state.open, True, None, False
    branches = step.blocks.get("parallel", ())
    hook = None if state.hook is None or goes_on(config, state.hook, step) else state.hook
    for branch in branches:
        inner = _State(start, state.left, hook)
        reached = _walk(config, (branch,), inner) and reached
        state.left = inner.left
        if inner.open is not start and inner.open is not None:
            opened = inner.open
        elif inner.open is None and _any(config, branch, _resumes):
            is_resumed |= start is not None or not _any(config, branch, _stays_off)
    state.left = state.left or _cut(config, step, state)
    state.open = None if is_resumed else opened or start
    if not reached and state.open is not None:
        state.left = state.left or step
    return reached


def _cut(config: Config, step: StepConfig, state: _State) -> StepConfig | None:
    """The step of a `parallel` whose failure ends it, or its hook, before another resumes."""
    if state.hook is None:
        return None
    branches = step.blocks.get("parallel", ())
    is_ended = not goes_on(config, state.hook, step)
    first_error = step.options.get("first_error")
    is_cancelled = first_error is None or first_error.raw == "cancel"
    for branch in branches:
        is_left = is_ended or (is_cancelled and _any(config, branch, _resumes))
        others = [other for other in branches if other is not branch]
        failing = next((s for s in others if _may_fail(config, state.hook, s, set())), None)
        if failing is not None and is_left and _any(config, branch, _stays_off):
            return failing
    return None


def _any(config: Config, step: StepConfig, does: Callable[[StepConfig], bool]) -> bool:
    return any(map(does, expanded(config, step.walk())))


def _may_fail(config: Config, hook: HookConfig, step: StepConfig, seen: set[str]) -> bool:
    """Whether a step, or what it runs, may end the list that it stands in; each chain once."""
    if goes_on(config, hook, step):
        return False
    if step.action is not None:
        return step.action.cls.waits
    inner = [s for block in step.blocks.values() for s in block]
    name = str(step.options["run"].raw) if step.kind == "run" else ""
    if name in config.chains and name not in seen:
        seen.add(name)
        inner += config.chains[name].steps
    return any(_may_fail(config, hook, s, seen) for s in inner)


def _can_follow(home: HookConfig, pausing: HookConfig) -> bool:
    """Whether a hook with a resume can run after one that pauses."""
    if home.event == "call_end":
        return False
    most = 1 if (pausing.scope, pausing.event) in _ONCE else pausing.max_count
    if home.max_count is not None and (most or home.max_count + 1) > home.max_count:
        return False  # the pause comes once more than the resume
    pair = (home.scope, home.event)
    if pair not in _ONCE:
        return True
    if pair == (pausing.scope, pausing.event):
        return home.place.key_position.line > pausing.place.key_position.line
    return (pausing.scope, pausing.event) == _ONCE[0]


def _pauses(step: StepConfig) -> bool:
    return step.word == "recording" and ("pause" in step.options or _word(step) == "pause")


def _stays_off(step: StepConfig) -> bool:
    """Whether a step pauses without a time after which the runtime resumes."""
    return _pauses(step) and "max" not in step.options


def _resumes(step: StepConfig) -> bool:
    return step.word == "recording" and _word(step) == "resume"


def _word(step: StepConfig) -> object:
    value = step.options.get("do")
    return value.raw if value is not None else None
