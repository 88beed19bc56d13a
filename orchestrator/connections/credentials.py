"""Options of `kind: http` by which we say who we are: to the service, and to a proxy on the way."""

from __future__ import annotations

import base64
from typing import Annotated

from orchestrator.action import Options, Secret, Url
from orchestrator.egress import SafeUrl, parse_url
from orchestrator.errors import ActionFailed

__all__ = ["Auth", "Basic", "Header", "Proxy", "basic_token"]


def basic_token(user: str, password: str) -> str:
    """User and password as they are sent."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


class Basic(Options):
    """A user and a password."""

    user: Annotated[str, "the user"]
    password: Annotated[Secret, "the password"]


class Header(Options):
    """A header that carries a key."""

    name: Annotated[str, "the header, such as X-Api-Key"]
    value: Annotated[Secret, "the key"]


class Auth(Options):
    """How we say who we are: one of these."""

    bearer: Annotated[Secret | None, "a token, sent as `Authorization: Bearer`"] = None
    basic: Annotated[Basic | None, "user and password"] = None
    header: Annotated[Header | None, "a header that carries a key"] = None


class Proxy(Options):
    """A proxy through which a connection's requests go."""

    url: Annotated[Url, "where it is: http://host:port, or https"]
    user: Annotated[str | None, "the user, if it wants one"] = None
    password: Annotated[Secret | None, "that user's password"] = None

    @property
    def place(self) -> SafeUrl:
        """Where it is.

        Raises:
            ActionFailed: it is no URL of a proxy.
        """
        place = parse_url(self.url)
        if place.path.strip("/") or place.query:
            raise ActionFailed("a proxy's URL has neither path nor query", is_plain=True)
        if (self.user is None) != (self.password is None):
            raise ActionFailed("a proxy's user and password go together", is_plain=True)
        return place
