"""Collecting what happens on a call, while it is live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.journal.lines import (
    Record,
    call_line,
    command_line,
    end_line,
    event_line,
    hook_end_line,
    memory_line,
    note_line,
    scope_line,
    skip_line,
    step_line,
    timer_line,
)
from orchestrator.journal.redactor import Redactor
from orchestrator.journal.sinks import Sink

__all__ = ["Journal"]


class Journal:
    """Collects the records of one call and hands them to a sink.

    A record is `(encoder, now, *fields)`, its time as the clock has it; adding one is appending a
    tuple. The dispatcher appends acts, hooks and steps itself, with encoders of `lines`.
    """

    __slots__ = ("began", "call_id", "now", "records", "redactor", "sink")

    def __init__(
        self, call_id: str, sink: Sink, redactor: Redactor, now: Callable[[], float]
    ) -> None:
        self.call_id = call_id
        self.sink = sink
        self.redactor = redactor
        self.now = now
        self.began = now()
        self.records: list[Record] = []

    def call(self, call: Mapping[str, Any], config: Mapping[str, Any], started: str) -> None:
        """The header: who calls, under which config, since when."""
        self.records.append((call_line, self.began, call, config, started))

    def event(self, name: str, fields: Mapping[str, Any], origin: str = "") -> None:
        """A session event came in; `origin` is `hook` when a hook emitted it."""
        self.records.append((event_line, self.now(), name, fields, origin))

    def scope(self, scope: str, event: str, fields: Mapping[str, Any]) -> None:
        """A runner event, or the start or end of the session."""
        self.records.append((scope_line, self.now(), scope, event, fields))

    def skip(self, handler: Any, why: str, saw: Mapping[str, Any] | None = None) -> None:
        """A hook did not run, why, and which values decided it."""
        self.records.append((skip_line, self.now(), handler, why, saw))

    def hook_end(self, handler: Any, outcome: str, detail: str = "") -> None:
        """A hook ended in another way than by doing all its steps."""
        self.records.append((hook_end_line, self.now(), handler, outcome, detail))

    def step(self, step: Any, started: float, status: str, output: Any, error: str | None) -> None:
        """A step that began at `started` (on the clock) is done."""
        self.records.append((step_line, self.now(), step, started, status, output, error))

    def command(self, name: str, fields: Mapping[str, Any], by: str = "") -> None:
        """A command went out to the runtime."""
        self.records.append((command_line, self.now(), name, fields, by))

    def timer(self, name: str, what: str, **details: Any) -> None:
        """A timer was armed, paused, resumed, cancelled or fired."""
        self.records.append((timer_line, self.now(), name, what, details))

    def memory(self, key: str, **answer: Any) -> None:
        """The call read what earlier calls remembered: a `value`, or a `count` and `within`."""
        self.records.append((memory_line, self.now(), key, answer))

    def note(self, text: str, **details: Any) -> None:
        """Something that a reader should know."""
        self.records.append((note_line, self.now(), text, details))

    def end(self, **facts: Any) -> None:
        """The last record: how the call ended, and its counts."""
        self.records.append((end_line, self.now(), facts))

    def flush(self) -> None:
        """Hand the records to the sink; a long call does not pile them up."""
        if self.records:
            new = self.records[:]
            self.records.clear()  # in place: the dispatcher holds on to the list
            self.sink.put(self.call_id, new, self.redactor, self.began)
