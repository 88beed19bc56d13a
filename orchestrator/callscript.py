"""Call scripts: files of timed events to play. A journal is itself a call script.

JSON lines. The first line may be ``{"call": {"id": ..., "user_number": ...}}``; then one event a
line (`scriptevent` has their forms), ``t`` in seconds since the call started, never going back.
Other lines, which a journal has, are passed over, and so are events that our own hooks emitted
(``"from": "hook"``) and the start and end of the call, which the runtime makes by itself.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import ScriptError
from orchestrator.runtime import CallEvent, CallOffer
from orchestrator.scriptevent import (
    EXAMPLE,
    TimedEvent,
    describe,
    event_from_mapping,
    fitting,
    is_event_line,
    json_line,
    read_text,
    seconds_of,
)
from orchestrator.shapes import TEXT, Shape, record

__all__ = [
    "CallScript",
    "TimedEvent",
    "event_from_mapping",
    "holds_segments",
    "import_segments",
    "parse_script",
    "read_script",
    "write_script",
]

_CALL_FIELDS: Mapping[str, Shape] = {
    **dict.fromkeys(("id", "session_id", "agent_id", "called_number", "instructions"), TEXT),
    "user_number": Shape("text", is_optional=True),
    "direction": Shape("text", choices=("inbound", "outbound")),
    "data": record({}, is_open=True),
}


@dataclass(frozen=True, slots=True)
class CallScript:
    """A call to play: what is known of it, and its events in order.

    `source` names the file; `started` is the time of day at which a recorded call began.
    """

    header: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[TimedEvent, ...] = ()
    source: str = "<script>"
    started: datetime | None = None

    @property
    def call_id(self) -> str:
        """The call's id; without one in the header, the name of the file."""
        return str(self.header.get("id") or Path(self.source).stem or "call")

    @property
    def offer(self) -> CallOffer:
        """What a bridge that plays this script knows of its call."""
        given = {k: v for k, v in self.header.items() if k in _CALL_FIELDS and k != "id"}
        given["data"] = copy.deepcopy(given.get("data", {}))  # each call has its own
        return CallOffer(**{"session_id": self.call_id, **given, "call_id": self.call_id})


def parse_script(text: str, file: str = "<script>") -> CallScript:
    """Read a call script or a journal.

    Raises:
        ScriptError: `file:line: what is wrong, how to mend it`.
    """
    header: dict[str, Any] | None = None
    started: datetime | None = None
    events: list[TimedEvent] = []
    for number, line in enumerate(_lines_of(text), start=1):
        if not line.strip():
            continue
        try:
            entry = json_line(line)
            if "call" in entry and "event" not in entry:
                header = _header(entry["call"], header, events)
                started = _started(entry.get("started_at"))
            elif is_event_line(entry):
                events.append(_after(events, event_from_mapping(entry)))
        except ScriptError as error:
            raise ScriptError(f"{file}:{number}: {error}") from None
    if header is None and not events:
        raise ScriptError(f"{file}:1: {_nothing_in(text)}")
    return CallScript(header or {}, tuple(events), file, started)


def _nothing_in(text: str) -> str:
    if holds_segments(text):
        return "these are recorded segments, no call script; play them with --segments"
    return f"no events in it; write one a line, such as {EXAMPLE}"


def _started(text: Any) -> datetime | None:
    if text is None:
        return None
    try:
        started = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ScriptError(
            f"'started_at' must be a time such as \"2026-01-05T12:00:00+00:00\", "
            f"got {describe(text)}"
        ) from None
    return (started if started.tzinfo else started.replace(tzinfo=UTC)).astimezone(UTC)


def _lines_of(text: str) -> list[str]:
    # Not splitlines(): a transcript may hold U+2028 and its kin.
    return text.removeprefix("\ufeff").split("\n")


def _header(call: Any, earlier: dict[str, Any] | None, events: list[TimedEvent]) -> dict[str, Any]:
    if earlier is not None or events:
        raise ScriptError(
            "the 'call' line must be the first one, and the only one; remove this one"
        )
    if not isinstance(call, dict):
        raise ScriptError(
            f'\'call\' must be a mapping such as {{"id": "c1"}}, got {describe(call)}'
        )
    for name, shape in _CALL_FIELDS.items():
        if name in call:
            fitting(name, call[name], shape)
    return call


def _after(events: list[TimedEvent], event: TimedEvent) -> TimedEvent:
    if events and event.t < events[-1].t:
        raise ScriptError(
            f"'t' goes back from {events[-1].t:g} to {event.t:g}; put the lines in order of time"
        )
    return event


def read_script(path: str | Path) -> CallScript:
    """Read a call script from a file.

    Raises:
        ScriptError: the file is no call script.
        EnvironmentFailure: the file cannot be read.
    """
    return parse_script(read_text(path), str(path))


def write_script(script: CallScript) -> str:
    """The script as JSON lines, in the long form; `parse_script` reads it back the same."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in _lines(script))


def _lines(script: CallScript) -> Iterator[dict[str, Any]]:
    started = {"started_at": script.started.isoformat()} if script.started else {}
    if script.header or started or not script.events:
        yield {"call": dict(script.header), **started}
    for timed in script.events:
        yield {"t": timed.t, "event": timed.event.name, **timed.event.fields}


# --- speech segments ---------------------------------------------------------------------------

#: Seconds between the last sound of a recording and its hang-up.
HANGUP_AFTER = 0.5

_MARKER = re.compile(r"\[[^\]]*\]|<[^>]*>|(?<!\w)~+(?!\w)")


@dataclass(frozen=True, slots=True)
class _Segment:
    start: float
    end: float
    who: str
    words: str


def holds_segments(text: str) -> bool:
    """Whether a file has recorded speech segments, and not the events of a call script."""
    head = text[:65536]
    return '"who"' in head and '"dur"' in head and '"event"' not in head


def import_segments(text: str, file: str = "<segments>") -> CallScript:
    """Turn recorded speech segments, ``{"t", "dur", "who", "text"}`` a line, into a call script.

    A segment's speaker is `speaking` from its start and `listening` from its end, overlapping
    segments of one speaker being one stretch. A caller's words are a `user_turn` at their end. An
    agent's words are an `agent_turn` at their start, since a reply is written before it is heard;
    when the caller starts to talk into them, an `interruption` and then the `agent_turn`, marked
    interrupted. Markers such as ``[noise]``, ``<unk>`` and a lone ``~`` are no words, and a segment
    without words is noise: its states only. What ends comes before what starts at the same time.

    Raises:
        ScriptError: `file:line: what is wrong, how to mend it`.
    """
    header: dict[str, Any] = {}
    segments: list[_Segment] = []
    for number, line in enumerate(_lines_of(text), start=1):
        if not line.strip():
            continue
        try:
            entry = json_line(line)
            if number == 1 and "call_id" in entry:
                header = {"id": fitting("call_id", entry["call_id"], TEXT)}
            else:
                segments.append(_segment(entry, segments))
        except ScriptError as error:
            raise ScriptError(f"{file}:{number}: {error}") from None
    if not segments:
        raise ScriptError(f"{file}:1: no segments in it; write one a line, such as {_SEGMENT}")
    return CallScript(header, _events(segments), file)


_SEGMENT = '{"t": 0.5, "dur": 1.2, "who": "caller", "text": "hello"}'
_SPEAKER = Shape("text", choices=("agent", "caller"))


def _segment(entry: Mapping[str, Any], earlier: list[_Segment]) -> _Segment:
    for name, shape in (("who", _SPEAKER), ("text", TEXT)):
        if name not in entry:
            raise ScriptError(f"a segment needs {name!r}; write {_SEGMENT}")
        fitting(name, entry[name], shape)
    start = seconds_of(entry)
    if earlier and start < earlier[-1].start:
        raise ScriptError(f"'t' goes back to {start:g}; put the segments in order of time")
    words = " ".join(_MARKER.sub(" ", entry["text"]).split())
    # Rounded, because 0.1 + 0.2 would show in journals and expected outputs.
    return _Segment(start, round(start + seconds_of(entry, "dur"), 6), entry["who"], words)


def _events(segments: list[_Segment]) -> tuple[TimedEvent, ...]:
    rows: list[tuple[float, int, CallEvent]] = []
    for who in ("agent", "caller"):
        # An agent's synthetic voice makes no noise: only the caller's wordless segments count.
        heard = [s for s in segments if s.who == who and (s.words or who == "caller")]
        rows += _state_rows(heard, who)
    for segment in segments:
        rows += _turn_rows(segment, segments)
    rows.sort(key=lambda row: row[:2])
    last = round(max(s.end for s in segments) + HANGUP_AFTER, 6)
    hangup = TimedEvent(last, CallEvent("hangup", {"reason": "end of recording"}))
    return (*(TimedEvent(t, event) for t, _, event in rows), hangup)


#: What comes first at equal times. A stretch without length still starts before it ends.
_STOPS, _USER_TURN, _STARTS, _INTERRUPTION, _AGENT_TURN, _STOPS_AT_ONCE, _TURN_AT_ONCE = range(7)


def _state_rows(segments: list[_Segment], who: str) -> Iterator[tuple[float, int, CallEvent]]:
    stretches: list[list[float]] = []
    for segment in segments:
        if stretches and segment.start < stretches[-1][1]:
            stretches[-1][1] = max(stretches[-1][1], segment.end)
        else:
            stretches.append([segment.start, segment.end])
    for start, end in stretches:
        yield start, _STARTS, CallEvent("state", {"state": "speaking", "who": who})
        rank = _STOPS if end > start else _STOPS_AT_ONCE
        yield end, rank, CallEvent("state", {"state": "listening", "who": who})


def _turn_rows(
    segment: _Segment, segments: list[_Segment]
) -> Iterator[tuple[float, int, CallEvent]]:
    if not segment.words:
        return
    if segment.who == "caller":
        rank = _USER_TURN if segment.end > segment.start else _TURN_AT_ONCE
        yield segment.end, rank, CallEvent("user_turn", {"text": segment.words})
        if any(s.who == "agent" and s.start < segment.start < s.end for s in segments):
            yield segment.start, _INTERRUPTION, CallEvent("interruption")
        return
    cuts = [s.start for s in segments if s.who == "caller" and s.words]
    cut = next((t for t in cuts if segment.start < t < segment.end), None)
    extra = {} if cut is None else {"interrupted": True}
    when = segment.start if cut is None else cut
    yield when, _AGENT_TURN, CallEvent("agent_turn", {"text": segment.words, **extra})
