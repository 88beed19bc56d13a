"""Playing many calls for the command line: inputs, answers, journals, real time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.callscript import CallScript, import_segments, parse_script
from orchestrator.cli import FAILED
from orchestrator.cli.files import find_files
from orchestrator.clock import VIRTUAL_START
from orchestrator.compiler import compile_config
from orchestrator.config import Config
from orchestrator.errors import EnvironmentFailure, OrchestratorError
from orchestrator.journal import DirectorySink, Redactor, Sink, dump_line, encode, file_name
from orchestrator.memory import Memory
from orchestrator.plan import Plan
from orchestrator.replay import Played, play
from orchestrator.review.summary import CallSummary, summarize
from orchestrator.runtimes.native import AgentRunner
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptExchange
from orchestrator.scriptevent import read_text
from orchestrator.testing.given import Given
from orchestrator.testing.givenreader import load_given
from orchestrator.testing.variables import StandIns
from orchestrator.validation import load_config

__all__ = ["Inputs", "Ran", "open_run", "read_inputs", "run_in_real_time", "write_journal"]


@dataclass(slots=True)
class Inputs:
    """The calls to play, and what is wrong with the others."""

    scripts: list[CallScript] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_unreadable: bool = False

    @property
    def exit_code(self) -> int:
        """0 when all was good, 1 when an input is malformed, 3 when one cannot be read."""
        return FAILED if self.is_unreadable else int(bool(self.problems))

    def add(self, problem: str, error: OrchestratorError | None = None) -> None:
        """Take note of an input that cannot be played."""
        self.problems.append(problem)
        self.is_unreadable |= error is None or isinstance(error, EnvironmentFailure)


def read_inputs(scripts: Iterable[Path], segments: Iterable[Path]) -> Inputs:
    """Read call scripts and speech segments; a malformed file is a problem of its own."""
    inputs = Inputs()
    readers: tuple[tuple[Iterable[Path], Callable[[str, str], CallScript]], ...] = (
        (scripts, parse_script),
        (segments, import_segments),
    )
    for paths, parse in readers:
        for path in paths:
            _read_path(path, parse, inputs)
    return inputs


def _read_path(path: Path, parse: Callable[[str, str], CallScript], inputs: Inputs) -> None:
    """Read a file or the files of a folder; what cannot be read leaves the others alone."""
    try:
        files = find_files([path], ("*.jsonl",))
    except OrchestratorError as error:
        inputs.add(str(error), error)
        return
    for file in files:
        try:
            inputs.scripts.append(parse(read_text(file), str(file)))
        except OrchestratorError as error:
            inputs.add(str(error), error)
    if not files:
        inputs.add(f"{path}: no *.jsonl in this folder")


#: A script that does not say when the caller hangs up: a minute in which silence can act.
QUIET_CALLER = PlayOptions(linger=60.0)


@dataclass(slots=True)
class Ran:
    """A config on which calls are played, one after another, with one memory."""

    config: Config
    plan: Plan | None
    answers: Mapping[str, Any]
    variables: StandIns
    memory: Memory = field(default_factory=Memory)
    clock: datetime = VIRTUAL_START

    @property
    def stand_ins(self) -> list[str]:
        """Environment variables that are not set."""
        return self.variables.used

    def play(self, script: CallScript) -> Played:
        """Play a call in virtual time; it starts when it was recorded, or when the last ended."""
        assert self.plan is not None  # noqa: S101 - only a run in real time has none
        start = script.started or self.clock
        given = Given(self.answers)
        played = play(
            self.plan, script, options=QUIET_CALLER, given=given, memory=self.memory, start=start
        )
        self.clock = start + timedelta(seconds=1 + max(line.get("t", 0) for line in played.lines))
        return played

    def summary(self, played: Played) -> CallSummary:
        """The counts of a played call."""
        return summarize(played.lines, played.call_id)


def open_run(config_file: Path, given_file: Path | None, *, is_real: bool) -> Ran:
    """Load a config and its answers.

    Raises:
        ConfigError, ScriptError: they have mistakes.
        EnvironmentFailure: a file cannot be read.
    """
    config = load_config(config_file)
    answers = load_given(given_file, config) if given_file is not None else {}
    variables = StandIns(os.environ, config)
    plan = None if is_real else compile_config(config, variables)
    return Ran(config, plan, answers, variables)


def write_journal(
    directory: Path, call_id: str, lines: Sequence[Mapping[str, Any]], taken: set[str]
) -> Path:
    """Write one journal; calls of the same id in one run get files of their own.

    Raises:
        EnvironmentFailure: it cannot be written.
    """
    name, number = file_name(call_id), 1
    while name in taken:
        number += 1
        name = file_name(call_id).replace(".jsonl", f"-{number}.jsonl")
    taken.add(name)
    text = "".join(dump_line(dict(line)) + "\n" for line in lines)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailure(f"cannot write the journal {directory / name}: {error}") from error
    return directory / name


# --- real time


class _Copy:
    """A sink that keeps the lines of each call, and hands them on to another."""

    def __init__(self, other: Sink | None) -> None:
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self._other = other

    def put(self, call_id: str, records: Sequence[Any], redactor: Redactor, began: float) -> None:
        """Keep and hand on."""
        self.lines.setdefault(call_id, []).extend(encode(records, redactor, began))
        if self._other is not None:
            self._other.put(call_id, records, redactor, began)

    def close(self) -> None:
        """Write out what the other has."""
        if self._other is not None:
            self._other.close()


def run_in_real_time(run: Ran, inputs: Inputs, journal_dir: Path | None) -> list[CallSummary]:
    """Play the calls one after another at the speed of life; what hooks send is really sent.

    Raises:
        ConfigError: an environment variable is not set.
    """
    sink = _Copy(DirectorySink(journal_dir) if journal_dir is not None else None)
    given = Given(run.answers) if run.answers else None
    app = Orchestrator(run.config, journals=sink, given=given)
    asyncio.run(_carry(app, inputs.scripts))
    return [summarize(lines, call_id) for call_id, lines in sink.lines.items()]


async def _carry(app: Orchestrator, scripts: Sequence[CallScript]) -> None:
    runner = AgentRunner(exchange=ScriptExchange(scripts, options=QUIET_CALLER))
    app.attach(runner)
    try:
        await runner.run()
    finally:
        await app.aclose()
