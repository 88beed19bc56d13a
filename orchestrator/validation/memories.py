"""Keys of the memory: what is asked for should be what is remembered."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.config import Config
from orchestrator.durations import format_duration, parse_duration
from orchestrator.events import near_miss
from orchestrator.templates import Template
from orchestrator.validation.findings import Findings, related, word_fix
from orchestrator.validation.mentions import Mentions
from orchestrator.validation.visits import templates_of
from orchestrator.values import Place, Value

__all__ = ["check_memories"]


def check_memories(config: Config, findings: Findings, mentions: Mentions) -> None:
    """Warn of a key that nothing remembers, where one of nearly the same name is remembered.

    A key that is not like any other may be remembered by another config.
    """
    kept = {
        str(value.raw): value.place
        for step in config.steps()
        if step.word == "remember" and (value := step.options.get("key")) is not None
        if not value.parts
    }
    _check_forgotten(config, kept, mentions, findings)
    _check_windows(config, findings)
    for template, place, offset in templates_of(config) if kept else ():
        for key in template.keys:
            name = str(key.value)
            near = near_miss(name, kept) if name not in kept else None
            if near is None or not mentions.is_alone(name):
                continue
            text: object = place.container[place.key]
            at = offset + key.offset + 1
            on = place.inside(str(text), at, len(name))
            message, hint = f"nothing remembers {name!r}", f"did you mean {near!r}?"
            findings.at(
                place, "HK243", message, on=on, severity="warning", help=hint,
                related=[related(kept[near], "remembered here", on="value")],
                fix=word_fix(place.document, on, name, near),
            )  # fmt: skip


def _check_forgotten(
    config: Config, kept: Mapping[str, Place], mentions: Mentions, findings: Findings
) -> None:
    """Warn of a key that is forgotten under another name than it is remembered."""
    for step in config.steps():
        value = step.options.get("key") if step.word == "forget" else None
        name = str(value.raw) if value is not None else ""
        near = near_miss(name, kept) if name not in kept else None
        if value is None or value.parts or near is None or not mentions.is_alone(name):
            continue
        message, hint = f"nothing remembers {name!r}", f"did you mean {near!r}?"
        findings.at(
            value.place, "HK243", message, severity="warning", help=hint,
            related=[related(kept[near], "remembered here", on="value")],
            fix=word_fix(value.place.document, value.place.value_position, name, near),
        )  # fmt: skip


def _key_of(key: Value) -> str:
    """A key as it is written, or the lone template that gives it; empty for others."""
    if not key.parts:
        return str(key.raw)
    part = key.parts[0]
    return part.lone if len(key.parts) == 1 and isinstance(part, Template) else ""


def _check_windows(config: Config, findings: Findings) -> None:
    """Warn of a count over a longer time than its key is kept for."""
    kept: dict[str, tuple[float, Value]] = {}
    for step in config.steps():
        key, time = step.options.get("key"), step.options.get("for")
        name = _key_of(key) if step.word == "remember" and key is not None else ""
        if not name or (time is not None and time.parts):
            continue
        seconds = parse_duration(time.raw) if time is not None else float("inf")
        value = time or key
        if value is not None and (time is None or seconds > kept.get(name, (0.0, value))[0]):
            kept[name] = (seconds, value)
    for template, place, offset in templates_of(config) if kept else ():
        for name, within in template.windows:
            seconds, value = kept.get(name, (float("inf"), None))
            asked = parse_duration(str(within.value))
            if value is None or asked <= seconds:
                continue
            text: object = place.container[place.key]
            on = place.inside(str(text), offset + within.offset, within.end - within.offset)
            shown = name.removeprefix("{{").removesuffix("}}")
            shown = repr(name) if shown == name else f"`{shown}`"
            message = f"{shown} is kept for {format_duration(seconds)} only"
            where = [related(value.place, "for how long", on="value")]
            hint = "keep it longer, or count over a shorter time"
            findings.at(
                place, "HK244", message, on=on, severity="warning", related=where, help=hint
            )
