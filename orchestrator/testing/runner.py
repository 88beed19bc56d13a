"""Run one call test: play its call in virtual time and look for the first difference."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.callscript import CallScript, TimedEvent
from orchestrator.clock import VIRTUAL_START
from orchestrator.memory import Memory
from orchestrator.plan import Plan
from orchestrator.replay import Played, play
from orchestrator.review.journals import is_session_end
from orchestrator.runtime import CallEvent
from orchestrator.testing.calltest import CallTest
from orchestrator.testing.difference import describe_difference
from orchestrator.testing.expectations import (
    Difference,
    Expected,
    first_difference,
    match_in_order,
)
from orchestrator.testing.timeline import happenings

__all__ = ["DEFAULT_ID", "TestResult", "run_call_test"]

#: The id of a played call that has none. With it `say` speaks the first of several texts first.
DEFAULT_ID = "call-test"
#: Seconds that the line stays open after all that was expected has happened.
MARGIN = 1.0
#: Seconds after the last event that expectations without a time are waited for.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class TestResult:
    """How a call test went: `difference` is None when it passed."""

    __test__ = False  # pytest: a result, not a class of tests

    test: CallTest
    played: Played
    difference: Difference | None = None

    @property
    def has_passed(self) -> bool:
        """Whether everything was as expected."""
        return self.difference is None

    @property
    def report(self) -> str:
        """What differs, with a small timeline; empty when the test passed."""
        return describe_difference(self.difference) if self.difference is not None else ""


def run_call_test(test: CallTest, plan: Plan) -> TestResult:
    """Play the test's call and compare.

    A call whose script does not end it goes on until a second after everything expected has
    happened; then the caller hangs up. What is expected without a time is waited for 60 s, to the
    end of the call if hooks end it.

    Raises:
        NotSupported: the config needs a capability that the test takes away.
    """
    ends = _known_end(test)
    if ends is not None:
        return _judge(test, _play(test, plan, ends))
    last = max((e.t for e in test.setup.events), default=0.0)
    whole = _play(test, plan, max(last, _latest(test.expected)) + PATIENCE)
    met = _last_met(test.expected, whole)
    if met is None:
        return _judge(test, whole)
    cut = _judge(test, _play(test, plan, max(last, met) + MARGIN))
    if cut.has_passed:
        return cut
    # What comes with the end of the call, or after what the timeline names, comes in the whole.
    told = _judge(test, whole)
    is_later = not test.expected.timeline or _last_met(test.expected, cut.played) is None
    return told if told.has_passed or is_later else cut


def _known_end(test: CallTest) -> float | None:
    """When the call ends by its script or by the times of what is expected; None if unknown."""
    events = test.setup.events
    if any(event.event.name == "hangup" for event in events):
        return events[-1].t
    if test.setup.ends is not None:
        return test.setup.ends
    expected = test.expected
    if expected.data or expected.state or expected.journal:
        return None
    if any(expectation.at is None for expectation in expected.timeline):
        return None
    last = max((event.t for event in events), default=0.0)
    return max(last, _latest(test.expected)) + MARGIN


def _latest(expected: Expected) -> float:
    return max((e.latest for e in expected.timeline if e.latest is not None), default=0.0)


def _last_met(expected: Expected, played: Played) -> float | None:
    """When the last expectation was met while the call was on; None when one was not met."""
    end = next((line["t"] for line in played.clear if is_session_end(line)), 0.0)
    matches = match_in_order(expected.timeline, happenings(played.clear))
    times = [match.happening.t for match in matches if match.happening is not None]
    if len(times) < len(matches):
        return None
    return max((t for t in times if t < end), default=0.0)


def _play(test: CallTest, plan: Plan, ends: float) -> Played:
    setup = test.setup
    events = setup.events
    if setup.ends is not None and not any(event.event.name == "hangup" for event in events):
        kept = tuple(event for event in events if event.t <= ends)
        events = (*kept, TimedEvent(ends, CallEvent("hangup", {"reason": "end of test"})))
    # Without a time to hang up at, the line stays open for the outcome of a transfer, too.
    linger = max(0.0, ends - max((event.t for event in events), default=0.0))
    header = {"id": DEFAULT_ID, **setup.header}
    return play(
        plan,
        CallScript(header, events, test.file),
        options=replace(setup.options, linger=linger),
        given=test.answers(),
        memory=_memory(test),
        start=setup.start,
    )


def _memory(test: CallTest) -> Memory:
    start = test.setup.start or VIRTUAL_START
    memory = Memory(wall=start.timestamp)
    for key, left in test.memory.items():
        left.put_into(memory, key)
    return memory


def _judge(test: CallTest, played: Played) -> TestResult:
    return TestResult(test, played, first_difference(test.expected, played))
