"""What is known of a call, and what a call owns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.call import side_effect_id
from orchestrator.clock import Clock
from orchestrator.errors import ActionFailed
from orchestrator.facts import CallFacts
from orchestrator.runtime import CallOffer
from tests.kit import did, lines, run


def facts(at: datetime, seconds: list[float] | None = None) -> CallFacts:
    """Facts of a call at a time of day; `seconds[0]` is the clock."""
    now = seconds if seconds is not None else [0.0]
    return CallFacts(CallOffer("c"), Clock(lambda: now[0], lambda: at))


@pytest.mark.parametrize(
    ("hour", "span", "zone", "is_in"),
    [
        (9, "09:00-18:00", "UTC", True),
        (18, "09:00-18:00", "UTC", False),
        (3, "22:00-06:00", "UTC", True),
        (12, "22:00-06:00", "UTC", False),
        (4, "09:00-18:00", "Asia/Kolkata", True),
        (23, "00:00-24:00", "UTC", True),
    ],
)
def test_hour_in_knows_zones_and_midnight(hour: int, span: str, zone: str, is_in: bool) -> None:
    """The end of a span is not in it; a span may cross midnight."""
    assert facts(datetime(2026, 1, 5, hour, tzinfo=UTC)).hour_in(span, zone) is is_in


@pytest.mark.parametrize(("span", "zone"), [("9 to 5", "UTC"), ("09:00-18:00", "Mars/Olympus")])
def test_hour_in_refuses_what_it_cannot_read(span: str, zone: str) -> None:
    """As a failure of the step, with words for the operator."""
    with pytest.raises(ActionFailed, match="is no"):
        facts(datetime(2026, 1, 5, tzinfo=UTC)).hour_in(span, zone)


@pytest.mark.parametrize(
    ("days", "is_in"), [("mon-fri", True), ("sat,sun", False), ("sun-mon", True), ("mon", True)]
)
def test_weekday_in_takes_spans_and_lists(days: str, is_in: bool) -> None:
    """5 January 2026 is a Monday."""
    assert facts(datetime(2026, 1, 5, 12, tzinfo=UTC)).weekday_in(days) is is_in


def test_count_counts_in_all_or_within_a_time() -> None:
    """The present event is included."""
    clock = [0.0]
    call = facts(datetime(2026, 1, 5, tzinfo=UTC), clock)
    for when in (0.0, 50.0, 100.0):
        clock[0] = when
        call.note_event("dtmf", {"digit": "1"})
    assert call.count("dtmf") == 3
    assert call.count("dtmf", 60.0) == 2
    assert call.count("user_turn") == 0


def test_the_transcript_holds_both_sides_and_our_own_speech() -> None:
    """Who said what, in order."""
    text = "session:\n  user_turn: [{say: ours}]\n  call_end: [{set: {all: '{{ call.transcript }}'}}]\n"
    events = [{"t": 0, "agent_turn": "hello"}, {"t": 1, "user_turn": "hi"}, {"t": 2, "hangup": ""}]
    said = [(line["who"], line["text"]) for line in run(text, events).data["all"]]
    assert said == [("agent", "hello"), ("caller", "hi"), ("agent", "ours")]


def test_ids_of_side_effects_depend_on_config_call_step_and_occurrence_only() -> None:
    """And on nothing of the process. Two configs that carry one call share none."""
    ids = {side_effect_id(f, c, k, n) for f in "ab" for c in "ab" for k in "ab" for n in (1, 2)}
    assert len(ids) == 16
    assert side_effect_id("a", "b\udc80", "c", 1) != side_effect_id("a", "b?", "c", 1)


PAUSE = """
session:
  user_turn: [{recording: {pause: card, max: 20s}}]
  dtmf: [{recording: resume}]
"""


@pytest.mark.parametrize(
    ("event", "when"),
    [
        ({"t": 5, "dtmf": "1"}, 5.0),
        ({"t": 5, "event": "transfer", "outcome": "answered", "target": "x"}, 5.0),
        (
            {
                "t": 5,
                "event": "error",
                "code": "x",
                "message": "x",
                "severity": "warn",
                "source": "x",
            },
            5.0,
        ),
        ({"t": 30, "dtmf": "1"}, 21.0),
    ],
    ids=["resume", "transfer", "error", "max"],
)
def test_a_paused_recording_always_resumes(event: dict, when: float) -> None:
    """By a step, a transfer, an error, or its limit."""
    played = run(PAUSE, [{"t": 1, "user_turn": "my card"}, event])
    assert did(played, "recording")[:2] == [(1.0, "pause"), (when, "resume")]


def test_a_paused_recording_resumes_when_the_call_ends() -> None:
    """Even though the line may be gone: the attempt is in the journal."""
    played = run(PAUSE, [{"t": 1, "user_turn": "my card"}, {"t": 3, "hangup": ""}])
    assert lines(played, note="the recording resumes by itself")


TRANSFER = """
session:
  user_turn:
    - do:
        - escalate_transfer: {queue: people, answer_within: 10s}
          on_error: [{say: 'sorry: {{ error.message }}'}]
        - set: {asked: true}
"""


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("answered", []),
        ("refused", [(2.0, "sorry: transfer to people: refused")]),
        ("no_answer", [(2.0, "sorry: transfer to people: no_answer")]),
    ],
)
def test_the_outcome_of_a_transfer_comes_later(outcome: str, said: list) -> None:
    """For every outcome but answered the step's `on_error` steps run."""
    played = run(TRANSFER, [{"t": 1, "user_turn": "x"}], transfer={"*": outcome})
    assert did(played, "say") == said
    assert played.data["asked"] is True


def test_a_transfer_without_any_outcome_counts_as_not_answered() -> None:
    """`forwarded` is not taken for `answered`: after its time the caller is told."""
    played = run(TRANSFER, [{"t": 1, "user_turn": "x"}])
    assert did(played, "say") == [(12.0, "sorry: transfer to people: no outcome was reported")]


def test_a_runtime_without_outcomes_is_not_waited_for() -> None:
    """The journal says that nobody will know."""
    played = run(TRANSFER, [{"t": 1, "user_turn": "x"}], without=["transfer.outcome"])
    assert did(played, "say") == []
    assert lines(played, note="this runtime reports no transfer outcome")


def test_a_barge_in_does_not_cancel_a_transfer() -> None:
    """A complaint of the field: two minutes of dead air after an interruption."""
    text = TRANSFER.replace("answer_within: 10s", "answer_within: 10s, mode: warm")
    events = [{"t": 1, "user_turn": "x"}, {"t": 1.5, "event": "interruption"}]
    played = run(text, events, transfer={"*": "answered"})
    assert [t for t, _ in did(played, "transfer")] == [1.0]
