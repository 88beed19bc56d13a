"""Definitions that nothing uses, and events without a counterpart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from orchestrator.config import Config, StepConfig
from orchestrator.events import is_custom, near_miss
from orchestrator.targets import lends_what_is_needed
from orchestrator.templates import Template
from orchestrator.validation.findings import Findings, related, word_fix
from orchestrator.validation.mentions import Mentions
from orchestrator.validation.visits import templates_of
from orchestrator.values import Place

__all__ = ["check_events", "check_unused"]

_VARIABLE = re.compile(r"\bvars\.(\w+)")


def check_unused(config: Config, findings: Findings, mentions: Mentions) -> None:
    """Warn of vars, chains and connections that nothing uses."""
    used = set(_used(config))
    sections = (
        ("HK231", "var", {n: v.place for n, v in config.vars.items()}),
        ("HK232", "chain", {n: c.place for n, c in config.chains.items()}),
        ("HK233", "connection", {n: c.place for n, c in config.connections.items()}),
    )
    for code, what, places in sections:
        for name, place in places.items():
            if (what, name) in used or (what, "*") in used:
                continue
            if mentions.is_unused(what, name):
                message = f"{what} `{name}` is used nowhere"
                findings.at(place, code, message, on="key", severity="warning", help="remove it")


def _used(config: Config) -> Iterator[tuple[str, str]]:
    """What is used: ("var", name), ("chain", name), ("connection", name)."""
    for template in _conditions(config):
        yield from _variables(template)
    yield from _lenders(config)
    for step in config.steps():
        yield from _used_by(step)
    for options in config.defaults.options.values():
        for name, value in options.items():
            yield "connection", str(value.raw) if name == "connection" else ""
            for _, template, _ in value.templates():
                yield from _variables(template)


def _lenders(config: Config) -> Iterator[tuple[str, str]]:
    """Connections that let a runtime do what it cannot by itself, such as pause a recording."""
    for name, connection in config.connections.items():
        if lends_what_is_needed(connection, config):
            yield "connection", name


def _conditions(config: Config) -> Iterator[Template]:
    conditions = [*(hook.when for hook in config.hooks), *(s.when for s in config.steps())]
    yield from (condition.template for condition in conditions if condition is not None)


def _variables(template: Template) -> Iterator[tuple[str, str]]:
    for read in template.reads:
        if read.path[0] == "vars":
            # `vars` alone, or `vars[...]`, may read any of them; "*" is no name
            yield "var", str(read.path[1]) if len(read.path) > 1 else "*"


def _used_by(step: StepConfig) -> Iterator[tuple[str, str]]:
    if step.kind == "run":
        yield "chain", str(step.options["run"].raw)
    connections = step.action.accepting("connection") if step.action is not None else ()
    for name, value in step.options.items():
        for inner in value.walk() if value.items else (value,):
            if isinstance(inner.raw, str) and "vars." in inner.raw:
                yield from (("var", found) for found in _VARIABLE.findall(inner.raw))
        if name in connections:
            yield "connection", str(value.raw)


def check_events(config: Config, findings: Findings, mentions: Mentions) -> None:
    """Warn of events that nobody hears, and of hooks whose event was probably meant otherwise.

    A hook on an event that no step emits is fine as such: code of the agent may emit it.
    """
    emitted = dict(_event_places(config, ("emit",), "event"))
    hooked = {hook.event: hook.place for hook in config.hooks if is_custom(hook.event)}
    waited = dict(_event_places(config, ("timer",), "cancel_on"))
    unheard = {n: p for n, p in emitted.items() if n not in hooked and n not in waited}
    for name, place in {**waited, **hooked}.items():
        near = near_miss(name, unheard) if name not in emitted else None
        if near is None or not (mentions.is_alone(name) and mentions.is_alone(near)):
            continue
        message, hint = f"nothing in this config emits `{name}`", f"did you mean `{near}`?"
        where = [related(unheard.pop(near), "emitted here", on="value")]
        is_hook = name in hooked
        at = _event_position(config, name, place) if is_hook else place
        on: Literal["key", "value"] = "key" if is_hook else "value"
        findings.at(at, "HK238", message, on=on, severity="warning", help=hint, related=where)
    _check_counted(config, emitted, mentions, findings)
    for name, place in unheard.items():
        if not mentions.is_alone(name):
            continue
        message, hint = f"no hook of this config hears `{name}`", f"add it: `session: {name}:`"
        findings.at(place, "HK239", message, severity="warning", help=hint)


def _check_counted(
    config: Config, emitted: Mapping[str, Place], mentions: Mentions, findings: Findings
) -> None:
    """Counting an event that never comes gives 0.

    One that is like none of this config's may be emitted by code of the agent.
    """
    for template, place, offset in templates_of(config) if emitted else ():
        for item in template.counted:
            name = str(item.value)
            near = near_miss(name, emitted) if is_custom(name) and name not in emitted else None
            if near is None or not mentions.is_alone(name):
                continue
            text: object = place.container[place.key]
            on = place.inside(str(text), offset + item.offset + 1, len(name))
            message, hint = f"nothing in this config emits `{name}`", f"did you mean `{near}`?"
            where = [related(emitted[near], "emitted here", on="value")]
            fix = word_fix(place.document, on, name, near)
            findings.at(
                place,
                "HK238",
                message,
                on=on,
                severity="warning",
                help=hint,
                related=where,
                fix=fix,
            )


def _event_places(
    config: Config, words: tuple[str, ...], option: str
) -> Iterator[tuple[str, Place]]:
    for step in config.steps():
        value = step.options.get(option) if step.word in words else None
        for inner in value.walk() if value is not None else ():
            if isinstance(inner.raw, str) and is_custom(inner.raw):
                yield inner.raw, inner.place


def _event_position(config: Config, name: str, place: Place) -> Place:
    """The key of the event's hooks in its file."""
    root = place.document.root
    session = root.get("session") if root is not None else None
    if isinstance(session, dict) and name in session:
        return Place(place.document, session, name)
    return place
