"""Read the call of a call test: who calls, when, what happens, and how the far side behaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.callscript import CallScript, TimedEvent, event_from_mapping, read_script
from orchestrator.document import YamlMap
from orchestrator.durations import parse_duration
from orchestrator.errors import EnvironmentFailure, ScriptError
from orchestrator.events import TRANSFER_OUTCOMES, near_miss
from orchestrator.runtime import ALL_CAPABILITIES
from orchestrator.runtimes.script_bridge import PlayOptions
from orchestrator.testing.timeline import ALIASES, COMMANDS
from orchestrator.validation.reader import Reader

__all__ = ["CallSetup", "read_call", "read_events"]

_HEADER = ("id", "session_id", "agent_id", "user_number", "called_number", "direction",
           "instructions", "data")  # fmt: skip
_CALL_KEYS = (*_HEADER, "at", "ends", "without", "refuses", "transfer_outcome", "transfer_delay")


@dataclass(frozen=True, slots=True)
class CallSetup:
    """A call to play: its header and events, when it starts, and how the far side behaves.

    `ends` is when the caller hangs up, in seconds since the call started; None leaves it to the
    events, or to the expectations.
    """

    header: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[TimedEvent, ...] = ()
    start: datetime | None = None
    ends: float | None = None
    options: PlayOptions = field(default_factory=PlayOptions)

    def with_events(self, script: CallScript) -> CallSetup:
        """The same with the events of a script; its own header counts for less."""
        return replace(self, header={**script.header, **self.header}, events=script.events)


def read_call(reader: Reader, *nodes: YamlMap) -> CallSetup:
    """The call of a test: `call` of each node, later ones over earlier ones."""
    merged = CallSetup()
    for node in nodes:
        if node.get("call") is None:
            continue
        call = reader.mapping(node, "call")
        if call is not None:
            reader.check_keys(call, _CALL_KEYS, "`call`")
            merged = _merge(reader, call, merged)
    return merged


def _merge(reader: Reader, call: YamlMap, before: CallSetup) -> CallSetup:
    header = {key: call[key] for key in _HEADER if key in call}
    _check_header(reader, call)
    return CallSetup(
        header={**before.header, **header},
        start=_start(reader, call) or before.start,
        ends=_seconds(reader, call, "ends", before.ends),
        options=_options(reader, call, before.options),
    )


def _check_header(reader: Reader, call: YamlMap) -> None:
    for key in ("id", "session_id", "agent_id", "user_number", "called_number", "instructions"):
        if call.get(key) is not None:
            reader.text(call, key)
    reader.choice(call, "direction", ("inbound", "outbound"))
    if "data" in call:
        reader.mapping(call, "data")


def _start(reader: Reader, call: YamlMap) -> datetime | None:
    if "at" not in call:
        return None
    try:
        start = datetime.fromisoformat(str(call["at"]))
    except ValueError:
        reader.report(
            "HK103",
            f"`at`: {str(call['at'])!r} is no time",
            reader.value_position(call, "at"),
            help='write a date and time such as "2026-01-05T09:30:00+05:30"',
        )
        return None
    return (start if start.tzinfo else start.replace(tzinfo=UTC)).astimezone(UTC)


def _seconds(reader: Reader, call: YamlMap, key: str, default: float | None) -> float | None:
    """A number of seconds, or a duration."""
    if key not in call:
        return default
    raw = call[key]
    if isinstance(raw, int | float) and not isinstance(raw, bool) and raw >= 0:
        return float(raw)
    try:
        return parse_duration(raw)
    except ValueError:
        reader.report(
            "HK103",
            f"`{key}` must be a number of seconds, or a duration such as 30s",
            reader.value_position(call, key),
        )
        return default


def _options(reader: Reader, call: YamlMap, before: PlayOptions) -> PlayOptions:
    options = before
    if "without" in call:
        missing = _words(reader, call, "without", ALL_CAPABILITIES)
        options = replace(options, capabilities=ALL_CAPABILITIES - missing)
    if "refuses" in call:
        refused = _words(reader, call, "refuses", frozenset({*COMMANDS, *ALIASES}))
        options = replace(options, refuses=frozenset(ALIASES.get(w, w) for w in refused))
    if "transfer_outcome" in call:
        options = replace(options, transfer_outcome=_outcomes(reader, call))
    delay = _seconds(reader, call, "transfer_delay", options.transfer_delay)
    return replace(options, transfer_delay=delay or 0.0)


def _words(reader: Reader, call: YamlMap, key: str, known: frozenset[str]) -> frozenset[str]:
    items = reader.items(call, key, "a list")
    for index, word in enumerate(items or ()):
        if word not in known:
            near = near_miss(str(word), sorted(known))
            help_ = f"did you mean `{near}`?" if near else f"one of {', '.join(sorted(known))}"
            position = reader.value_position(items, index)  # type: ignore[arg-type]
            reader.report("HK107", f"`{key}` cannot hold {word!r}", position, help=help_)
    return frozenset(map(str, items or ()))


def _outcomes(reader: Reader, call: YamlMap) -> Mapping[str, str]:
    raw = call["transfer_outcome"]
    if isinstance(raw, YamlMap):
        for target in raw:
            reader.choice(raw, target, TRANSFER_OUTCOMES)
        return {str(k): str(v) for k, v in raw.items()}
    return {"*": reader.choice(call, "transfer_outcome", TRANSFER_OUTCOMES) or "answered"}


# --- events


def read_events(reader: Reader, node: YamlMap, folder: Path) -> CallScript:
    """The events of a test: written in it, or in the call script that it names."""
    if "script" in node:
        return _script(reader, node, folder)
    if node.get("events") is None:
        return CallScript()
    items = reader.items(node, "events", "a list of events")
    events: list[TimedEvent] = []
    for index in range(len(items or ())):
        position = reader.value_position(items, index)  # type: ignore[arg-type]
        try:
            event = event_from_mapping(items[index])  # type: ignore[index]
        except ScriptError as error:
            reader.report("HK103", str(error), position)
            continue
        if events and event.t < events[-1].t:
            message = f"`t` goes back from {events[-1].t:g} to {event.t:g}"
            reader.report("HK103", message, position, help="put the events in order of time")
            continue
        events.append(event)
    return CallScript({}, tuple(events))


def _script(reader: Reader, node: YamlMap, folder: Path) -> CallScript:
    name = reader.text(node, "script", what="the path of a call script")
    if "events" in node:
        position = reader.key_position(node, "events")
        reader.report("HK109", "`script` and `events` exclude each other", position)
    if name is None:
        return CallScript()
    try:
        return read_script(folder / name)
    except (ScriptError, EnvironmentFailure) as error:
        reader.report("HK103", str(error), reader.value_position(node, "script"))
        return CallScript()
