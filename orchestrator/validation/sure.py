"""What steps wait in any case, whatever the systems do that they ask."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.config import Config, StepConfig
from orchestrator.durations import parse_duration

__all__ = ["SureWaits"]


class SureWaits:
    """Counts the seconds that steps wait in any case, by `wait` alone; each chain once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.chains: dict[str, float] = {}

    def total(self, steps: Iterable[StepConfig]) -> float:
        """Seconds of a list of steps."""
        return sum(map(self.of_step, steps))

    def of_step(self, step: StepConfig) -> float:
        """Seconds of one step; none where a condition may skip it."""
        if step.when is not None or step.runs_in_background:
            return 0.0
        seconds = self.inside(step)
        return seconds if step.timeout is None else min(seconds, step.timeout)

    def inside(self, step: StepConfig) -> float:
        """Seconds of one step that has all the time it wants."""
        if step.kind == "wait":
            return parse_duration(step.options["wait"].raw)
        if step.kind == "run":
            return self._chain(str(step.options["run"].raw))
        if step.kind == "if":
            return min(self.total(step.blocks.get(name, ())) for name in ("then", "else"))
        if step.kind == "parallel":
            return max(map(self.of_step, step.blocks.get("parallel", ())), default=0.0)
        return 0.0

    def _chain(self, name: str) -> float:
        if name not in self.chains:
            self.chains[name] = 0.0  # a chain that runs itself is refused elsewhere
            chain = self.config.chains.get(name)
            self.chains[name] = self.total(chain.steps) if chain is not None else 0.0
        return self.chains[name]
