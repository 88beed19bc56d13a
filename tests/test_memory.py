"""The cross-call memory: values, lifetimes, counts, and the file behind it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from orchestrator.errors import EnvironmentFailure
from orchestrator.memory import Memory
from orchestrator.memory import memory as module


class Time:
    """A time of day that tests move."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_values_expire_and_counts_look_back() -> None:
    """`for` limits a value; `count` looks back as far as it is told."""
    wall = Time()
    memory = Memory(wall=wall)
    memory.remember("k", "v", lifetime=10)
    memory.remember("k", "w", lifetime=10)
    assert memory.get("k") == "w"
    assert memory.count("k", "5m") == 2
    wall.now += 11
    assert memory.get("k") is None
    assert memory.count("k", 5.0) == 0
    assert memory.count("k", "1h") == 2


def test_forget_drops_value_and_counts() -> None:
    """And says whether there was one."""
    memory = Memory()
    memory.remember("k")
    assert memory.forget("k") is True
    assert memory.forget("k") is False
    assert (memory.get("k"), memory.count("k")) == (None, 0)


def test_a_file_keeps_it_over_a_restart(tmp_path: Path) -> None:
    """What was closed is there again."""
    first = Memory(tmp_path / "deep" / "memory.db")
    first.remember("k", {"a": [1]})
    first.close()
    again = Memory(tmp_path / "deep" / "memory.db")
    assert again.get("k") == {"a": [1]}
    assert again.count("k") == 1
    again.close()


def test_a_file_that_is_no_database_is_said_at_once(tmp_path: Path) -> None:
    """Before any call."""
    (tmp_path / "memory.db").write_text("this is no database, whatever its name says")
    with pytest.raises(EnvironmentFailure, match="memory file"):
        Memory(tmp_path / "memory.db")


def test_a_database_that_goes_away_never_reaches_the_call(tmp_path: Path) -> None:
    """Writes that fail are counted; reads go on from memory."""
    memory = Memory(tmp_path / "memory.db")
    other = sqlite3.connect(tmp_path / "memory.db")
    other.execute("drop table entries")
    other.close()
    memory.remember("k", 1)
    memory.close()
    assert memory.get("k") == 1
    assert memory.failures >= 1


def test_the_oldest_key_is_dropped_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers cannot fill the process's memory."""
    monkeypatch.setattr(module, "MAX_KEYS", 3)
    memory = Memory()
    for key in "abcd":
        memory.remember(key)
    assert memory.get("a") is None
    assert memory.get("d") is True


def test_a_path_may_be_text(tmp_path: Path) -> None:
    """As the documents write it: `Memory("mem.db")`."""
    first = Memory(str(tmp_path / "mem.db"))
    first.remember("k", "v")
    first.close()
    assert Memory(str(tmp_path / "mem.db")).get("k") == "v"
