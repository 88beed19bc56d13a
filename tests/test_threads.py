"""Blocking work in lanes: what hangs holds up its like only, and nobody waits for it at the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest

from orchestrator.threads import Lanes
from tests.cli import ROOT


@pytest.fixture
def hang() -> Iterator[Callable[[], object]]:
    """A function that hangs until the test is over."""
    over = threading.Event()
    yield lambda: over.wait(30)
    over.set()


def test_what_hangs_holds_up_its_own_lane_only(hang: Callable[[], object]) -> None:
    """Others go on at once; more of the same waits, and is dropped when nobody waits for it."""
    ran: list[int] = []

    async def main() -> str:
        lanes = Lanes(2)
        stuck = [asyncio.create_task(lanes.run("hang", hang)) for _ in range(2)]
        await asyncio.sleep(0)
        for number in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await lanes.run("hang", ran.append, number)
        name = await lanes.run("other", lambda: threading.current_thread().name)
        for task in stuck:
            task.cancel()
        return name

    assert asyncio.run(main()) == "other"
    assert ran == []


def test_a_lane_has_so_many_threads_and_uses_them_again() -> None:
    """No more than its width at a time, none made while one is idle."""
    together = threading.Barrier(3)

    def meet() -> int:
        together.wait(30)  # passed by three at a time, or by nobody
        return threading.get_ident()

    async def main() -> tuple[int, int]:
        lanes = Lanes(3)
        many = await asyncio.gather(*(lanes.run("a", meet) for _ in range(30)))
        one = {await lanes.run("b", threading.get_ident) for _ in range(1000)}
        return len(set(many)), len(one)

    assert asyncio.run(main()) == (3, 1)


_COLOUR: ContextVar[str] = ContextVar("colour", default="none")


def test_results_errors_and_context_come_through() -> None:
    """As with any function that is awaited."""

    async def main() -> tuple[str, int]:
        _COLOUR.set("red")
        lanes = Lanes(1)
        with pytest.raises(KeyError):
            await lanes.run("a", {}.__getitem__, "missing")
        with pytest.raises(SystemExit):
            await lanes.run("a", sys.exit)
        return await lanes.run("a", _COLOUR.get), await lanes.run("a", int, "ff", base=16)

    assert asyncio.run(main()) == ("red", 255)


CONFIG = """
version: 1
session:
  call_start:
    - {python: "tests.endless:forever", timeout: 300ms, on_error: continue}
    - {python: "tests.endless:sleepy", timeout: 300ms, on_error: continue}
    - {python: "tests.endless:quick"}
"""


@pytest.mark.parametrize("options", [[], ["--realtime"]], ids=["virtual", "real"])
def test_a_process_ends_whatever_its_functions_do(options: list[str], tmp_path: Path) -> None:
    """One that never returns is left behind at its deadline, in virtual time too."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "c.jsonl").write_text('{"call": {"id": "c"}}\n{"t": 1, "event": "hangup"}\n')
    command = [sys.executable, "-c", _RUN, "run", "c.yaml", "--call", "c.jsonl", *options]
    done = subprocess.run(
        [*command, "--journal-dir", "j"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, text=True,
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (journal,) = (tmp_path / "j").glob("*.jsonl")
    assert journal.read_text().count('"timed_out"') == 2
    assert '"output":"quick"' in journal.read_text()


_RUN = """
import sys
from orchestrator import clock
clock.PATIENCE = 0.5
from orchestrator.cli import main
main()
"""
