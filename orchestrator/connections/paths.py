"""Paths put behind a base URL, so that no value can lead to another host or folder."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from orchestrator.egress import SafeUrl, parse_url
from orchestrator.errors import ActionFailed
from orchestrator.written import KEPT_IN_PATHS

__all__ = ["join_path", "safe_path", "whole_url"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MAX_DECODINGS = 5


def join_path(base: SafeUrl, path: str) -> str:
    """The URL of a path under a base URL.

    Values in the path are percent-encoded before; what is left unsafe is encoded here. An empty
    path is the base itself.

    Raises:
        ActionFailed: the path would leave the base, or names no single place under it.
    """
    if not path:
        return base.origin + safe_path(base.path or "/")
    return base.origin + safe_path(base.path.rstrip("/") + "/" + path.removeprefix("/"))


def whole_url(text: str) -> tuple[SafeUrl, str]:
    """A URL given as a whole, taken apart and put together again.

    Raises:
        ActionFailed: it is no plain URL, or its path steps up.
    """
    url = parse_url(text)
    path = safe_path(url.path or "/")
    return url, f"{url.origin}{path}{quote(url.query, safe=KEPT_IN_PATHS + '?')}"


def safe_path(path: str) -> str:
    """A whole path as it is sent.

    Raises:
        ActionFailed: it could lead elsewhere than where it seems to, or has more than a path.
    """
    if "?" in path or "#" in path:
        raise _refused("the path holds a query or fragment; use `query`")
    if "\\" in path or _CONTROL.search(path):
        raise _refused("the path holds a backslash or control character")
    if "//" in path:
        raise _refused("the path has an empty part")
    decoded = _decoded(path)
    if _CONTROL.search(decoded):
        raise _refused("the path holds an encoded control character")
    parts = re.split(r"[/\\]", decoded)
    if any(part.split(";")[0].strip() in (".", "..") for part in parts):
        raise _refused("the path steps out of its folder")
    return quote(_STRAY_PERCENT.sub("%25", path), safe=KEPT_IN_PATHS, errors="replace")


def _refused(why: str) -> ActionFailed:
    """A path may hold a secret and what a caller said: it is not quoted."""
    return ActionFailed(why, is_plain=True)


def _decoded(path: str) -> str:
    """The path as the most eager server would read it: decoded as often as it can be."""
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            return path
        path = decoded
    raise _refused("the path is percent-encoded over and over")
