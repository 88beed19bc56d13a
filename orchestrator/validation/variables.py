"""Environment variables: the form of `${NAME}`, and with `--check-env` that they are set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.config import Config
from orchestrator.validation.findings import Findings
from orchestrator.values import Value

__all__ = ["check_variables"]

_START = re.compile(r"(?<!\$)\$\{")
_HOLE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_GOOD = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(:[-?][^}]*)?\}")
_FORMS = "write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$${` is the text itself"


def check_variables(
    config: Config,
    findings: Findings,
    variables: Mapping[str, str] | None,
    texts: Iterable[str],
) -> None:
    """Report references that are not well formed; with `variables`, also those that are not set.

    `texts` are those of the files: without a reference in them, no value is looked at.
    """
    if not any("${" in text for text in texts):
        return
    for value in _values(config):
        for inner in value.walk():
            if isinstance(inner.raw, str) and "${" in inner.raw:
                _check_form(inner, findings)
        if variables is not None:
            _check_set(value, findings, variables)


def _values(config: Config) -> Iterator[Value]:
    yield from config.vars.values()
    for connection in config.connections.values():
        yield from connection.options.values()
    for options in config.defaults.options.values():
        yield from options.values()
    for step in config.steps():
        if step.kind not in ("if", "run", "wait"):
            yield from step.options.values()


def _check_form(value: Value, findings: Findings) -> None:
    raw = value.raw
    holes = [match.span() for match in _HOLE.finditer(raw)]
    for match in _START.finditer(raw):
        start = match.start()
        if any(low <= start < high for low, high in holes) or _GOOD.match(raw, start):
            continue
        end = raw.find("}", start)
        length = (end + 1 if end >= 0 else len(raw)) - start
        on = value.place.inside(raw, start, length)
        shown = raw[start : start + min(length, 40)]
        message = f"`{shown}` is no reference to an environment variable"
        findings.at(value.place, "HK117", message, on=on, help=_FORMS)


def _check_set(value: Value, findings: Findings, variables: Mapping[str, str]) -> None:
    for text, ref in value.env_refs():
        found = variables.get(ref.name)
        if ref.default is not None or found or (found == "" and ref.message is None):
            continue
        on = text.place.inside(text.raw, ref.offset, ref.length)
        detail = f": {ref.message}" if ref.message else ""
        message = f"environment variable {ref.name} is not set{detail}"
        hint = f"set it, or give it a default: `${{{ref.name}:-...}}`"
        findings.at(text.place, "HK601", message, on=on, help=hint)
