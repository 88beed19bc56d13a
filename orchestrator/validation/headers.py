"""Headers that are written out: names that are none, and values that would break out of theirs."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.config import Config
from orchestrator.headers import value_fault, written_fault
from orchestrator.templates import Template
from orchestrator.validation.findings import Findings
from orchestrator.values import Value

__all__ = ["check_headers"]


def check_headers(config: Config, findings: Findings) -> None:
    """Report headers that are refused when the request is made."""
    for connection in config.connections.values():
        _check_key(connection.options.get("auth"), findings)
    for headers in _headers(config):
        for name, value in headers.items.items():
            if fault := written_fault(str(name)):
                message, hint = f"`headers`: {fault[0]}", fault[1]
                findings.at(value.place, "HK125", message, on="key", help=hint)
            elif fault := value_fault(str(name), "".join(_written(value))):
                findings.at(value.place, "HK125", f"`headers`: {fault[0]}", help=fault[1])


def _written(value: Value) -> Iterator[str]:
    """What the author wrote of a text, without what comes of variables and of the call."""
    for part in value.parts or (str(value.raw),):
        if isinstance(part, str):
            yield part
        elif isinstance(part, Template) and not part.faults:
            yield from (piece for piece in part.pieces if isinstance(piece, str))


def _check_key(auth: Value | None, findings: Findings) -> None:
    """The header of `auth: {header: {name, value}}`."""
    header = auth.items.get("header") if auth is not None else None
    name = header.items.get("name") if header is not None else None
    if name is not None and not name.parts and (fault := written_fault(str(name.raw))):
        findings.at(name.place, "HK125", f"`auth`: {fault[0]}", help=fault[1])


def _headers(config: Config) -> Iterator[Value]:
    """Every mapping of headers, of connections and of steps."""
    connections = [connection.options for connection in config.connections.values()]
    for options in (*connections, *(step.options for step in config.steps())):
        value = options.get("headers")
        if value is not None and isinstance(value.raw, dict):
            yield value
