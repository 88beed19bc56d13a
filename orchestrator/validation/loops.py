"""Events that bring about themselves: hooks whose `emit` comes back to them without end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.validation.findings import Findings, related
from orchestrator.values import Value

__all__ = ["check_loops"]


class _Emit(NamedTuple):
    """An event that a hook surely emits: its name, and where it is written."""

    event: str
    value: Value


def check_loops(config: Config, findings: Findings) -> None:
    """Report each circle of events once, at the `emit` that closes it."""
    emits: dict[str, list[_Emit]] = {}
    for hook in config.hooks:
        if not _is_bounded(hook):
            found = _sure(config, (*hook.steps, *hook.cleanup), set())
            emits.setdefault(hook.event, []).extend(found)
    reported: set[str] = set()
    for event in emits:
        circle = _circle(emits, event) if event not in reported else []
        if circle:
            reported.update(emit.event for emit in circle)
            _report(event, circle, findings)


def _is_bounded(hook: HookConfig) -> bool:
    return hook.when is not None or hook.max_count is not None or hook.cooldown is not None


def _sure(config: Config, steps: tuple[StepConfig, ...], seen: set[str]) -> Iterator[_Emit]:
    """What a list of steps emits in any case, at once or by a timer."""
    for step in steps:
        if step.kind == "stop":
            return
        if step.when is not None:
            continue
        value = step.options.get("event") if step.word == "emit" else None
        if value is not None and isinstance(value.raw, str) and not value.parts:
            yield _Emit(value.raw, value)
        for name, block in step.blocks.items():
            if name not in ("then", "else", "on_error"):
                yield from _sure(config, block, seen)
        name = str(step.options["run"].raw) if step.kind == "run" else ""
        if name in config.chains and name not in seen:
            seen.add(name)
            yield from _sure(config, config.chains[name].steps, seen)


def _circle(emits: dict[str, list[_Emit]], start: str) -> list[_Emit]:
    """The shortest way from an event back to itself; empty when there is none."""
    came: dict[str, tuple[str, _Emit]] = {}  # by event: the one before it, and the emit between
    queue = deque([start])
    while queue:
        event = queue.popleft()
        for emit in emits.get(event, ()):
            if emit.event == start:
                way = [emit]
                while event != start:
                    event, step = came[event]
                    way.append(step)
                return way[::-1]
            if emit.event not in came:
                came[emit.event] = (event, emit)
                queue.append(emit.event)
    return []


def _report(event: str, circle: list[_Emit], findings: Findings) -> None:
    message = f"a hook of `{event}` emits it again, without end"
    if len(circle) > 1:
        through = ", ".join(f"`{emit.event}`" for emit in circle[:-1])
        message = f"`{event}` comes back by {through}, without end"
    where = [related(emit.value.place, "on the way", on="value") for emit in circle[:-1]]
    hint = "add `when` or `max_count`"
    findings.at(circle[-1].value.place, "HK413", message, help=hint, related=where)
