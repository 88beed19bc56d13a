"""Every file of `tests/data/invalid` has one mistake, and the exact report of it beside it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import group
from orchestrator.codes import CODES

FOLDER = Path(__file__).parent / "data" / "invalid"
FILES = sorted(path for path in FOLDER.glob("*.yaml"))
_OPTIONS = re.compile(rb"\A# validate: (.*)")


def options_of(path: Path) -> list[str]:
    """The options that the first line of a file asks for: `# validate: --target livekit`."""
    match = _OPTIONS.match(path.read_bytes()[:200])
    return shlex.split(match[1].decode()) if match else []


def report_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(FOLDER)
    result = CliRunner().invoke(group, ["validate", *options_of(path), path.name])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_report_is_exactly_this(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each broken file gives its one finding, word for word."""
    assert report_of(path, monkeypatch) == path.with_suffix(".out").read_text(encoding="utf-8")


def test_each_report_has_one_finding() -> None:
    """One mistake is one finding: nothing follows from it."""
    counts = {
        path.stem: len(re.findall(r"^(?:error|warning)\[", path.read_text("utf-8"), re.MULTILINE))
        for path in FOLDER.glob("*.out")
    }
    assert {name for name, count in counts.items() if count != 1} == set()


def test_there_are_enough_of_them() -> None:
    """The classes of mistakes are covered by at least 100 files."""
    assert len(FILES) >= 100


#: An installed package whose module fails: see tests/test_validation_names.py.
NEEDS_A_PACKAGE = {"HK625"}


def test_each_code_is_exercised() -> None:
    """A code that no file shows may be dead."""
    reports = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.out"))
    shown = set(re.findall(r"^(?:error|warning)\[(HK\d+)\]", reports, re.MULTILINE))
    assert set(CODES) - shown - NEEDS_A_PACKAGE == set()


def test_each_code_of_the_source_is_explained() -> None:
    """Every code that the source can report is in the table."""
    root = Path(__file__).parents[1]
    sources = [*root.glob("orchestrator/**/*.py"), *root.glob("actions/*.py")]
    used = {code for path in sources for code in re.findall(r"HK\d{3}", path.read_text("utf-8"))}
    assert used - set(CODES) == set()
