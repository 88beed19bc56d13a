"""References between parts of a config: connections, chains, ids, timers, callables."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.errors import EnvironmentFailure, Fix, ProblemList
from orchestrator.events import find_event, near_miss
from orchestrator.registry import import_name
from orchestrator.values import Value

__all__ = ["check_names"]

_PYTHON_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def check_names(config: Config, problems: ProblemList, *, checks_environment: bool) -> None:
    """Report references that lead nowhere, and definitions that nothing uses."""
    for step in config.steps():
        _check_options(config, step, problems, checks_environment)
        if step.kind == "run":
            _check_chain(config, step, problems)
    for hook in config.hooks:
        _check_ids(hook, problems)
        if checks_environment:
            _check_signatures(hook, problems)
    _check_cycles(config, problems)
    _check_unused(config, problems)


def _check_options(
    config: Config, step: StepConfig, problems: ProblemList, checks_environment: bool
) -> None:
    if step.action is None:
        return
    for name, option in step.action.options.items():
        value = step.options.get(name)
        if value is None or not isinstance(value.raw, str) or value.parts:
            continue
        if option.accepts("connection"):
            _check_connection(config, step, value, problems)
        elif option.accepts("python"):
            _check_python(value, problems, checks_environment)
    if step.word == "cancel_timer":
        _check_timer(config, step, problems)


def _check_connection(
    config: Config, step: StepConfig, value: Value, problems: ProblemList
) -> None:
    document, position = value.place.document, value.place.value_position
    connection = config.connections.get(value.raw)
    if connection is None:
        near = near_miss(value.raw, config.connections)
        known = ", ".join(config.connections) or "none is defined"
        problems.add(
            document.problem(
                "HK222",
                f"unknown connection {value.raw!r}",
                position,
                help=f"did you mean `{near}`?" if near else f"connections: {known}",
                fix=Fix(position, value.raw, near) if near else None,
            )
        )
        return
    wanted = getattr(step.action.cls, "connection_kinds", ()) if step.action else ()
    if wanted and connection.type.name not in wanted:
        where = connection.place.document.related(connection.place.key_position, "defined here")
        problems.add(
            document.problem(
                "HK234",
                f"connection `{value.raw}` is of kind {connection.type.name}; "
                f"`{step.word}` needs {' or '.join(wanted)}",
                position,
                related=[where],
            )
        )


def _check_python(value: Value, problems: ProblemList, checks_environment: bool) -> None:
    document, position = value.place.document, value.place.value_position
    if not _PYTHON_NAME.fullmatch(value.raw):
        problems.add(
            document.problem(
                "HK226",
                f"{value.raw!r} names no function",
                position,
                help="write `module:function`",
            )
        )
        return
    if not checks_environment:
        return
    try:
        found = import_name(value.raw)
    except EnvironmentFailure as error:
        problems.add(document.problem("HK604", str(error), position))
        return
    if not callable(found):
        problems.add(document.problem("HK604", f"{value.raw!r} is no function", position))


def _check_signatures(hook: HookConfig, problems: ProblemList) -> None:
    """A callable must take what it is called with: the context and the event's fields, or fewer."""
    event = find_event(hook.scope, hook.event)
    count = 1 + (len(event.fields) if event is not None else 0)
    for step in hook.walk():
        value = step.options.get("call") if step.word == "python" else None
        if value is None or not isinstance(value.raw, str) or not _PYTHON_NAME.fullmatch(value.raw):
            continue
        try:
            needed = _required_parameters(import_name(value.raw))
        except (EnvironmentFailure, TypeError, ValueError):
            continue
        args = step.options.get("args")
        names = set(args.raw) if args is not None and isinstance(args.raw, dict) else set()
        if len([p for p in needed if p not in names]) > count:
            problems.add(
                value.place.document.problem(
                    "HK605",
                    f"{value.raw!r} needs {len(needed)} arguments; `{hook.event}` gives {count}",
                    value.place.value_position,
                    help="it is called with (ctx, the event's fields)",
                )
            )


def _required_parameters(function: object) -> list[str]:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in kinds and p.default is p.empty]


def _check_timer(config: Config, step: StepConfig, problems: ProblemList) -> None:
    value = next(iter(step.options.values()), None)
    if value is None or value.parts:
        return
    names = set(_timer_names(config))
    if value.raw not in names:
        near = near_miss(str(value.raw), names)
        position = value.place.value_position
        problems.add(
            value.place.document.problem(
                "HK237",
                f"no timer is called {value.raw!r}",
                position,
                help=f"did you mean `{near}`?"
                if near
                else "a `timer` or `silence_timer` has the name",
                fix=Fix(position, str(value.raw), near) if near else None,
            )
        )


def _timer_names(config: Config) -> Iterator[str]:
    for step in config.steps():
        if step.word in ("timer", "silence_timer") and step.action is not None:
            value = step.options.get("name")
            default = step.action.options["name"].default
            yield str(value.raw if value is not None else default)


def _check_chain(config: Config, step: StepConfig, problems: ProblemList) -> None:
    value = step.options["run"]
    if value.raw in config.chains:
        return
    near = near_miss(str(value.raw), config.chains)
    position = value.place.value_position
    known = ", ".join(config.chains) or "none is defined"
    problems.add(
        value.place.document.problem(
            "HK223",
            f"unknown chain {value.raw!r}",
            position,
            help=f"did you mean `{near}`?" if near else f"chains: {known}",
            fix=Fix(position, str(value.raw), near) if near else None,
        )
    )


def _check_cycles(config: Config, problems: ProblemList) -> None:
    runs = {
        name: [s for step in chain.steps for s in step.walk() if s.kind == "run"]
        for name, chain in config.chains.items()
    }

    def reaches(start: str, target: str, seen: set[str]) -> bool:
        for step in runs.get(start, ()):
            name = str(step.options["run"].raw)
            if name == target or (name not in seen and reaches(name, target, seen | {name})):
                return True
        return False

    for name, steps in runs.items():
        for step in steps:
            inner = str(step.options["run"].raw)
            if inner == name or reaches(inner, name, {inner}):
                value = step.options["run"]
                problems.add(
                    value.place.document.problem(
                        "HK236",
                        f"chain `{name}` runs itself",
                        value.place.value_position,
                        help="a chain must end; take the step out",
                    )
                )
                break


def _check_ids(hook: HookConfig, problems: ProblemList) -> None:
    first: dict[str, StepConfig] = {}
    for step in hook.walk():
        if step.id is None:
            continue
        place = step.settings["id"]
        if step.id in first:
            before = first[step.id].settings["id"]
            related = before.document.related(before.value_position, "the first one")
            problems.add(
                place.document.problem(
                    "HK227",
                    f"two steps of this hook have the id `{step.id}`",
                    place.value_position,
                    related=[related],
                )
            )
        first.setdefault(step.id, step)


def _check_unused(config: Config, problems: ProblemList) -> None:
    text = Counter(_words_used(config))
    used_chains = {str(s.options["run"].raw) for s in config.steps() if s.kind == "run"}
    unused = [
        *(("HK231", "var", n, v.place) for n, v in config.vars.items() if not text[f"vars.{n}"]),
        *(("HK232", "chain", n, c.place) for n, c in config.chains.items() if n not in used_chains),
        *(
            ("HK233", "connection", n, c.place)
            for n, c in config.connections.items()
            if not text[f"connection.{n}"]
        ),
    ]
    for code, what, name, place in unused:
        problems.add(
            place.document.problem(
                code,
                f"{what} `{name}` is used nowhere",
                place.key_position,
                severity="warning",
                help="remove it",
            )
        )


def _words_used(config: Config) -> Iterator[str]:
    """`vars.x` of each template, `connection.x` of each step that names one."""
    conditions = [h.when for h in config.hooks] + [s.when for s in config.steps()]
    for condition in conditions:
        if condition is not None:
            yield from (".".join(map(str, r.path[:2])) for r in condition.template.reads)
    for step in config.steps():
        for name, value in step.options.items():
            if step.kind == "if" or (name == "grace" and step.word == "silence_timer"):
                yield from (f"vars.{var}" for var in re.findall(r"\bvars\.(\w+)", str(value.raw)))
            for _, template, _ in value.templates():
                yield from (".".join(map(str, r.path[:2])) for r in template.reads)
            option = step.action.options.get(name) if step.action is not None else None
            if option is not None and option.accepts("connection"):
                yield f"connection.{value.raw}"
