"""Logging for the command line: text or JSON lines on standard error.

A program that embeds the orchestrator sets up `logging` as it likes; nothing here is called then.
Environment: `ORCHESTRATOR_LOG` is `text` or `json`, `ORCHESTRATOR_LOG_LEVEL` the name of a level.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from orchestrator.errors import EnvironmentFailure, named
from orchestrator.written import printable

__all__ = ["JsonFormatter", "logging_set_up", "set_up_logging"]

#: Where what Python itself would print is told.
_OTHERS = logging.getLogger("python")
_LEVELS = ("debug", "info", "warning", "error")
#: Attributes of a record that are Python's own; others came by `extra`.
_OWN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra` adds to a line of ours; what others add has not been searched for secrets."""
    if not _is_ours(record):
        return {}
    given = {name: value for name, value in vars(record).items() if name not in _OWN and value}
    return {n: round(v, 3) if isinstance(v, float) else v for n, v in given.items()}


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == "orchestrator"


def _message(record: logging.LogRecord) -> str:
    """What is said; of others' the first line: asyncio writes whole objects into the next ones."""
    text = record.getMessage()
    return text if _is_ours(record) else text.partition("\n")[0]


def _error(record: logging.LogRecord) -> str:
    """What was raised, without a traceback.

    Of others' the type and the place only: what they say has not been searched for secrets.
    """
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return ""
    return named(error) if _is_ours(record) else _placed(error)


def _placed(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    return f"{type(error).__name__}{place}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what `extra` gave."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **_extras(record),
        }
        if error := _error(record):
            line["error"] = error
        return json.dumps(line, default=str)


class _TextFormatter(logging.Formatter):
    """Time, level, message and fields; errors in one line, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        extras = _extras(record)
        fields = {**extras.pop("fields", {}), **extras}
        tail = "".join(f" {name}={_short(value)}" for name, value in fields.items())
        if error := _error(record):
            tail += f" error={error}"
        return f"{clock} {record.levelname.lower():7} {printable(_message(record) + tail)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:300]}…"


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that it is known again: there is one at a time."""


def set_up_logging(variables: Mapping[str, str], stream: TextIO) -> None:
    """Send the orchestrator's log, and others' warnings, to a stream as the environment asks.

    Raises:
        EnvironmentFailure: `ORCHESTRATOR_LOG` or `ORCHESTRATOR_LOG_LEVEL` is none of the known
            words.
    """
    form = variables.get("ORCHESTRATOR_LOG") or "text"
    level = (variables.get("ORCHESTRATOR_LOG_LEVEL") or "info").lower()
    if form not in ("text", "json"):
        raise EnvironmentFailure(f"ORCHESTRATOR_LOG is text or json, not {form!r}")
    if level not in _LEVELS:
        levels = ", ".join(_LEVELS)
        raise EnvironmentFailure(f"ORCHESTRATOR_LOG_LEVEL is one of {levels}, not {level!r}")
    handler = _Handler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else _TextFormatter())
    logger, others = logging.getLogger("orchestrator"), logging.getLogger()
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    others.handlers[:] = [h for h in others.handlers if not isinstance(h, _Handler)] + [handler]


def _tell_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """What Python can raise nowhere: a coroutine that will not be closed."""
    name = getattr(unraisable.object, "__qualname__", type(unraisable.object).__qualname__)
    _OTHERS.warning("ignored in %s", name, exc_info=unraisable.exc_value)


def _tell_of_thread(failed: threading.ExceptHookArgs) -> None:
    """What a function's own thread raised."""
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        _OTHERS.warning("a thread raised", exc_info=failed.exc_value)


@contextmanager
def logging_set_up(variables: Mapping[str, str], stream: TextIO) -> Iterator[None]:
    """`set_up_logging` for as long as a command runs; what Python itself would print goes there.

    Raises:
        EnvironmentFailure: as there.
    """
    logger, others = logging.getLogger("orchestrator"), logging.getLogger()
    before = logger.handlers[:], logger.level, logger.propagate, others.handlers[:]
    hooks = sys.unraisablehook, threading.excepthook
    set_up_logging(variables, stream)
    sys.unraisablehook, threading.excepthook = _tell_unraisable, _tell_of_thread
    try:
        yield
    finally:
        sys.unraisablehook, threading.excepthook = hooks
        logger.handlers[:], logger.propagate, others.handlers[:] = before[0], before[2], before[3]
        logger.setLevel(before[1])
