"""Single braces around a path: text that was meant as a template."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.config import Config
from orchestrator.templates.library import ROOTS
from orchestrator.validation.findings import Findings, word_fix
from orchestrator.values import Value

__all__ = ["check_braces"]

_SINGLE = re.compile(
    rf"\{{(?<![{{$]\{{)\s*((?:{'|'.join(ROOTS)})\.[A-Za-z_][\w.]*)\s*\}}(?!\}})", re.ASCII
)
_HOLE = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def check_braces(config: Config, findings: Findings, texts: Iterable[str]) -> None:
    """Warn of `{ data.name }`, which would be spoken as it is written.

    `texts` are those of the files: most have none, and then no value is looked at.
    """
    if not any(map(_SINGLE.search, texts)):
        return
    for step in config.steps():
        if step.kind in ("action", "set"):
            for value in step.options.values():
                for inner in value.walk():
                    if isinstance(inner.raw, str) and "{" in inner.raw:
                        _check(inner, findings)


def _check(value: Value, findings: Findings) -> None:
    holes = [match.span() for match in _HOLE.finditer(value.raw)]
    for match in _SINGLE.finditer(value.raw):
        if any(low <= match.start() < high for low, high in holes):
            continue
        on = value.place.inside(value.raw, match.start(), len(match[0]))
        right = f"{{{{ {match[1]} }}}}"
        fix = word_fix(value.place.document, on, match[0], right)
        message = "single braces are text: this is spoken or sent as it is written"
        hint = f"a template has two: `{right}`"
        findings.at(value.place, "HK326", message, on=on, severity="warning", help=hint, fix=fix)
