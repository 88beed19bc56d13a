"""What Pipecat reports, as plain fields: errors, measurements, tools, who calls.

Pipecat's objects are read by attribute, so that nothing of it is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.plain import is_measurement

__all__ = ["call_facts", "error_fields", "measurements", "walk"]

#: Characters of an error's message that are told.
_MAX_MESSAGE = 300


def walk(processor: Any) -> Iterator[Any]:
    """A processor and all that it is made of, in the order of the pipeline."""
    yield processor
    for part in getattr(processor, "processors", ()):
        yield from walk(part)


def error_fields(frame: Any) -> dict[str, str]:
    """The fields of `error` for an `ErrorFrame`."""
    cause = frame.exception
    category = getattr(frame.category, "value", None)
    return {
        "code": type(cause).__name__ if cause is not None else str(category or "error"),
        "message": str(frame.error)[:_MAX_MESSAGE],
        "severity": "error",
        "source": type(frame.processor).__name__ if frame.processor is not None else "pipeline",
    }


def measurements(frame: Any) -> Iterator[tuple[str, float]]:
    """What a `MetricsFrame` measured, in seconds: `ttfb.OpenAILLMService`, for example."""
    for report in frame.data:
        kind = type(report).__name__.removesuffix("MetricsData").lower()
        value = getattr(report, "value", None)
        if value is None:
            value = getattr(report, kind, None)
        if is_measurement(value):
            yield f"{kind}.{str(report.processor).partition('#')[0]}", value


def call_facts(arguments: Any) -> dict[str, Any]:
    """The call as fields of its offer, from `RunnerArguments`; credentials in it are not read."""
    facts: dict[str, Any] = {"session_id": getattr(arguments, "session_id", None)}
    call = getattr(arguments, "call_data", None)
    if call is not None:
        facts |= {"call_id": call.call_id, "user_number": call.from_number}
        data = {**call.body} if isinstance(call.body, Mapping) else {}
        if call.to_number:
            data.setdefault("called_number", call.to_number)
            facts["called_number"] = call.to_number
        facts["data"] = data
    else:
        facts |= _dialled_in(getattr(arguments, "body", None))
    return {name: value for name, value in facts.items() if value}


def _dialled_in(body: Any) -> dict[str, Any]:
    """The same for a call that came in over Daily."""
    settings = body.get("dialin_settings") if isinstance(body, Mapping) else None
    if not isinstance(settings, Mapping):
        return {}
    facts = {"call_id": settings.get("call_id"), "user_number": settings.get("From")}
    called = settings.get("To")
    told = {"called_number": called, "data": {"called_number": called}} if called else {}
    return {**facts, **told}
