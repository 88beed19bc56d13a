"""What no journal can hold: one value or line of it is told, all other lines and calls are there."""

from __future__ import annotations

import asyncio
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.action import ActionFailed
from orchestrator.errors import words
from orchestrator.journal import DirectorySink, Journal, Redactor
from orchestrator.logs import logging_set_up, set_up_logging
from orchestrator.plain import plain
from orchestrator.runtimes.livekit import events as livekit_events
from orchestrator.runtimes.pipecat import events as pipecat_events
from orchestrator.runtimes.unpod import events as unpod_events
from orchestrator.runtimes.unpod import wire as unpod_wire
from orchestrator.threads import Lanes
from tests.kit import did, run


class Unsaid:
    """Cannot be shown in any way."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def endless() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["itself"] = data
    return data


def deep() -> list[Any]:
    data: list[Any] = []
    for _ in range(5_000):
        data = [data]
    return data


VALUES: Mapping[str, Any] = {
    "no number": math.nan, "infinite": -math.inf, "huge": 10**6_000, "in itself": endless(),
    "deep": deep(), "unsaid": Unsaid(), "a set": {1, 2}, "odd keys": {(1, 2): 3, None: Unsaid},
    "half a character": {"\ud800": "\udfff"}, "bytes": b"\xff", "a secret": {"s3cret"},
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_that_cannot_be_written_costs_its_own_line_at_most(
    tmp_path: Path, value: Any
) -> None:
    """Every line can be read again; the lines before and after it, and other calls, are whole."""
    sink = DirectorySink(tmp_path)
    for call_id in ("first", "second"):
        journal = Journal(call_id, sink, Redactor(["s3cret"]), lambda: 10.0)
        journal.event("user_turn", {"text": "before"})
        if call_id == "first":
            journal.event("custom.x", {"value": value, "more": [value]})
        journal.note("after")
        journal.end(reason="hangup")
        journal.flush()
    sink.close()
    assert sink.failures == 0
    first, second = ((tmp_path / f"{name}.jsonl").read_text() for name in ("first", "second"))
    lines = [json.loads(line, parse_constant=pytest.fail) for line in first.splitlines()]
    assert lines[0]["text"] == "before"
    assert len(lines) == 4
    assert lines[1].get("event") == "custom.x" or lines[1]["line"] == "event"
    assert lines[-1]["end"]["reason"] == "hangup"
    assert "s3cret" not in first
    assert len(second.splitlines()) == 3


def test_a_disk_that_takes_nothing_is_told_once(tmp_path: Path) -> None:
    """Until something is written again."""
    stream = io.StringIO()
    sink = DirectorySink(tmp_path / "journals")
    (tmp_path / "journals").rmdir()
    with logging_set_up({}, stream):
        for number in range(3):
            journal = Journal(f"c{number}", sink, Redactor(), lambda: 10.0)
            journal.note("x")
            journal.flush()
        sink.close()
    assert sink.failures == 3
    assert stream.getvalue().count("a journal cannot be written") == 1
    assert "call_id=c0" in stream.getvalue()


@pytest.mark.parametrize("number", [10**1_300, -(10**1_300), [10**1_300], math.nan, [math.inf]])
def test_a_number_that_nobody_can_write_is_no_output(number: Any) -> None:
    """Python writes whole numbers of 4,300 digits at most, JSON none that is infinite."""
    with pytest.raises(ActionFailed, match="holds"):
        plain(number)
    assert plain(10**1_200) == 10**1_200


def test_what_an_answer_adds_up_to_is_bounded() -> None:
    """The step fails, the call goes on, its journal is whole."""
    text = """
session:
  user_turn:
    - python: "tests.hooks:most_digits"
      save: n
      on_error: continue
    - set: {more: "{{ data.n | default(0) + 1 }}"}
    - say: done
"""
    played = run(text, [{"t": 1, "user_turn": "x"}])
    assert [said for _, said in did(played, "say")] == ["done"]
    assert [line["status"] for line in played.lines if "step" in line] == ["failed", "ok", "ok"]


class Quits(Exception):
    def __str__(self) -> str:
        raise SystemExit


def test_the_words_of_an_exception_are_bounded_and_never_raise() -> None:
    """It may quote the whole of an answer, or be ill itself."""
    said = words(ValueError("bad answer " + "word " * 100_000))
    assert said.startswith("bad answer word")
    assert said.endswith("word… (500011 characters)")
    assert len(said) < 4_100
    assert words(Quits()) == "(a Quits that cannot say what is wrong)"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_long_exception_is_a_short_line_everywhere(form: str) -> None:
    """In the journal and in the log."""
    stream = io.StringIO()
    with logging_set_up({}, stream):
        set_up_logging({"ORCHESTRATOR_LOG": form}, stream)
        hooks = "[{python: 'tests.hooks:quotes_all'}, {say: after}]"
        played = run(f"session:\n  user_turn: {hooks}\n", [{"t": 1, "user_turn": "x"}])
    assert [said for _, said in did(played, "say")] == ["after"]
    assert len(json.dumps(played.lines)) < 10_000
    assert len(stream.getvalue()) < 10_000


@pytest.mark.parametrize("error", [StopIteration, KeyboardInterrupt])
def test_what_cannot_come_out_of_a_thread_is_told_as_what_it_was(
    error: type[BaseException],
) -> None:
    """`next()` that finds nothing is no time-out, and no person's Ctrl-C arrives in a thread."""

    def work() -> None:
        raise error("value")

    async def main() -> None:
        with pytest.raises(RuntimeError, match=f"^it raised {error.__name__}$"):
            await Lanes(1).run("a", work)

    asyncio.run(main())


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**4_000, True, "fast", None])
def test_what_measures_nothing_is_no_measurement_on_any_wire(value: Any) -> None:
    """One of them in a journal, and nobody could read it."""
    frame = {"event": "metric", "ttfa_ms": value, "turns": 1}
    found = [[(e.fields["name"], e.fields["value"]) for e in unpod_wire.events_of(frame)]]
    report = SimpleNamespace(ttfa_ms=value, turns=1)
    told = unpod_events.Translator().events("metric", (report,), {})
    found.append([(e.fields["name"], e.fields["value"]) for e in told])
    assert found == [[("turns", 1)], [("turns", 1)]]
    item = SimpleNamespace(metrics={"llm_node_ttft": value, "e2e_latency": 0.5})
    assert list(livekit_events.measurements(item)) == [("turn.e2e_latency", 0.5)]
    data = [SimpleNamespace(value=value, processor="a"), SimpleNamespace(value=2, processor="b")]
    assert [v for _, v in pipecat_events.measurements(SimpleNamespace(data=data))] == [2]
