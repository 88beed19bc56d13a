"""Where requests go: the host must be written out, reached over https, and outside the network."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace

from orchestrator.config import Config
from orchestrator.egress import Egress, parse_url
from orchestrator.errors import ActionFailed
from orchestrator.validation.findings import Findings
from orchestrator.validation.requests import path_fault
from orchestrator.values import Value

__all__ = ["check_hosts", "host_advice"]

_WRITE = "write it as https://host/path; credentials go into a connection's `auth`"


def check_hosts(config: Config, findings: Findings) -> None:
    """Report hosts that a template decides, and hosts that are refused when a call is made."""
    for value, is_open, is_sent in _urls(config):
        if _is_decided_by_template(value.raw):
            message = "a template decides the host of this request"
            hint = "write the host out; use templates in the path and query only"
            on = value.place.inside(value.raw, value.raw.index("{{"), 2)
            findings.at(value.place, "HK511", message, on=on, help=hint)
        elif _check_host(config, value, findings, is_open=is_open) and is_sent:
            _check_path(value, findings)


def host_advice(entry: str) -> str:
    """How to write an entry of `allow: {hosts: ...}` that no host ever is; empty for a good one.

    A host is compared as requests spell it: a name or an address alone.
    """
    scheme, separator, rest = entry.partition("://")
    text = rest if separator and scheme.lower() in ("http", "https") else entry
    if _is_network(text):
        return "list each host; or `allow_private: true` of a connection lets it go inside"
    if "*" in text:
        return "each host is listed by its whole name: no `*` here"
    is_bare_v6 = text.count(":") > 1 and "[" not in text
    try:
        host = parse_url(f"https://[{text}]" if is_bare_v6 else f"https://{_ascii(text)}").host
    except ActionFailed:
        host = "crm.example.com"
    # the Kelvin sign is one of the letters whose lower case is ASCII's
    return f"write it as {host}" if host != entry.lower() or not entry.isascii() else ""


def _ascii(name: str) -> str:
    """An international name as it is looked up; the same where it has no such form."""
    try:
        return name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return name


def _is_network(text: str) -> bool:
    try:
        return "/" in text and bool(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return False


def _urls(config: Config) -> Iterator[tuple[Value, bool, bool]]:
    """Every URL, whether it may be inside of the network, and whether we ask for it ourselves.

    Sounds are asked for by whoever carries the call.
    """
    for connection in config.connections.values():
        value, private = connection.options.get("base_url"), connection.options.get("allow_private")
        written = connection.place.container[connection.place.key]
        is_broken = private is None and "allow_private" in written  # which is reported
        if value is not None and isinstance(value.raw, str):
            yield value, is_broken or (private is not None and private.raw is True), True
    for step in config.steps():
        action = step.action
        for name in action.accepting("url") if action is not None else ():
            value = step.options.get(name)
            if value is not None and isinstance(value.raw, str):
                yield value, False, hasattr(action and action.cls, "connection_kinds")


def _authority(raw: str) -> str:
    _, separator, rest = raw.partition("://")
    return re.split(r"[/?#]", rest if separator else raw, maxsplit=1)[0]


def _is_decided_by_template(raw: str) -> bool:
    return "{{" in raw.partition("://")[0].split("/")[0] or "{{" in _authority(raw)


def _check_path(value: Value, findings: Findings) -> None:
    """Report a path that no request is sent to."""
    path = value.raw.partition("://")[2].removeprefix(_authority(value.raw))
    fault = path_fault(re.split(r"[?#]", path, maxsplit=1)[0])
    if fault is not None:
        findings.at(value.place, "HK123", f"`{value.place.key}`: {fault.message}", help=fault.help)


def _check_host(config: Config, value: Value, findings: Findings, *, is_open: bool) -> bool:
    """Judge a host as it is judged when the request is made; whether nothing is wrong with it."""
    scheme, separator, _ = value.raw.partition("://")
    authority = _authority(value.raw)
    if "${" in scheme + authority or not separator:
        return bool(separator)
    try:
        url = parse_url(f"{scheme}://{authority}")
    except ActionFailed as error:
        findings.at(value.place, "HK123", f"`{value.place.key}`: {error}", help=_WRITE)
        return False
    reach = Egress(frozenset(map(str.lower, config.allow.hosts)), is_open)
    allow = f"if it is meant, add it: `allow: {{hosts: ['{url.host}']}}`"
    try:
        reach.check(replace(url, scheme="https"))
    except ActionFailed:
        message = f"{url.host} is an address inside of a network, which requests may not reach"
        findings.at(value.place, "HK512", message, help=allow)
        return False
    try:
        reach.check_scheme(url.scheme, url.host)
    except ActionFailed:
        message = f"requests to {url.host} go over plain http, which anybody on the way can read"
        findings.at(value.place, "HK503", message, help=f"use https; {allow}")
        return False
    return True
