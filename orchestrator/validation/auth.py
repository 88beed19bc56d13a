"""`auth` of a connection: one way of saying who we are, and how a near one should be written."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.document import YamlMap
from orchestrator.events import near_miss
from orchestrator.options import Option
from orchestrator.validation.option_values import check_value
from orchestrator.validation.reader import Reader

__all__ = ["check_auth"]

_FORMS: Mapping[str, str] = {
    "bearer": "{bearer: ...}",
    "basic": "{basic: {user: ..., password: ...}}",
    "header": "{header: {name: X-Api-Key, value: ...}}",
}
#: What others write for each, as keys, or as the word under `type`.
_WORDS: Mapping[str, str] = {
    "user": "basic", "username": "basic", "login": "basic", "password": "basic", "pass": "basic",
    "token": "bearer", "bearer_token": "bearer", "access_token": "bearer", "oauth2": "bearer",
    "name": "header", "value": "header", "key": "header", "api_key": "header", "headers": "header",
    "basic": "basic", "bearer": "bearer", "header": "header",
}  # fmt: skip


def check_auth(reader: Reader, options: YamlMap, key: str, option: Option) -> bool:
    """Whether `auth` is one of its kinds, whole; one finding where it is not."""
    auth = options[key]
    if not isinstance(auth, YamlMap):
        if isinstance(auth, str) and not auth.strip().startswith("{{"):
            kind = "basic" if auth.lower().startswith("basic") else "bearer"
            return _refuse_text(reader, options, key, kind)
        return check_value(reader, options, key, option)
    strays = [name for name in auth if name not in option.fields]
    unclear = [name for name in strays if not _is_near(name, auth, option)]
    flat = next((n for n in ("basic", "header") if isinstance(auth.get(n), str)), None)
    if flat is not None:
        return _refuse_text(reader, auth, flat, flat)
    if unclear:
        meant = _meant(auth)
        message = f"unknown key `{unclear[0]}` in `auth`"
        advice = _advice(meant) if meant else f"allowed: {', '.join(option.fields)}"
        reader.at(auth, unclear[0], "HK105", message, on="key", help=advice)
        return False
    if len(auth) > 1 and not strays:
        first, second = list(auth)[:2]
        message = f"`{first}` and `{second}` exclude each other"
        reader.at(auth, second, "HK109", message, on="key", help="give one kind of `auth`")
    return check_value(reader, options, key, option)


def _refuse_text(reader: Reader, node: YamlMap, key: str, kind: str) -> bool:
    """Report a text in place of a mapping; it may hold a credential, so it is not quoted."""
    message = f"`{key}`: expected a mapping, found text"
    reader.at(node, key, "HK103", message, help=_advice(kind))
    return False


def _is_near(name: str, auth: YamlMap, option: Option) -> bool:
    """Whether a key is a misspelt kind, with what belongs below it."""
    return near_miss(name, [kind for kind in option.fields if kind not in auth]) is not None


def _meant(auth: YamlMap) -> str | None:
    """The kind that the keys, or the word under `type`, are about."""
    for name, value in auth.items():
        word = str(value) if name in ("type", "kind", "scheme", "method") else name
        if word.lower() in _WORDS:
            return _WORDS[word.lower()]
    return None


def _advice(kind: str) -> str:
    return f"write `auth: {_FORMS[kind]}`"
