"""What the Unpod SDK's session hooks report, as events of ours.

The SDK's event objects are read by attribute and its argument lists are taken as open, since both
may grow. Measurements of a turn come twice under one `turn_id`; they become one set of `metric`s.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.events import STATES
from orchestrator.plain import is_measurement
from orchestrator.runtime import CallEvent

__all__ = ["Translator", "called_in", "severity_of"]

_MEASURED = ("ttfa_ms", "asr_p95_ms", "tts_p95_ms", "turns", "cost_usd_so_far")
_TURN_MEASURED = ("ttfa_ms", "asr_ms", "llm_ttft_ms", "tts_ttfb_ms", "llm_call_count",
                  "llm_total_ms")  # fmt: skip
#: Of these, what the SDK knows by itself; the rest of its first report is the turn before's.
_OWN_MEASURED = frozenset({"llm_call_count", "llm_total_ms"})
#: Turns whose second report is still awaited, or was seen.
_MAX_TURNS = 64

_SEVERITIES = {
    "debug": "warn", "info": "warn", "warn": "warn", "warning": "warn",
    "fatal": "fatal", "critical": "fatal",
}  # fmt: skip


def severity_of(word: object) -> str:
    """One of `warn`, `error`, `fatal` for whatever word the worker has for it."""
    return _SEVERITIES.get(str(word).lower(), "error")


def called_in(data: Any) -> str:
    """Our number, where whoever assigns the calls puts it into their data; the SDK drops it."""
    called = data.get("called_number") if isinstance(data, Mapping) else None
    return called if isinstance(called, str) else ""


class Translator:
    """Turns the hooks of one call into events; remembers what a later hook needs to know."""

    def __init__(self) -> None:
        self._was_interrupted = False
        self._turns: OrderedDict[Any, Mapping[str, Any] | None] = OrderedDict()

    def events(self, hook: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> list[CallEvent]:
        """The events that one firing of a hook stands for; none for what is malformed."""
        return _TRANSLATE[hook](self, *args, **named)

    def last(self) -> list[CallEvent]:
        """What is known of turns whose second report never came."""
        waiting = [values for values in self._turns.values() if values is not None]
        self._turns.clear()
        return [event for values in waiting for event in _measurements(values, own_only=True)]

    def _user_turn(self, text: Any = "", *_: Any, **__: Any) -> list[CallEvent]:
        self._was_interrupted = False
        return [CallEvent("user_turn", {"text": str(text)})]

    def _agent_turn(self, text: Any = "", *_: Any, **__: Any) -> list[CallEvent]:
        extra = {"interrupted": True} if self._was_interrupted else {}
        self._was_interrupted = False
        return [CallEvent("agent_turn", {"text": str(text), **extra})]

    def _interruption(self, *_: Any, **__: Any) -> list[CallEvent]:
        self._was_interrupted = True
        return [CallEvent("interruption")]

    def _state(self, event: Any = None, *_: Any, **__: Any) -> list[CallEvent]:
        state = getattr(event, "state", None)
        if state not in STATES:
            return []
        return [CallEvent("state", {"state": state, "who": "agent"})]

    def _metric(self, event: Any = None, *_: Any, **__: Any) -> list[CallEvent]:
        return _metrics({name: getattr(event, name, None) for name in _MEASURED})

    def _error(self, *args: Any, **named: Any) -> list[CallEvent]:
        names = ("code", "message", "severity", "source")
        given = {**dict(zip(names, args, strict=False)), **named}
        fields = {name: str(given.get(name, "")) for name in names}
        return [CallEvent("error", {**fields, "severity": severity_of(fields["severity"])})]

    def _turn_complete(self, *_: Any, turn_id: Any = None, **values: Any) -> list[CallEvent]:
        """The first report waits for the second, which has the worker's own figures."""
        is_from_worker = any(values.get(name) is not None for name in ("asr_ms", "tts_ttfb_ms"))
        if turn_id in self._turns:
            waiting, self._turns[turn_id] = self._turns[turn_id], None
            return _measurements(values) if waiting is not None else []
        self._turns[turn_id] = None if is_from_worker else values
        if is_from_worker:
            return _measurements(values)
        return self._forget_old()

    def _forget_old(self) -> list[CallEvent]:
        if len(self._turns) <= _MAX_TURNS:
            return []
        values = self._turns.popitem(last=False)[1]
        return _measurements(values, own_only=True) if values is not None else []


def _measurements(values: Mapping[str, Any], *, own_only: bool = False) -> list[CallEvent]:
    names = [n for n in _TURN_MEASURED if not own_only or (n in _OWN_MEASURED and values.get(n))]
    return _metrics({f"turn.{name}": values.get(name) for name in names})


def _metrics(values: Mapping[str, Any]) -> list[CallEvent]:
    return [CallEvent("metric", {"name": name, "value": value})
            for name, value in values.items() if is_measurement(value)]  # fmt: skip


_TRANSLATE: Mapping[str, Callable[..., list[CallEvent]]] = {
    "user_turn": Translator._user_turn,
    "agent_turn": Translator._agent_turn,
    "interruption": Translator._interruption,
    "state": Translator._state,
    "metric": Translator._metric,
    "error": Translator._error,
    "turn_complete": Translator._turn_complete,
}
