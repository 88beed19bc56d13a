"""Tests of the pytest plugin, in pytest runs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from tests.cli import ROOT
from tests.played import write

PASSES = "tests:\n  - name: a nudge\n    expect: [{t: 8, say: any}]\n"


def run_pytest(folder: Path, *args: str) -> tuple[int, str]:
    """Run pytest as a user does, with our plugin installed."""
    is_installed = bool(entry_points(group="pytest11", name="orchestrator"))
    plugin = [] if is_installed else ["-p", "orchestrator.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", *args]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        command, cwd=folder, env=environment, text=True, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout


def test_call_tests_are_collected_and_run(tmp_path: Path) -> None:
    """`pytest` in a folder with call tests needs nothing else."""
    write(tmp_path, PASSES)
    code, out = run_pytest(tmp_path, "-v")
    assert code == 0
    assert "support.calltest.yaml::a nudge PASSED" in out


def test_a_failure_is_shown_as_a_timeline(tmp_path: Path) -> None:
    """The first difference, with no traceback of ours."""
    write(tmp_path, PASSES.replace("t: 8", "t: 9"))
    code, out = run_pytest(tmp_path)
    assert code == 1
    assert "expected say any at 9 s, but it came at 8 s" in out
    assert "Traceback" not in out
    assert "orchestrator/" not in out


def test_a_mistake_in_the_file_is_an_error_of_collection(tmp_path: Path) -> None:
    """It is told with its place, and other files are run."""
    write(tmp_path, PASSES)
    (tmp_path / "bad.calltest.yaml").write_text("config: support.yaml\ntsts: []\n")
    code, out = run_pytest(tmp_path, "--continue-on-collection-errors")
    assert code == 1
    assert "bad.calltest.yaml:2:1: unknown key `tsts`" in out
    assert "1 passed" in out


def test_the_plugin_costs_nothing_where_there_are_no_call_tests() -> None:
    """Importing it imports nothing of the package but itself."""
    program = (
        "import sys; before = set(sys.modules); import orchestrator.pytest_plugin;"
        "print(*sorted(m for m in sys.modules if m.startswith('orchestrator') and m not in before))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, text=True, capture_output=True, check=True
    )
    assert ran.stdout.strip() == ("orchestrator orchestrator._version orchestrator.pytest_plugin")
