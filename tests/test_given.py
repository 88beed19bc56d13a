"""Tests of `orchestrator.testing.given`."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import ScriptError
from orchestrator.testing import Given, PlayedCall, play_call
from tests.played import LOOKUP

TURN = [{"t": 1, "user_turn": "Ada"}]


def look(given: dict[str, Any]) -> PlayedCall:
    """Play a call whose first turn asks an outside system."""
    return play_call(LOOKUP, TURN, given=given)


def test_an_answer_is_the_output_of_the_step() -> None:
    """What is given is saved and spoken as if the outside system had said it."""
    assert look({"find": {"name": "Ada"}}).said == ["Hello Ada"]


def test_the_step_id_counts_more_than_the_action() -> None:
    """The most precise key wins."""
    assert look({"python": {"name": "B"}, "find": {"name": "A"}}).said == ["Hello A"]


def test_null_is_a_miss() -> None:
    """Nothing found is no failure: the step is done, with no output."""
    played = look({"find": None})
    assert played.said == ["Hello you"]
    assert played.data["customer"] is None


def test_an_error_fails_the_step() -> None:
    """A given failure runs the step's `on_error` steps."""
    assert look({"find": {"error": "HTTP 500"}}).said == ["Sorry, HTTP 500"]


def test_a_late_answer_takes_its_time() -> None:
    """`after` is a delay in virtual time."""
    played = look({"find": {"after": "3s", "answer": {"name": "Ada"}}})
    assert [(say.t, say.value["text"]) for say in played.of("say")] == [(4.0, "Hello Ada")]


def test_an_answer_that_is_too_late_times_out() -> None:
    """The step's own deadline holds for given answers too."""
    assert look({"find": {"after": "31s"}}).said == ["Sorry, no answer within 30s"]


def test_a_sequence_answers_one_try_after_another() -> None:
    """A retryable failure is tried again, and the next try gets the next answer."""
    played = look({"find": {"each": [{"error": "busy", "retryable": True}, {"name": "Ada"}]}})
    assert [(say.t, say.value["text"]) for say in played.of("say")] == [(2.0, "Hello Ada")]


def test_the_last_answer_of_a_sequence_is_given_again() -> None:
    """A sequence that is used up goes on with its last answer."""
    turns = [{"t": t, "user_turn": "x"} for t in (1, 2, 3)]
    answers = {"find": {"each": [{"name": "A"}, {"name": "B"}]}}
    assert play_call(LOOKUP, turns, given=answers).said == ["Hello A", "Hello B", "Hello B"]


def test_what_a_step_was_given_is_in_the_journal() -> None:
    """The options of a step are written down although nothing was asked."""
    (asked,) = look({"find": {}}).of("python")
    assert asked.value["args"] == {"who": "Ada"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"each": []}, "list of answers"),
        ({"error": ""}, "text of the failure"),
        ({"error": "x", "retryable": "yes"}, "true or false"),
        ({"after": 3, "answer": 1}, "no duration"),
    ],
)
def test_a_malformed_answer_is_refused(answer: Any, words: str) -> None:
    """Each form says what it needs."""
    with pytest.raises(ScriptError, match=words):
        Given({"find": answer})


def test_a_value_that_looks_like_a_form_can_be_given_as_an_answer() -> None:
    """`answer` takes any value, also one with a key `error`."""
    assert look({"find": {"answer": {"error": "x"}}}).data["customer"] == {"error": "x"}
