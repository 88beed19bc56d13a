"""Where requests go: the host must be written out, reached over https, and outside the network."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestrator.config import Config
from orchestrator.validation.findings import Findings
from orchestrator.values import Value

__all__ = ["check_hosts"]

_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_hosts(config: Config, findings: Findings) -> None:
    """Report hosts that a template decides, and hosts that are refused when a call is made."""
    for value, is_open in _urls(config):
        if _is_decided_by_template(value.raw):
            message = "a template decides the host of this request"
            hint = "write the host out; use templates in the path and query only"
            on = value.place.inside(value.raw, value.raw.index("{{"), 2)
            findings.at(value.place, "HK511", message, on=on, help=hint)
        else:
            _check_host(config, value, findings, is_open=is_open)


def _urls(config: Config) -> Iterator[tuple[Value, bool]]:
    """Every URL, and whether it may be inside of the network."""
    for connection in config.connections.values():
        value, private = connection.options.get("base_url"), connection.options.get("allow_private")
        if value is not None and isinstance(value.raw, str):
            yield value, private is not None and private.raw is True
    for step in config.steps():
        for name in step.action.accepting("url") if step.action is not None else ():
            value = step.options.get(name)
            if value is not None and isinstance(value.raw, str):
                yield value, False


def _authority(raw: str) -> str:
    _, separator, rest = raw.partition("://")
    return re.split(r"[/?#]", rest if separator else raw, maxsplit=1)[0]


def _is_decided_by_template(raw: str) -> bool:
    return "{{" in raw.partition("://")[0].split("/")[0] or "{{" in _authority(raw)


def _check_host(config: Config, value: Value, findings: Findings, *, is_open: bool) -> None:
    raw = value.raw
    try:
        host = urlsplit(raw).hostname or ""
    except ValueError:
        return
    if "${" in _authority(raw) or not host or host in config.allow.hosts:
        return
    address = _address(host)
    is_loopback = host in _LOOPBACK_NAMES or (address is not None and address.is_loopback)
    allow = f"if it is meant, add it: `allow: {{hosts: ['{host}']}}`"
    if address is not None and not is_loopback and not is_open and _is_inside(address):
        message = f"{host} is an address inside of a network, which requests may not reach"
        findings.at(value.place, "HK512", message, help=allow)
    elif raw.startswith("http://") and not is_loopback:
        message = f"requests to {host} go over plain http, which anybody on the way can read"
        findings.at(value.place, "HK503", message, help=f"use https; {allow}")


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_inside(address: Address) -> bool:
    return address.is_private or address.is_link_local or address.is_reserved
