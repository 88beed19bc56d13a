"""Measure alternatives side by side: CPU time, interleaved rounds, medians of ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Work = Callable[[], object]


def measure(
    alternatives: Mapping[str, Work], *, rounds: int = 21, repeat: int = 1
) -> dict[str, tuple[float, float]]:
    """Seconds of CPU for one run of each alternative, and the ratio to the first one.

    The order rotates every round; ratios are taken within a round, so that a machine whose speed
    drifts does not blur them.
    """
    names = list(alternatives)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        alternatives[name]()  # warm-up
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            work = alternatives[name]
            start = time.process_time()
            for _ in range(repeat):
                work()
            seconds[name].append((time.process_time() - start) / repeat)
    base = seconds[names[0]]
    return {
        name: (
            statistics.median(times),
            statistics.median(t / b for t, b in zip(times, base, strict=True)),
        )
        for name, times in seconds.items()
    }


def table(rows: Mapping[str, tuple[float, float]]) -> None:
    """Print a table of absolute times (this machine, now) and ratios (what counts)."""
    width = max(map(len, rows))
    print(f"{'':{width}}  {'µs':>10}  {'ratio':>7}")
    for name, (seconds, ratio) in rows.items():
        print(f"{name:{width}}  {seconds * 1e6:>10.2f}  {ratio:>6.2f}x")
