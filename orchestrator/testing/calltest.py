"""Call tests: a file of invented calls, each with what a config must make of it.

::

    config: support-line.yaml
    tests:
      - name: a silent caller is nudged twice, then the call ends
        call: {user_number: "+15550100"}
        given: {crm_lookup: {first_name: Ada}}
        events:
          - {t: 0, agent_turn: "How can I help?"}
        expect:
          - {t: 8, say: {text: "Are you still there?"}}
          - {t: 16, say: any}
          - {t: 21, end_call: no_response}
        never: [escalate_transfer]
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.compiler import compile_config
from orchestrator.config import Config
from orchestrator.document import Document, YamlMap, read_document
from orchestrator.durations import parse_duration
from orchestrator.errors import EnvironmentFailure, Problem, ScriptError
from orchestrator.memory import MAX_TIMES
from orchestrator.plan import Plan
from orchestrator.testing.callreader import CallSetup, read_call, read_events
from orchestrator.testing.expectations import Expected
from orchestrator.testing.expectreader import read_expected
from orchestrator.testing.given import Given
from orchestrator.testing.givenreader import read_given
from orchestrator.testing.recorded import Remembered
from orchestrator.testing.variables import StandIns
from orchestrator.testing.words import Words
from orchestrator.validation import load_config
from orchestrator.validation.reader import Reader

__all__ = ["CallTest", "CallTestFile", "is_call_test", "load_call_tests"]

SUFFIX = ".calltest.yaml"

_FILE_KEYS = ("config", "description", "env", "given", "call", "tests")
_TEST_KEYS = (
    "name", "description", "call", "given", "events", "script", "memory", "remembered",
    "expect", "never", "only", "data", "state", "journal",
)  # fmt: skip
_EXPECTING = ("expect", "never", "only", "data", "state", "journal")


@dataclass(frozen=True, slots=True)
class CallTest:
    """One call to play, and what is expected of it."""

    name: str
    file: str
    line: int
    setup: CallSetup
    expected: Expected
    given: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Remembered] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """`file:line` of the test."""
        return f"{self.file}:{self.line}"

    def answers(self) -> Given:
        """The answers of this test, not yet asked."""
        return Given(self.given)


@dataclass(frozen=True, slots=True)
class CallTestFile:
    """The call tests of one file, with the plan that they test."""

    file: str
    config: Config
    plan: Plan
    tests: tuple[CallTest, ...]


def is_call_test(path: Path) -> bool:
    """Whether a file is one of call tests, by its name."""
    return path.name.endswith((SUFFIX, SUFFIX.replace(".yaml", ".yml")))


def load_call_tests(path: str | Path) -> CallTestFile:
    """Read a file of call tests, and the config that it names.

    Raises:
        ScriptError: the file has mistakes; the message has each as `file:line:col: what`.
        ConfigError: the config has mistakes.
        EnvironmentFailure: a file cannot be read.
    """
    document = read_document(path)
    reader = Reader(document)
    _refuse(document.problems)
    root = document.root
    if root is None:
        raise ScriptError(f"{path}:1:1: the file is empty; write `config:` and `tests:`")
    reader.check_keys(root, _FILE_KEYS, "a file of call tests")
    config = _config(reader, root, Path(path))
    _refuse(reader.problems.sorted())
    plan = compile_config(config, StandIns({**os.environ, **_env(reader, root)}, config))
    file = _FileReader(reader, Words(config), root, Path(path).parent)
    tests = _tests(file, root)
    _refuse(reader.problems.sorted())
    if file.empty:
        raise ScriptError("\n".join(file.empty))
    return CallTestFile(str(path), config, plan, tests)


def _refuse(problems: tuple[Problem, ...] | list[Problem]) -> None:
    errors = [problem for problem in problems if problem.is_error]
    if errors:
        texts = [f"{p.position}: {p.message}{f'; {p.help}' if p.help else ''}" for p in errors]
        raise ScriptError("\n".join(texts))


def _config(reader: Reader, root: YamlMap, path: Path) -> Config:
    name = reader.text(root, "config", what="the path of a config")
    if name is None and not len(reader.problems):
        raise ScriptError(f"{path}:1:1: `config` is missing; name the config to test")
    _refuse(reader.problems.sorted())
    try:
        return load_config(path.parent / name)
    except EnvironmentFailure as error:
        raise ScriptError(f"{reader.value_position(root, 'config')}: {error}") from error


def _env(reader: Reader, root: YamlMap) -> dict[str, str]:
    node = reader.mapping(root, "env") if "env" in root else None
    return {key: reader.text(node, key, "") for key in node} if node is not None else {}


@dataclass(frozen=True, slots=True)
class _FileReader:
    """`empty` has the tests that expect nothing, which pass whatever happens."""

    reader: Reader
    words: Words
    root: YamlMap
    folder: Path
    empty: list[str] = field(default_factory=list)


def _tests(file: _FileReader, root: YamlMap) -> tuple[CallTest, ...]:
    if "tests" not in root:
        raise ScriptError(f"{file.reader.document.file}:1:1: `tests` is missing; write a list")
    items = file.reader.items(root, "tests", "a list of tests")
    tests: list[CallTest] = []
    lines: dict[str, int] = {}
    for index in range(len(items or ())):
        node = file.reader.mapping(items, index, "a test: a mapping with `name`")
        test = _test(file, node) if node is not None else None
        if test is None or node is None:
            continue
        if test.name in lines:
            position = file.reader.value_position(node, "name")
            earlier = f"line {lines[test.name]} has a test of that name"
            file.reader.report("HK119", earlier, position, help="rename one of the two")
        lines.setdefault(test.name, test.line)
        tests.append(test)
    return tuple(tests)


def _test(file: _FileReader, node: YamlMap) -> CallTest | None:
    reader = file.reader
    reader.check_keys(node, _TEST_KEYS, "a test")
    name = reader.text(node, "name", what="what the test shows")
    position = reader.document.position(node.span)
    if name is None:
        if "name" not in node:
            reader.report("HK104", "the test has no `name`", position, help="say what it shows")
        return None
    setup = read_call(reader, file.root, node)
    events = read_events(reader, node, file.folder)
    given = {
        **read_given(reader, file.root, file.words),
        **read_given(reader, node, file.words),
    }
    expected = read_expected(reader, node, file.words)
    if not any(key in node for key in _EXPECTING):
        words = "expects nothing; write `expect`, if only `expect: []`"
        file.empty.append(f"{position}: the test {name!r} {words}")
    return CallTest(
        name=name,
        file=reader.document.file,
        line=position.line,
        setup=setup.with_events(events),
        expected=expected,
        given=given,
        memory=_memory(reader, node),
    )


def _memory(reader: Reader, node: YamlMap) -> Mapping[str, Remembered]:
    """What earlier calls left: values under `memory`, counts within a time under `remembered`."""
    values = reader.mapping(node, "memory") if "memory" in node else None
    counts = reader.mapping(node, "remembered") if "remembered" in node else None
    found = {str(key): Remembered(value) for key, value in (values or {}).items()}
    for key in counts or ():
        within = reader.mapping(counts, key, "times and counts, such as {24h: 3}")
        if within is not None:
            found.setdefault(str(key), Remembered()).counts |= _counts(reader, within)
    return found


def _counts(reader: Reader, node: YamlMap) -> dict[float, int]:
    counts: dict[float, int] = {}
    for text in node:
        count = reader.integer(node, text, low=1, high=MAX_TIMES)
        try:
            seconds = parse_duration(text)
        except ValueError as error:
            reader.at(node, text, "HK108", str(error), on="key")
            continue
        if count is not None:
            counts[seconds] = count
    return counts


def document_of(text: str, file: str) -> Document:
    """A document of a text, for tests of this package."""
    from orchestrator.document import parse_document

    return parse_document(text, file)
