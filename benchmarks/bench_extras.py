"""What the extras of runtimes cost: megabytes, and CPU of an import beside `python -c pass`."""

from __future__ import annotations

import re
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

#: By extra: its package, and what a process imports of it that carries calls.
EXTRAS = {
    "unpod": ("websockets", "from websockets.asyncio.client import connect"),
    "livekit": ("livekit-agents", "import livekit.agents"),
    "pipecat": ("pipecat-ai", "from pipecat.pipeline.worker import PipelineWorker"),
}
#: The same for us alone.
OURS = {
    "our adapter of livekit": "import orchestrator.app, orchestrator.runtimes.livekit",
    "our adapter of pipecat": "import orchestrator.app, orchestrator.runtimes.pipecat",
}
ROUNDS = 5


def main() -> None:
    base = set(needed("hook-orchestrator", ""))
    print(f"{'':24}  {'packages':>8}  {'MB':>6}  {'import':>7}")
    print(f"{'hook-orchestrator':24}  {len(base):>8}  {megabytes(base):>6.0f}")
    for extra, (package, code) in EXTRAS.items():
        try:
            added = set(needed(package, "")) - base
        except PackageNotFoundError as error:
            print(f"{extra:24}  not installed: {error.name}")
            continue
        ratio = cpu(code) / cpu("pass")
        print(f"{extra:24}  {len(added):>8}  {megabytes(added):>6.0f}  {ratio:>6.1f}x")
    for name, code in OURS.items():
        print(f"{name:24}  {'':>8}  {'':>6}  {cpu(code) / cpu('pass'):>6.1f}x")


def needed(name: str, extra: str, seen: set[str] | None = None) -> Iterator[str]:
    """A package and all that it needs on this machine, by name."""
    seen = set() if seen is None else seen
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return
    seen.add(key)
    found = distribution(key)
    yield key
    for wanted, of in _requirements(found, extra):
        yield from needed(wanted, of, seen)


def _requirements(found: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    from packaging.requirements import Requirement

    for line in found.requires or ():
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
            yield wanted.name, next(iter(wanted.extras), "")


def megabytes(names: set[str]) -> float:
    sizes = (
        path.stat().st_size
        for name in names
        for file in distribution(name).files or ()
        if (path := distribution(name).locate_file(file)).is_file()  # type: ignore[attr-defined]
    )
    return sum(sizes) / 1e6


def cpu(code: str) -> float:
    """Seconds of CPU of a Python that runs this and ends: the median of some."""
    return statistics.median(_cpu_once(code) for _ in range(ROUNDS))


def _cpu_once(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-W", "ignore", "-I", "-c", code], check=True,
                   capture_output=True)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
