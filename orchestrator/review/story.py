"""A journal in words: one line of text for each line of it, and why a hook ran or did not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from orchestrator.journal import kind_of_line
from orchestrator.written import printable

__all__ = ["shown", "tell", "tell_line", "tell_why"]

Line = Mapping[str, Any]


def shown(value: Any, limit: int = 60) -> str:
    """A value as reports show it: JSON, on one line, not long."""
    text = printable(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def tell(lines: Iterable[Line]) -> Iterator[str]:
    """The journal, line by line."""
    for line in lines:
        yield tell_line(line)


def tell_line(line: Line) -> str:
    """One line of a journal: what people said in it makes no other, and steers no terminal."""
    words = _WORDS.get(kind_of_line(line))
    text = printable(words(line) if words is not None else shown(dict(line), 200))
    return text if "t" not in line else f"{line['t']:9.3f}  {text}"


def _call(line: Line) -> str:
    call = line["call"] if isinstance(line["call"], Mapping) else {}
    config = line.get("config")
    name = (
        f" · {config.get('name')} ({config.get('digest')})" if isinstance(config, Mapping) else ""
    )
    who = call.get("user_number") or "a withheld number"
    preposition = "to" if call.get("direction") == "outbound" else "from"
    when = f" · {line['started_at']}" if line.get("started_at") else ""
    direction = call.get("direction", "inbound")
    return f"call {call.get('id')} · {direction} {preposition} {who}{name}{when}"


def _event(line: Line) -> str:
    name = line["event"]
    fields = {k: v for k, v in line.items() if k not in ("t", "event", "from", "cause")}
    if name == "user_turn":
        return f"caller: {fields.get('text')}"
    if name == "agent_turn":
        cut = " (interrupted)" if fields.get("interrupted") else ""
        return f"agent: {fields.get('text')}{cut}"
    if name == "state":
        return f"{fields.get('who', 'agent')} is {fields.get('state')}"
    by_hook = " (emitted by a hook)" if line.get("from") == "hook" else ""
    return f"{name}{_fields(fields)}{by_hook}"


def _scope(scope: str) -> Callable[[Line], str]:
    def words(line: Line) -> str:
        fields = {k: v for k, v in line.items() if k not in ("t", scope)}
        return f"{scope} {line[scope]}{_fields(fields)}"

    return words


def _hook(line: Line) -> str:
    if line.get("ran"):
        return f"  hook {line['hook']!r} runs, for the {_ordinal(line.get('n', 1))} time"
    if "ended" in line:
        return f"  hook {line['hook']!r} {line['ended']}{_because(line)}"
    saw = f" (saw {shown(line['saw'], 200)})" if line.get("saw") else ""
    return f"  hook {line['hook']!r} does not run{_because(line)}{saw}"


def _because(line: Line) -> str:
    return f": {_why(line)}" if line.get("why") else ""


def _why(line: Line) -> str:
    why = str(line.get("why"))
    return f"`when` is false: {why[6:]}" if why.startswith("when: ") else why


def _ordinal(number: int) -> str:
    return (
        f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number if number < 20 else number % 10, 'th') }"
    )


def _act(line: Line) -> str:
    return f"    {line['act']}{_fields(line.get('with') or {})}"


def _step(line: Line) -> str:
    took = f" in {line['ms']:g} ms" if "ms" in line else ""
    output = f" -> {shown(line['output'], 120)}" if "output" in line else ""
    saved = f", saved as data.{line['saved']}" if "saved" in line else ""
    error = f": {line['error']}" if line.get("error") else ""
    name = f" ({line['id']})" if "id" in line else ""
    return f"    step {line['step']}{name} {line['status']}{took}{output}{saved}{error}"


def _do(line: Line) -> str:
    fields = {k: v for k, v in line.items() if k not in ("t", "do", "by")}
    return f"    we {line['do']}{_fields(fields)}"


def _timer(line: Line) -> str:
    fields = {k: v for k, v in line.items() if k not in ("t", "timer", "is")}
    return f"  timer {line['timer']} {line.get('is')}{_fields(fields)}"


def _note(line: Line) -> str:
    fields = {k: v for k, v in line.items() if k not in ("t", "note")}
    return f"  note: {line['note']}{_fields(fields)}"


def _memory(line: Line) -> str:
    fields = {k: v for k, v in line.items() if k not in ("t", "memory")}
    return f"  earlier calls remembered {shown(line['memory'])}{_fields(fields)}"


def _end(line: Line) -> str:
    return f"the call is over{_fields(line['end'] if isinstance(line['end'], Mapping) else {})}"


def _fields(fields: Mapping[str, Any]) -> str:
    texts = (f"{key}={value if isinstance(value, int | float) else shown(value, 120)}"
             for key, value in fields.items())  # fmt: skip
    text = ", ".join(texts)
    return f" {text}" if text else ""


_WORDS: Mapping[str, Callable[[Line], str]] = {
    "event": _event, "call": _call, "hook": _hook, "act": _act, "step": _step, "do": _do,
    "timer": _timer, "note": _note, "end": _end, "memory": _memory,
    "runner": _scope("runner"), "session": _scope("session"),
}  # fmt: skip


# --- why


def tell_why(lines: Iterable[Line], name: str) -> Iterator[str]:
    """For each time that a hook was asked: the event, whether it ran, and what decided."""
    event: Line = {}
    for line in lines:
        kind = kind_of_line(line)
        if kind in ("event", "runner", "session"):
            event = line
        elif kind == "hook" and name in (line["hook"], line["at"]) and "ran" in line:
            yield f"{line['t']:9.3f}  on {_on(event, line)}"
            yield f"{'':11}{printable(_verdict(line))}"


def _on(event: Line, line: Line) -> str:
    """The event that asked, where the last one before is of that name."""
    names = (event.get("event"), event.get("runner"), event.get("session"))
    return tell_line(event)[11:] if line.get("on") in names else str(line.get("on"))


def _verdict(line: Line) -> str:
    if line["ran"]:
        return f"it ran, for the {_ordinal(line.get('n', 1))} time"
    saw = line.get("saw")
    values = "; ".join(f"{k} was {shown(v, 200)}" for k, v in saw.items()) if saw else ""
    return f"it did not run: {_why(line)}{f' ({values})' if values else ''}"
