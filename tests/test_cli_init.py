"""Tests of `orchestrator init`."""

from __future__ import annotations

from pathlib import Path

from orchestrator.cli.init import STARTER_FILES
from orchestrator.validation import check_file
from tests.cli import run_cli, run_process


def test_the_starter_is_valid_without_a_warning(tmp_path: Path) -> None:
    """A first config has nothing to mend."""
    assert run_cli("init", tmp_path).code == 0
    assert check_file(tmp_path / "hooks.yaml").problems == ()


def test_the_starter_passes_its_own_tests(tmp_path: Path) -> None:
    """`init`, then `test`, in processes of their own."""
    ran = run_process("init", "agent", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "orchestrator test agent" in ran.stdout
    assert run_process("test", "agent", cwd=tmp_path).stdout == "4 passed in 1 file\n"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there stays, unless --force is given."""
    (tmp_path / "hooks.yaml").write_text("mine")
    ran = run_cli("init", tmp_path)
    assert ran.code == 1
    assert "exists already; use --force" in ran.err
    assert (tmp_path / "hooks.yaml").read_text() == "mine"
    assert not (tmp_path / "hooks.calltest.yaml").exists()
    assert run_cli("init", tmp_path, "--force").code == 0
    assert all((tmp_path / name).read_text() != "mine" for name in STARTER_FILES)


def test_a_folder_that_cannot_be_made_is_exit_code_3(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "x").write_text("")
    assert run_cli("init", tmp_path / "x" / "y").code == 3
