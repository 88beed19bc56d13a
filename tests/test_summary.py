"""Tests of `orchestrator.review.summary`, and of telling the lines of a journal apart."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.journal import kind_of_line
from orchestrator.review.summary import CallSummary, add_up, summarize
from orchestrator.testing.timeline import happenings

LINES: list[dict[str, Any]] = [
    {"call": {"id": "c1"}},
    {"t": 1, "event": "user_turn", "text": "hi"},
    {"t": 1, "hook": "h", "at": "a", "ran": True, "n": 1},
    {"t": 1, "hook": "g", "at": "b", "ran": False, "why": "x"},
    {"t": 1, "act": "http", "at": "a.do[0]", "with": {}},
    {"t": 2, "step": "http", "at": "a.do[0]", "status": "timed_out"},
    {"t": 2, "do": "say", "text": "x"},
    {"t": 3, "session": "call_end", "state": "hangup"},
]


def test_a_journal_is_counted() -> None:
    """Turns, hooks that ran, steps, failures, commands and acts."""
    assert summarize(LINES) == CallSummary(
        "c1", seconds=3, turns=1, hooks=1, steps=1, failed=1, says=1, acts=1, state="hangup"
    )


def test_calls_add_up() -> None:
    """The totals have the counts of all, and no state."""
    total = add_up([summarize(LINES), summarize(LINES)])
    assert (total.call, total.seconds, total.says, total.state) == ("2 calls", 6, 2, "")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"t": 1, "event": "custom.x", "step": 2, "hook": 3, "act": 4, "do": 5}, "event"),
        ({"t": 1, "do": "inject", "note": "x"}, "do"),
        ({"t": 1, "what": "ever"}, ""),
    ],
)
def test_fields_of_events_and_commands_are_not_taken_for_records(
    line: dict[str, Any], kind: str
) -> None:
    """A custom event may have a field called `step`."""
    assert kind_of_line(line) == kind
    assert [h.word for h in happenings([line])] == ([kind] if kind == "event" else
                                                    ["inject"] if kind else [])  # fmt: skip
