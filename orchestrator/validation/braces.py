"""Braces that were meant as a template: single ones, a `}}` too many, templates in keys."""

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
    """Warn of `{ data.name }`, a stray `}}` and templates in keys, which stay as they are written.

    `texts` are those of the files: most have none, and then no value is looked at.
    """
    _check_keys(config, findings)
    if not any(_SINGLE.search(text) or text.count("}}") > text.count("{{") for text in texts):
        return
    for step in config.steps():
        if step.kind in ("action", "set"):
            for value in step.options.values():
                for inner in value.walk():
                    if isinstance(inner.raw, str) and "{" in inner.raw:
                        _check(inner, findings)
                        _check_stray(inner, findings)


def _check_keys(config: Config, findings: Findings) -> None:
    """Templates and variables in keys; a header of such a name is refused elsewhere."""
    values = [v for s in config.steps() for n, v in s.options.items() if n != "headers"]
    values += config.vars.values()
    for value in values:
        for inner in value.walk() if value.items else ():
            for key, item in inner.items.items():
                found = _template_in(key) if isinstance(key, str) else ""
                if found:
                    message = f"`{found}` in a key stays as it is written"
                    hint = "only values are rendered: write the key out"
                    findings.at(
                        item.place, "HK327", message, on="key", severity="warning", help=hint
                    )


def _template_in(key: str) -> str:
    """The template or variable in a key; empty where there is none."""
    for start, end in (("{{", "}}"), ("${", "}")):
        at = key.find(start)
        until = key.find(end, at) if at >= 0 else -1
        if until >= 0 and not (start == "${" and key[:at].endswith("$")):
            return key[at : until + len(end)]
    return ""


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
