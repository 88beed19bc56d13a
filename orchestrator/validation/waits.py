"""What an event may cost the caller: the worst-case wait, and timeouts that cannot hold.

Counted is what keeps the agent's answer waiting for another system in gating hooks: a step counts
with its whole deadline, its `on_error` steps included; speech, logs and background work cost
nothing, and neither does a transfer, after which the caller waits for a person. Of hooks that look
for different words in what the caller said, one turn has the slowest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.config import BACKGROUND_LIMIT, Config, HookConfig, StepConfig
from orchestrator.durations import format_duration, parse_duration
from orchestrator.events import Scope
from orchestrator.validation.deadlines import check_retries, deadlines_of
from orchestrator.validation.findings import Findings, related
from orchestrator.validation.sure import SureWaits
from orchestrator.validation.worst import Piece, beside, claims_on, worst_of
from orchestrator.values import Place

__all__ = ["BEARABLE", "Waits", "check_waits", "worst_case"]

#: Seconds that an event may add to a turn before a warning.
BEARABLE = 3.0
#: Seconds that `finally` has in all.
_CLEANUP = 5.0
#: At the end of a call no caller waits.
_UNHEARD = frozenset({"call_end"})
#: The caller is handed over, so that no answer of the agent is waited for. The outcome comes later,
#: and its `on_error` steps with it, off the event's path.
_LATE = frozenset({"escalate_transfer"})


def worst_case(config: Config) -> Mapping[tuple[Scope, str], float]:
    """Seconds that each event may wait in all, by (scope, event)."""
    waits, hooks = Waits(config), dict[tuple[Scope, str], list[HookConfig]]()
    for hook in config.hooks:
        hooks.setdefault((hook.scope, hook.event), []).append(hook)
    return {pair: waits.of_event(group) for pair, group in hooks.items()}


@dataclass(slots=True)
class Waits:
    """Counts seconds; chains are counted once."""

    config: Config
    _chains: dict[str, float] = field(default_factory=dict)

    def of_event(self, hooks: Sequence[HookConfig]) -> float:
        """Seconds that the hooks of one event may hold it up."""
        return sum(cost for cost, _ in self.costs(hooks))

    def costs(self, hooks: Sequence[HookConfig]) -> list[tuple[float, StepConfig]]:
        """What the caller may wait for, step by step, never longer than the hook's `timeout`.

        Of what cannot come together, the worst that can.
        """
        pieces = [piece for hook in hooks for piece in self._in_turn(hook) if piece.cost]
        return [(piece.cost, piece.step) for piece in worst_of(pieces)]

    def _in_turn(self, hook: HookConfig) -> Iterator[Piece]:
        """The steps of a hook with what each may wait in the time that its list has."""
        limits = (
            (hook.steps, hook.timeout), (hook.on_error_steps, None), (hook.cleanup, _CLEANUP),
        )  # fmt: skip
        for steps, limit in () if hook.background else limits:
            before: list[Piece] = []
            for step in steps:
                piece = self._piece(hook, step)
                if limit is not None:
                    left = limit - sum(p.cost for p in beside(piece, before))
                    piece = replace(piece, cost=max(0.0, min(piece.cost, left)))
                before += [piece] if piece.cost else []
                yield piece

    def _piece(self, hook: HookConfig, step: StepConfig) -> Piece:
        cost, branch = self.of_step(step), None
        if step.kind == "if" and cost:
            waits = {name: self._total(step.blocks.get(name, ())) for name in ("then", "else")}
            branch = None if all(waits.values()) else bool(waits["then"])
        return Piece(cost, step, claims_on(hook, step, branch) if cost else ())

    def slowest_part(self, step: StepConfig) -> StepConfig:
        """The step inside of a step that takes all of its time, or the step itself."""
        parts = [s for n, block in step.blocks.items() if n != "on_error" for s in block]
        if step.kind not in ("if", "parallel") or not parts:
            return step
        slowest = max(parts, key=self.of_step)
        is_all = self.of_step(slowest) >= self.of_step(step)
        return self.slowest_part(slowest) if is_all else step

    def of_hook(self, hook: HookConfig) -> float:
        """Seconds that one hook may hold up its event."""
        if hook.background:
            return 0.0
        total = self._total(hook.steps)
        if hook.timeout is not None:
            total = min(total, hook.timeout)
        return total + self._total(hook.on_error_steps) + min(
            self._total(hook.cleanup), _CLEANUP
        )  # fmt: skip

    def of_step(self, step: StepConfig) -> float:
        """Seconds that one step may wait, with what runs when it fails."""
        if step.runs_in_background:
            return 0.0
        own = _OWN.get(step.kind, _no_wait)(self, step)
        is_late = step.word in _LATE
        return own + (0.0 if is_late else self._total(step.blocks.get("on_error", ())))

    def _total(self, steps: tuple[StepConfig, ...]) -> float:
        return sum(self.of_step(step) for step in steps)

    def _action(self, step: StepConfig) -> float:
        if step.action is None or not step.action.cls.waits or step.word in _LATE:
            return 0.0
        return self._deadline(step)

    def _deadline(self, step: StepConfig) -> float:
        return step.timeout if step.timeout is not None else self.config.defaults.timeout

    def _if(self, step: StepConfig) -> float:
        return max(self._total(step.blocks.get(name, ())) for name in ("then", "else"))

    def _parallel(self, step: StepConfig) -> float:
        slowest = max(map(self.of_step, step.blocks.get("parallel", ())), default=0.0)
        return min(slowest, self._deadline(step))

    def _chain(self, step: StepConfig) -> float:
        name = str(step.options["run"].raw)
        if name not in self._chains:
            self._chains[name] = 0.0  # a chain that runs itself is refused elsewhere
            chain = self.config.chains.get(name)
            self._chains[name] = self._total(chain.steps) if chain is not None else 0.0
        total = self._chains[name]
        return min(total, step.timeout) if step.timeout is not None else total


def _no_wait(waits: Waits, step: StepConfig) -> float:
    return 0.0


def _wait(waits: Waits, step: StepConfig) -> float:
    return parse_duration(step.options["wait"].raw)


_OWN: Mapping[str, Callable[[Waits, StepConfig], float]] = {
    "action": Waits._action,
    "wait": _wait,
    "if": Waits._if,
    "parallel": Waits._parallel,
    "run": Waits._chain,
}


def check_waits(config: Config, findings: Findings) -> None:
    """Warn of waits that a caller should not bear; report timeouts that another one cuts short."""
    limits = deadlines_of(config)
    check_retries(config, limits, findings)
    for hook in config.hooks:
        _check_cleanup(config, hook, findings)
    for (scope, event), seconds in worst_case(config).items():
        if seconds > BEARABLE and event not in _UNHEARD:
            hooks = [h for h in config.hooks if (h.scope, h.event) == (scope, event)]
            _report_wait(config, hooks, seconds, findings)
    for hook in config.hooks:
        if hook.timeout is not None:
            _check_hook_timeout(config, hook, hook.timeout, findings)
    sure = SureWaits(config)
    for step in config.steps():
        _check_cut(sure, step, findings)
        if step.kind == "parallel" and not step.runs_in_background:
            _check_parallel(config, step, limits.get(id(step), BACKGROUND_LIMIT), findings)


def _report_wait(
    config: Config, hooks: list[HookConfig], seconds: float, findings: Findings
) -> None:
    waits = Waits(config)
    costs = waits.costs(hooks)
    most, slowest = max(costs, key=lambda pair: pair[0])
    hook = max(hooks, key=waits.of_hook)
    place, on = hook.place, "key"
    if most > BEARABLE:  # one step alone: the reason, wherever the others are
        slowest = waits.slowest_part(slowest)
        found = _own_time(slowest)
        place, on = (found[1], "value") if found is not None else (slowest.place, "key")
    if any(p.code == "HK402" and p.position == place.value_position for p in findings.sorted()):
        return  # it is cut short, which is worse
    where = [related(step.place, f"up to {format_duration(cost)}") for cost, step in costs[:5]]
    message = f"`{hook.event}` may keep the caller waiting for {format_duration(seconds)}"
    hint = f"keep it under {BEARABLE:g}s: shorten timeouts, or use `background: true`"
    findings.at(
        place, "HK401", message, on="value" if on == "value" else "key", severity="warning",
        help=hint, related=where if len(where) > 1 else (),
    )  # fmt: skip


def _check_hook_timeout(config: Config, hook: HookConfig, limit: float, findings: Findings) -> None:
    whole = hook.settings["timeout"]
    where = [related(whole, "the hook's timeout", on="value")]
    is_found = False
    for step in _gating(config, hook.steps):
        found = _own_time(step)
        if found is not None and found[0] > limit:
            times = f"{format_duration(found[0])} > {format_duration(limit)}"
            message = f"this step may take longer than its hook ({times})"
            hint = "shorten it, or give the hook more time"
            findings.at(found[1], "HK402", message, severity="warning", related=where, help=hint)
            is_found = True
    if not is_found:
        _check_sum(SureWaits(config), hook, limit, findings)


def _check_cleanup(config: Config, hook: HookConfig, findings: Findings) -> None:
    for step in _gating(config, hook.cleanup):
        found = _own_time(step)
        if found is not None and found[0] > _CLEANUP:
            times = f"{format_duration(found[0])} > {format_duration(_CLEANUP)}"
            message = f"this step may take longer than all of `finally` has ({times})"
            hint = "shorten it"
            findings.at(found[1], "HK402", message, severity="warning", help=hint)


def _check_sum(sure: SureWaits, hook: HookConfig, limit: float, findings: Findings) -> None:
    """Waits that fit one by one, and not together."""
    total = 0.0
    for step in hook.steps:
        total += sure.of_step(step)
        if total > limit:
            times = f"{format_duration(total)} > {format_duration(limit)}"
            message = f"the waits up to here are longer than the time of the hook ({times})"
            where = [related(hook.settings["timeout"], "the hook's timeout", on="value")]
            hint = "shorten them, or give the hook more time"
            findings.at(
                step.place, "HK402", message, on="key", severity="warning", related=where, help=hint
            )
            return


def _check_cut(sure: SureWaits, step: StepConfig, findings: Findings) -> None:
    """A step whose own `timeout` is shorter than what it surely waits."""
    if step.timeout is None or step.kind not in ("wait", "run") or step.runs_in_background:
        return
    seconds = sure.inside(step)
    if seconds > step.timeout:
        times = f"{format_duration(seconds)} > {format_duration(step.timeout)}"
        message = f"this step waits longer than its own timeout ({times})"
        hint = "shorten the wait, or give the step more time"
        findings.at(step.settings["timeout"], "HK402", message, severity="warning", help=hint)


def _gating(
    config: Config, steps: tuple[StepConfig, ...], seen: set[str] | None = None
) -> Iterator[StepConfig]:
    """Steps that their hook waits for; those of a chain where it has no timeout of its own."""
    seen = set() if seen is None else seen
    for step in steps:
        if step.runs_in_background:
            continue
        yield step
        if step.kind in ("if", "parallel"):
            for block in step.blocks.values():
                yield from _gating(config, block, seen)
        name = str(step.options["run"].raw) if step.kind == "run" else ""
        if name in config.chains and name not in seen and step.timeout is None:
            seen.add(name)
            yield from _gating(config, config.chains[name].steps, seen)


def _own_time(step: StepConfig) -> tuple[float, Place] | None:
    timeout = (step.timeout, step.settings["timeout"]) if step.timeout is not None else None
    if step.kind != "wait":
        return timeout
    value = step.options["wait"]
    wait = (parse_duration(value.raw), value.place)
    return wait if timeout is None or wait[0] < timeout[0] else timeout


def _check_parallel(config: Config, step: StepConfig, limit: float, findings: Findings) -> None:
    """The deadline of `parallel` is one for all of its steps."""
    words = "its timeout" if step.timeout is not None else "its default timeout"
    place = step.settings.get("timeout", step.place)
    for inner in _gating(config, step.blocks.get("parallel", ())):
        found = _own_time(inner)
        if found is not None and found[0] > limit and not _keeps_late(step):
            times = f"{format_duration(found[0])} > {format_duration(limit)}"
            message = f"`parallel` ends before this step may ({times})"
            hint = "give `parallel` a longer `timeout`, or shorten this one"
            where = [related(place, words)]
            findings.at(found[1], "HK402", message, severity="warning", related=where, help=hint)


def _keeps_late(step: StepConfig) -> bool:
    late = step.options.get("late")
    return late is not None and late.raw == "keep"
