"""Tests of `orchestrator.review.effects` and `orchestrator.review.comparison`."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import UserError
from orchestrator.review.comparison import (
    RULES,
    Change,
    Comparison,
    broken_rules,
    check_rules,
    compare,
    differences,
)
from orchestrator.review.effects import effects_of, waits_of


def say(t: float, text: str) -> dict[str, Any]:
    """A journal's line of speech."""
    return {"t": t, "do": "say", "text": text}


def step(t: float, at: str, ms: float, **more: Any) -> dict[str, Any]:
    """A journal's line of a step that took so many milliseconds."""
    return {"t": t, "step": "http", "at": at, "status": "ok", "ms": ms, **more}


def change(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Change:
    """What changes between two journals."""
    return compare("c1", "c1.jsonl", effects_of(before), effects_of(after))


def test_equal_calls_have_no_change() -> None:
    """The same words at the same times."""
    assert not change([say(1, "a"), say(2, "b")], [say(1, "a"), say(2, "b")]).is_change


def test_words_that_differ_are_gone_and_new() -> None:
    """Both are told, each at its time."""
    found = change([say(1, "one two")], [say(1, "three")])
    assert [effect.what for effect in found.gone] == ["one two"]
    assert [effect.what for effect in found.new] == ["three"]
    assert found.deltas == {"words": -1}


def test_words_at_another_time_have_moved() -> None:
    """They are neither gone nor new."""
    found = change([say(1, "a")], [say(3, "a")])
    assert (found.gone, found.new) == ((), ())
    assert [(a.t, b.t) for a, b in found.moved] == [(1, 3)]


def test_waiting_side_by_side_counts_once() -> None:
    """Two steps of a second that overlap by half of it are a wait of 1.5 s."""
    assert waits_of([step(1.0, "a", 1000), step(1.5, "b", 1000)]) == 1.5


def test_a_step_in_another_counts_once() -> None:
    """The inner step's time is in the outer one's."""
    assert waits_of([step(1.0, "a.then[0]", 500), step(1.0, "a", 600)]) == 0.6


@pytest.mark.parametrize(
    "line",
    [
        step(1, "a", 1000, background=True),
        step(1, "session.call_start[0].steps[1]", 1000),
        step(1, "a", 0.4),
    ],
)
def test_what_the_caller_does_not_hear_is_no_wait(line: dict[str, Any]) -> None:
    """Background steps, steps of timers, and less than a millisecond."""
    assert waits_of([line]) == 0


def test_steps_of_a_background_hook_are_no_wait() -> None:
    """The hook's line says that it runs apart."""
    hook = {"t": 0, "hook": "h", "at": "session.user_turn[0]", "ran": True, "background": True}
    assert waits_of([hook, step(1, "session.user_turn[0].do[0]", 1000)]) == 0


def test_the_worst_call_comes_first() -> None:
    """A transfer weighs more than words."""
    words = compare("a", "a", effects_of([]), effects_of([say(1, "hello")]))
    transfer = compare("b", "b", effects_of([]), effects_of([{"t": 1, "do": "transfer"}]))
    assert [c.call for c in Comparison((words, transfer)).changed] == ["b", "a"]


def transfer(t: float, target: str, **more: Any) -> dict[str, Any]:
    """A journal's line of a transfer."""
    return {"t": t, "do": "transfer", "kind": "queue", "target": target, **more}


def request(t: float, **options: Any) -> dict[str, Any]:
    """A journal's line of a request."""
    return {"t": t, "act": "http", "at": "a", "with": {"connection": "b", "path": "/x", **options}}


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        (transfer(1, "q", mode="warm"), transfer(1, "q"), [("mode", "warm", None)]),
        (transfer(1, "q", announcement="hi"), transfer(1, "q", announcement="bye"),
         [("announcement", "hi", "bye")]),
        ({**say(1, "a"), "interruptible": False}, say(1, "a"), [("interruptible", False, None)]),
        (request(1, method="POST"), request(1, method="PUT"), [("method", "POST", "PUT")]),
        (request(1, json={"a": [1, {"b": 2}]}), request(1, json={"a": [1, {"b": 3}]}),
         [("json.a[1].b", 2, 3)]),
        (request(1, json={"turns": 3}), request(1, json={"n": 3}),
         [("json.turns", 3, None), ("json.n", None, 3)]),
        ({"t": 1, "act": "remember", "at": "a", "with": {"key": "k", "value": 1}},
         {"t": 1, "act": "remember", "at": "a", "with": {"key": "k", "value": 2}},
         [("value", 1, 2)]),
    ],
)  # fmt: skip
def test_the_same_thing_done_in_another_way_is_altered(
    before: dict[str, Any], after: dict[str, Any], fields: list[Any]
) -> None:
    """How a transfer is made, whether words can be interrupted, what a request says."""
    found = change([before], [after])
    assert (found.gone, found.new, found.moved, dict(found.deltas)) == ((), (), (), {})
    ((one, other),) = found.altered
    assert differences(one.details, other.details) == fields
    assert found.is_change
    assert found.changed(one.kind) == 1


def test_equal_ones_are_paired_before_those_that_differ() -> None:
    """Two of three are as they were, whatever their order."""
    found = change(
        [request(1, json=1), request(2, json=2), request(3, json=3)],
        [request(1, json=3), request(2, json=4), request(3, json=1)],
    )
    assert [(a.details["json"], b.details["json"]) for a, b in found.altered] == [(2, 4)]
    assert [(a.t, b.t) for a, b in found.moved] == [(3, 1), (1, 3)]


@pytest.mark.parametrize(
    ("before", "after", "is_equal"),
    [
        (51.1, 51.9, True),
        (51.1, 54.2, False),
        (51, 52, False),
        (0.5, True, False),
        ("2026-01-05T12:00:00.5+00:00", "2026-01-05T12:00:01+00:00", True),
        ("2026-01-05T12:00:00+00:00", "2026-01-06T12:00:00+00:00", False),
        ("2026-01-05", "2026-01-06", False),
        (None, 0, False),
    ],
)
def test_times_that_were_measured_may_differ_a_little(
    before: Any, after: Any, is_equal: bool
) -> None:
    """Durations and timestamps are never quite the same; what somebody chose is."""
    assert (differences(before, after) == []) is is_equal


def test_a_transfer_to_elsewhere_is_seen_though_the_number_of_them_is_the_same() -> None:
    """In the total of others, by its rule, and before a call with other words."""
    elsewhere = compare("b", "b", effects_of([transfer(1, "q")]), effects_of([transfer(1, "z")]))
    words = change([say(1, "one two three")], [say(1, "one two four")])
    comparison = Comparison((words, elsewhere))
    assert comparison.totals()["transfers"] == (1, 1)
    assert comparison.changed_of("transfers") == 1
    assert [c.call for c in comparison.changed] == ["b", "c1"]
    rules = check_rules("other-transfers,more-transfers,other-words,other-requests")
    assert broken_rules(comparison, rules) == {"other-transfers": 1, "other-words": 1}


def test_rules_tell_which_changes_are_bad() -> None:
    """Each broken rule is counted by its calls."""
    comparison = Comparison((change([], [say(1, "a")]), change([say(1, "a")], [say(1, "a")])))
    broken = broken_rules(comparison, check_rules("more-words, fewer-words,any,other-words"))
    assert broken == {"more-words": 1, "any": 1, "other-words": 1}


def test_a_rule_that_does_not_exist_is_refused() -> None:
    """With the near miss, and all rules."""
    with pytest.raises(UserError, match="did you mean 'more-transfers'"):
        check_rules("more-transfer")


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_is_broken_by_a_call_that_did_not_change(rule: str) -> None:
    """Equal calls pass every rule."""
    assert not RULES[rule](change([say(1, "a")], [say(1, "a")]))
