"""References between parts of a config: connections, chains, ids, timers, events, hook names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence

from orchestrator.config import Config, ConnectionConfig, HookConfig, StepConfig
from orchestrator.validation.findings import Findings, related
from orchestrator.validation.mentions import Mentions
from orchestrator.values import Value

__all__ = ["check_names", "timer_name", "timer_names"]

#: Steps that a hook may have when its chains are followed.
MAX_STEPS = 10_000
#: How deep chains may run one another, as deep as a file may nest.
MAX_LEVELS = 64


def check_names(
    config: Config, findings: Findings, *, lost: Container[str], mentions: Mentions
) -> bool:
    """Report references that lead nowhere; whether chains can be followed to their ends.

    Nothing is said about `lost` names, which broken parts would have given.
    """
    for step in config.steps():
        _check_connection(config, step, findings, lost)
        if step.kind == "run":
            _check_chain(config, step, findings, lost)
        if step.word == "cancel_timer":
            _check_timer(config, step, mentions, findings)
    for hook in config.hooks:
        _check_ids(hook, findings)
    _check_hook_names(config, findings)
    has_cycle = _check_cycles(config, findings)
    _check_size(config, findings)
    return _check_depth(config, findings, has_cycle=has_cycle)


def _check_connection(
    config: Config, step: StepConfig, findings: Findings, lost: Container[str]
) -> None:
    if step.action is None:
        return
    for name in step.action.accepting("connection"):
        value = step.options.get(name)
        if value is None or value.parts:
            continue
        connection = config.connections.get(str(value.raw))
        if connection is None and value.raw in lost:
            continue
        known = ", ".join(config.connections) or "none is defined"
        if connection is None:
            message = f"unknown connection {value.raw!r}"
            findings.unknown(
                value.place, "HK222", message, config.connections, f"connections: {known}"
            )
            continue
        wanted = getattr(step.action.cls, "connection_kinds", ()) if step.action else ()
        if wanted and connection.type.name not in wanted:
            message = (
                f"connection `{value.raw}` is of kind {connection.type.name}; "
                f"`{step.word}` needs {' or '.join(wanted)}"
            )
            where = [related(connection.place, "defined here")]
            findings.at(value.place, "HK234", message, related=where)
            continue
        _check_option_kinds(step, connection, findings)


def _check_option_kinds(step: StepConfig, connection: ConnectionConfig, findings: Findings) -> None:
    """Options that only one kind of connection understands."""
    kinds = getattr(step.action.cls, "option_kinds", {}) if step.action is not None else {}
    kind = connection.type.name
    if any(kinds.get(name) == kind for name in step.options):
        return  # a mixture is reported as such
    for name, value in step.options.items():
        if kinds.get(name, kind) != kind:
            message = (
                f"`{name}` is for {kinds[name]} connections; `{connection.name}` is of kind {kind}"
            )
            where = [related(connection.place, "defined here")]
            findings.at(value.place, "HK234", message, on="key", related=where)
            return


def _check_chain(
    config: Config, step: StepConfig, findings: Findings, lost: Container[str]
) -> None:
    value = step.options["run"]
    if value.raw in config.chains or value.raw in lost:
        return
    known = ", ".join(config.chains) or "none is defined"
    message = f"unknown chain {value.raw!r}"
    findings.unknown(value.place, "HK223", message, config.chains, f"chains: {known}")


def _check_timer(config: Config, step: StepConfig, mentions: Mentions, findings: Findings) -> None:
    value = next(iter(step.options.values()), None)
    names = dict.fromkeys(timer_names(config))
    if value is None or value.parts or value.raw in names:
        return
    if not mentions.is_alone(str(value.raw)):
        return
    known = ", ".join(names) or "no timer is armed in this config"
    message = f"no timer is called {value.raw!r}"
    findings.unknown(value.place, "HK237", message, names, f"timers: {known}")


def timer_names(config: Config) -> Iterator[str]:
    """The names of all timers and silence ladders."""
    for step in config.steps():
        if step.word in ("timer", "silence_timer") and step.action is not None:
            yield timer_name(step)


def timer_name(step: StepConfig) -> str:
    """The name of a timer or ladder."""
    value = step.options.get("name")
    if value is not None:
        return str(value.raw)
    return str(step.action.options["name"].default) if step.action is not None else ""


def _check_ids(hook: HookConfig, findings: Findings) -> None:
    first: dict[str, StepConfig] = {}
    for step in hook.walk():
        if step.id is None:
            continue
        before = first.setdefault(step.id, step)
        if before is not step:
            place = step.settings["id"]
            where = [related(before.settings["id"], "the first one", on="value")]
            message = f"two steps of this hook have the id `{step.id}`"
            findings.at(place, "HK227", message, related=where)


def _check_hook_names(config: Config, findings: Findings) -> None:
    """Names tell hooks apart in journals; within one event each needs its own."""
    first: dict[tuple[str, str, str], HookConfig] = {}
    for hook in config.hooks:
        place = hook.settings.get("name")
        before = first.setdefault((hook.scope, hook.event, hook.name), hook)
        if place is not None and before is not hook:
            earlier = before.settings.get("name", before.place)
            where = [related(earlier, "the first one", on="value")]
            message = f"two hooks of `{hook.event}` are named {hook.name!r}"
            findings.at(place, "HK227", message, related=where, help="give each its own name")


# --- chains


def _runs(config: Config) -> dict[str, list[Value]]:
    return {
        name: [s.options["run"] for step in chain.steps for s in step.walk() if s.kind == "run"]
        for name, chain in config.chains.items()
    }


def _check_cycles(config: Config, findings: Findings) -> bool:
    """Report chains that run themselves; whether there are any."""
    runs = _runs(config)
    known: set[str] = set()  # chains of a cycle that is reported
    for name in _near_cycles(_named(runs)):
        for value in runs[name] if name not in known else ():
            reached = _reached(runs, str(value.raw))
            if name in reached:
                message, hint = f"chain `{name}` runs itself", "a chain must end; take the step out"
                findings.at(value.place, "HK236", message, help=hint)
                known |= reached
                break
    return bool(known)


def _named(runs: Mapping[str, Sequence[Value]]) -> dict[str, list[str]]:
    """The names of the chains that each runs."""
    return {name: [str(value.raw) for value in values] for name, values in runs.items()}


def _near_cycles(runs: Mapping[str, Sequence[str]]) -> list[str]:
    """Chains that may be in a cycle, in the order written: no end of the way leads out of one.

    Chains that run none, and chains that none runs, are taken away until there are no more.
    """
    left = dict.fromkeys(runs)
    for follows in (_turned(runs), runs):  # who runs it; whom it runs
        open_ends = Counter(other for others in follows.values() for other in others)
        done = [name for name in left if not open_ends[name]]
        while done:
            name = done.pop()
            left.pop(name, None)
            for other in follows.get(name, ()):
                open_ends[other] -= 1
                if not open_ends[other] and other in left:
                    done.append(other)
    return list(left)


def _turned(runs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The chains by which each is run."""
    found: dict[str, list[str]] = {name: [] for name in runs}
    for name, others in runs.items():
        for other in others:
            found.setdefault(other, []).append(name)
    return found


def _reached(runs: dict[str, list[Value]], start: str) -> set[str]:
    """The chains that running one leads to, itself included."""
    seen: set[str] = set()
    queue = [start]
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            queue.extend(str(value.raw) for value in runs.get(name, ()))
    return seen


def _length(steps: tuple[StepConfig, ...]) -> int:
    return sum(1 for step in steps for _ in step.walk())


def _check_size(config: Config, findings: Findings) -> None:
    """Chains that run chains multiply: the plan of a hook must stay small."""
    runs = _named(_runs(config))
    own = {name: _length(chain.steps) for name, chain in config.chains.items()}
    sizes: dict[str, int] = defaultdict(int)
    for _ in range(min(len(runs), MAX_LEVELS)):  # each round follows one more level
        for name, values in runs.items():
            inner = sum([sizes[other] for other in values])
            sizes[name] = min(own[name] + inner, MAX_STEPS + 1)
    for step in config.steps():
        value = step.options["run"] if step.kind == "run" else None
        if value is not None and sizes[str(value.raw)] > MAX_STEPS:
            message = f"this runs more than {MAX_STEPS:,} steps, chains followed"
            findings.at(value.place, "HK242", message, help="run fewer chains inside of chains")
            return


def _check_depth(config: Config, findings: Findings, *, has_cycle: bool) -> bool:
    """Report chains that run one another too deep; whether they can be followed to their ends."""
    runs = _named(_runs(config))
    levels = dict.fromkeys(runs, 1)
    for _ in range(MAX_LEVELS if len(runs) > MAX_LEVELS else 0):
        levels = {
            name: 1 + max([levels.get(other, 0) for other in others], default=0)
            for name, others in runs.items()
        }
    deep = next((name for name, level in levels.items() if level > MAX_LEVELS), None)
    if deep is not None and not has_cycle:
        message = f"chain `{deep}` runs chains inside of chains, more than {MAX_LEVELS} deep"
        hint = "put the steps of some into those that run them"
        findings.at(config.chains[deep].place, "HK242", message, on="key", help=hint)
    return deep is None
