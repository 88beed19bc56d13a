"""What `validate` costs: beside `python -c pass`, and beside reading the same YAML."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from benchmarks.sidebyside import measure, table
from orchestrator.document import parse_document
from orchestrator.templates import template
from orchestrator.validation import check_text

ROOT = Path(__file__).parents[1]
#: The budgets: CPU of a small file to `python -c pass`; loading and checking to `yaml.load`.
START, LOAD, CHECK = 20.0, 0.7, 3.0

SMALL = """\
version: 1
session:
  call_start:
    - say: "Hi, how can I help?"
    - silence_timer: {after: 8s, steps: [{say: "Still there?"}, {end_call: no_response}]}
  user_turn:
    - name: asks for a human
      when: event.text is matching('human')
      do:
        - say: "Connecting you."
        - escalate_transfer: {queue: support}
"""

HOOK = """\
    - name: hook {n}
      when: event.text is matching('word{n}')
      max_count: 1
      do:
        - say:
            text: 'This is what we say for number {n}.'
            interruptible: true
          timeout: 1s
        - log:
            message: 'hook {n} ran'
            level: info
            fields:
              number: {n}
              text: '{{{{ event.text }}}}'
          on_error: continue
        - inject:
            note: 'remember {n}'
"""


def generated(lines: int = 2000) -> str:
    """A config of about this many lines, in block style, with a condition and a template a hook."""
    hooks = [HOOK.format(n=n) for n in range(lines // HOOK.count("\n"))]
    return "version: 1\nsession:\n  user_turn:\n" + "".join(hooks)


def cpu_of(command: Sequence[str], cache: str, runs: int = 9) -> float:
    """The least CPU seconds of some runs of a process, its bytecode cached as when installed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": cache}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    found: list[float] = []
    for _ in range(runs):
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        found.append(usage.ru_utime + usage.ru_stime)
    return min(found)


def check_cold(text: str) -> None:
    """Check a text as a fresh process does, without templates parsed before."""
    template.parse_template.cache_clear()
    template.parse_condition.cache_clear()
    check_text(text, "generated.yaml")


def main() -> None:
    """Print both comparisons with their budgets."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.yaml"
        path.write_text(SMALL)
        base = cpu_of([sys.executable, "-c", "pass"], folder)
        command = [sys.executable, "-m", "orchestrator", "validate", str(path)]
        whole = cpu_of(command, folder)
    print(f"small file, whole process: {whole * 1e3:.0f} ms CPU, {whole / base:.1f}x", end=" ")
    print(f"`python -c pass` (budget {START:g}x)\n")
    text = generated()
    print(f"generated file of {text.count(chr(10)):,} lines, {len(text) // 1000} KB")
    rows = measure(
        {
            "yaml.load(CSafeLoader)": lambda: yaml.load(text, yaml.CSafeLoader),
            f"load with places (budget {LOAD:g}x)": lambda: parse_document(text, "generated.yaml"),
            f"load and check all (budget {CHECK:g}x)": lambda: check_cold(text),
        },
        rounds=15,
    )
    table(rows)
