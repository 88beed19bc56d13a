"""Given: what outside systems answer in a played call, so that nothing leaves the machine.

An answer is looked up by the step's `id`, then its connection, then its action::

    given:
      crm_lookup: {first_name: Ada}                     # the output
      billing: {error: "HTTP 503", retryable: true}     # the step fails
      slow: {after: 3s, answer: {first_name: Ada}}      # it comes late
      http: {each: [{error: "HTTP 503", retryable: true}, {ok: true}]}   # first, then
      miss: null                                        # asked, and nothing found
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.durations import parse_duration
from orchestrator.errors import ActionFailed, ScriptError
from orchestrator.plan import ActionBody, Step

__all__ = ["Answer", "Given", "parse_answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: a value, or a failure, `after` so many seconds."""

    value: Any = None
    error: str | None = None
    retryable: bool = False
    after: float = 0.0


class Given:
    """Answers by step id, connection or action, for `play_call`, `run` and call tests.

    Args:
        answers: for each key an output, or one of the forms above.

    Raises:
        ScriptError: an answer has a form that does not exist.
    """

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        self._answers: dict[str, tuple[Answer, ...]] = {}
        self._asked: Counter[tuple[str, str]] = Counter()
        for key, raw in (answers or {}).items():
            self._answers[key] = parse_answer(raw, _refuse(key))

    @classmethod
    def of(cls, answers: Mapping[str, tuple[Answer, ...]]) -> Given:
        """From answers that need no reading."""
        given = cls()
        given._answers = dict(answers)
        return given

    def answer(self, call_id: str, step: Step, action: Any) -> Awaitable[Any] | None:
        """The answer to one try of a step, or None when nothing is given for it.

        A sequence counts for each call of its own; its last answer is given again and again.
        """
        for key in _keys(step):
            if key in self._answers:
                answers = self._answers[key]
                number = self._asked[call_id, key]
                self._asked[call_id, key] += 1
                return _reply(answers[min(number, len(answers) - 1)], action)
        return None


def _keys(step: Step) -> tuple[str, ...]:
    body = step.body
    if not isinstance(body, ActionBody):
        return ()
    return tuple(key for key in (step.id, body.connection, body.name) if key)


async def _reply(answer: Answer, action: Any) -> Any:
    if answer.after:
        await asyncio.sleep(answer.after)
    if answer.error is not None:
        raise ActionFailed(answer.error, retryable=answer.retryable)
    if answer.value is None:  # a miss: a lookup has an option for it
        return copy.deepcopy(getattr(action, "default", None))
    return copy.deepcopy(answer.value)


Complain = Callable[[str], object]

_ERROR_KEYS = {"error", "retryable", "after"}
_ANSWER_KEYS = {"answer", "after"}


def parse_answer(raw: Any, complain: Complain) -> tuple[Answer, ...]:
    """The answers that a written one stands for; what is wrong goes to `complain`."""
    if isinstance(raw, Mapping) and set(raw) == {"each"}:
        items = raw["each"]
        if not isinstance(items, Sequence) or isinstance(items, str) or not items:
            complain("`each` needs a list of answers, one for each time it is asked")
            return (Answer(),)
        return tuple(_parse_one(item, complain) for item in items)
    return (_parse_one(raw, complain),)


def _parse_one(raw: Any, complain: Complain) -> Answer:
    if not isinstance(raw, Mapping) or not raw:
        return Answer(raw)
    keys = set(raw)
    if "error" in keys and keys <= _ERROR_KEYS:
        return Answer(
            error=_text(raw["error"], complain),
            retryable=_flag(raw.get("retryable", False), complain),
            after=_seconds(raw, complain),
        )
    if keys <= _ANSWER_KEYS:
        return Answer(raw.get("answer"), after=_seconds(raw, complain))
    return Answer(raw)


def _text(value: Any, complain: Complain) -> str:
    if not isinstance(value, str) or not value:
        complain("`error` needs the text of the failure")
    return str(value)


def _flag(value: Any, complain: Complain) -> bool:
    if not isinstance(value, bool):
        complain("`retryable` must be true or false")
    return bool(value)


def _seconds(raw: Mapping[str, Any], complain: Complain) -> float:
    if "after" not in raw:
        return 0.0
    try:
        return parse_duration(raw["after"])
    except ValueError:
        complain(f"`after`: {raw['after']!r} is no duration; write 500ms, 8s, 2m or 1h")
        return 0.0


def _refuse(key: str) -> Complain:
    def complain(message: str) -> None:
        raise ScriptError(f"given `{key}`: {message}")

    return complain
