"""Text of callers and other systems where it must not decide: who is dialled, where a call goes."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.config import Config
from orchestrator.options import Option
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
        elif visit.option is not None and (visit.option.is_trusted or visit.option.is_written):
            _check_choice(visit, visit.option, findings)


def _check_destination(config: Config, visit: Visit, findings: Findings) -> None:
    whose = _WHOSE.get(visit.taint)
    has_list = config.allow.numbers or config.allow.prefixes or "allow" in visit.step.options
    if whose is None or has_list:
        return
    message = f"text of {whose} decides which number is dialled"
    visit.report(findings, "HK510", message, _ALLOW)


def _check_choice(visit: Visit, option: Option, findings: Findings) -> None:
    """Where a call goes, and which table is read, is the author's to say.

    One of a fixed set of words, such as a key that was pressed, is nothing that a caller made up.
    """
    if option.is_written and visit.value.is_template:
        message, hint = f"a template decides `{option.name}`", "write it out"
    elif option.is_trusted and visit.taint == "caller" and not visit.shape.choices:
        message = f"text of the caller decides `{option.name}`"
        hint = "choose between texts of your own: `{{ 'sales' if ... else 'support' }}`"
    else:
        return
    visit.report(findings, "HK513", message, hint)
