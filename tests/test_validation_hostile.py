"""Hostile files: refused within twice the time of a small file, and in less than 100 MB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = "version: 1\nsession:\n  user_turn:\n"
SMALL = (
    HEAD
    + "    - name: human\n      when: event.text is matching('human')\n      do:\n        - say: hi\n"
)
ROOT = Path(__file__).parents[1]


def _log(template: str) -> str:
    return HEAD + f'    - log: "{template}"\n'


def _bomb() -> str:
    lines = ["x-a: &a [1,1,1,1,1,1,1,1,1,1]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"x-{name}: &{name} [{','.join([f'*{before}'] * 10)}]")
    return "\n".join([*lines, SMALL])


def _chains(levels: int) -> str:
    lines = ["version: 1", "chains:", "  c0: [{log: hi}]"]
    lines += [f"  c{i}: [{', '.join([f'{{run: c{i - 1}}}'] * 10)}]" for i in range(1, levels)]
    return "\n".join([*lines, f"session: {{user_turn: [{{run: c{levels - 1}}}]}}", ""])


def _long_chain(levels: int, first: str = "{log: hi}") -> str:
    lines = ["version: 1", "chains:", f"  c0: [{first}]"]
    lines += [f"  c{i}: [{{run: c{i - 1}}}]" for i in range(1, levels)]
    return "\n".join([*lines, f"session: {{user_turn: [{{run: c{levels - 1}}}]}}", ""])


def _nested(levels: int) -> str:
    condition = "data.x0"
    for level in range(1, levels):
        condition = f"(data.x{level} {'and' if level % 2 else 'or'} {condition})"
    return HEAD + f"    - log: hi\n      when: {condition}\n"


HOSTILE = {
    "`and` in `or` in `and`": _nested(22),
    "alias bomb": _bomb(),
    "50,000 brackets": "version: 1\nx: " + "[" * 50_000 + "\n",
    "50,000 closed brackets": "version: 1\nx: " + "[" * 50_000 + "]" * 50_000 + "\n",
    "50,000 dashes": "version: 1\nx:\n " + "- " * 50_000 + "a\n",
    "10 MB": "version: 1\n" + "# padding padding\n" * 600_000,
    "a power": _log("{{ 7 ** 10 ** 9 }}"),
    "a long text": _log("{{ 'x' * 10 ** 9 }}"),
    "a wide text": _log("{{ 'x' | center(300000000) }}"),
    "a big range": _log("{{ range(10 ** 9) | list }}"),
    "4,301 digits": HEAD + "    - log: {message: hi, fields: {n: " + "9" * 4301 + "}}\n",
    "4,301 digits in a template": _log("{{ " + "9" * 4301 + " }}"),
    "a template of 17 KB": _log("{{ " + "call.id ~ " * 1700 + "'' }}"),
    "900 KB of text before a template": _log("x" * 900_000 + " {{ event.text }}"),
    "60,000 templates in one text": _log("{{ event.x }} " * 60_000),
    "a condition of 1,000 words": HEAD
    + "    - log: hi\n      when: "
    + " and ".join(["call.turns > 1"] * 1000)
    + "\n",
    "brackets in a template": _log("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"),
    "chains that multiply": _chains(12),
    "900 chains, one inside of the other": _long_chain(900),
    "900 chains in a ring": _long_chain(900, first="{run: c899}"),
    "a pattern that backtracks": _log("{{ event.text is matching('(a+)+$') }}"),
}


#: Runs the command line and prints its peak memory last. `ru_maxrss` would not do: a process
#: inherits it from the one that it was forked from, and a test run is large.
RUN = """
import sys
from orchestrator.cli import main
try:
    main(["validate", sys.argv[1]])
finally:
    print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def cost(text: str, path: Path) -> tuple[float, int, int]:
    """CPU seconds, peak memory in bytes and exit code of a whole `orchestrator validate`."""
    path.write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        peak = int(output.read().split()[-1]) * 1024
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, peak, process.returncode


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> float:
    path = tmp_path_factory.mktemp("small") / "small.yaml"
    return min(cost(SMALL, path)[0] for _ in range(3))


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_cheaply(name: str, small: float, tmp_path: Path) -> None:
    """The worst file costs at most twice what a small one does."""
    path = tmp_path / "hostile.yaml"
    runs = [cost(HOSTILE[name], path)]
    while runs[-1][0] > 2 * small and len(runs) < 4:  # a busy machine is no attack
        runs.append(cost(HOSTILE[name], path))
    assert min(run[0] for run in runs) <= 2 * small
    assert runs[-1][1] < 100_000_000
    assert runs[-1][2] in (0, 1)
