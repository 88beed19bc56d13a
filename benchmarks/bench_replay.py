"""Replay of recorded calls under two configs, beside the cost of parsing the same files.

Calls of a minute with ten turns of each side, which is what recorded support calls look like.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from benchmarks.sidebyside import measure, table
from orchestrator.cli.replay import read_recorded, replay_calls
from orchestrator.cli.runs import Ran, write_journal
from orchestrator.compiler import compile_config
from orchestrator.plan import Plan
from orchestrator.testing.variables import StandIns
from orchestrator.validation import load_config

CALLS = 30
CONFIG = Path(__file__).parent.parent / "configs" / "support-line.yaml"


def segments(number: int) -> str:
    """A recording of a minute: who spoke when."""
    rows: list[dict[str, object]] = [{"call_id": f"call-{number}"}]
    for i in range(10):
        t = 6.0 * i + number / 100
        rows.append({"t": t, "dur": 2.0, "who": "agent", "text": "what else can I do for you"})
        rows.append({"t": t + 2.5, "dur": 1.5, "who": "caller", "text": f"my card number {i}"})
        rows.append({"t": t + 4.5, "dur": 0.3, "who": "caller", "text": "[noise]"})
    return "".join(json.dumps(row) + "\n" for row in rows)


def load(path: Path) -> Plan:
    """The plan of a config."""
    config = load_config(path)
    return compile_config(config, StandIns(os.environ, config))


def record(folder: Path, plan: Plan) -> list[Path]:
    """Play the recordings once; their journals are what is replayed."""
    config = load_config(CONFIG)
    run = Ran(config, plan, {}, StandIns(os.environ, config))
    files = []
    for number in range(CALLS):
        source = folder / f"{number}.jsonl"
        source.write_text(segments(number))
        played = run.play(read_recorded(source).script)
        files.append(write_journal(folder / "journals", played.call_id, played.lines, set()))
    return files


def replay(files: list[Path], new: Plan, old: Plan | None) -> None:
    """What the command does: read, play, compare."""
    problems: list[str] = []
    calls = (read_recorded(file) for file in files)
    assert len(list(replay_calls(calls, new, old, problems))) == CALLS
    assert not problems


def main() -> None:
    """Print the cost of a call, and calls a minute."""
    plan = load(CONFIG)
    with tempfile.TemporaryDirectory() as name:
        files = record(Path(name), plan)
        rows = measure(
            {
                "parse": lambda: [read_recorded(file) for file in files],
                "replay against the journals": lambda: replay(files, plan, None),
                "replay against a config": lambda: replay(files, plan, plan),
            },
            rounds=7,
        )
    table({name: (seconds / CALLS, ratio) for name, (seconds, ratio) in rows.items()})
    for name, (seconds, _) in list(rows.items())[1:]:
        print(f"{name}: {60 / (seconds / CALLS):,.0f} calls a minute (wanted: 1,000)")
