"""Servers that somebody names in a URL: what can be said of them before anybody connects."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

__all__ = ["split_server_url"]


def split_server_url(url: str) -> SplitResult:
    """Take a URL with a host apart.

    Raises:
        ValueError: nobody can connect to it: it cannot be read, the host is missing or cannot be
            looked up, or the port is none. The message holds no part of the URL, which may have
            a password in it.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("there is a space or a control character in it")
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address, or a letter that becomes a `/`
        raise ValueError("the host cannot be read; in a password write %5B for [") from None
    if not parts.hostname:
        raise ValueError("the host is missing")
    try:
        parts.hostname.encode("idna")  # as it is looked up
    except UnicodeError:
        raise ValueError("the host cannot be looked up") from None
    if not _has_port(parts):
        raise ValueError("a port is a number from 1 to 65535")
    return parts


def _has_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False
