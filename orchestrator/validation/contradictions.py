"""Conditions that cannot hold where they stand: a condition around or before them says otherwise.

`when: call.turns > 5` behind `when: call.turns > 3` with `stop` is never true, nor is one on
`inbound` calls within one on `outbound` ones. Only what stays the same is compared: while the hooks
of an event run, the turns and the time of day do too, unless they wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.templates import Template
from orchestrator.templates.logic import Claims, exclude
from orchestrator.validation.findings import Findings
from orchestrator.validation.visits import condition_of
from orchestrator.validation.worst import STEADY
from orchestrator.values import Place

__all__ = ["check_contradictions"]

_TIMERS = ("timer", "silence_timer")
#: What a call never changes; `event` is the one that armed a timer.
_FIXED = ("event.", "vars.", "call.direction", "call.user_number")
#: Once the other side of a transfer has answered, the caller is with them.
_ANSWERED = ("event.outcome", "answered")
_SPEECH = frozenset({"say", "play", "inject", "set_filler", "interrupt", "send_dtmf"})


def check_contradictions(config: Config, findings: Findings) -> None:
    """Report conditions that never hold, and speech where nobody is left to hear it."""
    for hook in config.hooks:
        if not hook.is_single and any(_asks(step) for step in hook.walk()):
            lasts = hook.background or any(step.kind == "wait" for step in hook.walk())
            walk = _Walk(findings, _FIXED if lasts else STEADY)
            known = walk.claims(hook.when.template, True) if hook.when is not None else ()
            for block in (hook.steps, hook.on_error_steps, hook.cleanup):
                if not exclude(known, known):  # which is told of the hook's condition itself
                    walk.block(block, known)
        if hook.event == "transfer":
            _check_speech(hook, findings)
    for chain in config.chains.values():
        _Walk(findings, _FIXED).block(chain.steps, ())


def _asks(step: StepConfig) -> bool:
    return step.when is not None or step.kind == "if"


@dataclass(frozen=True, slots=True)
class _Walk:
    """Through steps with what is known of names that begin with one of `steady`."""

    findings: Findings
    steady: tuple[str, ...]

    def block(self, steps: tuple[StepConfig, ...], known: Claims) -> None:
        """Steps that run one after another."""
        for step in steps:
            known = self._step(step, known)

    def _step(self, step: StepConfig, known: Claims) -> Claims:
        """One step; what is known behind it."""
        inner: Claims | None = known
        after = known
        if step.when is not None:
            inner = self._asked(step.when.template, step.when.place, known)
            if step.kind == "stop":
                after = (*known, *self.claims(step.when.template, False))
        if inner is None:
            return after  # what it holds never runs either
        for name, block in step.blocks.items():
            if step.word in _TIMERS and name == "steps":
                for rung in block:  # a `stop` ends the rung, and others come later
                    _Walk(self.findings, _FIXED).block((rung,), ())
            elif step.kind == "parallel":
                for branch in block:  # they begin together
                    self.block((branch,), inner)
            elif step.kind != "if" or name not in ("then", "else"):
                self.block(block, inner)
        return (*after, *self._if(step, inner)) if step.kind == "if" else after

    def _if(self, step: StepConfig, known: Claims) -> Claims:
        """Walk both branches; what is known behind them, where one of them stops."""
        value = step.options["if"]
        template = condition_of(value)
        then, otherwise = step.blocks.get("then", ()), step.blocks.get("else", ())
        asked = self._asked(template, value.place, known)
        if asked is not None:
            self.block(then, asked)
        self.block(otherwise, (*known, *self.claims(template, False)))
        if step.when is not None:
            return ()
        stops = [any(map(_stops_always, block)) for block in (then, otherwise)]
        if stops == [True, False]:
            return self.claims(template, False)
        return self.claims(template, True) if stops == [False, True] else ()

    def _asked(self, template: Template, place: Place, known: Claims) -> Claims | None:
        """Check a condition; what is known where it holds, None if it never does."""
        claims = self.claims(template, True)
        if not known or not exclude(known, claims):
            return (*known, *claims)
        message = "this is never true here: a condition before it says otherwise"
        hint = "mend one of the two, or remove what never runs"
        self.findings.at(place, "HK325", message, severity="warning", help=hint)
        return None

    def claims(self, template: Template, truth: bool) -> Claims:
        """What a condition says of what stays the same."""
        return tuple(g for g in template.claims(truth) if g[0].subject.startswith(self.steady))


def _stops_always(step: StepConfig) -> bool:
    return step.kind == "stop" and step.when is None


def _check_speech(hook: HookConfig, findings: Findings) -> None:
    is_answered = hook.when is not None and _is_answered(hook.when.template)
    for step in hook.steps:
        _check_said(step, is_answered, findings)


def _check_said(step: StepConfig, is_answered: bool, findings: Findings) -> None:
    is_answered |= step.when is not None and _is_answered(step.when.template)
    if is_answered and step.word in _SPEECH:
        message = f"`{step.word}` after the transfer was answered: nobody hears it"
        hint = "say it before the transfer, or as its `announcement`"
        findings.at(step.place, "HK404", message, on="key", help=hint)
    for name, block in step.blocks.items():
        is_asked = step.kind == "if" and name == "then"
        is_so = is_asked and _is_answered(condition_of(step.options["if"]))
        for inner in block if step.word not in _TIMERS else ():
            _check_said(inner, is_answered or is_so, findings)


def _is_answered(template: Template) -> bool:
    return any(
        all((claim.subject, claim.value) == _ANSWERED and claim.sign == "==" for claim in group)
        for group in template.claims(True)
    )
