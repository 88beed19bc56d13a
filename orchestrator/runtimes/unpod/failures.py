"""What is said of a connection that failed: enough to mend it, nothing that is secret."""

from __future__ import annotations

from typing import Any

from orchestrator.runtimes.unpod.wire import BadFrame

__all__ = ["close_code", "http_status", "why_failed"]


def why_failed(error: BaseException) -> str:
    """In a word: what came was no frame, the status of a refused handshake, a close code.

    Not the words of the exception: of a handshake they may have the URL or headers, and with them
    a token; nor the far side's reason for a close.
    """
    if isinstance(error, BadFrame):
        return str(error)
    name = type(error).__name__
    if status := http_status(error):
        return f"{name}: HTTP {status}"
    if code := close_code(error):
        return f"{name}: close code {code}"
    return f"{name}: no close frame" if hasattr(error, "rcvd") else name


def http_status(error: BaseException) -> int | None:
    """The status with which a handshake was refused."""
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def close_code(error: BaseException) -> int | None:
    """The code that a connection was closed with: the far side's, else ours."""
    frame: Any = getattr(error, "rcvd", None) or getattr(error, "sent", None)
    code = getattr(frame, "code", None)
    return int(code) if code is not None else None
