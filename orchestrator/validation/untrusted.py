"""Text of callers and other systems where it must not decide: who is dialled, where a call goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.chosen import WrittenTexts, reads_vars_only
from orchestrator.config import Config
from orchestrator.options import Option
from orchestrator.validation.findings import Findings
from orchestrator.validation.visits import Visit
from orchestrator.values import EnvRef

__all__ = ["check_untrusted"]

_WHOSE = {"caller": "the caller", "remote": "another system"}
_ALLOW = "list who may be dialled in `allow: {numbers: [...], prefixes: [...]}`"


def check_untrusted(config: Config, visits: Iterable[Visit], findings: Findings) -> None:
    """Report destinations that somebody else can choose."""
    written: list[WrittenTexts] = []  # made for the first value that needs it
    for visit in visits:
        option = visit.option
        if option is None or not (option.is_trusted or option.accepts("destination")):
            continue
        if not written and visit.value.is_template:
            written.append(WrittenTexts(config, _constants(config)))
        _check_choice(config, visit, option, findings, written)


def _has_own_list(config: Config, visit: Visit, option: Option) -> bool:
    """Whether what may be dialled or chosen is listed, by the config or by the step."""
    if not option.accepts("destination"):
        return _has_list(config, option.trusted_by)
    return "allow" in visit.step.options or _has_list(config, "numbers")


def _has_list(config: Config, kind: str) -> bool:
    """Whether the config says what may be; at run time each value is held against it."""
    allow = config.allow
    return bool(getattr(allow, kind, ()) or (kind == "numbers" and allow.prefixes))


def _constants(config: Config) -> Mapping[str, Any]:
    """`vars` as they are written; what the environment gives stands for itself."""
    return {name: value.raw for name, value in config.vars.items()}


def _is_faulty(visit: Visit, findings: Findings) -> bool:
    """Whether an error is reported in the line of a value already."""
    at = visit.value.place.value_position
    lines = {(p.position.file, p.position.line) for p in findings.sorted() if p.is_error}
    return (at.file, at.line) in lines


def _check_choice(
    config: Config,
    visit: Visit,
    option: Option,
    findings: Findings,
    written: Iterable[WrittenTexts],
) -> None:
    """Where a call goes is the author's to say.

    One of a fixed set of words, such as a key that was pressed, is nothing that a caller made up.
    What is nowhere written out is refused on every call.
    """
    if visit.shape.choices or _has_own_list(config, visit, option):
        return
    is_number = option.accepts("destination")
    whose = _WHOSE.get(visit.taint)
    decides = "which number is dialled" if is_number else f"`{option.name}`"
    message = f"text of {whose} decides {decides}"
    if whose is None:
        texts = [found.of(visit.value, visit.hook) for found in written]
        is_own = visit.taint or reads_vars_only(visit.value) or _reads_environment(visit)
        if is_own or not texts or texts[0] or _is_faulty(visit, findings):
            return
        message = f"`{option.name}`: nothing that this can give is written out in the config"
    hint = "choose between texts of your own: `{{ 'sales' if ... else 'support' }}`"
    if option.trusted_by:
        hint += f", or list what it may be in `allow: {{{option.trusted_by}: [...]}}`"
    code, hint = ("HK510", _ALLOW) if is_number else ("HK513", hint)
    visit.report(findings, code, message, hint)


def _reads_environment(visit: Visit) -> bool:
    return any(isinstance(part, EnvRef) for part in visit.value.parts)
