"""The log: structured, one line a record, safe for a terminal."""

from __future__ import annotations

import gc
import io
import json
import logging
from collections.abc import Iterator

import pytest

from orchestrator.errors import EnvironmentFailure
from orchestrator.logs import logging_set_up, set_up_logging
from tests.kit import did, run

CONFIG = """
session:
  user_turn:
    - log: {message: "heard {{ event.text }}", level: warning, fields: {key: "${API_TOKEN}", n: 3}}
"""


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What was logged; the loggers are put back afterwards."""
    stream = io.StringIO()
    with logging_set_up({}, stream):
        yield stream


def say(text: str) -> None:
    """Play a call whose hook logs what the caller says."""
    run(CONFIG, [{"t": 1, "user_turn": text}], variables={"API_TOKEN": "s3cret"})


def test_log_lines_are_json_when_asked_with_secrets_masked(stream: io.StringIO) -> None:
    """Call id, step and fields are values of their own."""
    set_up_logging({"ORCHESTRATOR_LOG": "json"}, stream)
    say("my s3cret")
    line = json.loads(stream.getvalue())
    assert line["message"] == "heard my ***"
    assert line["fields"] == {"key": "***", "n": 3}
    assert (line["call_id"], line["level"]) == ("call-1", "warning")
    assert line["hook_step"] == "session.user_turn[0]"


def test_what_a_caller_says_cannot_write_to_the_terminal(stream: io.StringIO) -> None:
    """Control characters and line ends are escaped in text."""
    set_up_logging({}, stream)
    say("hi\x1b[31m\nroot: forged line")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_an_exception_of_a_hook_is_one_line_without_a_traceback(stream: io.StringIO) -> None:
    """An operator reads which step raised what."""
    set_up_logging({"ORCHESTRATOR_LOG_LEVEL": "warning"}, stream)
    run("session:\n  user_turn: [{python: 'tests.hooks:boom'}]\n", [{"t": 1, "user_turn": "x"}])
    assert stream.getvalue().count("\n") == 1
    assert "error=ValueError: boom" in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_that_cannot_say_what_is_wrong_is_a_line_too(
    form: str, stream: io.StringIO
) -> None:
    """Its type is said; the hooks after it run."""
    set_up_logging({"ORCHESTRATOR_LOG": form}, stream)
    hooks = "[{python: 'tests.hooks:mute'}, {say: 'after'}]"
    played = run(f"session:\n  user_turn: {hooks}\n", [{"t": 1, "user_turn": "x"}])
    assert [said for _, said in did(played, "say")] == ["after"]
    assert stream.getvalue().count("\n") == 1
    assert "Mute" in stream.getvalue()


@pytest.mark.parametrize("name", ["ORCHESTRATOR_LOG", "ORCHESTRATOR_LOG_LEVEL"])
def test_an_unknown_setting_is_said(name: str, stream: io.StringIO) -> None:
    """With the words that are known."""
    with pytest.raises(EnvironmentFailure, match=f"{name} is"):
        set_up_logging({name: "loud"}, stream)


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_hook_raises_shows_no_secret_and_no_word_of_a_private_caller(
    form: str, stream: io.StringIO
) -> None:
    """An exception's own words are masked as in the journal; its type and place are said."""
    set_up_logging({"ORCHESTRATOR_LOG": form}, stream)
    text = """
privacy: redact
vars: {api_token: "${API_TOKEN}"}
session:
  user_turn:
    - python: {call: "tests.hooks:boom_with", args: {words: "{{ event.text }}"}}
"""
    run(text, [{"t": 1, "user_turn": "my card is 4111"}], variables={"API_TOKEN": "s3cret"})
    assert "4111" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "session.user_turn[0]" in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_python_itself_would_print_is_a_line(form: str, stream: io.StringIO) -> None:
    """Of threads and tasks that a function left, and of one that will not be closed.

    Where it was raised, never what it says: nobody has searched that for secrets.
    """
    set_up_logging({"ORCHESTRATOR_LOG": form}, stream)
    hooks = "[{python: 'tests.hooks:leave_trouble'}, {python: 'tests.hooks:for_ever', timeout: 1s}]"
    run(f"session:\n  user_turn: {hooks}\n", [{"t": 1, "user_turn": "x"}])
    gc.collect()
    lines = stream.getvalue().splitlines()
    assert "s3cret" not in stream.getvalue()
    for error in ("KeyError at ", "ZeroDivisionError at ", "RuntimeError at "):
        assert sum(error in line for line in lines) == 1, lines
    if form == "json":
        assert all(json.loads(line)["message"] for line in lines)


@pytest.mark.parametrize("form", ["text", "json"])
def test_whatever_a_line_of_ours_adds_is_shown_and_nothing_of_others(
    form: str, stream: io.StringIO
) -> None:
    """No list to keep: a count that somebody adds to a line is there."""
    set_up_logging({"ORCHESTRATOR_LOG": form}, stream)
    logging.getLogger("orchestrator").warning("ours", extra={"attempts": 3, "seconds": 0.12345})
    logging.getLogger("theirs").warning("theirs\n{'token': 's3cret'}", extra={"token": "s3cret"})
    ours, theirs = stream.getvalue().splitlines()
    assert all(word in ours for word in ("attempts", "3", "seconds", "0.123"))
    assert "0.1234" not in ours
    assert "theirs" in theirs
    assert "s3cret" not in theirs
