"""Durations as people write them: `500ms`, `8s`, `2m`, `1h`; in code they are seconds."""

from __future__ import annotations

import re

__all__ = ["format_duration", "parse_duration"]

_FORM = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `800ms`.

    Raises:
        ValueError: it is not a number with one of the units ms, s, m, h.
    """
    match = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no duration; write 500ms, 8s, 2m or 1h")
    return round(float(match[1]) * _SECONDS[match[2]], 6)


def format_duration(seconds: float) -> str:
    """The shortest usual form: 0.8 -> `800ms`, 90 -> `90s`, 7200 -> `2h`."""
    if seconds and seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit, size in (("h", 3600.0), ("m", 60.0)):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
