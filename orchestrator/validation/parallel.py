"""Steps side by side: what one of them writes, no other may write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from orchestrator.config import Config, StepConfig
from orchestrator.document import YamlList, YamlMap
from orchestrator.validation.findings import Findings, related
from orchestrator.values import Place

Side = Literal["key", "value"]
_ENDS = ("end_call", "escalate_transfer")

__all__ = ["check_parallel"]


def check_parallel(config: Config, findings: Findings, *, has_all_steps: bool) -> None:
    """Report races: two steps of one `parallel` that save the same key.

    `has_all_steps` means that no step was left out.
    """
    for step in config.steps():
        if step.kind == "parallel":
            branches = step.blocks.get("parallel", ())
            _check_saves(branches, findings)
            if has_all_steps:
                _check_single(step, branches, findings)
            _check_ends(branches, findings)


def _check_saves(branches: tuple[StepConfig, ...], findings: Findings) -> None:
    first: dict[str, tuple[StepConfig, Place]] = {}
    for branch in branches:
        for name, place, on in _writes(branch):
            before = first.setdefault(name, (branch, place))
            if before[0] is not branch:
                where = [related(before[1], "the first one", on=on)]
                message = f"two steps of `parallel` save `{name}`"
                hint = "give each a name of its own"
                findings.at(place, "HK408", message, on=on, related=where, help=hint)


def _writes(branch: StepConfig) -> Iterator[tuple[str, Place, Side]]:
    for step in branch.walk():
        if step.save is not None:
            yield step.save, step.settings["save"], "value"
        if step.kind == "set":
            yield from ((name, value.place, "key") for name, value in step.options.items())


def _check_single(step: StepConfig, branches: tuple[StepConfig, ...], findings: Findings) -> None:
    node = step.place.container[step.word]
    written = node.get("steps") if isinstance(node, YamlMap) else node
    # Others may be there that could not be read.
    if len(branches) == 1 and isinstance(written, YamlList) and len(written) == 1:
        message, hint = "`parallel` with one step", "write the step itself"
        findings.at(step.place, "HK416", message, on="key", severity="warning", help=hint)


def _check_ends(branches: tuple[StepConfig, ...], findings: Findings) -> None:
    """Speech beside what ends the call: which of the two comes first is left to chance."""
    ends = next(((b, s) for b in branches for s in _now(b) if s.word in _ENDS), None)
    if ends is None:
        return
    for branch in branches:
        said = next((s for s in _now(branch) if s.word == "say"), None)
        if said is not None and branch is not ends[0]:
            message = f"`{ends[1].word}` runs beside a `say`: the caller may not hear it"
            where = [related(said.place, "said at the same time")]
            hint = "put the two behind one another"
            findings.at(ends[1].place, "HK408", message, on="key", related=where, help=hint)
            return


def _now(branch: StepConfig) -> Iterator[StepConfig]:
    """The steps of a branch that run at once: those of timers come later."""
    yield branch
    if branch.word not in ("timer", "silence_timer"):
        for name, block in branch.blocks.items():
            for step in block if name != "on_error" else ():
                yield from _now(step)
