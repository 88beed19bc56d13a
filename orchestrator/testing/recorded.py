"""What outside systems answered in a recorded call, as `given` of a call test or a replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.journal import kind_of_line
from orchestrator.memory import Memory
from orchestrator.testing.given import Answer, Given

__all__ = ["LOCAL_ACTIONS", "Remembered", "answers_of", "given_of", "remembered_in", "written_in"]

#: Actions that ask nobody: they are run again, whatever the record says.
LOCAL_ACTIONS = frozenset({"emit", "forget", "log", "remember"})

#: Seconds that a step without an answer is kept waiting; longer than steps wait.
NEVER = 3600.0

Line = Mapping[str, Any]


def answers_of(lines: Iterable[Line]) -> dict[str, list[dict[str, Any]]]:
    """The answers by step id, or by action for steps without one, in the order given.

    Each is in the long form: `{"answer": ..., "after": seconds}` or `{"error": ..., "after": ...}`.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for key, _, answer in _answers(lines):
        found.setdefault(key, []).append(answer)
    return found


def _answers(lines: Iterable[Line]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    acting: set[str] = set()
    for line in lines:
        kind = kind_of_line(line)
        if kind == "act" and line["act"] not in LOCAL_ACTIONS:
            acting.add(line["at"])
        elif kind == "step" and line["at"] in acting:
            acting.discard(line["at"])
            answer = _answer(line)
            if answer is not None:
                yield line.get("id") or line["step"], line["step"], answer


def _answer(line: Line) -> dict[str, Any] | None:
    after = round(line.get("ms", 0) / 1000, 4)
    match line["status"]:
        case "ok":
            return {"answer": line.get("output"), "after": after}
        case "failed":
            return {"error": line.get("error") or "failed", "after": after}
        case "timed_out":
            return {"answer": None, "after": NEVER}
    return None


@dataclass(slots=True)
class Remembered:
    """What earlier calls had left under one key, as far as a recorded call asked.

    `counts` has how often it was remembered within so many seconds.
    """

    value: Any = None
    counts: dict[float, int] = field(default_factory=dict)

    def put_into(self, memory: Memory, key: str) -> None:
        """Let the memory hold that."""
        if self.value is not None:
            memory.remember(key, self.value)
        memory.suppose(key, self.counts)


def remembered_in(lines: Iterable[Line]) -> dict[str, Remembered]:
    """What a recorded call read of the memory of earlier calls, by key."""
    found: dict[str, Remembered] = {}
    for line in lines:
        if kind_of_line(line) == "memory":
            one = found.setdefault(str(line["memory"]), Remembered())
            if "value" in line:
                one.value = line["value"]
            else:
                one.counts[float(line["within"])] = int(line["count"])
    return found


def written_in(lines: Iterable[Line]) -> set[str]:
    """The keys that a recorded call remembered or forgot."""
    acts = (line for line in lines if kind_of_line(line) == "act")
    wrote = (line for line in acts if line["act"] in ("remember", "forget"))
    return {str((line.get("with") or {}).get("key")) for line in wrote}


def given_of(lines: Iterable[Line]) -> Given:
    """The answers of a recorded call, for playing it again under another config.

    A step that has another id now finds them by its action.
    """
    by_key: dict[str, list[Answer]] = {}
    for key, action, answer in _answers(lines):
        made = Answer(answer.get("answer"), answer.get("error"), after=answer["after"])
        for name in dict.fromkeys((key, action)):
            by_key.setdefault(name, []).append(made)
    return Given.of({key: tuple(answers) for key, answers in by_key.items()})
