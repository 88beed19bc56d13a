"""What LiveKit reports, as plain fields: states, errors, measurements, tools, SIP, outcomes.

LiveKit's objects are read by attribute, so that nothing of it is imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.plain import is_measurement

__all__ = [
    "agent_state",
    "error_fields",
    "measurements",
    "metadata_of",
    "outcome_of",
    "sip_facts",
    "tone_code",
    "tool_event",
]

_STATES = frozenset({"idle", "listening", "thinking", "speaking"})
_TONES = "0123456789*#ABCD"
#: Characters of an error's message that are told.
_MAX_MESSAGE = 300
#: Characters of a job's metadata that are read.
_MAX_METADATA = 64 * 1024

#: Outcome by SIP status; any other failure is `failed`.
_BY_STATUS = {
    486: "busy", 600: "busy",
    408: "no_answer", 480: "no_answer", 487: "no_answer",
    403: "refused", 603: "refused", 607: "refused", 608: "refused",
}  # fmt: skip
#: The same for failures that LiveKit gives a reason for instead.
_BY_REASON = {
    "STR_REJECTED": "refused",
    "STR_RINGING_TIMEOUT": "no_answer",
    "STR_CANCELED": "no_answer",
}


def agent_state(word: object) -> str:
    """The state in our words; empty for one that tells nothing."""
    return str(word) if word in _STATES else ""


def error_fields(report: Any) -> dict[str, str]:
    """The fields of `error` for an `ErrorEvent` or the `error` of a `CloseEvent`.

    `severity` is `warn` when LiveKit goes on by itself.
    """
    error = getattr(report, "error", report)
    cause = getattr(error, "error", None) or error
    kind = str(getattr(error, "type", "")).removesuffix("_error")
    return {
        "code": type(cause).__name__,
        "message": str(getattr(cause, "message", cause))[:_MAX_MESSAGE],
        "severity": "warn" if getattr(error, "recoverable", False) else "error",
        "source": kind or "session",
    }


def measurements(item: Any) -> Iterator[tuple[str, float]]:
    """What was measured of one turn; points in time are left out."""
    report = getattr(item, "metrics", None)
    for name, value in (report or {}).items():
        if is_measurement(value) and not name.endswith("_at"):
            yield f"turn.{name}", value


def tool_event(update: Any, names: dict[str, str]) -> tuple[str, dict[str, Any]] | None:
    """The event of one tool update; `names` remembers which call is whose."""
    kind = getattr(update, "type", "")
    if kind == "tool_call_started":
        call = update.function_call
        names[call.call_id] = call.name
        return "tool_call", {"name": call.name, "args": _json(call.arguments)}
    if kind == "tool_call_ended":
        name = names.pop(update.call_id, "")
        is_ok = update.status == "done"
        return "tool_result", {"name": name, "result": update.message, "ok": is_ok}
    return None


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def metadata_of(job: Any) -> dict[str, Any]:
    """A job's metadata, when it is a JSON object."""
    text = str(getattr(getattr(job, "job", None), "metadata", "") or "")
    value = _json(text) if len(text) <= _MAX_METADATA else None
    return value if isinstance(value, dict) else {}


def outcome_of(error: BaseException) -> str:
    """How a transfer ended that LiveKit failed with this."""
    status = getattr(error, "sip_status_code", None)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    reason = str(getattr(error, "sip_transfer_reason", "") or "")
    return "failed" if status else _BY_REASON.get(reason, "failed")


def tone_code(key: str) -> int:
    """The code of a key tone."""
    return _TONES.index(key)


def sip_facts(attributes: Any) -> dict[str, str]:
    """What a SIP participant's attributes say of the call; nothing for a web participant."""
    if not isinstance(attributes, Mapping):  # a console's stand-in for a caller
        return {}
    found = {
        "call_id": attributes.get("sip.callID"),
        "user_number": attributes.get("sip.phoneNumber"),
        "called_number": attributes.get("sip.trunkPhoneNumber"),
    }
    if found["call_id"]:  # what LiveKit dialled itself has no rule
        found["direction"] = "inbound" if attributes.get("sip.ruleID") else "outbound"
    return {name: value for name, value in found.items() if value and isinstance(value, str)}
