"""Logging for the command line: text or JSON lines on standard error.

A program that embeds the orchestrator sets up `logging` as it likes; nothing here is called then.
Environment: `ORCHESTRATOR_LOG` is `text` or `json`, `ORCHESTRATOR_LOG_LEVEL` the name of a level.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from orchestrator.errors import EnvironmentFailure, named

__all__ = ["JsonFormatter", "logging_set_up", "set_up_logging"]

_LEVELS = ("debug", "info", "warning", "error")
#: Attributes that `extra` adds and that go into a line; others are Python's own.
_EXTRAS = ("call_id", "hook_step", "fields", "step", "place", "event", "handler",
           "delivery", "endpoint", "reason", "count", "file")  # fmt: skip


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: vars(record)[name] for name in _EXTRAS if vars(record).get(name)}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what `extra` gave."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = named(record.exc_info[1])
        return json.dumps(line, default=str)


class _TextFormatter(logging.Formatter):
    """Time, level, message and fields; errors in one line, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        extras = _extras(record)
        fields = {**extras.pop("fields", {}), **extras}
        tail = "".join(f" {name}={_short(value)}" for name, value in fields.items())
        if record.exc_info and record.exc_info[1] is not None:
            tail += f" error={named(record.exc_info[1])}"
        return f"{clock} {record.levelname.lower():7} {_one_line(record.getMessage() + tail)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:300]}…"


def _one_line(text: str) -> str:
    """Control characters escaped: what a caller said must not write to an operator's terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def set_up_logging(variables: Mapping[str, str], stream: TextIO) -> None:
    """Send the orchestrator's log to a stream, as the environment asks.

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
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else _TextFormatter())
    logger = logging.getLogger("orchestrator")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


@contextmanager
def logging_set_up(variables: Mapping[str, str], stream: TextIO) -> Iterator[None]:
    """`set_up_logging` for as long as a command runs.

    Raises:
        EnvironmentFailure: as there.
    """
    logger = logging.getLogger("orchestrator")
    before = logger.handlers[:], logger.level, logger.propagate
    set_up_logging(variables, stream)
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
