"""Every example of docs/testing.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import pytest

from orchestrator.testing import load_call_tests, run_call_test
from orchestrator.validation import check_file
from tests.cli import ROOT

PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(yaml|python)\n(.*?)```", PAGE, re.DOTALL)
YAML = [text for language, text in BLOCKS if language == "yaml"]
TESTS = [text for text in YAML if "version: 1" not in text]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's config in it, as the working directory."""
    (tmp_path / "support.yaml").write_text(YAML[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_config_is_valid(folder: Path) -> None:
    """Without a warning."""
    assert check_file("support.yaml").problems == ()


@pytest.mark.parametrize("text", TESTS, ids=range(len(TESTS)))
def test_the_call_tests_pass(folder: Path, text: str) -> None:
    """Each block is a file of call tests, or some tests of one."""
    if not text.startswith("config:"):
        text = f"config: support.yaml\ntests:\n{indent(text, '  ')}"
    Path("x.calltest.yaml").write_text(text)
    loaded = load_call_tests("x.calltest.yaml")
    assert loaded.tests
    for test in loaded.tests:
        assert run_call_test(test, loaded.plan).report == "", test.name


def test_the_python_examples_pass(folder: Path) -> None:
    """They are tests themselves."""
    (text,) = (text for language, text in BLOCKS if language == "python")
    names: dict[str, object] = {}
    exec(text, names)  # noqa: S102 - our own page
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        assert callable(test)
        test()


def test_the_shown_failure_is_what_is_shown(folder: Path) -> None:
    """The page's example of a failure is what the command prints."""
    from tests.cli import run_cli

    text = next(text for text in TESTS if text.startswith("config:"))
    Path("support.calltest.yaml").write_text(
        text.replace("t: 16, say: any", 't: 16, say: "Goodbye"')
    )
    shown = re.search(r"```console\n(failed.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    out = run_cli("test", "support.calltest.yaml").out
    assert out.startswith(shown[1])
