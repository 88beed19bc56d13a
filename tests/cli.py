"""How tests run the command line: in this process, with its exit code and both outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from orchestrator.cli import main

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


def run_cli(*args: object) -> Ran:
    """Run a command in this process."""
    code = 0
    with CliRunner().isolation() as (out, err, _):
        try:
            main([str(arg) for arg in args])
        except SystemExit as stop:
            code = int(stop.code or 0)
        sys.stdout.flush()
        return Ran(code, out.getvalue().decode(), err.getvalue().decode())


def run_process(*args: object, cwd: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, as a user does."""
    command = [sys.executable, "-W", "error", "-m", "orchestrator", *map(str, args)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=cwd, input=text, env=environment, text=True, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
