"""Calls whose recording was paused: their digits are hidden, and they can be played all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.digits import hide_digits
from orchestrator.errors import PlainWords
from orchestrator.journal import Redactor
from orchestrator.journal.lines import event_line
from tests.cli import run_cli

CONFIG = """
version: 1
name: pins
session:
  user_turn:
    - name: asks
      when: event.text is matching('pin') and data.stage | default('') == ''
      do:
        - recording: {pause: pin, max: 2m}
        - set: {stage: pin}
        - say: "Say or key the last four digits, please."
    - name: said
      when: data.stage | default('') == 'pin' and (event.text | digits | length) >= 4
      do:
        - set: {stage: done}
        - recording: resume
        - say: "Thank you."
  dtmf:
    - name: keyed
      when: data.stage | default('') == 'pin' and event.digit != '*'
      do:
        - set: {keys: "{{ data.keys | default('') ~ event.digit }}"}
        - when: (data.keys | length) == 2
          say: "{{ data.keys | length }} keys."
    - name: the star ends it
      when: data.stage | default('') == 'pin' and event.digit == '*'
      do:
        - set: {stage: done}
        - recording: resume
        - say: "Thank you for the keys."
"""
CALLS = {
    "words": [{"user_turn": "four three two one"}, {"user_turn": "4321"}],
    "keys": [{"dtmf": "4"}, {"dtmf": "3"}, {"dtmf": "*"}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The config, and the journals of a PIN that is said and one that is keyed."""
    (tmp_path / "pins.yaml").write_text(CONFIG)
    (tmp_path / "calls").mkdir()
    for name, events in CALLS.items():
        turns = [{"user_turn": "my pin"}, *events, {"hangup": "caller"}]
        lines = [{"call": {"id": name}}, *({"t": n + 1, **e} for n, e in enumerate(turns))]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (tmp_path / "calls" / f"{name}.jsonl").write_text(text)
    run_cli("run", tmp_path / "pins.yaml", "--call", tmp_path / "calls",
            "--journal-dir", tmp_path / "journals")  # fmt: skip
    return tmp_path


def events(folder: Path, call: str) -> list[Any]:
    lines = (folder / "journals" / f"{call}.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if "event" in line]


def test_a_hidden_event_says_how_it_is_played(folder: Path) -> None:
    """As many digits as there were, words as a word; the star key is itself, and nobody's secret."""
    assert [line.get("masked") for line in events(folder, "words")] == [
        None, {"text": "zero zero zero zero"}, {"text": "0000"}, None,
    ]  # fmt: skip
    keys = [(line.get("digit"), line.get("masked")) for line in events(folder, "keys")[1:4]]
    assert keys == [("*", {"digit": "0"}), ("*", {"digit": "0"}), ("*", None)]
    assert "4321" not in f"{events(folder, 'words')}"


def test_replay_of_the_same_config_changes_nothing(folder: Path) -> None:
    """And says what could not be known."""
    ran = run_cli("replay", folder / "pins.yaml", "--calls", folder / "journals",
                  "--fail-on", "any")  # fmt: skip
    assert ran.code == 0, ran.out
    assert "nothing changes for callers" in ran.out
    assert "2 calls were not recorded all the time" in ran.out


def test_two_configs_are_compared_with_the_digits_in_their_words(folder: Path) -> None:
    """What a journal does not show is no change; between two configs it is one."""
    new = folder / "new.yaml"
    new.write_text(CONFIG.replace("last four digits", "last six digits"))
    args = ("replay", new, "--calls", folder / "journals", "--fail-on", "other-words")
    assert run_cli(*args).code == 0
    ran = run_cli(*args, "--against", folder / "pins.yaml")
    assert ran.code == 1
    assert "the last six digits" in ran.out


@pytest.mark.parametrize("call", CALLS)
def test_a_paused_call_becomes_a_test_that_passes(folder: Path, call: str) -> None:
    """With what stands for the digits, and a word on it."""
    test = folder / f"{call}.calltest.yaml"
    journal = folder / "journals" / f"{call}.jsonl"
    run_cli("journal", "to-test", journal, "-o", test, "--config", folder / "pins.yaml")
    assert "# Digits of its pauses were not recorded" in test.read_text()
    assert run_cli("test", test).out == "1 passed in 1 file\n", test.read_text()


@pytest.mark.parametrize(("expected", "passed"), [
    ("expect: [{say: 'Say or key the last four digits, please.'}]", True),
    ("expect: [{say: {containing: 'last four'}}]", True),
    ("never: [{say: {containing: 'last four'}}]", False),
    ("expect: [{say: {containing: 'last * digits'}}]", False),
])  # fmt: skip
def test_a_call_test_sees_the_authors_words(folder: Path, expected: str, passed: bool) -> None:
    """Its callers are invented: nothing is hidden from it."""
    test = folder / "own.calltest.yaml"
    test.write_text(
        "config: pins.yaml\ntests:\n  - name: asks\n    events: [{t: 1, user_turn: my pin}]\n"
        f"    {expected}\n"
    )
    assert run_cli("test", test).code == int(not passed)


def test_what_was_heard_and_is_said_again_is_played_with_zeros_too() -> None:
    """After the pause, where only its digits are hidden; and inside of what tools answer."""
    after = Redactor().without_heard("4321")
    line = event_line(after, "user_turn", {"text": "it is 4321, for 2 people"}, "")
    assert (line["text"], line["masked"]) == (
        "it is ****, for 2 people", {"text": "it is 0000, for 2 people"},
    )  # fmt: skip
    fields = {"name": "charge", "result": {"amount": 120, "note": "no. 7", "ok": True}, "ok": True}
    line = event_line(Redactor().without_digits(), "tool_result", fields, "")
    assert line["masked"] == {"result": {"amount": 0, "note": "no. 0", "ok": True}}
    assert "masked" not in event_line(after, "user_turn", {"text": "nothing of it"}, "")


def test_our_own_words_about_a_failure_keep_their_numbers() -> None:
    """Nobody said `HTTP 404`: hidden, it would explain nothing."""
    redactor = Redactor(("s3cret",)).without_digits()
    assert redactor.personal(PlainWords("HTTP 404 s3cret")) == "HTTP 404 ***"
    assert redactor.personal("HTTP 404") == "HTTP ***"


@pytest.mark.parametrize(("text", "played"), [
    ("forty-two", "zero"), ("a 4 and 12b", "a 0 and 00b"), ("\u0664\u0662", "00"), ("none", "none"),
    ("vier Strassen 7", "zero Strassen 0"),
])  # fmt: skip
def test_what_stands_for_digits_is_like_them(text: str, played: str) -> None:
    """Digit for digit, a word for a word."""
    assert hide_digits(text, "0", "zero") == played
