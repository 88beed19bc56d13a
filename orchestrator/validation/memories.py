"""Keys of the memory: what is asked for should be what is remembered."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.config import Config
from orchestrator.durations import format_duration, parse_duration
from orchestrator.events import near_miss
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


def _check_windows(config: Config, findings: Findings) -> None:
    """Warn of a count over a longer time than its key is kept for."""
    kept: dict[str, tuple[float, Value]] = {}
    for step in config.steps():
        key, time = step.options.get("key"), step.options.get("for")
        is_fixed = key is not None and not key.parts and (time is None or not time.parts)
        if step.word != "remember" or key is None or not is_fixed:
            continue
        seconds = parse_duration(time.raw) if time is not None else float("inf")
        if time is None or seconds > kept.get(str(key.raw), (0.0, time))[0]:
            kept[str(key.raw)] = (seconds, time or key)
    for template, place, offset in templates_of(config) if kept else ():
        for name, within in template.windows:
            seconds, value = kept.get(name, (float("inf"), None))
            asked = parse_duration(str(within.value))
            if value is None or asked <= seconds:
                continue
            text: object = place.container[place.key]
            on = place.inside(str(text), offset + within.offset, within.end - within.offset)
            message = f"{name!r} is kept for {format_duration(seconds)} only"
            where = [related(value.place, "for how long", on="value")]
            hint = "keep it longer, or count over a shorter time"
            findings.at(
                place, "HK244", message, on=on, severity="warning", related=where, help=hint
            )
