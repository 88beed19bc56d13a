"""Journals that were written: read them back, and tell their hooks apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.callscript import CallScript, parse_script
from orchestrator.errors import ScriptError
from orchestrator.journal import kind_of_line
from orchestrator.scriptevent import json_line, read_text

__all__ = ["JournalFile", "is_session_end", "parse_journal", "read_journal"]

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JournalFile:
    """A journal: its lines, and the call script that they are too."""

    file: str
    lines: tuple[Line, ...]
    script: CallScript

    @property
    def call(self) -> Line:
        """What is known of the call."""
        return dict(self.script.header)

    @property
    def config_name(self) -> str:
        """The name of the config that the call was carried under."""
        config = self.lines[0].get("config") if self.lines else None
        return str(config.get("name", "")) if isinstance(config, Mapping) else ""

    @property
    def is_redacted(self) -> bool:
        """Whether words and numbers in it are masked, so that it cannot be played as it was."""
        return _is_redacted(self.lines)

    @property
    def has_pause(self) -> bool:
        """Whether its recording was paused, so that digits of that time are starred."""
        return any(
            line["do"] == "recording" and line.get("change") == "pause"
            for line in self.lines
            if kind_of_line(line) == "do"
        )

    @property
    def hook_names(self) -> tuple[str, ...]:
        """The hooks that ran or were kept from running, in the order met."""
        return tuple(dict.fromkeys(str(line["hook"]) for line in self.hook_lines))

    @property
    def hook_lines(self) -> tuple[Line, ...]:
        """The lines of hooks: those that ran, were kept from running, or ended early."""
        return tuple(line for line in self.lines if kind_of_line(line) == "hook")

    @property
    def end(self) -> float | None:
        """When the session ended, in seconds; None when the journal breaks off before."""
        return next((line["t"] for line in self.lines if is_session_end(line)), None)

    def of_hook(self, name: str) -> tuple[Line, ...]:
        """The lines that concern one hook, by its name or key: its decisions, steps, commands."""
        keys = {line["at"] for line in self.hook_lines if name in (line["hook"], line["at"])}
        return tuple(line for line in self.lines if any(_belongs(line, key) for key in keys))


def _is_redacted(lines: Sequence[Line]) -> bool:
    config = lines[0].get("config") if lines else None
    return isinstance(config, Mapping) and config.get("privacy") == "redact"


def is_session_end(line: Line) -> bool:
    """Whether the line says that the session ended."""
    return kind_of_line(line) == "session" and line["session"] == "call_end"


def _belongs(line: Line, key: str) -> bool:
    at = None if kind_of_line(line) == "event" else line.get("at") or line.get("by")
    return isinstance(at, str) and (at == key or at.startswith((f"{key}.", f"{key}/")))


def read_journal(path: str | Path) -> JournalFile:
    """Read a journal.

    Raises:
        ScriptError: it is none; `file:line: what is wrong, how to mend it`.
        EnvironmentFailure: the file cannot be read.
    """
    return parse_journal(read_text(path), str(path))


def parse_journal(text: str, path: str = "<journal>") -> JournalFile:
    """Read the text of a journal; `path` names it in messages.

    Raises:
        ScriptError: it is none; `file:line: what is wrong, how to mend it`.
    """
    lines: list[Line] = []
    for number, row in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not row.strip():
            continue
        try:
            lines.append(_checked(json_line(row)))
        except ScriptError as error:
            raise ScriptError(f"{path}:{number}: {error}") from None
    if not lines:
        raise ScriptError(f"{path}:1: the journal is empty")
    # One that is masked is read, and not played: a key may be `[1 characters]` there.
    played = json.dumps(lines[0]) if _is_redacted(lines) else text
    script = parse_script(played, path)
    return JournalFile(path, tuple(lines), script)


#: Keys that readers rely on, by what they hold; `runner` and `session` too are names of events.
_TEXTS = ("hook", "at", "by", "step", "act", "do", "timer", "event", "status", "runner", "session",
          "memory", "on", "id", "error", "why", "started_at")  # fmt: skip
_NUMBERS = ("t", "ms", "n")
_MAPPINGS = ("with", "saw", "end")


def _checked(line: dict[str, Any]) -> Line:
    """The line, if a reader can rely on its shape."""
    kind = kind_of_line(line)
    if kind == "call":
        return line
    if line.get("t") is None:
        raise ScriptError("the line has no time; a line of a journal has `t`, in seconds")
    for names, kinds, what in (
        (_TEXTS, (str,), "text"),
        (_NUMBERS, (int, float), "a number"),
        (_MAPPINGS, (dict,), "a mapping"),
    ):
        for name in names:
            if _is_ours(name, kind, line) and not isinstance(line[name], kinds):
                raise ScriptError(f"{name!r} must be {what}")
    if kind == "memory":
        _check_memory(line)
    for other in {"step": ("at", "status"), "act": ("at",), "hook": ("at",)}.get(kind, ()):
        if other not in line:
            raise ScriptError(f"a line with {kind!r} needs {other!r}")
    return line


def _check_memory(line: Line) -> None:
    numbers = [line.get(name) for name in ("count", "within")]
    is_count = all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers)
    if "value" not in line and not is_count:
        raise ScriptError("a line with 'memory' needs 'value', or 'count' and 'within' as numbers")


def _is_ours(name: str, kind: str, line: Line) -> bool:
    """Whether the key has our meaning: events and commands have fields of their own."""
    return name in line and (name in ("t", kind) or kind not in ("event", "do", "note", "timer"))
