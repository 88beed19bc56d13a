"""Requests that the packages below us do not log.

httpx writes the URL of each request into its own log, which a program may well show: with whatever
key stands in it; websockets writes whole handshakes. What we send is in our journal, where secrets
are masked.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

__all__ = ["UNLOGGED", "unlogged"]

_is_ours: ContextVar[bool] = ContextVar("is_ours", default=False)


#: A logger that tells nobody anything, for packages that take one to write to.
UNLOGGED = logging.Logger("orchestrator.unlogged", logging.CRITICAL + 1)


class _Ours(logging.Filter):
    """Drops the one record that follows one of our requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is of somebody else's request."""
        is_ours = _is_ours.get()
        _is_ours.set(False)
        return not is_ours


_FILTER = _Ours()


async def unlogged(request: Any) -> None:
    """An httpx hook for requests: this one is ours."""
    logging.getLogger("httpx").addFilter(_FILTER)  # again and again: that changes nothing
    _is_ours.set(True)
