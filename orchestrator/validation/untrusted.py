"""Text of callers and of other systems where it must not decide: in who is dialled."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.config import Config
from orchestrator.validation.findings import Findings
from orchestrator.validation.visits import Visit

__all__ = ["check_untrusted"]

_WHOSE = {"caller": "the caller", "remote": "another system"}
_ALLOW = "list who may be dialled in `allow: {numbers: [...], prefixes: [...]}`"


def check_untrusted(config: Config, visits: Iterable[Visit], findings: Findings) -> None:
    """Report destinations that somebody else can choose."""
    for visit in visits:
        if visit.option is not None and visit.option.accepts("destination"):
            _check_destination(config, visit, findings)


def _check_destination(config: Config, visit: Visit, findings: Findings) -> None:
    whose = _WHOSE.get(visit.shape.taint)
    has_list = config.allow.numbers or config.allow.prefixes or "allow" in visit.step.options
    if whose is None or has_list:
        return
    on = visit.value.place.inside(visit.value.raw, visit.offset, visit.length)
    message = f"text of {whose} decides which number is dialled"
    findings.at(visit.value.place, "HK510", message, on=on, help=_ALLOW)
