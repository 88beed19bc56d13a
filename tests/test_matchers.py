"""Tests of `orchestrator.testing.matchers`."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.testing.matchers import parse_matcher


def matches(written: Any, value: Any) -> bool:
    """Whether a written matcher, free of mistakes, matches."""
    problems: list[str] = []
    matcher = parse_matcher(written, problems.append)
    assert problems == []
    return matcher.matches(value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("any", None),
        ("hello", "hello"),
        (0.3, 0.1 + 0.2),
        (None, None),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": None}, {}),
        ([1, "any"], [1, 2]),
        ({"matching": "^hel+o$"}, "HELLO"),
        ({"containing": "ell"}, "hello"),
        ({"containing": {"a": 1}}, [{"b": 1}, {"a": 1, "c": 2}]),
        ({"one_of": ["a", "b"]}, "b"),
        ({"from": 1, "to": 2}, 2),
        ({"from": 1}, 1e9),
        ({"not": "a"}, "b"),
        ({"exactly": "any"}, "any"),
        ({"exactly": {"a": 1}}, {"a": 1}),
        ({"from": "Ada", "to": "Bob"}, {"from": "Ada", "to": "Bob"}),
    ],
)
def test_a_matcher_matches_what_it_says(written: Any, value: Any) -> None:
    """Each form of the table in the module's docstring matches a value it describes."""
    assert matches(written, value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        (1, True),
        (0, None),
        ("hello", "Hello"),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, "a"),
        ([1], [1, 2]),
        ({"matching": "x"}, None),
        ({"containing": "x"}, 5),
        ({"from": 1, "to": 2}, 3),
        ({"from": 1, "to": 2}, True),
        ({"exactly": "any"}, "other"),
        ({"exactly": {"a": 1}}, {"a": 1, "b": 2}),
    ],
)
def test_a_matcher_refuses_everything_else(written: Any, value: Any) -> None:
    """Types count: text is no number, true is no 1, and exactly is exactly."""
    assert not matches(written, value)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"matching": "("}, "no pattern"),
        ({"matching": 5}, "in quotes"),
        ({"one_of": []}, "a list of values"),
        ([{"one_of": "x"}], "a list of values"),
        ({"from": 9, "to": 7}, "no number is from 9 to 7"),
    ],
)
def test_a_malformed_matcher_is_one_complaint(written: Any, words: str) -> None:
    """What cannot be a matcher is reported, not raised."""
    problems: list[str] = []
    parse_matcher(written, problems.append)
    assert len(problems) == 1
    assert words in problems[0]


def test_a_matcher_says_what_it_expects() -> None:
    """Reports show matchers in words."""
    matcher = parse_matcher({"a": {"containing": "x"}, "b": {"from": 1}}, print)
    assert str(matcher) == '{a: containing "x", b: from 1}'
