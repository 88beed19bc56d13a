"""Plugins whose classes are wrong: one finding with its place, never a traceback."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from orchestrator.validation import Settings, check_text
from tests.cli import run_cli

CONFIG = """\
version: 1
plugins: [faulty_{name}]
session:
  user_turn:
    - look: {{key: a}}
      id: x
"""
PLUGIN = """\
import sys
from orchestrator import Action
class Look(Action):
    key: str
{body}
"""
METHOD = "    @classmethod\n    def {name}(cls, options, **more): {body}"

#: What is wrong, the line that is marked, and words of the finding.
AT_FAULT = {
    "output": ('    output = {"a": "int"}', 2, "its `output` is {'a': 'int'}, where Shape is wanted"),
    "limited": ("    limited = 3", 2, "its `limited` is 3"),
    "main": ('    main = "foo"', 2, "its `main` is 'foo', which is none of its options"),
    "option": ("    other: complex = 3", 2, "Look.other is annotated <class 'complex'>"),
    "exits": ("sys.exit(3)", 2, "cannot import 'faulty_exits': SystemExit: 3"),
    "raises": (METHOD.format(name="check", body='raise ValueError("no")'), 5,
               "its `check` failed: ValueError: no"),
    "rubbish": (METHOD.format(name="check", body='return ["bad"]'), 5,
                "its `check` is 'bad', where Fault is wanted"),
    "needs": (METHOD.format(name="needs_for", body="return None"), 5, "its `needs_for` is None"),
    "capability": ("    needs = frozenset({'fly'})", 5, "'fly' is no capability"),
    "shape": (METHOD.format(name="output_for", body="return {}"), 5, "its `output_for` is {}"),
    "lane": (METHOD.format(name="is_background", body="return 1"), 5, "its `is_background` is 1"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    return tmp_path


def write(folder: Path, name: str, body: str) -> Path:
    (folder / f"faulty_{name}.py").write_text(PLUGIN.format(body=body))
    path = folder / f"{name}.yaml"
    path.write_text(CONFIG.format(name=name))
    return path


@pytest.mark.parametrize("name", AT_FAULT)
def test_a_class_at_fault_is_one_finding(name: str, folder: Path) -> None:
    """At the plugin's line, or at the step where its code was asked."""
    body, line, words = AT_FAULT[name]
    path = write(folder, name, body)
    checked = check_text(path.read_text(), str(path), Settings(variables={}, target="native"))
    (problem,) = checked.problems
    assert (problem.code, problem.position.line) == ("HK603", line)
    assert words in problem.message


def test_the_other_files_of_a_run_are_checked_all_the_same(folder: Path) -> None:
    """A plugin that ends the process on import ends nothing."""
    for name in ("exits", "option"):
        write(folder, name, AT_FAULT[name][0])
    ran = run_cli("validate", "--check-env", ".")
    assert (ran.code, ran.out.count("HK603")) == (1, 2)
    assert "2 files checked: 2 errors" in ran.out
