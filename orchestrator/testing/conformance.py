"""The conformance suite: the same calls on every runtime, and the same journals expected.

A runtime takes part through a `Carrier`, which knows how to play the far side of one call. The
command prints which runtime passes what; carriers are named as `module:attribute`, an object or a
list of them, beside the built-in script bridge::

    python -m orchestrator.testing.conformance my_adapter.conformance:CARRIERS
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
import textwrap
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.app import Orchestrator
from orchestrator.callscript import CallScript, event_from_mapping
from orchestrator.clock import run_virtual
from orchestrator.errors import ConfigError, UserError, named
from orchestrator.journal import Redactor, encode, kind_of_line
from orchestrator.runtime import ALL_CAPABILITIES
from orchestrator.runtimes.native import AgentRunner
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.testing.conformance_abilities import ABILITIES
from orchestrator.testing.conformance_case import (
    CALLER,
    MACHINE,
    NOTES,
    REDIAL,
    Case,
    entrypoint,
    takes_notes,
)
from orchestrator.testing.conformance_cases import COURSES
from orchestrator.testing.farside import FarSide, amiss, asked_for, breaches, first_difference
from orchestrator.validation import check_text

__all__ = [
    "CALLER",
    "CASES",
    "MACHINE",
    "NOTES",
    "REDIAL",
    "Carrier",
    "Case",
    "FarSide",
    "Result",
    "ScriptCarrier",
    "asked_for",
    "entrypoint",
    "event_from_mapping",
    "run_case",
    "run_conformance",
    "story_of",
]

Line = Mapping[str, Any]

#: What every runtime is asked, as far as it can: the course of a call, then each single ability.
CASES: tuple[Case, ...] = (*COURSES, *ABILITIES)


class Carrier(Protocol):
    """Plays calls on one runtime.

    Attributes:
        name: the runtime, as the table shows it.
        can: its capabilities, `REDIAL` if it makes broken connections again, and `MACHINE` if the
            call's dialog machine writes the replies.
        untold: capabilities whose commands or events its far side cannot play or see; leave it out
            if there are none. The cases that need them do not apply, and the table says so.
    """

    name: str
    can: frozenset[str]

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on a loop of its own."""
        ...

    async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
        """Attach, carry one call with the suite's `entrypoint`; what the far side saw of it.

        The caller's number is `CALLER`. The far side does what `case.script` says
        (`event_from_mapping` reads an entry: `t` seconds after the bridge is up, and the event) and
        breaks the connection at `case.drop`. After the last entry the line stays open for 5 s,
        unless it was hung up: the agent may end the call. Two calls may be played at a time.
        """
        ...


class ScriptCarrier:
    """Our own runner and the script bridge, in virtual time."""

    def __init__(self, name: str = "script", without: Iterable[str] = ()) -> None:
        self.name = name
        self.can = (ALL_CAPABILITIES | {MACHINE}) - frozenset(without)

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run in virtual time."""
        run_virtual(main)

    async def play(self, orchestrator: Orchestrator, case: Case) -> FarSide:
        """Play the script; its bridge has no connection that could break."""
        can = self.can & ALL_CAPABILITIES
        runner = AgentRunner(entrypoint, capabilities=can)
        orchestrator.attach(runner)
        events = tuple(event_from_mapping(event) for event in case.script)
        script = CallScript({"id": "call", "user_number": CALLER}, events, case.name)
        bridge = ScriptBridge(script, PlayOptions(capabilities=can, linger=5.0))
        await runner.handle(bridge)
        far = FarSide()
        for _, command in bridge.commands:
            far.take(command)
        return far


@dataclass(frozen=True, slots=True)
class Result:
    """How one case went on one runtime: passed, failed, or not for it (`reason` says why)."""

    runtime: str
    case: str
    status: str
    reason: str = ""
    story: tuple[str, ...] = field(default=(), repr=False)


class _Lines:
    """A sink that keeps the journal's lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def put(self, call_id: str, records: Sequence[Any], redactor: Redactor, began: float) -> None:
        """Encode and keep."""
        self.lines.extend(encode(records, redactor, began))

    def close(self) -> None:
        """Nothing to write."""


def run_case(case: Case, carrier: Carrier) -> Result:
    """Play one case on one runtime and compare its journal with the expected one.

    Raises:
        ConfigError: the case's own config is bad.
    """
    if why := case.applies_to(carrier.can, getattr(carrier, "untold", frozenset())):
        return Result(carrier.name, case.name, "not applicable", why)
    plays = [_Play(one) for one in (case, case.beside) if one is not None]

    async def main() -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*(play.carry(carrier) for play in plays))

    with breaches() as broken:
        try:
            carrier.run(main())
        except Exception as error:  # noqa: BLE001 - a carrier failing is the result of its case
            return Result(carrier.name, case.name, "failed", f"{type(error).__name__}: {error}")
    found = (play.what_is_wrong(carrier.can) for play in plays)
    why = next(filter(None, found), "") or next(iter(broken), "")
    return Result(carrier.name, case.name, "failed" if why else "passed", why, plays[0].story)


class _Play:
    """One call of a case, and what came of it.

    Raises:
        ConfigError: the case's own config is bad.
    """

    def __init__(self, case: Case) -> None:
        checked = check_text(f"version: 1\n{textwrap.dedent(case.config)}", f"{case.name}.yaml")
        if checked.config is None:
            raise ConfigError(checked.problems)
        self._case, self._sink, self._seen = case, _Lines(), FarSide()
        self._orchestrator = Orchestrator(checked.config, variables={}, journals=self._sink)

    async def carry(self, carrier: Carrier) -> None:
        """Have the carrier play it."""
        takes_notes.set(self._case.takes_notes)
        self._seen = await carrier.play(self._orchestrator, self._case)
        await self._orchestrator.aclose()

    @property
    def story(self) -> tuple[str, ...]:
        """What its journal tells."""
        return tuple(story_of(self._sink.lines))

    def what_is_wrong(self, can: frozenset[str]) -> str:
        """The first that is not as it must be, by the journal or the far side; empty if all is."""
        if any(not line["call"].get("id") for line in self._sink.lines if "call" in line):
            return "the call has no id"
        return first_difference(self._case.expected, self.story) or amiss(
            self._case, self.story, self._seen, writes_replies=MACHINE in can
        )


def run_conformance(carriers: Iterable[Carrier], cases: Iterable[Case] = CASES) -> list[Result]:
    """Every case on every runtime."""
    every = tuple(cases)
    return [run_case(case, carrier) for carrier in carriers for case in every]


# --- journals without what differs from runtime to runtime


def story_of(lines: Iterable[Line]) -> list[str]:
    """What a journal tells, without times, measurements, states and words of the runtime's own."""
    told = ((kind_of_line(line), line) for line in lines)
    return [text for kind, line in told if kind in _TELL and (text := _TELL[kind](line))]


def _scope(line: Line, scope: str) -> str:
    state = line.get("final_state") or line.get("state") or ""
    return f"{scope} {line[scope]} {state}".rstrip()


#: The field of an event that its story tells.
_MAIN = {
    "user_turn": "text", "agent_turn": "text", "transfer": "outcome", "error": "code",
    "dtmf": "digit", "tool_call": "name", "tool_result": "name", "voicemail": "stage",
}  # fmt: skip


def _event(line: Line) -> str:
    name = line["event"]
    if name in ("state", "metric"):
        return ""
    if name == "agent_turn" and line.get("interrupted"):
        return "event agent_turn (cut)"
    return f"event {name} {line.get(_MAIN.get(name, ''), '')}".rstrip()


def _command(line: Line) -> str:
    main = {"say": "text", "end_call": "reason", "transfer": "target"}
    return f"do {line['do']} {line.get(main.get(line['do'], ''), '')}".rstrip()


def _hook(line: Line) -> str:
    name = str(line["hook"])
    return f"hook {name[5:]}" if line.get("ran") and name.startswith("case ") else ""


def _step(line: Line) -> str:
    is_bad = line.get("status") in ("failed", "timed_out")
    return f"step {line['step']} {line['status']}" if is_bad else ""


_TELL = {
    "runner": lambda line: _scope(line, "runner"), "session": lambda line: _scope(line, "session"),
    "event": _event, "do": _command, "hook": _hook, "step": _step,
}  # fmt: skip


# --- the command


_USAGE = "usage: python -m orchestrator.testing.conformance [MODULE:CARRIERS ...]"
_MARKS = {"passed": "pass", "failed": "FAIL", "not applicable": "-"}


def table(results: Sequence[Result]) -> str:
    """The results as text: a line for each case, a column for each runtime."""
    runtimes = list(dict.fromkeys(result.runtime for result in results))
    cases = list(dict.fromkeys(result.case for result in results))
    found = {(result.case, result.runtime): result for result in results}
    width = max(map(len, cases), default=0)
    rows = [_row(c, (_MARKS[found[c, r].status] for r in runtimes), runtimes, width) for c in cases]
    return "\n".join([_row("", runtimes, runtimes, width), *rows, "", *_reasons(results)]).rstrip()


def _row(name: str, cells: Iterable[str], runtimes: Sequence[str], width: int) -> str:
    padded = (cell.ljust(len(runtime)) for cell, runtime in zip(cells, runtimes, strict=True))
    return "  ".join([name.ljust(width), *padded]).rstrip()


def _reasons(results: Iterable[Result]) -> Iterator[str]:
    return (f"{r.runtime}: {r.case}: {_MARKS[r.status]} ({r.reason})" for r in results if r.reason)


def _load(name: str) -> list[Carrier]:
    """The carriers of this name.

    Raises:
        UserError: there are none; says why.
    """
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise UserError(f"{name!r} has not the form MODULE:CARRIERS")
    try:
        loaded = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise UserError(f"{name} cannot be loaded: {named(error)}") from error
    carriers = list(loaded) if isinstance(loaded, (list, tuple)) else [loaded]
    for carrier in carriers:
        lacks = [part for part in ("name", "can", "run", "play") if not hasattr(carrier, part)]
        if lacks or isinstance(carrier, type):
            what = f"it has no {', '.join(lacks)}" if lacks else "it is a class; give an object"
            raise UserError(f"{name} is no carrier: {what}")
    return carriers


def main(names: Sequence[str]) -> int:
    """Run the suite on the script bridge and the named carriers, a row as soon as it is done.

    0: all passed; 1: a case failed; 2: a name that gives no carrier.
    """
    if any(name in ("-h", "--help") for name in names):
        sys.stdout.write(f"{_USAGE}\n")
        return 0
    carriers: list[Carrier] = [
        ScriptCarrier(),
        ScriptCarrier("script, no outcomes", ["transfer.outcome", "playback"]),
    ]
    try:
        for name in names:
            carriers += _load(name)
    except UserError as error:
        sys.stderr.write(f"{_USAGE}\nerror: {error}\n")
        return 2
    runtimes, width = [carrier.name for carrier in carriers], max(len(c.name) for c in CASES)
    sys.stdout.write(_row("", runtimes, runtimes, width) + "\n")
    results: list[Result] = []
    for case in CASES:  # a runtime that hangs may take a minute over each
        row = [run_case(case, carrier) for carrier in carriers]
        marks = [_MARKS[result.status] for result in row]
        sys.stdout.write(_row(case.name, marks, runtimes, width) + "\n")
        sys.stdout.flush()
        results += row
    sys.stdout.write("\n".join(["", *_reasons(results)]).rstrip() + "\n")
    return int(any(result.status == "failed" for result in results))


if __name__ == "__main__":
    if "ORCHESTRATOR_LOG" not in os.environ:  # some cases fail on purpose
        logging.getLogger().addHandler(logging.NullHandler())  # instead of the last resort, stderr
    sys.path.insert(0, "")
    sys.exit(main(sys.argv[1:]))
