"""`--target`: whether the runtime that will carry the calls can do what the config needs."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.targets import TARGETS, describe, lenders_of, lent_to, needs_of
from orchestrator.validation.findings import Findings
from orchestrator.validation.reports import hopes_of

__all__ = ["check_target"]


def check_target(config: Config, target: str, findings: Findings) -> None:
    """Report each step and event that needs what the target lacks, and what never happens there."""
    has = TARGETS[target] | lent_to(target, config)
    for need, place in needs_of(config):
        if need not in has:
            message = f"{target} cannot {describe(need)} (`{need}`)"
            hint = f"runtimes that can: {_able(need)}"
            lenders = " or ".join(lenders_of(target, need, config))
            hint = f"add a connection of kind {lenders}; {hint}" if lenders else hint
            findings.at(place, "HK430", message, on="key", help=hint)
    for hope in hopes_of(config):
        if hope.need not in has:
            message = f"{hope.without}: {target} cannot {describe(hope.need)} (`{hope.need}`)"
            hint = f"runtimes that can: {_able(hope.need)}"
            findings.at(hope.place, "HK431", message, on=hope.where, severity="warning", help=hint)


def _able(need: str) -> str:
    return ", ".join(name for name, found in TARGETS.items() if need in found)
