"""One event: hooks of a config against a bare loop of handlers and a function written by hand.

The bare loop `for h in handlers: await h(x)` does nothing but call: no isolation, no deadline, no
record. The hand-written function does what the realistic hooks do, without any of the three.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.sidebyside import measure, table
from orchestrator.action import Action
from orchestrator.call import Call
from orchestrator.clock import real_clock
from orchestrator.compiler import compile_config
from orchestrator.dispatcher import dispatch
from orchestrator.facts import CallFacts
from orchestrator.journal import Journal, NoSink, Redactor
from orchestrator.memory import Memory
from orchestrator.registry import Registry
from orchestrator.runtime import CallOffer
from orchestrator.services import Services
from orchestrator.steps import run_steps
from orchestrator.validation import check_text

EVENTS = 1_000
TEXT = {"text": "I want to talk to a human being, please"}


class Noop(Action):
    """Do nothing, as a plain function."""

    def run(self, ctx: Any) -> None:
        """Nothing."""


class NoopAsync(Action):
    """Do nothing, as a coroutine."""

    async def run(self, ctx: Any) -> None:
        """Nothing."""


class NoopSuspends(Action):
    """Wait for one turn of the loop."""

    async def run(self, ctx: Any) -> None:
        """One turn."""
        await asyncio.sleep(0)


def five(word: str) -> str:
    """A config of five hooks with one step each."""
    return (
        "version: 1\nplugins: [benchmarks.bench_dispatch]\nsession:\n  user_turn:\n"
        + f"    - {word}: {{}}\n" * 5
    )


REALISTIC = """version: 1
session:
  user_turn:
    - when: event.text is matching('human|person') and call.count('user_turn') >= 1
      do: [{log: "call {{ call.id }} asks: {{ event.text | upper }}"}]
    - when: event.text is matching('refund') and call.turns > 5
      do: [{log: refund}]
    - set: {last: "{{ event.text }}"}
"""


class Session:
    """A session without a line."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}


def hooks_of(text: str) -> Callable[[], Coroutine[Any, Any, None]]:
    """A function that runs one event through the hooks of a config."""
    checked = check_text(text)
    assert checked.config is not None, checked.problems
    assert checked.is_good, checked.problems
    plan = compile_config(checked.config, {})
    clock = real_clock()
    facts = CallFacts(CallOffer("call-1"), clock)
    facts.note_event("user_turn", TEXT)
    journal = Journal("call-1", NoSink(), Redactor(), clock.now)
    call = Call(plan, facts, Session(), services=Services(clock, Memory(), {}), journal=journal,
                capabilities=frozenset(), run=run_steps)  # fmt: skip
    handlers = plan.handlers["session", "user_turn"]

    async def event() -> None:
        await dispatch(call, handlers, TEXT)

    return event


def bare(
    handler: Callable[[Any], Coroutine[Any, Any, None]],
) -> Callable[[], Coroutine[Any, Any, None]]:
    """The bare loop over five handlers."""
    handlers = [handler] * 5

    async def event() -> None:
        for h in handlers:
            await h(TEXT)

    return event


async def nothing(_: Any) -> None:
    """A handler that does nothing."""


async def one_turn(_: Any) -> None:
    """A handler that waits for one turn of the loop."""
    await asyncio.sleep(0)


def by_hand() -> Callable[[], Coroutine[Any, Any, None]]:
    """What the realistic hooks do, written as one function."""
    log, data = logging.getLogger("hand"), {}
    human, refund = re.compile("human|person", re.I), re.compile("refund", re.I)
    turns, call_id = [0.0], "call-1"

    async def event() -> None:
        text = TEXT["text"]
        if human.search(text) and len(turns) >= 1:
            log.info(f"call {call_id} asks: {text.upper()}")
        if refund.search(text) and len(turns) > 5:
            log.info("refund")
        data["last"] = text

    return event


def many(
    event: Callable[[], Coroutine[Any, Any, None]], runner: asyncio.Runner
) -> Callable[[], None]:
    """Run an event so often that the loop's start does not count."""

    async def main() -> None:
        for _ in range(EVENTS):
            await event()

    return lambda: runner.run(main())


def main() -> None:
    """Print the three tables."""
    assert Registry().load_plugin("benchmarks.bench_dispatch")
    with asyncio.Runner() as runner:

        async def make(text: str) -> Any:
            return hooks_of(text)

        def ours(text: str) -> Callable[[], None]:
            return many(runner.run(make(text)), runner)

        groups = {
            "five hooks that never wait": {
                "bare loop of five handlers": many(bare(nothing), runner),
                "five hooks, plain functions": ours(five("noop")),
                "five hooks, coroutines": ours(five("noop_async")),
            },
            "five hooks that each wait one turn": {
                "bare loop of five handlers": many(bare(one_turn), runner),
                "five hooks, coroutines": ours(five("noop_suspends")),
            },
            "a realistic event: 3 hooks, 2 conditions, 2 templates": {
                "one function written by hand": many(by_hand(), runner),
                "the hooks": ours(REALISTIC),
            },
        }
        for title, alternatives in groups.items():
            print(f"\n{title} (per event)")
            rows = measure(alternatives)
            table({name: (seconds / EVENTS, ratio) for name, (seconds, ratio) in rows.items()})
