"""Safety: credentials in clear or on their way out, and untrusted text that decides a target."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.config import Config, ConnectionConfig
from orchestrator.errors import ProblemList
from orchestrator.options import Option
from orchestrator.validation.flow import Visit
from orchestrator.values import Value

__all__ = ["check_safety"]

#: Options through which a credential may rightly leave.
_CREDENTIAL_OPTIONS = frozenset({"headers", "auth"})
_LOOPBACK = ("http://localhost", "http://127.", "http://[::1]")


def check_safety(config: Config, visits: Iterable[Visit], problems: ProblemList) -> None:
    """Report what may leak a secret or let somebody else choose a target."""
    for connection in config.connections.values():
        _check_connection(connection, problems)
    for visit in visits:
        _check_secret_flow(visit, problems)
        _check_target(config, visit, problems)


def _check_connection(connection: ConnectionConfig, problems: ProblemList) -> None:
    for name, value in connection.options.items():
        option = connection.type.options[name]
        for text, inner in _secret_values(value, option):
            if _is_credential(text.raw) and not list(text.env_refs()):
                problems.add(
                    text.place.document.problem(
                        "HK502",
                        f"`{inner}` of connection `{connection.name}` is written in clear",
                        text.place.value_position,
                        severity="warning",
                        help="read it from the environment: `${NAME}`",
                    )
                )
    url = connection.options.get("base_url")
    has_secret = any(
        True
        for name, value in connection.options.items()
        for _ in _secret_values(value, connection.type.options[name])
    )
    if url is not None and has_secret and _is_plain_http(url.raw):
        problems.add(
            url.place.document.problem(
                "HK503",
                f"connection `{connection.name}` sends its credentials over plain http",
                url.place.value_position,
                help="use https",
            )
        )


def _secret_values(value: Value, option: Option) -> Iterable[tuple[Value, str]]:
    if option.accepts("secret"):
        items = list(value.items.values()) or [value]
        yield from ((item, option.name) for item in items)
    for name, inner in value.items.items():
        field = option.fields.get(name)
        if field is not None:
            yield from _secret_values(inner, field)


def _is_credential(raw: object) -> bool:
    """Whether a text under a secret option is one: a URL without a password is not."""
    if not isinstance(raw, str) or not raw:
        return False
    return "://" not in raw or "@" in raw


def _is_plain_http(raw: object) -> bool:
    return isinstance(raw, str) and raw.startswith("http://") and not raw.startswith(_LOOPBACK)


def _check_secret_flow(visit: Visit, problems: ProblemList) -> None:
    if visit.shape.taint != "secret" or visit.name in _CREDENTIAL_OPTIONS:
        return
    problems.add(
        visit.value.place.document.problem(
            "HK501",
            f"a secret flows into `{visit.name}` of `{visit.step.word}`",
            visit.value.place.value_position,
            help="put it into a connection's `auth`, which is never logged or spoken",
        )
    )


def _check_target(config: Config, visit: Visit, problems: ProblemList) -> None:
    option, taint = visit.option, visit.shape.taint
    if option is None:
        return
    document, position = visit.value.place.document, visit.value.place.value_position
    if option.accepts("destination") and taint in ("caller", "remote"):
        own_list = visit.step.options.get("allow")
        if not (config.allow.numbers or config.allow.prefixes or own_list):
            whose = "the caller" if taint == "caller" else "another system"
            problems.add(
                document.problem(
                    "HK510",
                    f"text of {whose} decides which number is dialled",
                    position,
                    help="list who may be dialled in `allow: {numbers: [...], prefixes: [...]}`",
                )
            )
    elif option.accepts("url") and _has_dynamic_host(visit.value.raw):
        problems.add(
            document.problem(
                "HK511",
                "a template decides the host of this request",
                position,
                help="write the host out; use templates in the path and query only",
            )
        )


def _has_dynamic_host(raw: str) -> bool:
    scheme, separator, rest = raw.partition("://")
    return not separator or "{{" in scheme or "{{" in rest.split("/", 1)[0]
