"""Calls played again without the calls before them: what they read of the memory is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.memory import CallMemory, Memory
from tests.cli import run_cli

CONFIG = """
version: 1
name: m
session:
  call_start:
    - when: memory.get('blocked:' ~ call.user_number) == 'yes'
      do: [{say: "Goodbye."}, {end_call: blocked}]
    - when: memory.count('calls:' ~ call.user_number, '1h') >= 3
      do: [{say: "You call often."}]
    - when: call.instructions == 'sell'
      do: [{say: "Buy!"}]
    - remember: {key: "calls:{{ call.user_number }}"}
  user_turn:
    - when: event.text == 'block'
      do: [{remember: {key: "blocked:{{ call.user_number }}", value: "yes"}}]
"""


def call(name: str, number: str = "+15550100", words: str = "hello", more: str = "") -> str:
    return (
        f'{{"call": {{"id": "{name}", "user_number": "{number}"{more}}}}}\n'
        f'{{"t": 1, "user_turn": "{words}"}}\n{{"t": 3, "hangup": "caller"}}\n'
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Journals of five calls that share a memory: often, then blocked; and one told to sell."""
    (tmp_path / "m.yaml").write_text(CONFIG)
    calls = tmp_path / "calls"
    calls.mkdir()
    for number, words in enumerate(["hello", "hello", "hello", "block", "hello"], start=1):
        (calls / f"c{number}.jsonl").write_text(call(f"c{number}", words=words))
    (calls / "c6.jsonl").write_text(call("c6", "+15550111", more=', "instructions": "sell"'))
    ran = run_cli("run", tmp_path / "m.yaml", "--call", calls, "--journal-dir", tmp_path / "j")
    assert ran.code == 0, ran.err
    return tmp_path


def said(folder: Path, name: str) -> list[str]:
    rows = (folder / "j" / f"{name}.jsonl").read_text().splitlines()
    return [row for row in rows if '"do":"say"' in row or '"memory"' in row]


def test_a_journal_has_what_was_read_of_earlier_calls(folder: Path) -> None:
    """Values and counts, once, and nothing where nothing was remembered."""
    assert said(folder, "c1") == []
    assert said(folder, "c4")[0] == (
        '{"t":0.0,"memory":"calls:+15550100","count":3,"within":3600.0}'
    )
    assert '{"t":0.0,"memory":"blocked:+15550100","value":"yes"}' in said(folder, "c5")


@pytest.mark.parametrize("name", ["c1", "c4", "c5", "c6"])
def test_a_call_alone_is_played_as_it_was(folder: Path, name: str) -> None:
    """Without the calls before it, nothing changes under its own config."""
    ran = run_cli("replay", folder / "m.yaml", "--calls", folder / "j" / f"{name}.jsonl",
                  "--fail-on", "any")  # fmt: skip
    assert ran.code == 0, ran.out


@pytest.mark.parametrize("name", ["c1", "c4", "c5", "c6"])
def test_its_call_test_passes(folder: Path, name: str) -> None:
    """With `memory` and `remembered` for what earlier calls left, and its instructions."""
    test = folder / f"{name}.calltest.yaml"
    run_cli("journal", "to-test", folder / "j" / f"{name}.jsonl", "-o", test)
    ran = run_cli("test", test)
    assert ran.code == 0, ran.out
    if name == "c4":
        assert 'remembered:\n      "calls:+15550100": {"60m": 3}\n' in test.read_text()


def test_what_recorded_calls_remember_is_played_not_taken_from_the_record(folder: Path) -> None:
    """A config that blocks no more changes the call after it."""
    text = CONFIG.replace("event.text == 'block'", "event.text == 'never'")
    (folder / "n.yaml").write_text(text)
    ran = run_cli("replay", folder / "n.yaml", "--calls", folder / "j", "--fail-on", "other-state")
    assert ran.code == 1
    assert "call c5" in ran.out


def test_redacted_recordings_are_refused(folder: Path) -> None:
    """They cannot be played as they were; the others are."""
    (folder / "p.yaml").write_text(CONFIG + "privacy: redact\n")
    (folder / "x.jsonl").write_text(call("x", more=', "instructions": "sell"'))
    run_cli("run", folder / "p.yaml", "--call", folder / "x.jsonl", "--journal-dir", folder / "j")
    journal = folder / "j" / "x.jsonl"
    assert "sell" not in journal.read_text()
    ran = run_cli("replay", folder / "m.yaml", "--calls", folder / "j")
    assert ran.code == 1
    assert f"error: {journal}:1: recorded under `privacy: redact`" in ran.err
    assert ran.out.startswith("6 calls")
    ran = run_cli("journal", "to-test", journal)
    assert ran.code == 1
    assert "masked" in ran.err


def test_a_call_tells_what_it_reads_and_not_what_it_wrote() -> None:
    """Once for each key and time."""
    memory, told = Memory(wall=lambda: 1000.0), []
    memory.remember("k", "old")
    one = CallMemory(memory, lambda key, **answer: told.append((key, answer)))
    assert (one.get("k"), one.get("k"), one.get("none"), one.count("none")) == (
        "old", "old", None, 0
    )  # fmt: skip
    one.remember("k", "new")
    one.remember("mine", 1)
    assert (one.get("k"), one.get("mine"), one.count("mine"), one.count("k", "1h")) == (
        "new", 1, 1, 2
    )  # fmt: skip
    assert told == [("k", {"value": "old"}), ("k", {"count": 1, "within": 3600.0})]
    one.forget("k")
    one.remember("k", 2)
    assert (one.get("k"), one.count("k", 60.0)) == (2, 1)
    assert len(told) == 2


def test_counts_within_several_times_are_supposed_together() -> None:
    """Three within a day, one of them within the hour."""
    memory = Memory(wall=lambda: 1_000_000.0)
    memory.suppose("k", {86_400.0: 3, 3600.0: 1})
    assert [memory.count("k", within) for within in ("1h", "24h", 60.0)] == [1, 3, 0]
