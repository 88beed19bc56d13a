"""The frames of the Unpod wire, as data: what is sent for a command, and what a frame reports.

Control frames carry `type`, bridge frames `event`; both are JSON text. Nothing here does I/O.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from orchestrator.errors import CommandRefused
from orchestrator.events import STATES
from orchestrator.plain import is_measurement
from orchestrator.runtime import (
    CallEvent,
    CallOffer,
    Command,
    End,
    Interrupt,
    ReplyDelta,
    ReplyEnd,
    Say,
    Transfer,
)
from orchestrator.runtimes.unpod.events import called_in, severity_of

__all__ = ["BadFrame", "Frame", "events_of", "frame_of", "hello", "offer_of", "parse_frame"]

Frame = dict[str, Any]

PROTOCOL_VERSION = 2
_EVENTS = ["user.text", "user.interrupted", "error", "metric", "turn.metrics", "state",
           "call.started"]  # fmt: skip
_VERBS = ["agent.text.delta", "agent.text.end", "agent.say", "agent.transfer", "agent.end_call",
          "agent.dispatch", "agent.add_participant", "agent.remove_participant",
          "agent.merge"]  # fmt: skip
_NUMBERS = ("user_number", "caller_number", "to_number", "from_number")
_RESERVED = {*_NUMBERS, "direction", "instructions"}
#: The dispatcher's own identity of the call: it wins over the caller's payload.
_ROUTING = ("agent_id", "playbook_id", "project_id", "org_id")
_METRICS = ("ttfa_ms", "asr_p95_ms", "tts_p95_ms", "turns", "cost_usd_so_far")
_TURN_METRICS = ("ttfa_ms", "asr_ms", "llm_ttft_ms", "tts_ttfb_ms", "llm_call_count",
                 "llm_total_ms")  # fmt: skip


class BadFrame(ValueError):
    """What came is no frame of this wire; the message says what it was, without its text."""


def parse_frame(raw: str | bytes, key: str) -> Frame:
    """A frame, and that it has its kind under `key`.

    Raises:
        BadFrame: it is no JSON object with a kind.
    """
    try:
        frame = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadFrame(f"no JSON, {len(raw)} long") from None
    if not isinstance(frame, dict) or not isinstance(frame.get(key), str):
        raise BadFrame(f"no object with {key!r}")
    return frame


def hello() -> Frame:
    """The first frame on a bridge."""
    return {"event": "hello", "protocol_version": PROTOCOL_VERSION,
            "supported_events": _EVENTS, "supported_verbs": _VERBS}  # fmt: skip


def offer_of(started: Frame, agent_id: str) -> CallOffer:
    """What `call.started` tells of a call.

    Raises:
        BadFrame: it is another frame, or names no session.
    """
    session_id = started.get("session_id")
    if started.get("event") != "call.started" or not isinstance(session_id, str) or not session_id:
        raise BadFrame(f"expected call.started with a session, got {started.get('event')!r}")
    metadata = started.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    direction: Literal["inbound", "outbound"] = (
        "outbound" if metadata.get("direction") == "outbound" else "inbound"
    )
    user_number = next((str(metadata[k]) for k in _NUMBERS if metadata.get(k)), None)
    data = _data(metadata, started)
    ours = metadata.get("to_number" if direction == "inbound" else "from_number")
    is_known = isinstance(ours, str) and ours != user_number
    return CallOffer(
        call_id=session_id,
        session_id=session_id,
        agent_id=str(started.get("agent_id") or agent_id),
        direction=direction,
        user_number=user_number,
        instructions=str(metadata.get("instructions") or ""),
        data=data,
        called_number=str(ours) if is_known else called_in(data),
    )


def _data(metadata: Mapping[str, Any], started: Frame) -> dict[str, Any]:
    given = metadata.get("data")
    kept = {k: v for k, v in metadata.items() if k not in _RESERVED}
    data = dict(given) if isinstance(given, dict) else kept
    data.update({key: metadata[key] for key in _ROUTING if metadata.get(key)})
    if started.get("voice_profile_id"):
        data.setdefault("voice_profile_id", started["voice_profile_id"])
    return data


# --- what the worker reports


def events_of(frame: Frame) -> list[CallEvent]:
    """The events that a frame stands for.

    Raises:
        BadFrame: the wire has no such event, or it lacks what it must have.
    """
    kind = frame["event"]
    if kind not in _REPORTS:
        raise BadFrame(f"unknown event {kind[:40]!r}")
    return _REPORTS[kind](frame)


def _user_text(frame: Frame) -> list[CallEvent]:
    if not isinstance(frame.get("text"), str):
        raise BadFrame("user.text without text")
    if frame.get("is_final", True) is False:  # words so far: the caller speaks
        return [CallEvent("state", {"state": "speaking", "who": "caller"})]
    extra = frame.get("extra")
    language = extra.get("language") if isinstance(extra, dict) else None
    fields = {"language": language} if isinstance(language, str) else {}
    return [CallEvent("user_turn", {"text": frame["text"], **fields})]


def _interrupted(frame: Frame) -> list[CallEvent]:
    heard = frame.get("heard_prefix")
    return [CallEvent("interruption", {"heard": heard} if isinstance(heard, str) else {})]


def _state(frame: Frame) -> list[CallEvent]:
    state = frame.get("state", "idle")
    if state not in STATES:
        raise BadFrame(f"unknown state {str(state)[:40]!r}")
    return [CallEvent("state", {"state": state, "who": "agent"})]


def _error(frame: Frame) -> list[CallEvent]:
    if not isinstance(frame.get("code"), str) or not isinstance(frame.get("message"), str):
        raise BadFrame("error without code and message")
    fields = {k: str(frame.get(k, "")) for k in ("code", "message", "severity", "source")}
    return [CallEvent("error", {**fields, "severity": severity_of(fields["severity"])})]


def _metrics(frame: Frame, names: tuple[str, ...], prefix: str = "") -> list[CallEvent]:
    return [
        CallEvent("metric", {"name": prefix + name, "value": value})
        for name in names
        if is_measurement(value := frame.get(name))
    ]


_REPORTS: Mapping[str, Callable[[Frame], list[CallEvent]]] = {
    "user.text": _user_text,
    "user.interrupted": _interrupted,
    "state": _state,
    "error": _error,
    "metric": lambda frame: _metrics(frame, _METRICS),
    "turn.metrics": lambda frame: _metrics(frame, _TURN_METRICS, "turn."),
}


# --- what we ask of the worker


def frame_of(command: Command) -> Frame:
    """The verb for a command.

    Raises:
        CommandRefused: the wire has none.
    """
    match command:
        case Say(text):
            return {"event": "agent.say", "text": text}
        case ReplyDelta(text):
            return {"event": "agent.text.delta", "text": text}
        case ReplyEnd() | Interrupt():
            return {"event": "agent.text.end"}
        case End(reason):
            return {"event": "agent.end_call", "reason": reason}
        case Transfer(kind, target, mode, announcement):
            to = "human" if kind == "queue" else kind
            return {"event": "agent.transfer", "transfer_type": to, "target": target,
                    "mode": mode, "announcement": announcement}  # fmt: skip
    raise CommandRefused(f"the wire has no verb for {command.name!r}")
