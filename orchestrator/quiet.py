"""What the packages below us do not log of our work.

httpx writes the URL of each request into its own log, which a program may well show: with whatever
key stands in it. Others write values, frames and headers, at the level of debugging. What we send
is in our journal, where secrets are masked.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

__all__ = ["UNLOGGED", "hush", "unlogged"]

_is_ours: ContextVar[bool] = ContextVar("is_ours", default=False)

#: Logs in which other packages show, while debugging, what a caller said or a secret: values bound
#: to statements, frames, headers, bodies.
_TELLING = (
    "aiosqlite", "asyncpg.pool", "httpcore.connection", "httpcore.http11", "httpcore.http2",
    "httpcore.proxy", "nats", "nats.aio.client", "nats.js", "nats.js.kv",
    "openai._base_client", "openai._legacy_response", "openai._response",
    "sqlalchemy.engine.Engine", "sqlalchemy.orm", "sqlalchemy.pool",
    "sqlalchemy.pool.impl.AsyncAdaptedQueuePool", "websockets", "websockets.client",
    "websockets.protocol", "websockets.server",
)  # fmt: skip


#: A logger that tells nobody anything, for packages that take one to write to.
UNLOGGED = logging.Logger("orchestrator.unlogged", logging.CRITICAL + 1)


class _Ours(logging.Filter):
    """Drops the one record that follows one of our requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is of somebody else's request."""
        is_ours = _is_ours.get()
        _is_ours.set(False)
        return not is_ours


class _Hushed(logging.Filter):
    """Drops what is only for debugging; these packages do not say whose work it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is a warning or worse."""
        return record.levelno >= logging.WARNING


_FILTER, _HUSHED = _Ours(), _Hushed()


async def unlogged(request: Any) -> None:
    """An httpx hook for requests: this one is ours."""
    logging.getLogger("httpx").addFilter(_FILTER)  # again and again: that changes nothing
    _is_ours.set(True)


def hush() -> None:
    """Have the packages below us log warnings only, in this process."""
    for name in _TELLING:
        logging.getLogger(name).addFilter(_HUSHED)
