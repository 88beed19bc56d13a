"""What a call came to, in numbers, from its journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from orchestrator.journal import kind_of_line

__all__ = ["CallSummary", "add_up", "summarize"]

_BAD = frozenset({"failed", "timed_out"})


@dataclass(frozen=True, slots=True)
class CallSummary:
    """The counts of one call, or of several.

    `seconds` is how long the line was open; `acts` counts what actions did beside commands:
    requests, log lines, memory.
    """

    call: str
    seconds: float = 0.0
    turns: int = 0
    hooks: int = 0
    steps: int = 0
    failed: int = 0
    not_sent: int = 0
    says: int = 0
    transfers: int = 0
    ends: int = 0
    acts: int = 0
    state: str = ""


def summarize(lines: Iterable[Mapping[str, Any]], call: str = "") -> CallSummary:
    """The counts of one journal."""
    counts: dict[str, int] = {}
    seconds, state = 0.0, ""
    for line in lines:
        kind = kind_of_line(line)
        if kind == "call" and isinstance(line["call"], Mapping):
            call = str(line["call"].get("id", call))
        for name in _counted(line):
            counts[name] = counts.get(name, 0) + 1
        if kind == "session" and line["session"] == "call_end":
            seconds, state = float(line["t"]), str(line.get("state", ""))
    return CallSummary(call, seconds=seconds, state=state, **counts)


_COMMANDS = {"say": "says", "transfer": "transfers", "end_call": "ends"}


def _counted(line: Mapping[str, Any]) -> Iterable[str]:
    kind = kind_of_line(line)
    if kind == "step":
        yield "steps"
        if line.get("status") in _BAD:
            yield "failed"
        elif line.get("status") == "not_sent":
            yield "not_sent"
    elif kind == "do" and line["do"] in _COMMANDS:
        yield _COMMANDS[str(line["do"])]
    elif kind == "act":
        yield "acts"
    elif kind == "hook" and line.get("ran") is True:
        yield "hooks"
    elif line.get("event") == "user_turn":
        yield "turns"


def add_up(summaries: Iterable[CallSummary]) -> CallSummary:
    """The totals of several calls."""
    rows = list(summaries)
    names = [f.name for f in fields(CallSummary) if f.name not in ("call", "state")]
    totals = {name: sum(getattr(row, name) for row in rows) for name in names}
    totals["seconds"] = round(totals["seconds"], 3)
    return CallSummary(f"{len(rows)} calls", **totals)
