"""Conditions that cannot hold where they stand: a condition around or before them says otherwise.

`when: call.turns > 5` behind `when: call.turns > 3` with `stop` is never true, nor is one on
`inbound` calls within one on `outbound` ones. Only what stays the same while the hooks of an event
run is compared.
"""

from __future__ import annotations

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.templates import Template
from orchestrator.templates.logic import Claims, exclude
from orchestrator.validation.findings import Findings
from orchestrator.validation.visits import condition_of
from orchestrator.validation.worst import STEADY
from orchestrator.values import Place

__all__ = ["check_contradictions"]

_TIMERS = ("timer", "silence_timer")
#: Once the other side of a transfer has answered, the caller is with them.
_ANSWERED = ("event.outcome", "answered")
_SPEECH = frozenset({"say", "play", "inject", "set_filler", "interrupt", "send_dtmf"})


def check_contradictions(config: Config, findings: Findings) -> None:
    """Report conditions that never hold, and speech where nobody is left to hear it."""
    for hook in config.hooks:
        if not hook.is_single and any(_asks(step) for step in hook.walk()):
            known = _claims(hook.when.template, True) if hook.when is not None else ()
            for block in (hook.steps, hook.on_error_steps, hook.cleanup):
                _block(block, known, findings)
        if hook.event == "transfer":
            _check_speech(hook, findings)
    for chain in config.chains.values():
        _block(chain.steps, (), findings)


def _asks(step: StepConfig) -> bool:
    return step.when is not None or step.kind == "if"


def _block(steps: tuple[StepConfig, ...], known: Claims, findings: Findings) -> None:
    for step in steps:
        inner, after = known, known
        if step.when is not None:
            inner = _asked(step.when.template, step.when.place, known, findings)
            if _stops(step):
                after = (*known, *_claims(step.when.template, False))
        for name, block in step.blocks.items():
            if step.kind == "if" and name in ("then", "else"):
                continue
            _block(block, () if step.word in _TIMERS and name == "steps" else inner, findings)
        if step.kind == "if":
            after = (*after, *_if(step, inner, findings))
        known = after


def _if(step: StepConfig, known: Claims, findings: Findings) -> Claims:
    """Walk both branches; what is known behind them, where one of them stops."""
    value = step.options["if"]
    template = condition_of(value)
    then, otherwise = step.blocks.get("then", ()), step.blocks.get("else", ())
    _block(then, _asked(template, value.place, known, findings), findings)
    _block(otherwise, (*known, *_claims(template, False)), findings)
    if step.when is not None:
        return ()
    stops = [any(map(_stops_always, block)) for block in (then, otherwise)]
    if stops == [True, False]:
        return _claims(template, False)
    return _claims(template, True) if stops == [False, True] else ()


def _stops(step: StepConfig) -> bool:
    return step.kind == "stop"


def _stops_always(step: StepConfig) -> bool:
    return step.kind == "stop" and step.when is None


def _claims(template: Template, truth: bool) -> Claims:
    return tuple(g for g in template.claims(truth) if g[0].subject.startswith(STEADY))


def _asked(template: Template, place: Place, known: Claims, findings: Findings) -> Claims:
    """Check a condition; what is known where it holds."""
    claims = _claims(template, True)
    if known and exclude(known, claims):
        message = "this is never true here: a condition before it says otherwise"
        hint = "mend one of the two, or remove what never runs"
        findings.at(place, "HK325", message, severity="warning", help=hint)
    return (*known, *claims)


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
