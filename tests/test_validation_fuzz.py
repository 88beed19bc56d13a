"""Mutated good files: whatever is in a file, the validator says so and never breaks.

`FUZZ_RUNS=10000 pytest tests/test_validation_fuzz.py` is the long form.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.cli.formats import FORMATS
from orchestrator.cli.reporter import frame
from orchestrator.codes import CODES
from orchestrator.validation import Checked, Settings, check_text
from orchestrator.validation.fixes import mend

ROOT = Path(__file__).parents[1]
GOOD = sorted((ROOT / "tests/data/good").glob("*.yaml"))
BAD = sorted((ROOT / "tests/data/invalid").glob("*.yaml"))
TEXTS = [path.read_text("utf-8") for path in GOOD]
LINES = sorted({line for text in TEXTS for line in text.splitlines()})
WORDS = sorted({word for text in TEXTS for word in text.split()})
RUNS = int(os.environ.get("FUZZ_RUNS", "150"))
PIECES = [
    "{{", "}}", "{{ ", "${", "${A}", "|", ">", "&a ", "*a", "!!", "- ", ": ", "\t", "\n", "'", '"', "[", "]",
    "{", "}", "#", "null", "~", "0", "-1", "1e999", "1s", "event.text", "data.x", "\u00a0", "\u2028", "\x00",
    "\U0001f600", "ü", "%", "@", "custom.x", "x-a", "<<", "---\n", "...", "(", ")", " and ", " is ", "| default(",
]  # fmt: skip

fuzzed = settings(
    max_examples=RUNS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    database=None,
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A good file with a few changes: characters, words, lines, indentation."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        text = _MUTATIONS[draw(st.integers(0, len(_MUTATIONS) - 1))](draw, text)
    return text


def _cut(draw: st.DrawFn, text: str) -> str:
    start = draw(st.integers(0, len(text)))
    return text[:start] + text[start + draw(st.integers(1, 12)) :]


def _insert(draw: st.DrawFn, text: str) -> str:
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(PIECES)) + text[at:]


def _word(draw: st.DrawFn, text: str) -> str:
    words = text.split(" ")
    words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(WORDS))
    return " ".join(words)


def _line(draw: st.DrawFn, text: str) -> str:
    lines = text.split("\n")
    at = draw(st.integers(0, len(lines) - 1))
    lines[at : at + draw(st.integers(0, 2))] = [draw(st.sampled_from(LINES))]
    return "\n".join(lines)


def _indent(draw: st.DrawFn, text: str) -> str:
    lines = text.split("\n")
    at = draw(st.integers(0, len(lines) - 1))
    lines[at] = " " * draw(st.integers(0, 14)) + lines[at].lstrip()
    return "\n".join(lines)


def _swap(draw: st.DrawFn, text: str) -> str:
    lines = text.split("\n")
    a, b = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
    lines[a], lines[b] = lines[b], lines[a]
    return "\n".join(lines)


def _value(draw: st.DrawFn, text: str) -> str:
    lines = text.split("\n")
    at = draw(st.integers(0, len(lines) - 1))
    key, colon, _ = lines[at].partition(": ")
    values = ["", "[]", "{}", "null", "5", "true", "[a]", "{a: b}", "'{{ x }}'", "'${X}'", "-1.5"]
    lines[at] = f"{key}: {draw(st.sampled_from(values))}" if colon else lines[at]
    return "\n".join(lines)


_MUTATIONS = (_cut, _insert, _word, _line, _indent, _swap, _value)


def look(checked: Checked, text: str) -> None:
    """Every finding is whole: a known code, a place in the text, words, and all formats take it."""
    lines = text.count("\n") + text.count("\r") + 2
    for problem in checked.problems:
        assert problem.code in CODES
        assert 1 <= problem.position.line <= lines
        assert problem.position.column >= 1
        assert problem.message
        assert frame(problem)
    for form in FORMATS.values():
        assert isinstance(form(checked.problems, ["t.yaml"]), str)


@fuzzed
@given(mutated())
def test_no_change_of_a_good_file_breaks_the_validator(text: str) -> None:
    """No traceback, and the same findings in the same order every time."""
    first = check_text(text, "t.yaml", Settings(target="livekit"))
    look(first, text)
    assert check_text(text, "t.yaml", Settings(target="livekit")).problems == first.problems


@fuzzed
@given(st.text(max_size=300))
def test_no_text_breaks_the_validator(text: str) -> None:
    """Neither does anything else."""
    look(check_text(text, "t.yaml"), text)


def check_fix(text: str) -> None:
    before = check_text(text, "t.yaml").problems
    mended, count, _ = mend(text, "t.yaml", lambda t: check_text(t, "t.yaml").problems)
    after = [(p.code, p.message) for p in check_text(mended, "t.yaml").problems]
    remaining = [(p.code, p.message) for p in before]
    for finding in after:
        assert finding in remaining
        remaining.remove(finding)
    assert (count == 0) == (mended == text)


@fuzzed
@given(mutated())
def test_a_fix_never_makes_a_finding(text: str) -> None:
    """`--fix` leaves a file with fewer findings, never with new ones."""
    check_fix(text)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_fix_of_a_broken_file_never_makes_a_finding(path: Path) -> None:
    """The same for each file of the corpus."""
    check_fix(path.read_bytes().decode("utf-8", "replace"))
