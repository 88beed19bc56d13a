"""Records -> lines of JSON, secrets masked: one encoder for each kind of record.

An encoder takes a redactor and the fields of its record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.journal.redactor import Redactor
from orchestrator.plain import whole_text

__all__ = [
    "Line",
    "Record",
    "act_line",
    "call_line",
    "command_line",
    "dump_line",
    "encode",
    "end_line",
    "event_line",
    "hook_end_line",
    "hook_line",
    "kind_of_line",
    "memory_line",
    "note_line",
    "scope_line",
    "skip_line",
    "step_line",
    "timer_line",
]

Record = tuple[Any, ...]
Line = dict[str, Any]


#: What the first line tells of the caller.
_PERSONAL = ("user_number", "called_number", "instructions", "data")


def call_line(
    r: Redactor, call: Mapping[str, Any], config: Mapping[str, Any], started: str
) -> Line:
    """The header: who calls, under which config, since when."""
    private = {key: r.personal(call[key]) for key in _PERSONAL if call.get(key)}
    return {"call": {**r.secret(call), **private}, "config": config, "started_at": started}


#: Fields of events that are words of a fixed set or shapes of the protocol, never personal.
_PLAIN_FIELDS = frozenset({"state", "who", "outcome", "stage", "severity", "code", "source", "name",
                           "value", "ok", "ms", "interrupted", "language", "reason"})  # fmt: skip


#: Fields of errors that say a vendor's word for it: a word, and not what somebody said.
_WORDS = frozenset({"code", "source"})
_WORD = re.compile(r"[\w.:/-]{1,40}", re.ASCII)


def _is_word(field: str, value: Any) -> bool:
    return field not in _WORDS or not isinstance(value, str) or bool(_WORD.fullmatch(value))


#: In an event in which stars stand for digits: the fields as they are played again.
MASKED = "masked"


def event_line(r: Redactor, name: str, fields: Mapping[str, Any], origin: str) -> Line:
    """A session event came in; `origin` says when a hook emitted it."""
    # Fields of our own events hold what the config's author put there: a caller's words, perhaps.
    plain = frozenset() if name.startswith("custom.") else _PLAIN_FIELDS
    shown = {
        k: r.secret(v) if k in plain and _is_word(k, v) else r.personal(v)
        for k, v in fields.items()
    }
    line = {"event": name, **shown, **({"from": origin} if origin else {})}
    if r.is_private or not r.masks or shown == fields or name.startswith("custom."):
        return line
    # A star may be a key, and a word is no digit: whoever plays it again needs what it was like.
    masked = {k: r.played(v) for k, v in fields.items() if v != shown[k]}
    return {**line, MASKED: masked} if masked else line


def scope_line(r: Redactor, scope: str, event: str, fields: Mapping[str, Any]) -> Line:
    """A runner event, or the start or end of the session."""
    return {scope: event, **fields}


def hook_line(r: Redactor, handler: Any, occurrence: int) -> Line:
    """A hook runs, for the n-th time."""
    line = {"hook": handler.name, "at": handler.key, "on": handler.event, "ran": True,
            "n": occurrence}  # fmt: skip
    return {**line, "background": True} if handler.background else line


def skip_line(r: Redactor, handler: Any, why: str, saw: Mapping[str, Any] | None) -> Line:
    """A hook did not run, why, and which values decided it."""
    line: Line = {"hook": handler.name, "at": handler.key, "on": handler.event, "ran": False,
                  "why": why}  # fmt: skip
    return {**line, "saw": _short(r.parts(saw))} if saw else line


def hook_end_line(r: Redactor, handler: Any, outcome: str, detail: str) -> Line:
    """A hook ended in another way than by doing all its steps."""
    line = {"hook": handler.name, "at": handler.key, "ended": outcome}
    return {**line, "why": r.secret(detail)} if detail else line


def step_line(
    r: Redactor,
    now: float,
    step: Any,
    started: float,
    status: str,
    output: Any,
    error: str | None,
) -> Line:
    """A step that began at `started` (on the clock) is done."""
    line: Line = {"step": step.word, "at": step.key, "status": status}
    if now > started:
        line["ms"] = round((now - started) * 1000, 1)
    if step.is_detached:
        line["background"] = True
    if step.id:
        line["id"] = step.id
    if output is not None:
        line["output"] = _short(r.personal(output))
    if step.save and status == "ok":
        line["saved"] = step.save
    if error:
        line["error"] = r.personal(error) if status in ("failed", "not_sent") else r.secret(error)
    return line


#: Options that are an address: one that the author wrote out stays readable.
_ADDRESSES = frozenset({"url", "path", "source", "connection", "method", "call"})


def act_line(r: Redactor, step: Any, options: Mapping[str, Any]) -> Line:
    """What a step that acts on the outside was given."""
    shown = _short(r.parts(options))
    fixed = {k: r.name(v) for k, v in options.items() if k in _ADDRESSES and isinstance(v, str)}
    return {"act": step.word, "at": step.key, "with": {**shown, **fixed}}


#: Fields of commands that may hold what somebody said.
_SPOKEN = frozenset({"text", "target", "announcement", "note", "digits"})
#: Fields of commands that stay readable where the config's author wrote them.
_NAMED = frozenset({"reason", "source"})


def command_line(r: Redactor, name: str, fields: Mapping[str, Any], by: str) -> Line:
    """A command went out to the runtime."""
    shown = {key: _shown(r, key, value) for key, value in fields.items()}
    return {"do": name, **shown, **({"by": by} if by else {})}


def _shown(r: Redactor, key: str, value: Any) -> Any:
    if key in _NAMED:
        return r.name(value)
    return r.personal(value) if key in _SPOKEN else r.secret(value)


def timer_line(r: Redactor, name: str, what: str, details: Mapping[str, Any]) -> Line:
    """A timer was armed, paused, resumed, cancelled or fired."""
    return {"timer": r.name(name), "is": what, **r.secret(details)}


def memory_line(r: Redactor, key: str, answer: Mapping[str, Any]) -> Line:
    """What the memory of earlier calls held under a key."""
    shown = r.parts(answer) if "value" in answer else answer
    return {"memory": r.name(key), **shown}


def note_line(r: Redactor, text: str, details: Mapping[str, Any]) -> Line:
    """Something that a reader should know."""
    why = {"why": r.personal(details["why"])} if "why" in details else {}
    return {"note": text, **r.secret(details), **why}


def end_line(r: Redactor, facts: Mapping[str, Any]) -> Line:
    """The last line: how the call ended, and its counts."""
    reason = facts.get("reason")  # none when the session never ran
    return {"end": {**r.secret(facts), "reason": None if reason is None else r.name(str(reason))}}


def _short(value: Any, limit: int = 2000) -> Any:
    """The value, its texts cut to a length that a person reads; digests may hold more.

    It is masked before: of a secret that is cut in two no half is known again.
    """
    if isinstance(value, str):
        return value if len(value) <= limit else f"{value[:limit]}… ({len(value)} characters)"
    if isinstance(value, Mapping):
        return {k: _short(v, limit) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        kept = [_short(item, limit) for item in value[:200]]
        return kept if len(value) <= 200 else [*kept, f"… ({len(value)} items)"]
    return value


def encode(records: Sequence[Record], redactor: Redactor, began: float) -> list[Line]:
    """Records as JSON-able lines, their times in seconds since the call began."""
    return [_line(record, redactor, began) for record in records]


def _line(record: Record, redactor: Redactor, began: float) -> Line:
    encoder, now, *fields = record
    timed = (now, *fields) if encoder is step_line else fields
    try:
        line = encoder(redactor, *timed)
    except Exception as error:  # noqa: BLE001 - endless data: one line, never a journal
        what = encoder.__name__.removesuffix("_line")
        line = note_line(redactor, "a line could not be written",
                         {"line": what, "why": type(error).__name__})  # fmt: skip
    return line if encoder is call_line else {"t": round(now - began, 3), **line}


#: Keys by which a line says what it is. The first one counts: events and commands have fields of
#: their own, which may be called like any other.
_KINDS = ("event", "do", "call", "hook", "act", "step", "timer", "note", "end", "session", "runner",
          "memory")  # fmt: skip


def kind_of_line(line: Mapping[str, Any]) -> str:
    """What a line of a journal records: `event`, `do`, `call`, `hook` ...; empty if unknown."""
    return next((kind for kind in _KINDS if kind in line), "")


def dump_line(line: Line) -> str:
    """One compact JSON line, of text that whoever reads it can write again."""
    return whole_text(json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str))
