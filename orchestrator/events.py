"""The table of events: their scope, their fields and types, and when they happen.

The decorator check of the runtimes, the template checks, the documents and the editor schema all
come from this one table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.errors import UnknownEvent
from orchestrator.shapes import ANY, BOOL, INT, NUMBER, TEXT, Shape, maybe, one_of, record

__all__ = [
    "EVENTS",
    "RUNNER_EVENTS",
    "SESSION_EVENTS",
    "TIMED_WORDS",
    "Event",
    "Scope",
    "check_event",
    "find_event",
    "is_custom",
    "near_miss",
]

Scope = Literal["runner", "session"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `fields` in the order of the handler's arguments.

    `extras` are fields that some runtimes add; templates may read them when guarded by `default`.
    `is_seed` marks the seven events that every runtime must have.
    """

    name: str
    scope: Scope
    fields: Mapping[str, Shape]
    when: str
    extras: Mapping[str, Shape] = field(default_factory=dict)
    is_seed: bool = False

    @property
    def shape(self) -> Shape:
        """The record that `event` is in a template."""
        optional = {name: maybe(shape) for name, shape in self.extras.items()}
        return record({**self.fields, **optional}, is_open=self.name.startswith("custom."))


SPEECH = TEXT.tainted("caller")
#: Words of a model, a runtime or another system.
OUTSIDE = TEXT.tainted("remote")
TRANSFER_OUTCOMES = ("answered", "refused", "busy", "no_answer", "failed")
STATES = ("idle", "listening", "thinking", "speaking", "interrupted", "held")

_TABLE = (
    Event("call_start", "runner", {}, "the call was dispatched and its bridge is connected, before the entrypoint", is_seed=True),
    Event("call_end", "runner", {"final_state": one_of("ended", "failed")}, "the call finished, for any reason", is_seed=True),
    Event("call_start", "session", {}, "the session loop started, before any event is processed", is_seed=True),
    Event("user_turn", "session", {"text": SPEECH}, "the caller finished speaking and the transcription is ready",
          extras={"language": OUTSIDE}, is_seed=True),
    Event("agent_turn", "session", {"text": OUTSIDE}, "the agent's full reply was generated, after streaming",
          extras={"interrupted": BOOL}, is_seed=True),
    Event("interruption", "session", {}, "the caller interrupted the agent mid-utterance", extras={"heard": OUTSIDE, "ms": INT}, is_seed=True),
    Event("call_end", "session", {"state": one_of("hangup", "ended", "transferred", "error", "shutdown")},
          "the session loop exited: hang-up, `end`, a cold transfer, an error or a shutdown", is_seed=True),
    Event("state", "session", {"state": one_of(*STATES), "who": one_of("agent", "caller")}, "the agent or the caller changed state"),
    Event("dtmf", "session", {"digit": one_of(*"0123456789*#ABCD").tainted("caller")}, "the caller pressed a key"),
    Event("error", "session", {"code": OUTSIDE, "message": OUTSIDE, "severity": one_of("warn", "error", "fatal"),
          "source": OUTSIDE}, "the runtime reported an error"),
    Event("transfer", "session", {"outcome": one_of(*TRANSFER_OUTCOMES), "target": OUTSIDE}, "a transfer was answered, refused or failed", extras={"stays": BOOL}),
    Event("voicemail", "session", {"stage": one_of("detected", "beep")}, "an answering machine took the call"),
    Event("metric", "session", {"name": OUTSIDE, "value": NUMBER}, "the runtime measured something"),
    Event("tool_call", "session", {"name": OUTSIDE, "args": ANY.tainted("caller")}, "the agent started a tool"),
    Event("tool_result", "session", {"name": OUTSIDE, "result": ANY.tainted("remote"), "ok": BOOL}, "a tool of the agent finished",
          extras={"ms": INT}),
)  # fmt: skip

EVENTS: Mapping[tuple[Scope, str], Event] = {(e.scope, e.name): e for e in _TABLE}
RUNNER_EVENTS = tuple(e.name for e in _TABLE if e.scope == "runner")
SESSION_EVENTS = tuple(e.name for e in _TABLE if e.scope == "session")

#: Words that people write as events although they are timers, and the action that does it.
TIMED_WORDS: Mapping[str, str] = {
    "silence": "silence_timer", "user_silence": "silence_timer", "idle": "silence_timer",
    "user_idle": "silence_timer", "no_input": "silence_timer", "silence_timeout": "silence_timer",
    "elapsed": "timer", "timeout": "timer", "timer": "timer", "max_duration": "timer",
}  # fmt: skip

_CUSTOM = re.compile(r"custom\.[A-Za-z_][A-Za-z0-9_.-]{0,63}")


def is_custom(name: str) -> bool:
    """Whether `name` is a well-formed event of the user's own, `custom.<name>`."""
    return _CUSTOM.fullmatch(name) is not None


def find_event(scope: Scope, name: str) -> Event | None:
    """The event of this name in this scope, or None. Custom events belong to the session."""
    if scope == "session" and is_custom(name):
        return Event(name, "session", {}, "a hook emitted it")
    return EVENTS.get((scope, name))


def near_miss(word: str, names: Iterable[str]) -> str | None:
    """The name that `word` was probably meant to be: other case or separators, or a few edits.

    Up to two edits (a swap of neighbours counts as one), one for words of up to four letters, none
    for shorter ones than three; else the one name that begins with the word.
    """
    plain, names = _fold(word), list(names)
    limit = 0 if len(plain) <= 2 else 1 if len(plain) <= 4 else 2
    best: tuple[int, str] | None = None
    for name in names:
        edits = _edits(plain, _fold(name), limit)
        if edits <= limit and (best is None or edits < best[0]):
            best = (edits, name)
    return best[1] if best else _completed(plain, names)


def _completed(plain: str, names: Sequence[str]) -> str | None:
    """The one name that a word of three letters or more is the beginning of."""
    longer = [name for name in names if _fold(name).startswith(plain)] if len(plain) > 2 else []
    return longer[0] if len(longer) == 1 else None


def _fold(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")


def _edits(first: str, second: str, limit: int) -> int:
    """Insertions, deletions, replacements and swaps from one word to the other (OSA distance)."""
    if abs(len(first) - len(second)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        last, row, older = row, [i], before
        for j, b in enumerate(second, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if older and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        before = last
    return row[-1]


def check_event(scope: Scope, name: str) -> Event:
    """The event of this name, for registration.

    Raises:
        UnknownEvent: there is no such event in this scope; the message names the valid ones.
    """
    valid = RUNNER_EVENTS if scope == "runner" else (*SESSION_EVENTS, "custom.<name>")
    if not isinstance(name, str):
        raise UnknownEvent(
            f"an event is named by a text, such as {valid[0]!r}, not by {name!r}; "
            f"valid: {', '.join(valid)}"
        )
    event = find_event(scope, name)
    if event is not None:
        return event
    other: Scope = "session" if scope == "runner" else "runner"
    note = f"; {name!r} is an event of the {other}" if find_event(other, name) else ""
    raise UnknownEvent(f"unknown {scope} event {name!r}{note}; valid: {', '.join(valid)}")
