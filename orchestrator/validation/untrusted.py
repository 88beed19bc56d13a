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
        elif visit.option is not None and visit.option.is_trusted:
            _check_choice(config, visit, visit.option, findings)


def _check_destination(config: Config, visit: Visit, findings: Findings) -> None:
    whose = _WHOSE.get(visit.taint)
    has_list = "allow" in visit.step.options or _has_list(config, "numbers")
    if whose is None or has_list:
        return
    message = f"text of {whose} decides which number is dialled"
    visit.report(findings, "HK510", message, _ALLOW)


def _has_list(config: Config, kind: str) -> bool:
    """Whether the config says what may be; at run time each value is held against it."""
    allow = config.allow
    return bool(getattr(allow, kind, ()) or (kind == "numbers" and allow.prefixes))


def _check_choice(config: Config, visit: Visit, option: Option, findings: Findings) -> None:
    """Where a call goes is the author's to say.

    One of a fixed set of words, such as a key that was pressed, is nothing that a caller made up.
    """
    whose = _WHOSE.get(visit.taint)
    if whose is None or visit.shape.choices or _has_list(config, option.trusted_by):
        return
    message = f"text of {whose} decides `{option.name}`"
    hint = "choose between texts of your own: `{{ 'sales' if ... else 'support' }}`"
    if option.trusted_by:
        hint += f", or list what it may be in `allow: {{{option.trusted_by}: [...]}}`"
    visit.report(findings, "HK513", message, hint)
