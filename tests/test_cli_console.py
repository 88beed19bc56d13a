"""Tests of `orchestrator console`, on a pipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import run_cli, run_process
from tests.played import LOOKUP, SUPPORT

MACHINE = """\
async def answer(text):
    return f"I heard {text}"

class Machine:
    async def stream(self, text):
        yield "one "
        yield "two"

nothing = 5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a config, answers and dialog machines."""
    (tmp_path / "support.yaml").write_text(SUPPORT)
    (tmp_path / "lookup.yaml").write_text(LOOKUP)
    (tmp_path / "given.yaml").write_text("find: {name: Ada}\n")
    (tmp_path / "machines.py").write_text(MACHINE)
    return tmp_path


def test_the_caller_talks_on_a_pipe(folder: Path) -> None:
    """What the agent and the hooks say comes out; the end of the input hangs up."""
    ran = run_process("console", "support.yaml", cwd=folder, text="hello\n/wait 0.2\na human\n")
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert lines[0] == "agent: You said: hello"
    assert "agent: Connecting you now." in lines
    assert "* cold transfer to queue 'tier-2' asked; /transfer answers it" in lines


def test_verbose_shows_what_hooks_do(folder: Path) -> None:
    """The journal is told as it grows."""
    ran = run_process("console", "support.yaml", "-v", cwd=folder, text="hello\n/wait 0.2\n")
    assert "hook 'asks for a human' does not run: `when` is false" in ran.stdout
    assert "the call is over" in ran.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [("machines:answer", "agent: I heard hello"), ("machines:Machine", "agent: one two")],
)
def test_the_dialog_is_ones_own(folder: Path, name: str, words: str) -> None:
    """A function or a class of dialog machines writes the replies."""
    ran = run_process(
        "console", "support.yaml", "--dialog", name, cwd=folder, text="hello\n/wait 0.2\n"
    )
    assert words in ran.stdout.splitlines()


def test_outside_systems_answer_what_is_given(folder: Path) -> None:
    """With --given nothing need be there."""
    ran = run_process("console", "lookup.yaml", "--given", "given.yaml", cwd=folder,
                      text="hello\n/wait 0.2\n")  # fmt: skip
    assert "agent: Hello Ada" in ran.stdout


def test_what_is_no_dialog_machine_is_refused(folder: Path) -> None:
    """One message, before any call."""
    ran = run_process("console", "support.yaml", "--dialog", "machines:nothing", cwd=folder)
    assert ran.returncode == 2
    assert "neither a dialog machine" in ran.stderr


def test_a_module_that_is_not_there_is_exit_code_3(folder: Path) -> None:
    """The environment failed."""
    assert run_cli("console", folder / "support.yaml", "--dialog", "no.such:thing").code == 3
