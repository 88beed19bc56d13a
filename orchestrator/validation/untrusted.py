"""Text of callers and other systems where it must not decide: who is dialled, who is asked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from orchestrator.config import Config
from orchestrator.validation.findings import Findings
from orchestrator.validation.visits import Visit
from orchestrator.values import Value

__all__ = ["check_untrusted"]

_WHOSE = {"caller": "the caller", "remote": "another system"}
_ALLOW = "list who may be dialled in `allow: {numbers: [...], prefixes: [...]}`"


def check_untrusted(config: Config, visits: Iterable[Visit], findings: Findings) -> None:
    """Report targets that somebody else can choose, and hosts that are refused."""
    for visit in visits:
        if visit.option is not None and visit.option.accepts("destination"):
            _check_destination(config, visit, findings)
    for step in config.steps():
        for name, option in step.action.options.items() if step.action is not None else ():
            value = step.options.get(name)
            if value is not None and option.accepts("url") and isinstance(value.raw, str):
                _check_host(config, value, findings)
    for connection in config.connections.values():
        value = connection.options.get("base_url")
        if value is not None and isinstance(value.raw, str):
            is_open = any("private" in name for name in connection.options)
            _check_address(config, value, findings, is_open=is_open)


def _check_destination(config: Config, visit: Visit, findings: Findings) -> None:
    whose = _WHOSE.get(visit.shape.taint)
    has_list = config.allow.numbers or config.allow.prefixes or "allow" in visit.step.options
    if whose is None or has_list:
        return
    on = visit.value.place.inside(visit.value.raw, visit.offset, visit.length)
    message = f"text of {whose} decides which number is dialled"
    findings.at(visit.value.place, "HK510", message, on=on, help=_ALLOW)


def _check_host(config: Config, value: Value, findings: Findings) -> None:
    raw = str(value.raw)
    _, separator, rest = raw.partition("://")
    authority = re.split(r"[/?#]", rest if separator else raw, maxsplit=1)[0]
    start = raw.find("{{")
    if start >= 0 and start < len(raw) - len(rest if separator else raw) + len(authority):
        on = value.place.inside(raw, start, 2)
        message = "a template decides the host of this request"
        hint = "write the host out; use templates in the path and query only"
        findings.at(value.place, "HK511", message, on=on, help=hint)
        return
    _check_address(config, value, findings, is_open=False)


def _check_address(config: Config, value: Value, findings: Findings, *, is_open: bool) -> None:
    """Addresses inside of a network are refused when a call is made, unless they are allowed."""
    if "${" in str(value.raw) or "{{" in str(value.raw).partition("://")[2].split("/")[0]:
        return
    try:
        host = urlsplit(str(value.raw)).hostname or ""
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if address.is_loopback or is_open or host in config.allow.hosts:
        return
    if address.is_private or address.is_link_local or address.is_reserved:
        message = f"{host} is an address inside of a network, which requests may not reach"
        hint = f"if it is meant, add it: `allow: {{hosts: ['{host}']}}`"
        findings.at(value.place, "HK512", message, help=hint)
