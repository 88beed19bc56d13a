"""What a carrier's callback says of a transfer, and of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["is_gone", "outcome_of"]

_DIALLED: Mapping[str, str] = MappingProxyType(
    {"completed": "answered", "answered": "answered", "busy": "busy", "no-answer": "no_answer",
     "canceled": "no_answer", "failed": "failed"}
)  # fmt: skip
_QUEUED: Mapping[str, str] = MappingProxyType(
    {"bridged": "answered", "bridging-in-process": "answered", "redirected": "answered",
     "redirected-from-bridged": "answered", "leave": "no_answer", "hangup": "no_answer",
     "queue-full": "refused", "error": "failed", "system-error": "failed"}
)  # fmt: skip
#: Words for a call that is over.
_GONE = frozenset({"completed", "canceled", "busy", "failed", "no-answer"})


def outcome_of(form: Mapping[str, str]) -> str:
    """The outcome of a transfer, as `orchestrator.events` names it."""
    if "QueueResult" in form:
        return _QUEUED.get(form["QueueResult"], "failed")
    outcome = _DIALLED.get(form.get("DialCallStatus", ""), "failed")
    # Who picks up and leaves in the announcement was never connected with the caller.
    was_bridged = form.get("DialBridged", str(outcome == "answered")).lower() == "true"
    if was_bridged:
        return "answered"
    return "no_answer" if outcome == "answered" else outcome


def is_gone(form: Mapping[str, str]) -> bool:
    """Whether the caller is off the line."""
    return form.get("CallStatus") in _GONE or form.get("QueueResult") == "hangup"
