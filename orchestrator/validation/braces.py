"""Braces that were meant as a template: single ones around a path, or a `}}` too many."""

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
    """Warn of `{ data.name }` and of a stray `}}`, which would be spoken as they are written.

    `texts` are those of the files: most have none, and then no value is looked at.
    """
    if not any(_SINGLE.search(text) or text.count("}}") > text.count("{{") for text in texts):
        return
    for step in config.steps():
        if step.kind in ("action", "set"):
            for value in step.options.values():
                for inner in value.walk():
                    if isinstance(inner.raw, str) and "{" in inner.raw:
                        _check(inner, findings)
                        _check_stray(inner, findings)


def _check_stray(value: Value, findings: Findings) -> None:
    """A `}}` that closes neither a template nor braces of the text itself, as in JSON."""
    if "{{" not in value.raw or "}}" not in value.raw:
        return
    text = _HOLE.sub(lambda hole: " " * len(hole[0]), value.raw)
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth < 0 and text.startswith("}}", place):
            on = value.place.inside(value.raw, place, 2)
            findings.at(value.place, "HK302", "`}}` without `{{`", on=on, severity="warning",
                        help="it is spoken or sent as it is written: remove it")  # fmt: skip
            return


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
