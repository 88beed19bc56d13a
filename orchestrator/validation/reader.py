"""Read typed values out of a document's mappings; what does not fit becomes a problem in place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.document import Document, YamlList, YamlMap
from orchestrator.durations import parse_duration
from orchestrator.errors import Fix, Position, ProblemList, Related
from orchestrator.events import near_miss
from orchestrator.values import Place

__all__ = ["MISSING", "Reader", "kind_of", "span_of_word"]

MISSING: Any = object()

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORD_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def kind_of(value: Any) -> str:
    """What a value of a document is, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"text {value[:40]!r}" if value else "an empty text"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "a mapping"


@dataclass(slots=True)
class Reader:
    """Reads one document and collects its problems."""

    document: Document
    problems: ProblemList = field(default_factory=ProblemList)

    # --- problems

    def report(
        self,
        code: str,
        message: str,
        position: Position,
        *,
        help: str | None = None,
        severity: Literal["error", "warning"] = "error",
        related: Iterable[Related] = (),
        fix: Fix | None = None,
    ) -> None:
        """Add one problem of this document."""
        self.problems.add(
            self.document.problem(
                code,
                message,
                position,
                help=help,
                severity=severity,
                related=tuple(related),
                fix=fix,
            )
        )

    def key_position(self, node: YamlMap, key: str) -> Position:
        """Where a key stands."""
        return self.document.key_position(node, key)

    def value_position(self, node: YamlMap | YamlList, key: Any) -> Position:
        """Where a value stands."""
        return self.document.value_position(node, key)

    def wrong_type(self, node: Any, key: Any, wanted: str, *, code: str = "HK103") -> None:
        """The value of a key is of another type than wanted."""
        value = node[key]
        position = self.value_position(node, key)
        if value is None and isinstance(node, YamlMap):
            position = self.key_position(node, key)
        subject = f"`{key}`: " if isinstance(node, YamlMap) else ""
        self.report(code, f"{subject}expected {wanted}, found {kind_of(value)}", position)

    # --- mappings

    def place(self, node: Any, key: Any) -> Place:
        """The place of a value, to keep with what is made of it."""
        return Place(self.document, node, key)

    def check_keys(
        self,
        node: YamlMap,
        allowed: Iterable[str],
        what: str,
        *,
        help: str | None = None,
        only: Iterable[str] | None = None,
    ) -> None:
        """Report every key (of `only`, where given) that is not allowed, with the near miss."""
        names = list(allowed)
        for key in node if only is None else only:
            if key in names or key.startswith("x-"):
                continue
            near = near_miss(key, [name for name in names if name not in node])
            hint = f"did you mean `{near}`?" if near else help or f"allowed: {', '.join(names)}"
            position = self.key_position(node, key)
            fix = Fix(position, key, near) if near else None
            self.report("HK105", f"unknown key `{key}` in {what}", position, help=hint, fix=fix)

    def mapping(self, node: Any, key: Any, wanted: str = "a mapping") -> YamlMap | None:
        """The mapping under a key; None (and a problem) when it is something else."""
        value = node[key]
        if isinstance(value, YamlMap):
            return value
        self.wrong_type(node, key, wanted)
        return None

    def items(self, node: Any, key: Any, wanted: str) -> YamlList | None:
        """The list under a key; None (and a problem) when it is something else."""
        value = node[key]
        if isinstance(value, YamlList):
            return value
        self.wrong_type(node, key, wanted)
        return None

    # --- scalars; each gives the default when the key is missing or its value does not fit

    def text(self, node: YamlMap, key: str, default: Any = None, *, what: str = "text") -> Any:
        """The text under a key."""
        value = node.get(key, MISSING)
        if value is MISSING:
            return default
        if isinstance(value, str) and value:
            return value
        self.wrong_type(node, key, what)
        return default

    def name(self, node: YamlMap, key: str) -> str | None:
        """A name that templates can use: letters, digits, `_`."""
        value = self.text(node, key, what="a name")
        if value is not None and not _NAME.fullmatch(value):
            self.report(
                "HK119",
                f"{value!r} is no name for `{key}`",
                self.value_position(node, key),
                help="use letters, digits and _; begin with a letter",
            )
            return None
        return value  # type: ignore[no-any-return]

    def boolean(self, node: YamlMap, key: str, default: Any = None) -> Any:
        """`true` or `false` under a key."""
        value = node.get(key, MISSING)
        if value is MISSING or isinstance(value, bool):
            return default if value is MISSING else value
        self.not_boolean(node, key)
        return default

    def not_boolean(self, node: Any, key: Any) -> None:
        """Report a value that should be true or false; a word for it gets its own finding."""
        value = node[key]
        meant = _WORD_BOOLEANS.get(value.lower()) if isinstance(value, str) else None
        if meant is None:
            self.wrong_type(node, key, "true or false")
            return
        position = self.value_position(node, key)
        self.report(
            "HK115",
            f"`{key}`: {value!r} is text here, not true or false",
            position,
            help=f"write {meant}",
            fix=Fix(position, str(value), meant),
        )

    def integer(self, node: YamlMap, key: str, *, low: int, high: int) -> int | None:
        """A whole number under a key."""
        value = node.get(key, MISSING)
        if value is MISSING:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong_type(node, key, "a whole number")
            return None
        if not low <= value <= high:
            self.report(
                "HK106",
                f"`{key}` must be from {low} to {high:,}, found {value}",
                self.value_position(node, key),
            )
            return None
        return value

    def duration(
        self, node: Any, key: Any, *, low: float = 0.0, high: float = 86_400.0
    ) -> float | None:
        """Seconds of a duration under a key."""
        value = node.get(key, MISSING) if isinstance(node, dict) else node[key]
        if value is MISSING:
            return None
        position = self.value_position(node, key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self.report(
                "HK108",
                f"`{key}`: the number {value} has no unit",
                position,
                help=f"write {value}s or {value}ms",
            )
            return None
        try:
            seconds = parse_duration(value)
        except ValueError:
            self._bad_duration(node, key)
            return None
        if not low <= seconds <= high:
            self.report(
                "HK106",
                f"`{key}`: {value} is out of range",
                position,
                help=f"from {low:g}s to {high:g}s",
            )
            return None
        return seconds

    def _bad_duration(self, node: Any, key: Any) -> None:
        value = node[key]
        if isinstance(value, str) and value:
            self.report(
                "HK108",
                f"`{key}`: {value!r} is no duration",
                self.value_position(node, key),
                help=_duration_hint(value),
            )
        else:
            self.wrong_type(node, key, "a duration such as 500ms, 8s, 2m or 1h")

    def choice(self, node: YamlMap, key: str, choices: Iterable[str], default: Any = None) -> Any:
        """One of a few words under a key."""
        value = node.get(key, MISSING)
        names = list(choices)
        if value is MISSING or value in names:
            return default if value is MISSING else value
        self.not_a_choice(node, key, names)
        return default

    def not_a_choice(self, node: Any, key: Any, names: list[str]) -> None:
        """Report a value that is not one of a few words."""
        value = node[key]
        near = near_miss(value, names) if isinstance(value, str) else None
        position = self.value_position(node, key)
        hint = f"did you mean `{near}`?" if near else f"one of {', '.join(map(str, names))}"
        fix = Fix(position, value, near) if near else None
        self.report("HK107", f"`{key}` cannot be {kind_of(value)}", position, help=hint, fix=fix)


_UNITS: Mapping[str, str] = {
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "min": "m",
    "mins": "m",
    "minute": "m",
    "minutes": "m",
    "hour": "h",
    "hours": "h",
    "hr": "h",
    "msec": "ms",
    "milliseconds": "ms",
    "millis": "ms",
}


def _duration_hint(text: str) -> str:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if match:
        unit = _UNITS.get(match[2].lower(), match[2].lower())
        if unit in ("ms", "s", "m", "h"):
            return f"write {match[1]}{unit}"
        if not unit:
            return f"write {match[1]}s or {match[1]}ms"
    return "write 500ms, 8s, 2m or 1h"


def span_of_word(position: Position, offset: int, length: int) -> Position:
    """A part of a one-line position."""
    start = position.column + offset
    return Position(position.file, position.line, start, start + length)
