"""A pause of the recording ends, however often the far side says no."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.errors import ActionFailed, CommandRefused, LineGone, NotSupported
from orchestrator.runtime import Command, Recording
from orchestrator.testing.conformance import _Lines
from orchestrator.validation import check_text
from tests.wire import Wire, at, now, virtual

HOOKS = """
version: 1
session:
  user_turn:
    - {when: "event.text == 'card'", do: [{recording: {pause: card, max: 10s}}]}
    - {when: "event.text == 'done'", do: [{recording: resume}], on_error: [{say: sorry}]}
"""


class Recorded(Wire):
    """A line whose recording refuses to resume so often; `asked` is when it was asked for what."""

    def __init__(self, *failures: BaseException | float, is_recorded: bool = True) -> None:
        super().__init__()
        self._is_recorded = is_recorded
        self.asked: list[tuple[float, str]] = []
        self._failures = list(failures)

    async def send(self, command: Command) -> None:
        if isinstance(command, Recording):
            self.asked.append((now(), command.change))
            if not self._is_recorded:
                raise CommandRefused("nothing is recorded")
            if command.change == "resume" and self._failures:
                failure = self._failures.pop(0)
                if isinstance(failure, BaseException):
                    raise failure
                await asyncio.sleep(failure)
        await super().send(command)

    def resumes(self) -> list[float]:
        return [t for t, change in self.asked if change == "resume"]


async def carried(line: Recorded, words: dict[float, str], hang_up: float) -> list[Any]:
    """A call in which the caller says something; the journal's lines."""
    config = check_text(HOOKS, "c.yaml").config
    assert config is not None
    sink, runner = _Lines(), AgentRunner()
    app = Orchestrator(config, variables={}, journals=sink)
    app.attach(runner)
    for when, text in words.items():
        at(when, line.say, text)
    at(hang_up, line.feed, "hangup")
    await runner.handle(line)
    await app.aclose()
    return sink.lines


NO = ActionFailed("HTTP 500")
WORDS = {1.0: "card", 5.0: "done"}


@pytest.mark.parametrize("failure", [NO, RuntimeError("boom"), TimeoutError(), 60.0])
def test_a_resume_that_fails_is_tried_again(failure: Any) -> None:
    """Whatever went wrong, also a step that was cut at its deadline: not only at `max`, not never."""

    @virtual
    async def check() -> None:
        line = Recorded(failure)
        found = await carried(line, WORDS, 30.0)
        first, second = line.resumes()
        assert (first, second) == (5.0, 8.0 if failure == 60.0 else 6.0)
        assert [x for x in found if x.get("do") == "say"] if failure is NO else True

    check()


@virtual
async def test_the_pauses_between_attempts_grow_until_it_works() -> None:
    """Also of one that its limit ends."""
    line = Recorded(*[NO] * 7)
    await carried(line, {1.0: "card"}, 300.0)
    assert line.resumes() == [11, 12, 14, 18, 26, 42, 72, 102]


@pytest.mark.parametrize(
    ("failures", "hang_up", "levels"),
    [
        ([NO], 60.0, ["WARNING"]),
        ([NO] * 3, 60.0, ["WARNING", "ERROR"]),
        ([NO] * 50, 600.0, ["WARNING", "ERROR", "ERROR"]),  # that it lasts, and that it stayed so
        ([NO] * 2, 11.5, ["WARNING", "ERROR"]),  # it was owed when the caller hung up
        ([], 5.0, []),  # with the call its recording is over
        ([NO], 5.0, []),
        ([LineGone("gone")], 60.0, []),
    ],
)
@virtual
async def test_an_operator_is_told_of_what_is_wrong_only(
    failures: list[Any], hang_up: float, levels: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """One 429 is no reason to look, and neither is a caller who hangs up in a pause."""
    with caplog.at_level(logging.INFO, "orchestrator.pauses"):
        lines = await carried(Recorded(*failures), {1.0: "card"}, hang_up)
    records = [r for r in caplog.records if r.name == "orchestrator.pauses"]
    assert [r.levelname for r in records] == levels
    assert all(vars(r)["call_id"] == "c1" for r in records)
    assert [line["why"] for line in lines if line.get("note", "").endswith("by itself")] == [
        "its limit" if hang_up > 10 else "the caller hung up"
    ]


@virtual
async def test_what_is_owed_does_not_end_the_next_pause() -> None:
    """Neither an attempt that waits for its turn nor one under way."""
    waiting = Recorded(NO)
    await carried(waiting, {1.0: "card", 5.0: "done", 5.5: "card"}, 12.0)
    assert waiting.asked == [(1, "pause"), (5, "resume"), (5.5, "pause")]


@virtual
async def test_an_attempt_under_way_is_over_before_the_next_pause() -> None:
    """And its failure starts no other one."""
    line = Recorded(1.0)  # the limit's, at 11
    await carried(line, {1.0: "card", 11.5: "card"}, 20.0)
    assert line.asked == [(1, "pause"), (11, "resume"), (12, "pause")]


@virtual
async def test_a_runtime_that_cannot_pause_owes_nothing() -> None:
    """It was never paused."""
    line = Recorded(*[NotSupported("no")] * 3)
    await carried(line, {1.0: "card"}, 60.0)
    assert line.resumes() == [11]


@virtual
async def test_what_never_paused_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """It is asked to resume all the same, since a refusal may come of a pause that worked."""
    line = Recorded(is_recorded=False)
    with caplog.at_level(logging.INFO, "orchestrator.pauses"):
        await carried(line, {1.0: "card"}, 300.0)
    assert len(line.resumes()) > 5
    assert {r.levelname for r in caplog.records if r.name == "orchestrator.pauses"} == {"WARNING"}


@virtual
async def test_a_pause_does_not_wait_long_behind_a_resume_without_an_answer() -> None:
    """The step has a deadline of its own, and the caller is about to say a number."""
    line = Recorded(14.0)
    await carried(line, {1.0: "card", 12.0: "card"}, 60.0)
    assert line.asked == [(1, "pause"), (11, "resume"), (13, "pause"), (22, "resume")]
