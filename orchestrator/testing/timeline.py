"""What happened in a call, on one timeline: the words that call tests use, from a journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from orchestrator.journal import kind_of_line
from orchestrator.review.story import shown
from orchestrator.runtime import (
    Command,
    End,
    Filler,
    Inject,
    Interrupt,
    Play,
    Recording,
    Say,
    SendDigits,
    SetLanguage,
    Transfer,
)

__all__ = [
    "ALIASES",
    "COMMANDS",
    "MAIN_FIELDS",
    "Happening",
    "describe",
    "happenings",
    "value_fields",
]

#: What we ask of a runtime, by its word.
COMMANDS: Mapping[str, type[Command]] = {
    command.name: command
    for command in (
        Say,
        Interrupt,
        Transfer,
        End,
        Recording,
        Filler,
        SendDigits,
        SetLanguage,
        Play,
        Inject,
    )
}

#: Other words for the same thing: the action's name for the command it sends.
ALIASES: Mapping[str, str] = {"escalate_transfer": "transfer"}

#: The field that a bare value stands for.
MAIN_FIELDS: Mapping[str, str] = {
    "say": "text", "transfer": "target", "end_call": "reason", "recording": "change",
    "set_filler": "text", "send_dtmf": "digits", "inject": "note",
    "set_language": "speech", "play": "source",
    "hook": "name", "skipped": "name", "timer": "name", "event": "event",
}  # fmt: skip

_SENT = frozenset({*COMMANDS, *ALIASES})
_TARGETS = {"queue": "queue", "number": "number", "agent": "agent_id"}

#: Further fields of the words that are no actions.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "transfer": tuple(_TARGETS.values()),
    "recording": ("pause",),
    "hook": ("name", "at", "on", "n"),
    "skipped": ("name", "at", "on", "why", "saw"),
    "timer": ("name", "is", "why", "after", "rung", "left"),
}


def value_fields(word: str) -> tuple[str, ...]:
    """The fields of a word of ours; empty for those that may have any, such as actions."""
    command = COMMANDS.get(word)
    own = tuple(f.name for f in fields(command)) if command is not None else ()
    return (*own, *_FIELDS.get(word, ()))


@dataclass(slots=True)
class Happening:
    """One thing that happened: when (seconds since the call started), what, and its fields.

    `is_outward` says that it reached the caller, an outside system, the log or the memory.
    """

    t: float
    word: str
    value: dict[str, Any] = field(default_factory=dict)
    is_outward: bool = False


def happenings(lines: Iterable[Mapping[str, Any]]) -> list[Happening]:
    """The timeline of a journal: commands, what actions were given, hooks, events, timers."""
    found: list[Happening] = []
    acting: dict[str, Happening] = {}
    for line in lines:
        kind = kind_of_line(line)
        if kind == "act":
            acting[line["at"]] = Happening(
                line["t"], line["act"], dict(line.get("with") or {}), is_outward=True
            )
            found.append(acting[line["at"]])
        elif kind == "step":
            _step(line, acting.pop(line["at"], None), found)
        else:
            found.extend(_others(line))
    return found


def _step(line: Mapping[str, Any], act: Happening | None, found: list[Happening]) -> None:
    outcome = {key: line[key] for key in ("status", "output", "error", "id") if key in line}
    if act is not None:  # the options keep their names: an action may have one called `status`
        act.value.update({k: v for k, v in outcome.items() if k not in act.value})
    elif line["status"] != "skipped" and line["step"] not in _SENT:
        output = outcome.get("output")
        value = output if line["step"] == "set" and isinstance(output, dict) else outcome
        found.append(Happening(line["t"], line["step"], dict(value)))


def _others(line: Mapping[str, Any]) -> Iterable[Happening]:
    kind = kind_of_line(line)
    if kind == "do":
        yield Happening(line["t"], line["do"], _command(line), is_outward=True)
    elif kind == "hook" and "ran" in line:
        rest = {key: value for key, value in line.items() if key not in ("t", "hook", "ran")}
        word = "hook" if line["ran"] else "skipped"
        yield Happening(line["t"], word, {"name": line["hook"], **rest})
    elif kind == "event":
        yield Happening(line["t"], "event", {k: v for k, v in line.items() if k != "t"})
    elif kind == "timer":
        rest = {key: value for key, value in line.items() if key not in ("t", "timer")}
        yield Happening(line["t"], "timer", {"name": line["timer"], **rest})


def _command(line: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a command, defaults included, and the words of its action."""
    command = COMMANDS.get(line["do"])
    defaults = {f.name: f.default for f in fields(command)} if command is not None else {}
    given = {key: value for key, value in line.items() if key not in ("t", "do")}
    value = {**defaults, **given}
    if line["do"] == "transfer":
        value[_TARGETS.get(value["kind"], "queue")] = value["target"]
    elif line["do"] == "recording" and value["change"] == "pause":
        value["pause"] = value["reason"]
    return value


#: Fields that say nothing in a report.
_QUIET = frozenset({"by", "at", "id", "from"})


def describe(happening: Happening, limit: int = 60) -> str:
    """A happening on one line: its word and its main field, or all fields that say something."""
    value = happening.value
    if happening.word == "event":
        rest = {k: v for k, v in value.items() if k not in ("event", "from")}
        bare = next(iter(rest.values())) if len(rest) == 1 else rest
        return f"({value['event']}{' ' + shown(bare, limit) if rest else ''})"
    main = MAIN_FIELDS.get(happening.word)
    if main is not None and main in value:
        return f"{happening.word} {shown(value[main], limit)}"
    rest = {k: v for k, v in value.items() if v is not None and k not in _QUIET}
    if rest.get("status") == "ok":
        del rest["status"]
    return f"{happening.word} {shown(rest, limit)}" if rest else happening.word
