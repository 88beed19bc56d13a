"""The frames of ConversationRelay, as data: what one reports, and what is sent for a command.

Both directions are JSON text with a `type`. Nothing here does I/O.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import CommandRefused
from orchestrator.plain import json_text
from orchestrator.runtime import (
    CallEvent,
    CallOffer,
    Command,
    Play,
    ReplyDelta,
    ReplyEnd,
    Say,
    SendDigits,
    SetLanguage,
)

__all__ = ["DATA", "BadFrame", "Frame", "account_of", "end_frame", "events_of", "frame_of",
           "offer_of", "parse_frame"]  # fmt: skip

Frame = dict[str, Any]

#: The custom parameter that holds a call's data as JSON, and the one that names its agent.
DATA, AGENT = "orchestrator_data", "orchestrator_agent"
#: Characters of a frame, at most.
MOST_FRAME = 64 * 1024
_KEYS = frozenset("0123456789*#ABCD")
_SHOWN = 40


class BadFrame(ValueError):
    """What came is no frame of this wire; the message says what it was, without its text."""


def parse_frame(raw: str | bytes) -> Frame:
    """A frame with its `type`.

    Raises:
        BadFrame: it is no JSON object with a type, or too long.
    """
    if len(raw) > MOST_FRAME:
        raise BadFrame(f"too long, {len(raw)}")
    try:
        frame = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadFrame(f"no JSON, {len(raw)} long") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise BadFrame(f"no object with a type, {len(raw)} long")
    return frame


def offer_of(setup: Frame) -> CallOffer:
    """What `setup` tells of a call.

    Raises:
        BadFrame: it is another frame, or names no call.
    """
    call_id = setup.get("callSid")
    if setup["type"] != "setup" or not isinstance(call_id, str) or not call_id:
        raise BadFrame(f"expected setup with a callSid, got {setup['type'][:_SHOWN]!r}")
    parameters = setup.get("customParameters")
    given = dict(parameters) if isinstance(parameters, dict) else {}
    is_outbound = str(setup.get("direction", "")).startswith("outbound")
    theirs, ours = ("to", "from") if is_outbound else ("from", "to")
    agent = given.pop(AGENT, "")
    return CallOffer(
        call_id=call_id,
        session_id=str(setup.get("sessionId") or call_id),
        agent_id=str(agent or ""),
        direction="outbound" if is_outbound else "inbound",
        user_number=_word(setup, theirs) or None,
        data={**_said_of_caller(setup), **_data(given)},
        called_number=_word(setup, ours),
    )


def account_of(setup: Frame) -> str:
    """The carrier's account that brings the call; empty when it does not say."""
    return _word(setup, "accountSid")


def _word(setup: Frame, name: str) -> str:
    value = setup.get(name)
    return value if isinstance(value, str) else ""


def _said_of_caller(setup: Frame) -> dict[str, Any]:
    """What else the carrier tells of an incoming call, for `data`."""
    told = {"forwarded_from": "forwardedFrom", "caller_name": "callerName"}
    return {ours: value for ours, name in told.items() if (value := _word(setup, name))}


def _data(given: dict[str, Any]) -> dict[str, Any]:
    """What the call starts with: what `place_call` gave, and parameters by their names."""
    text = given.pop(DATA, None)
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        found = {}
    return {**(found if isinstance(found, dict) else {}), **given}


# --- what the carrier reports


def events_of(frame: Frame) -> list[CallEvent]:
    """The events that a frame stands for.

    Raises:
        BadFrame: the wire has no such frame, or it lacks what it must have.
    """
    kind = frame["type"]
    if kind not in _REPORTS:
        raise BadFrame(f"unknown type {kind[:_SHOWN]!r}")
    return _REPORTS[kind](frame)


def _prompt(frame: Frame) -> list[CallEvent]:
    text = frame.get("voicePrompt")
    if not isinstance(text, str):
        raise BadFrame("prompt without words")
    if frame.get("last", True) is False:  # words so far: the caller speaks
        return [CallEvent("state", {"state": "speaking", "who": "caller"})]
    if not text.strip():  # noise that was no words after all
        return [CallEvent("state", {"state": "listening", "who": "caller"})]
    language = frame.get("lang")
    extra = {"language": language} if isinstance(language, str) and language else {}
    return [CallEvent("user_turn", {"text": text, **extra})]


def _dtmf(frame: Frame) -> list[CallEvent]:
    digit = frame.get("digit")
    if not isinstance(digit, str) or digit not in _KEYS or not digit:
        raise BadFrame("dtmf without a key of a phone")
    return [CallEvent("dtmf", {"digit": digit})]


def _interrupt(frame: Frame) -> list[CallEvent]:
    heard, ms = frame.get("utteranceUntilInterrupt"), _number(frame.get("durationUntilInterruptMs"))
    fields: dict[str, Any] = {"heard": heard} if isinstance(heard, str) else {}
    return [CallEvent("interruption", fields if ms is None else {**fields, "ms": ms})]


def _number(value: Any) -> int | None:
    """A number that may come as text or with decimals; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if math.isfinite(number) else None


def _error(frame: Frame) -> list[CallEvent]:
    message = str(frame.get("description", ""))
    return [
        CallEvent("error", {"code": "relay", "message": message, "severity": "error",
                            "source": "conversation_relay"})
    ]  # fmt: skip


_SPEAKERS = {"agentSpeaking": "agent", "clientSpeaking": "caller"}


def _info(frame: Frame) -> list[CallEvent]:
    who, value = _SPEAKERS.get(str(frame.get("name"))), frame.get("value")
    if who is None:
        return []  # tokensPlayed, and whatever else is told beside
    if value not in ("on", "off"):
        raise BadFrame("info of a speaker that is neither on nor off")
    return [CallEvent("state", {"state": "speaking" if value == "on" else "listening",
                                "who": who})]  # fmt: skip


_REPORTS: Mapping[str, Callable[[Frame], list[CallEvent]]] = {
    "prompt": _prompt,
    "dtmf": _dtmf,
    "interrupt": _interrupt,
    "error": _error,
    "info": _info,
}


# --- what we ask of the carrier


def frame_of(command: Command) -> Frame:
    """The frame for a command.

    Raises:
        CommandRefused: the wire has none.
    """
    match command:
        case Say(text, interruptible):
            protected = {} if interruptible else {"interruptible": False, "preemptible": False}
            return {"type": "text", "token": text, "last": True, **protected}
        case ReplyDelta(text):
            return {"type": "text", "token": text, "last": False}
        case ReplyEnd():
            return {"type": "text", "token": "", "last": True}
        case SendDigits(digits):
            return {"type": "sendDigits", "digits": digits}
        case SetLanguage(speech, transcription):
            both = {"ttsLanguage": speech, "transcriptionLanguage": transcription}
            return {"type": "language", **{name: value for name, value in both.items() if value}}
        case Play(source, loop, interruptible):
            return {"type": "play", "source": source, "loop": loop, "interruptible": interruptible}
    raise CommandRefused(f"ConversationRelay has no frame for {command.name!r}")


def end_frame(handoff: Mapping[str, Any]) -> Frame:
    """The frame that ends the session; what is handed over comes back in the action callback."""
    return {"type": "end", "handoffData": json_text(handoff)}
