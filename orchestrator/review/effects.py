"""What a call meant to its caller, from its journal: words, transfers, ends, requests, waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.journal import kind_of_line

__all__ = ["Effect", "Effects", "effects_of", "waits_of"]

Line = Mapping[str, Any]

#: Actions that nobody outside notices, now or later.
QUIET = frozenset({"emit", "log"})
#: Actions that later calls notice.
_MEMORY = frozenset({"remember", "forget"})
#: Steps shorter than this, in milliseconds, are no waiting.
SHORTEST = 1.0


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that reached the caller, an outside system or later calls.

    `what` tells it from others of its kind, `details` say how it was done: how a transfer is made,
    whether words can be interrupted, the method and body of a request.
    """

    t: float
    kind: str
    what: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effects:
    """Everything that one call came to.

    `waits` is how long hooks made the caller wait, and `seconds` how long the line was open.
    """

    happened: tuple[Effect, ...]
    waits: float
    failures: int
    unanswered: int
    state: str
    seconds: float

    def of(self, kind: str) -> list[Effect]:
        """What happened of one kind: words, transfers, ends, controls, requests or memory."""
        return [effect for effect in self.happened if effect.kind == kind]


#: Kind of effect by command; other commands are `controls`.
_KINDS = {"say": "words", "transfer": "transfers", "end_call": "ends"}
_MAIN = {"say": "text", "transfer": "target", "end_call": "reason"}


def effects_of(lines: Sequence[Line]) -> Effects:
    """The effects of the call that a journal records."""
    happened, failures, unanswered = [], 0, 0
    state, seconds = "", 0.0
    for line in lines:
        kind = kind_of_line(line)
        if kind == "do":
            happened.append(_command(line))
        elif kind == "act" and line["act"] not in QUIET:
            happened.append(_request(line))
        elif kind == "step":
            failures += line["status"] in ("failed", "timed_out")
            unanswered += line["status"] == "not_sent"
        elif kind == "session" and line["session"] == "call_end":
            state, seconds = str(line.get("state", "")), float(line["t"])
    return Effects(tuple(happened), waits_of(lines), failures, unanswered, state, seconds)


def _command(line: Line) -> Effect:
    word = line["do"]
    main = _MAIN.get(word)
    fields = {k: v for k, v in line.items() if k not in ("t", "do", "by")}
    if main is not None:
        return Effect(line["t"], _KINDS[word], str(fields.pop(main, "completed")), fields)
    first = next((str(value) for value in fields.values()), "")
    return Effect(line["t"], "controls", f"{word} {first}".rstrip(), fields)


#: Options that tell one request from another.
_TARGETS = ("connection", "call", "url", "path", "table", "type", "key", "number")


def _request(line: Line) -> Effect:
    options = {k: v for k, v in (line.get("with") or {}).items() if v is not None}
    parts = [options.pop(k) for k in _TARGETS if isinstance(options.get(k), str)]
    kind = "memory" if line["act"] in _MEMORY else "requests"
    return Effect(line["t"], kind, " ".join([line["act"], *parts]), options)


def waits_of(lines: Iterable[Line]) -> float:
    """Seconds that steps made the caller wait; what runs side by side counts once."""
    ours = [line for line in lines if kind_of_line(line) in ("hook", "step")]
    detached = [line["at"] for line in ours if line.get("background")]
    spans = sorted(
        (line["t"] - line["ms"] / 1000, line["t"])
        for line in ours
        if "step" in line and line.get("ms", 0) >= SHORTEST and not _is_apart(line["at"], detached)
    )
    total, until = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return round(total, 3)


def _is_apart(key: str, detached: Sequence[str]) -> bool:
    """Whether a step runs off the call's path: in a timer, or under something in the background."""
    return ".steps[" in key or any(key == at or key.startswith((f"{at}.", f"{at}/"))
                                   for at in detached)  # fmt: skip
