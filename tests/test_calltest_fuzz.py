"""Whatever a file of call tests, a journal or a file of answers holds: a result or a clear error."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import OrchestratorError
from orchestrator.review.effects import effects_of
from orchestrator.review.journals import parse_journal
from orchestrator.review.story import tell, tell_why
from orchestrator.review.summary import summarize
from orchestrator.testing import load_call_tests, run_call_test
from orchestrator.testing.recorded import given_of
from orchestrator.testing.timeline import happenings
from orchestrator.testing.totest import call_test_of
from tests.played import SUPPORT

GOOD = """\
config: support.yaml
given: {remember: {each: [{error: no, retryable: true}, {after: 1s, answer: {a: 1}}]}}
tests:
  - name: one
    call: {at: "2026-01-05T10:00:00+01:00", ends: 30, transfer_outcome: busy, refuses: [say]}
    events: [{t: 0, agent_turn: "How can I help?"}, {t: 2, user_turn: a human}]
    expect: [{t: 8, say: {matching: "x|y"}}, {t: {from: 1}, transfer: {queue: q}}]
    never: [{say: {containing: a}}, end_call]
    only: [say]
    data: {x: {one_of: [1, 2]}}
    journal: [{hook: a}]
    state: ended
"""

FOLDER = Path(tempfile.mkdtemp(prefix="calltests"))
(FOLDER / "support.yaml").write_text(SUPPORT)


def run(text: str) -> None:
    """Load and run a file; nothing but our own errors may come out."""
    path = FOLDER / "x.calltest.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        loaded = load_call_tests(path)
        for test in loaded.tests:
            assert isinstance(run_call_test(test, loaded.plan).report, str)
    except OrchestratorError as error:
        assert str(error)  # noqa: PT017 - any of our errors will do, if it says something


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(["any", "say", "transfer", "8s", "human"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.text(max_size=3)
        | st.sampled_from(["t", "say", "text", "matching", "from", "to", "each", "error", "after",
                           "answer", "name", "data", "event", "transfer", "state", "hook"]),
        inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
keys = ["call", "given", "events", "script", "memory", "expect", "never", "only", "data", "state",
        "journal"]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, 8), st.text(max_size=4))
def test_a_damaged_file_is_told_or_run(at: int, count: int, new: str) -> None:
    """A few characters deleted and others put in."""
    run(GOOD[:at] + new + GOOD[at + count :])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(keys), plain, max_size=4))
def test_a_test_of_anything_is_told_or_run(test: dict[str, Any]) -> None:
    """Any value under any key."""
    entry = {"config": "support.yaml", "tests": [{"name": "one", **test}]}
    run(yaml.safe_dump(entry, allow_unicode=True))


line = st.dictionaries(
    st.sampled_from(["t", "hook", "at", "on", "ran", "why", "saw", "step", "status", "ms", "act",
                     "with", "do", "by", "event", "timer", "is", "note", "end", "session", "n"]),
    plain,
)  # fmt: skip


kind = st.sampled_from([
    {"step": "say", "at": "a", "status": "ok"}, {"act": "http", "at": "a"}, {"do": "say"},
    {"hook": "h", "at": "a", "ran": True}, {"hook": "h", "at": "a", "ran": False},
    {"session": "call_end"}, {"timer": "x"}, {"note": "n"}, {"event": "user_turn"}, {"end": {}},
])  # fmt: skip
shaped = st.builds(lambda rest, base: {"t": 1.0, **rest, **base}, line, kind)


@settings(max_examples=300, deadline=None)
@given(st.lists(line | shaped, max_size=5))
def test_any_journal_is_told_or_refused(lines: list[dict[str, Any]]) -> None:
    """What is read as a journal can be shown and counted."""
    text = "\n".join(json.dumps(entry) for entry in ({"call": {}}, *lines))
    try:
        journal = parse_journal(text)
    except OrchestratorError:
        return
    assert all(isinstance(words, str) for words in tell(journal.lines))
    assert all(isinstance(words, str) for words in tell_why(journal.lines, "x"))
    summarize(journal.lines)
    effects_of(journal.lines)
    given_of(journal.lines)
    call_test_of(journal, "support.yaml")
    happenings(journal.lines)
