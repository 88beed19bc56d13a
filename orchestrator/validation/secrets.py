"""Credentials: written in clear, sent in clear, or on their way into speech, logs and bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from orchestrator.config import Config, ConnectionConfig
from orchestrator.options import Option
from orchestrator.validation.findings import Findings, related
from orchestrator.validation.visits import Visit
from orchestrator.values import Value

__all__ = ["check_secrets", "is_secret_name"]

_SECRET_NAME = re.compile(
    r"(^|[_-])(auth|authorization|token|secrets?|password|passwd|passphrase|api[_-]?key"
    r"|access[_-]?key|private[_-]?key|credentials?)$",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"[a-z+]+://[^/\s:@]*:([^/\s@]+)@")
#: Options through which a credential may rightly leave.
_CREDENTIAL_OPTIONS = frozenset({"headers", "auth", "digits"})
_METHODS = frozenset({"basic", "bearer", "digest", "hmac", "none"})
_READ_IT = "read it from the environment: `${NAME}`"


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a key says that its value is a credential."""
    return _SECRET_NAME.search(name) is not None


def check_secrets(config: Config, visits: Iterable[Visit], findings: Findings) -> None:
    """Report what gives a credential away."""
    for connection in config.connections.values():
        _check_connection(connection, findings)
    for name, value in config.vars.items():
        _check_clear(name, value, None, findings)
    for step in config.steps():
        if step.kind not in ("action", "set"):
            continue
        table = step.action.options if step.action is not None else {}
        secret = step.action.accepting("secret") if step.action is not None else ()
        for name, value in step.options.items():
            is_url = isinstance(value.raw, str) and "://" in value.raw
            if value.items or is_url or name in secret or is_secret_name(name):
                _check_clear(name, value, table.get(name), findings)
    for visit in visits:
        _check_flow(visit, findings)


# --- written in clear


def _check_connection(connection: ConnectionConfig, findings: Findings) -> None:
    table = connection.type.options
    for name, value in connection.options.items():
        _check_clear(name, value, table.get(name), findings)


def _check_clear(name: str, value: Value, option: Option | None, findings: Findings) -> None:
    has_variables = any(inner.parts for inner in value.walk()) if value.items else value.parts
    if has_variables and not is_secret_name(name):
        _check_defaults(name, value, findings, is_by_name=True)
    for key, text in _secret_values(name, value, option):
        if has_variables:
            _check_defaults(key, text, findings)
        is_clear = isinstance(text.raw, (str, int)) and not isinstance(text.raw, bool)
        if is_clear and text.raw and not text.parts and not _is_harmless(key, text.raw):
            message = f"`{key}` is a credential, written in clear"
            findings.at(text.place, "HK502", message, severity="warning", help=_READ_IT)
    for inner in value.walk() if value.items else (value,):
        is_url = isinstance(inner.raw, str) and "://" in inner.raw
        match = _IN_URL.match(inner.raw) if is_url else None
        if match is not None and "${" not in match[1] and "{{" not in match[1]:
            on = inner.place.inside(inner.raw, match.start(1), len(match[1]))
            message = "a password in a URL, written in clear"
            findings.at(inner.place, "HK502", message, on=on, severity="warning", help=_READ_IT)


def _check_defaults(
    key: str, value: Value, findings: Findings, *, is_by_name: bool = False
) -> None:
    """Report credentials that stand behind `:-`; `is_by_name` looks at the variables' own names."""
    for text, ref in value.env_refs():
        if ref.default is None or (is_by_name and not ref.is_secret):
            continue
        if ref.default and not _is_harmless(key, ref.default):
            start = text.raw.index(":-", ref.offset) + len(":-")
            on = text.place.inside(text.raw, start, len(ref.default))
            message = f"the default of {ref.name} is a credential, written in clear"
            hint = f"leave it to the environment: `${{{ref.name}}}`"
            findings.at(text.place, "HK502", message, on=on, severity="warning", help=hint)


def _is_harmless(key: str, raw: object) -> bool:
    """Words such as `bearer` choose a method; of a URL only the password in it is a credential."""
    return key == "url" or (isinstance(raw, str) and ("://" in raw or raw.lower() in _METHODS))


def _secret_values(name: str, value: Value, option: Option | None) -> Iterator[tuple[str, Value]]:
    """The texts under keys that hold credentials, by their type or by their name."""
    is_secret = is_secret_name(name) or (option is not None and option.accepts("secret"))
    if not value.items:
        if is_secret:
            yield name, value
        return
    for key, item in value.items.items():
        inner = option.fields.get(str(key), option.item) if option is not None else None
        is_list = isinstance(value.raw, list)
        yield from _secret_values(name if is_list else str(key), item, inner)


# --- on their way out


def _is_whole_url(visit: Visit, option: Option) -> bool:
    """Whether the secret is a URL, or the beginning of one: whoever has it may call it."""
    return option.accepts("url") and "://" not in visit.value.raw[: visit.offset]


def _check_flow(visit: Visit, findings: Findings) -> None:
    if visit.taint != "secret":
        return
    hint = "put it into a connection's `auth`, which is never logged or spoken"
    option = visit.option
    is_meant = option is not None and (option.accepts("secret") or _is_whole_url(visit, option))
    if is_meant or visit.name in _CREDENTIAL_OPTIONS:
        _check_change(visit, findings)
        return
    message = f"a secret flows into `{visit.name}` of `{visit.step.word}`"
    if visit.step.kind == "set":
        message = f"a secret flows into `data.{visit.name}`, which hooks and agents read"
    visit.report(findings, "HK501", message, hint)


def _check_change(visit: Visit, findings: Findings) -> None:
    """A secret is masked by how it looks; what a filter makes of it nobody knows again."""
    if visit.change is None:
        return
    word, offset = visit.change
    on = visit.value.place.inside(visit.value.raw, offset, len(word))
    message = f"`{word}` changes a secret, which journals and the outbox then show"
    hint = "give it as it is sent, in a variable of its own"
    where = [related(visit.origin, "the secret", on="value")] if visit.origin else ()
    findings.at(visit.value.place, "HK501", message, on=on, help=hint, related=where)
