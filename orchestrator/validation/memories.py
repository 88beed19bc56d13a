"""Keys of the memory: what is asked for should be what is remembered."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.config import Config
from orchestrator.events import near_miss
from orchestrator.templates import Template
from orchestrator.validation.findings import Findings, related, word_fix
from orchestrator.values import Place

__all__ = ["check_memories"]


def check_memories(config: Config, findings: Findings) -> None:
    """Warn of a key that nothing remembers, where one of nearly the same name is remembered.

    A key that is not like any other may be remembered by another config.
    """
    kept = {
        str(value.raw): value.place
        for step in config.steps()
        if step.word == "remember" and (value := step.options.get("key")) is not None
        if not value.parts
    }
    for template, place, offset in _templates(config) if kept else ():
        for key in template.keys:
            name = str(key.value)
            near = near_miss(name, kept) if name not in kept else None
            if near is None:
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


def _templates(config: Config) -> Iterator[tuple[Template, Place, int]]:
    for hook in config.hooks:
        if hook.when is not None:
            yield hook.when.template, hook.when.place, 0
    for step in config.steps():
        if step.when is not None:
            yield step.when.template, step.when.place, 0
        for value in step.options.values():
            for text, template, offset in value.templates():
                yield template, text.place, offset
