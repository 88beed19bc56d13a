"""The time that each step has where it runs, and retries that can never come in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.config import BACKGROUND_LIMIT, Config, StepConfig
from orchestrator.document import YamlMap
from orchestrator.durations import format_duration
from orchestrator.validation.findings import Findings
from orchestrator.values import Place

__all__ = ["check_retries", "deadlines_of"]

_Lane = tuple[StepConfig, bool]


def deadlines_of(config: Config) -> Mapping[int, float]:
    """Seconds that a step has, by its identity; the most where chains run it in both lanes."""
    limits: dict[int, float] = {}
    for step, in_background in _lanes(config):
        usual = BACKGROUND_LIMIT if in_background else config.defaults.timeout
        limit = usual if step.timeout is None else step.timeout
        limits[id(step)] = max(limit, limits.get(id(step), 0.0))
    return limits


def check_retries(config: Config, limits: Mapping[int, float], findings: Findings) -> None:
    """Warn of retries whose first wait is as long as the time that their step has."""
    for step in config.steps():
        _check(step, limits.get(id(step), BACKGROUND_LIMIT), findings)


def _check(step: StepConfig, limit: float, findings: Findings) -> None:
    if step.retry is None or step.retry.backoff < limit:
        return
    message = f"the first retry waits {format_duration(step.retry.backoff)}, and the step ends "
    message += f"after {format_duration(limit)}"
    hint = "shorten `backoff`, or give the step a longer `timeout`"
    place = step.settings["retry"]
    written = place.container[place.key]
    if isinstance(written, YamlMap) and "backoff" in written:
        place = Place(place.document, written, "backoff")
    findings.at(place, "HK411", message, on="key", severity="warning", help=hint)


def _lanes(config: Config) -> Iterator[_Lane]:
    """Every step of the hooks, and whether it runs in the background there.

    What is inside of a background step is in the background too, but for its `on_error` steps.
    Those of a chain come once for each lane.
    """
    seen: set[tuple[str, bool]] = set()
    for hook in config.hooks:
        yield from _lane(config, hook.steps, hook.background, seen)
        for block in (hook.on_error_steps, hook.cleanup):
            yield from _lane(config, block, False, seen)


def _lane(
    config: Config, steps: Iterable[StepConfig], in_background: bool, seen: set[tuple[str, bool]]
) -> Iterator[_Lane]:
    for step in steps:
        is_background = in_background or step.runs_in_background
        yield step, is_background
        for name, block in step.blocks.items():
            yield from _lane(config, block, is_background and name != "on_error", seen)
        chain = config.chains.get(str(step.options["run"].raw)) if step.kind == "run" else None
        if chain is not None and (chain.name, is_background) not in seen:
            seen.add((chain.name, is_background))
            yield from _lane(config, chain.steps, is_background, seen)
