"""The record of one call: events in, decisions, steps, commands out, each with its time.

A journal answers "why did this hook run, or not run", and is itself a call script: its `event`
lines can be played again. Records are tuples while a call is live; they become JSON lines in the
sink, off the call's path, with secrets (and, under `privacy: redact`, speech and numbers) masked.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from orchestrator.digits import hide_digits, hide_heard
from orchestrator.errors import EnvironmentFailure, words
from orchestrator.written import written

__all__ = [
    "ACT",
    "HOOK",
    "SKIP",
    "STEP",
    "DirectorySink",
    "Journal",
    "MemorySink",
    "Redactor",
    "Sink",
    "dump_line",
    "encode",
    "file_name",
    "kind_of_line",
]

_log = logging.getLogger("orchestrator.journal")

Record = tuple[Any, ...]
Line = dict[str, Any]


#: An id that we gave to a side effect: made of nothing that anybody said.
_OWN_ID = re.compile(r"msg_[0-9a-f]{32}")


class Redactor:
    """Masks secrets always; speech, numbers and saved values when `is_private`.

    `names` are words that the config's author wrote: timers, reasons, addresses, the keys of
    mappings. They stay readable; keys that came from elsewhere do not.
    """

    def __init__(
        self,
        secrets: Sequence[str] = (),
        *,
        is_private: bool = False,
        names: frozenset[str] = frozenset(),
    ) -> None:
        self.is_private = is_private
        self.hides_digits = False
        self.heard = ""
        self._names = names
        forms = {form for secret in secrets if secret for form in written(secret).values()}
        kept = sorted(forms, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, kept))) if kept else None

    def without_masks(self) -> Redactor:
        """One that masks secrets only."""
        other = copy.copy(self)
        other.is_private = False
        return other

    def without_digits(self) -> Redactor:
        """The same, which also hides all digits: for what is said while a recording is paused."""
        other = copy.copy(self)
        other.hides_digits = True
        return other

    def without_heard(self, heard: str) -> Redactor:
        """The same, which also hides digits that were heard while the recording was paused."""
        other = copy.copy(self)
        other.heard = heard
        return other

    def secret(self, value: Any) -> Any:
        """The value with every secret in its texts, keys included, as `***`."""
        if isinstance(value, str):
            text = self._secrets.sub("***", value) if self._secrets else value
            if self.hides_digits:
                return hide_digits(text)
            return hide_heard(text, self.heard) if self.heard else text
        if isinstance(value, Mapping):
            return {self.secret(str(k)): self.secret(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.secret(item) for item in value]
        return value

    def name(self, text: str) -> str:
        """A name or reason: as it is where the config's author wrote it, else as what it holds."""
        return text if text in self._names else str(self.personal(text))

    def personal(self, value: Any) -> Any:
        """Under `privacy: redact`, texts as their length and numbers of people as their end."""
        value = self.secret(value)
        if self.is_private:
            return self._mask(value)
        return self._numbers(value) if self.hides_digits or self.heard else value

    def parts(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """`personal` for each part of a mapping whose own keys are the config's or ours."""
        return {str(self.secret(str(k))): self.personal(v) for k, v in value.items()}

    def _mask(self, value: Any) -> Any:
        if isinstance(value, str):
            return value if _OWN_ID.fullmatch(value) else f"[{len(value)} characters]"
        if isinstance(value, Mapping):
            return {
                k if k in self._names else f"[key {number}]": self._mask(v)
                for number, (k, v) in enumerate(value.items(), start=1)
            }
        if isinstance(value, list):
            return [self._mask(item) for item in value]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return "[number]" if is_number else value

    def _numbers(self, value: Any) -> Any:
        """The value without the numbers that are made of digits to hide."""
        if isinstance(value, Mapping):
            return {k: self._numbers(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._numbers(item) for item in value]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value
        if self.hides_digits:
            return hide_digits(str(value))
        shown = f"n{value}"  # as a part of a text: a count of one or two digits is no secret
        hidden = hide_heard(shown, self.heard)
        return value if hidden == shown else hidden[1:]


# --- one encoder a kind of record: (redactor, *fields) -> line


def _call(r: Redactor, call: Mapping[str, Any], config: Mapping[str, Any], started: str) -> Line:
    private = {key: r.personal(call[key]) for key in ("user_number", "data") if call.get(key)}
    return {"call": {**r.secret(call), **private}, "config": config, "started_at": started}


#: Fields of events that are words of a fixed set or shapes of the protocol, never personal.
_PLAIN_FIELDS = frozenset({"state", "who", "outcome", "stage", "severity", "code", "source", "name",
                           "value", "ok", "ms", "interrupted", "language", "reason"})  # fmt: skip


def _event(r: Redactor, name: str, fields: Mapping[str, Any], origin: str) -> Line:
    # Fields of our own events hold what the config's author put there: a caller's words, perhaps.
    plain = frozenset() if name.startswith("custom.") else _PLAIN_FIELDS
    shown = {k: r.secret(v) if k in plain else r.personal(v) for k, v in fields.items()}
    return {"event": name, **shown, **({"from": origin} if origin else {})}


def _scope(r: Redactor, scope: str, event: str, fields: Mapping[str, Any]) -> Line:
    return {scope: event, **fields}


def _hook(r: Redactor, handler: Any, occurrence: int) -> Line:
    line = {"hook": handler.name, "at": handler.key, "on": handler.event, "ran": True,
            "n": occurrence}  # fmt: skip
    return {**line, "background": True} if handler.background else line


def _skip(r: Redactor, handler: Any, why: str, saw: Mapping[str, Any] | None) -> Line:
    line: Line = {"hook": handler.name, "at": handler.key, "on": handler.event, "ran": False,
                  "why": why}  # fmt: skip
    return {**line, "saw": r.parts(_short(saw))} if saw else line


def _hook_end(r: Redactor, handler: Any, outcome: str, detail: str) -> Line:
    line = {"hook": handler.name, "at": handler.key, "ended": outcome}
    return {**line, "why": r.secret(detail)} if detail else line


def _step(
    r: Redactor,
    now: float,
    step: Any,
    started: float,
    status: str,
    output: Any,
    error: str | None,
) -> Line:
    line: Line = {"step": step.word, "at": step.key, "status": status}
    if now > started:
        line["ms"] = round((now - started) * 1000, 1)
    if step.is_detached:
        line["background"] = True
    if step.id:
        line["id"] = step.id
    if output is not None:
        line["output"] = r.personal(_short(output))
    if step.save and status == "ok":
        line["saved"] = step.save
    if error:
        line["error"] = r.personal(error) if status in ("failed", "not_sent") else r.secret(error)
    return line


#: Options that are an address: one that the author wrote out stays readable.
_ADDRESSES = frozenset({"url", "path", "source", "connection", "method"})


def _act(r: Redactor, step: Any, options: Mapping[str, Any]) -> Line:
    shown = r.parts(_short(options))
    fixed = {k: r.name(v) for k, v in options.items() if k in _ADDRESSES and isinstance(v, str)}
    return {"act": step.word, "at": step.key, "with": {**shown, **fixed}}


#: Encoders that the dispatcher puts into records itself.
ACT, HOOK, SKIP, STEP = _act, _hook, _skip, _step


#: Fields of commands that may hold what somebody said.
_SPOKEN = frozenset({"text", "target", "announcement", "note", "digits"})
#: Fields of commands that stay readable where the config's author wrote them.
_NAMED = frozenset({"reason", "source"})


def _command(r: Redactor, name: str, fields: Mapping[str, Any], by: str) -> Line:
    shown = {key: _shown(r, key, value) for key, value in fields.items()}
    return {"do": name, **shown, **({"by": by} if by else {})}


def _shown(r: Redactor, key: str, value: Any) -> Any:
    if key in _NAMED:
        return r.name(value)
    return r.personal(value) if key in _SPOKEN else r.secret(value)


def _timer(r: Redactor, name: str, what: str, details: Mapping[str, Any]) -> Line:
    return {"timer": r.name(name), "is": what, **r.secret(details)}


def _note(r: Redactor, text: str, details: Mapping[str, Any]) -> Line:
    why = {"why": r.personal(details["why"])} if "why" in details else {}
    return {"note": text, **r.secret(details), **why}


def _end(r: Redactor, facts: Mapping[str, Any]) -> Line:
    reason = facts.get("reason")  # none when the session never ran
    return {"end": {**r.secret(facts), "reason": None if reason is None else r.name(str(reason))}}


def _short(value: Any, limit: int = 2000) -> Any:
    """The value, its texts cut to a length that a person reads; digests may hold more."""
    if isinstance(value, str):
        return value if len(value) <= limit else f"{value[:limit]}… ({len(value)} characters)"
    if isinstance(value, Mapping):
        return {k: _short(v, limit) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        kept = [_short(item, limit) for item in value[:200]]
        return kept if len(value) <= 200 else [*kept, f"… ({len(value)} items)"]
    return value


class Journal:
    """Collects the records of one call and hands them to a sink.

    A record is `(encoder, now, *fields)`, its time as the clock has it; adding one is appending a
    tuple. The dispatcher appends acts, hooks and steps itself, with `ACT`, `HOOK` and `STEP`.
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
        self.records.append((_call, self.began, call, config, started))

    def event(self, name: str, fields: Mapping[str, Any], origin: str = "") -> None:
        """A session event came in; `origin` is `hook` when a hook emitted it."""
        self.records.append((_event, self.now(), name, fields, origin))

    def scope(self, scope: str, event: str, fields: Mapping[str, Any]) -> None:
        """A runner event, or the start or end of the session."""
        self.records.append((_scope, self.now(), scope, event, fields))

    def skip(self, handler: Any, why: str, saw: Mapping[str, Any] | None = None) -> None:
        """A hook did not run, why, and which values decided it."""
        self.records.append((SKIP, self.now(), handler, why, saw))

    def hook_end(self, handler: Any, outcome: str, detail: str = "") -> None:
        """A hook ended in another way than by doing all its steps."""
        self.records.append((_hook_end, self.now(), handler, outcome, detail))

    def step(self, step: Any, started: float, status: str, output: Any, error: str | None) -> None:
        """A step that began at `started` (on the clock) is done."""
        self.records.append((STEP, self.now(), step, started, status, output, error))

    def command(self, name: str, fields: Mapping[str, Any], by: str = "") -> None:
        """A command went out to the runtime."""
        self.records.append((_command, self.now(), name, fields, by))

    def timer(self, name: str, what: str, **details: Any) -> None:
        """A timer was armed, paused, resumed, cancelled or fired."""
        self.records.append((_timer, self.now(), name, what, details))

    def note(self, text: str, **details: Any) -> None:
        """Something that a reader should know."""
        self.records.append((_note, self.now(), text, details))

    def end(self, **facts: Any) -> None:
        """The last record: how the call ended, and its counts."""
        self.records.append((_end, self.now(), facts))

    def flush(self) -> None:
        """Hand the records to the sink; a long call does not pile them up."""
        if self.records:
            new = self.records[:]
            self.records.clear()  # in place: the dispatcher holds on to the list
            self.sink.put(self.call_id, new, self.redactor, self.began)


def encode(records: Sequence[Record], redactor: Redactor, began: float) -> list[Line]:
    """Records as JSON-able lines, their times in seconds since the call began."""
    lines = []
    for encoder, now, *fields in records:
        timed = (now, *fields) if encoder is STEP else fields
        line = encoder(redactor, *timed)
        lines.append(line if encoder is _call else {"t": round(now - began, 3), **line})
    return lines


class Sink(Protocol):
    """Where journals go. `put` must not block a call."""

    def put(
        self, call_id: str, records: Sequence[Record], redactor: Redactor, began: float
    ) -> None:
        """Take new records of a call."""
        ...

    def close(self) -> None:
        """Write out what was taken."""
        ...


class MemorySink:
    """Keeps nothing: for embedding without a journal directory."""

    def put(
        self, call_id: str, records: Sequence[Record], redactor: Redactor, began: float
    ) -> None:
        """Drop the records."""

    def close(self) -> None:
        """Nothing to write."""


class DirectorySink:
    """One file a call, `<call id>.jsonl`, written by a thread of its own in batches.

    With `keep_days`, journals older than that are removed. A file that is there is never written
    over: a redial, or an id that makes the same file name, gets `<call id>-2.jsonl`. A full or
    vanished disk is counted in `failures` and never reaches a call.
    """

    def __init__(self, directory: Path, *, keep_days: float | None = None) -> None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            why = f"cannot make the journal directory: {words(error)}"
            raise EnvironmentFailure(why) from error
        self.directory = directory
        self.failures = 0
        self.last_failure = ""
        self._keep = keep_days * 86_400 if keep_days is not None else None
        self._pruned = 0.0
        self._files: dict[tuple[str, float], Path] = {}
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(
        self, call_id: str, records: Sequence[Record], redactor: Redactor, began: float
    ) -> None:
        """Queue the records; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
            self._thread.start()
        self._queue.put((call_id, records, redactor, began))

    def close(self) -> None:
        """Write out all that was put, and stop the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            with contextlib.suppress(OSError):  # what is old must not cost what is new
                self._prune()
            try:
                self._write(*item)
            except OSError as error:
                self.failures += 1
                self.last_failure = words(error)

    def _write(
        self, call_id: str, records: Sequence[Record], redactor: Redactor, began: float
    ) -> None:
        key = (call_id, began)  # a redial has the same id, but begins later
        if key not in self._files:
            self._files[key] = self._new_file(call_id)
        text = "".join(dump_line(line) + "\n" for line in encode(records, redactor, began))
        with self._files[key].open("a", encoding="utf-8") as file:
            file.write(text)
        if records[-1][0] is _end:
            del self._files[key]

    def _prune(self) -> None:
        """Once an hour, remove journals that nobody wrote to for longer than they are kept."""
        now = time.time()
        if self._keep is None or now < self._pruned + 3_600:
            return
        self._pruned = now
        for path in self.directory.glob("*.jsonl"):
            try:
                if path.stat().st_mtime < now - self._keep:
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                extra = {"file": str(path), "reason": error.strerror or words(error)}
                _log.warning("an old journal cannot be removed", extra=extra)

    def _new_file(self, call_id: str) -> Path:
        name = file_name(call_id)
        for number in itertools.count(2):
            path = self.directory / name
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                name = f"{file_name(call_id).removesuffix('.jsonl')}-{number}.jsonl"
            else:
                return path
        raise AssertionError  # the numbers never end


#: Keys by which a line says what it is. The first one counts: events and commands have fields of
#: their own, which may be called like any other.
_KINDS = ("event", "do", "call", "hook", "act", "step", "timer", "note", "end", "session", "runner")


def kind_of_line(line: Mapping[str, Any]) -> str:
    """What a line of a journal records: `event`, `do`, `call`, `hook` ...; empty if unknown."""
    return next((kind for kind in _KINDS if kind in line), "")


def dump_line(line: Line) -> str:
    """One compact JSON line; text that is no valid Unicode is escaped."""
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(line, separators=(",", ":"), default=str)
    return text


def file_name(call_id: str) -> str:
    """A file name for any call id: other characters than letters, digits, `.-_` become `_`."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", call_id).lstrip(".")[:120]
    return f"{safe or 'call'}.jsonl"
