"""Order: steps that are never reached, what comes after the call's end, settings without effect."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.validation.everywhere import expanded
from orchestrator.validation.findings import Findings, related
from orchestrator.validation.names import timer_name

__all__ = ["check_order", "ends_call"]

_TIMERS = ("timer", "silence_timer")
_SPEECH = frozenset({"say", "escalate_transfer", "set_filler", "send_dtmf", "interrupt", "inject",
                     "play", "set_language"})  # fmt: skip
#: Commands that the caller hears twice when they are tried twice.
_HEARD = frozenset({"say", "play", "send_dtmf", "escalate_transfer", "inject", "end_call", "emit"})
_IDLE_SETTINGS = ("retry", "save")


@dataclass(slots=True)
class _Path:
    """What has happened on the way to a step; `passed` is a transfer whose outcome is to come."""

    stopped: StepConfig | None = None
    ended: StepConfig | None = None
    passed: StepConfig | None = None


def check_order(config: Config, findings: Findings) -> None:
    """Report steps in an order that cannot be meant."""
    order = _Order(config, findings)
    ended: dict[tuple[str, str], StepConfig] = {}
    for hook in config.hooks:
        after = order.hook(hook, ended.get((hook.scope, hook.event)))
        if after is not None and _runs_always(hook):
            ended.setdefault((hook.scope, hook.event), after)
        is_single = hook.max_count == 1 or hook.event in ("call_start", "call_end")
        if is_single and "cooldown" in hook.settings:
            message, hint = "`cooldown` does nothing on a hook that runs once", "remove it"
            findings.at(hook.settings["cooldown"], "HK124", message, on="key", help=hint)
        if hook.event == "call_end":
            _check_call_end(config, hook, findings)
    for chain in config.chains.values():
        order.block(chain.steps, _Path())
    for step in config.steps():
        _check_settings(step, findings)


def _runs_always(hook: HookConfig) -> bool:
    is_bounded = hook.max_count is not None or hook.cooldown is not None
    return hook.when is None and not is_bounded and not hook.background


class _Order:
    """Walks lists of steps; `findings` is None where it only looks what surely happens."""

    def __init__(self, config: Config, findings: Findings | None) -> None:
        self.config = config
        self.findings = findings
        self.chains: dict[str, _Path] = {}

    def hook(self, hook: HookConfig, ended: StepConfig | None) -> StepConfig | None:
        """Walk a hook; the step of it that surely ends the call."""
        path = _Path(ended=ended)
        self.block(hook.steps, path)
        self.block(hook.on_error_steps, _Path())
        self.block(hook.cleanup, _Path(ended=path.ended))
        return path.ended

    def block(self, steps: tuple[StepConfig, ...], path: _Path) -> None:
        """Walk one list; `path` takes up what surely happens in it."""
        for step in steps:
            if path.stopped is not None:
                self._report(step, path.stopped, "HK403", "this step is never reached")
                return
            if path.ended is not None and step.word in (*_SPEECH, "end_call"):
                self._report(step, path.ended, "HK404", _what_comes_late(step, path.ended))
            elif path.passed is not None and step.word == "end_call" and step.when is None:
                self._report_dropped(step, path.passed)
            inner = self._inner(step, path)
            if step.when is None:
                path.stopped = path.stopped or inner.stopped
                path.ended = path.ended or inner.ended
                path.passed = _passed(step, path.passed)

    def _inner(self, step: StepConfig, path: _Path) -> _Path:
        """What surely happens in one step; its blocks are walked."""
        branches: list[_Path] = []
        for name, block in step.blocks.items():
            before = None if step.word in _TIMERS else path.ended
            if step.word == "silence_timer" and name == "steps":
                self._rungs(step, block)
            elif name == "parallel":
                branches = [self._branch((inner,), before) for inner in block]
            else:
                inner = self._branch(block, before)
                branches += [inner] if name in ("then", "else") else []
        if step.runs_in_background or (step.kind != "action" and step.on_error == "continue"):
            return _Path()  # it may not have come that far
        if step.kind == "run":
            return self._chain(str(step.options["run"].raw))
        if step.kind == "parallel":
            stopped = next((b.stopped for b in branches if b.stopped is not None), None)
            return _Path(stopped, next((b.ended for b in branches if b.ended is not None), None))
        if len(branches) == 2:
            stops, ends = [b.stopped for b in branches], [b.ended for b in branches]
            return _Path(stops[0] if all(stops) else None, ends[0] if all(ends) else None)
        return _Path(
            step if step.kind == "stop" else None, step if ends_call(step) else None
        )  # fmt: skip

    def _branch(self, steps: tuple[StepConfig, ...], ended: StepConfig | None) -> _Path:
        path = _Path(ended=ended)
        self.block(steps, path)
        return path

    def _chain(self, name: str) -> _Path:
        """What surely happens in a chain, which is reported on its own."""
        if name not in self.chains:
            self.chains[name] = _Path()  # a chain that runs itself is refused elsewhere
            chain = self.config.chains.get(name)
            quiet = _Order(self.config, None)
            quiet.chains = self.chains
            self.chains[name] = quiet._branch(chain.steps if chain is not None else (), None)
        return self.chains[name]

    def _rungs(self, ladder: StepConfig, rungs: tuple[StepConfig, ...]) -> None:
        last: StepConfig | None = None
        for rung in rungs:
            if last is not None:
                self._report(rung, last, "HK403", "this rung is never reached")
                return
            if rung.when is None and (ends_call(rung) or _cancels(rung, ladder)):
                last = rung

    def _report_dropped(self, step: StepConfig, transfer: StepConfig) -> None:
        if self.findings is not None:
            message = "`end_call` while the transfer is on its way: the caller is dropped"
            hint = "remove it; `on_error` of the transfer is for what comes when nobody answers"
            where = [related(transfer.place, "the outcome of this comes later")]
            self.findings.at(step.place, "HK404", message, on="key", related=where, help=hint)

    def _report(self, step: StepConfig, before: StepConfig, code: str, message: str) -> None:
        if self.findings is None:
            return
        where = [related(before.place, "because of this step")]
        hint = "move it before, or remove it"
        self.findings.at(step.place, code, message, on="key", related=where, help=hint)


def _what_comes_late(step: StepConfig, before: StepConfig) -> str:
    """A step of the agent's that comes after the step with which its part of the call is over."""
    is_transferred = before.word == "escalate_transfer"
    why = "nobody hears it" if step.word in _SPEECH else "the call ends already"
    if is_transferred and step.word == before.word:
        why = "the caller is handed over already"
    return f"`{step.word}` after the {'transfer' if is_transferred else 'end'}: {why}"


def _cancels(rung: StepConfig, ladder: StepConfig) -> bool:
    """Whether a rung ends its own ladder."""
    value = rung.options.get("name") if rung.word == "cancel_timer" else None
    return value is not None and value.raw == timer_name(ladder)


def _passed(step: StepConfig, before: StepConfig | None) -> StepConfig | None:
    """The transfer that is on its way after a step; who waits may have its outcome."""
    if step.word == "escalate_transfer" and not step.runs_in_background:
        return step
    return None if step.kind == "wait" else before


def ends_call(step: StepConfig) -> bool:
    """Whether a step ends the call: `end_call`, or a cold transfer whose failure is not handled."""
    if step.word == "end_call":
        return True
    if step.word != "escalate_transfer" or "on_error" in step.blocks:
        return False
    mode = step.options.get("mode")
    return step.on_error != "continue" and (mode is None or mode.raw == "cold")


def _check_call_end(config: Config, hook: HookConfig, findings: Findings) -> None:
    steps = list(expanded(config, hook.walk()))
    later = {id(inner) for s in steps if s.word in _TIMERS for inner in s.walk() if inner is not s}
    for step in steps:
        if step.word in (*_SPEECH, *_TIMERS, "end_call", "emit") and id(step) not in later:
            message = f"`{step.word}` in `call_end`: the call is over"
            hint = "do it before the end, or remove it"
            if step.word == "emit":
                message += ", no hook hears it"
                hint = "write the steps of its hooks here, or put them into a chain"
            findings.at(step.place, "HK405", message, on="key", help=hint)


def _check_settings(step: StepConfig, findings: Findings) -> None:
    """Settings that do nothing, or harm, on this kind of step."""
    if step.retry is not None and step.word in _HEARD:
        message = f"`{step.word}` tried again is heard twice"
        hint = "remove `retry`; use `on_error` for what to do instead"
        findings.at(step.settings["retry"], "HK415", message, on="key", help=hint)
    elif step.background and step.kind in ("stop", "wait"):
        message = f"`{step.word}` in the background does nothing: the hook goes on at once"
        hint = "remove `background`"
        findings.at(step.settings["background"], "HK124", message, on="key", help=hint)
    elif step.kind != "action":
        for name in _IDLE_SETTINGS:
            if name in step.settings and not (name == "save" and step.kind in ("run", "parallel")):
                message, hint = f"`{name}` does nothing on `{step.word}`", "remove it"
                findings.at(step.settings[name], "HK124", message, on="key", help=hint)
    elif step.retry is not None and _is_delivered(step):
        message = f"`{step.word}` is delivered by the outbox, which tries again by itself"
        findings.at(step.settings["retry"], "HK124", message, on="key", help="remove `retry`")
    elif "timeout" in step.settings and _is_instant(step):
        message, hint = f"`{step.word}` waits for nothing, so `timeout` does nothing", "remove it"
        findings.at(step.settings["timeout"], "HK124", message, on="key", help=hint)
    elif step.save is not None and _output_kind(step) == "null":
        message, hint = f"`{step.word}` has no output to save", "remove `save`"
        findings.at(step.settings["save"], "HK124", message, on="key", help=hint)


def _is_delivered(step: StepConfig) -> bool:
    """Whether a step hands over to the outbox, and does not wait for an answer."""
    return step.word in ("webhook", "crm_write") and step.background is None and (
        step.runs_in_background
    )  # fmt: skip


def _is_instant(step: StepConfig) -> bool:
    """Whether a step is done at once: nothing is awaited, not even that a runtime takes it."""
    return step.action is not None and not (
        step.action.cls.waits or inspect.iscoroutinefunction(step.action.cls.run)
    )


def _output_kind(step: StepConfig) -> str:
    return step.action.output_for({}).kind if step.action is not None else "any"
