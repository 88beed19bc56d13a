"""Texts that are written for false, `no` and `~` among them, where a condition asks for the truth.

Only `true`, `false` and `null` are no text, so `set: {vip: no}` saves a text, and what has letters
in it counts as true: `when: data.vip` holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.config import Config, StepConfig
from orchestrator.errors import Related
from orchestrator.templates.conditions import Asked
from orchestrator.validation.findings import Findings, word_fix
from orchestrator.validation.visits import templates_of
from orchestrator.validation.words import FALSE_WORDS, TRUE_WORDS
from orchestrator.values import Place, Value

__all__ = ["check_truth"]

_Path = tuple[str | int, ...]


def check_truth(config: Config, findings: Findings) -> frozenset[_Path]:
    """Report words for false that are asked whether they are true; the paths that they are under.

    What is compared with a text somewhere, used as one where its presence is asked, or is given
    other texts too, is meant as a text.
    """
    words: dict[_Path, list[Value]] = {}
    texts: set[_Path] = set()
    for step in config.steps():
        if step.kind == "set" or step.word == "remember":
            for path, value in _kept(step):
                if not value.parts and value.raw.lower() in FALSE_WORDS:
                    words.setdefault(path, []).append(value)
                elif value.parts or value.raw.lower() not in TRUE_WORDS:
                    texts.add(path)
    words = {path: values for path, values in words.items() if path not in texts}
    if not words:
        return frozenset()
    asked, meant = _uses(config, words)
    found = {path: places for path, places in asked.items() if path not in meant}
    for path, (place, offset, use) in found.items():
        on = place.inside(_text(place), offset + use.offset, use.end - use.offset)
        where = [place.document.related(on, "asked here")]
        for value in words[path]:
            _report(findings, value, where)
    return frozenset(found)


def _report(findings: Findings, value: Value, where: list[Related]) -> None:
    place = value.place
    meant = FALSE_WORDS[value.raw.lower()]
    position = place.value_position
    old = place.document.lines[position.line - 1][position.column - 1 : position.end_column - 1]
    fix = word_fix(place.document, position, old, meant)
    message = f"`{place.key}`: {value.raw!r} is text here, and counts as true"
    findings.at(place, "HK115", message, help=f"write {meant}", related=where, fix=fix)


def _kept(step: StepConfig) -> Iterator[tuple[_Path, Value]]:
    """The texts that a step keeps for others: their paths, and where they are."""
    if step.kind == "set":
        for name, value in step.options.items():
            yield from _inside(("data", name), value)
        return
    key, kept = step.options.get("key"), step.options.get("value")
    if key is not None and kept is not None and not key.parts:
        yield from _inside(("memory", str(key.raw)), kept)


def _inside(path: _Path, value: Value) -> Iterator[tuple[_Path, Value]]:
    if isinstance(value.raw, dict):
        for key, item in value.items.items():
            yield from _inside((*path, str(key)), item)
    elif isinstance(value.raw, str):
        yield path, value


def _uses(
    config: Config, words: Mapping[_Path, list[Value]]
) -> tuple[dict[_Path, tuple[Place, int, Asked]], set[_Path]]:
    """Where the truth of each is asked first; and those that are meant as texts."""
    asked: dict[_Path, tuple[Place, int, Asked]] = {}
    compared, present, used = set[_Path](), set[_Path](), set[_Path]()
    for template, place, offset in templates_of(config):
        for use in template.uses():
            if use.path not in words:
                continue
            if use.how in ("truth", "presence"):
                asked.setdefault(use.path, (place, offset, use))
            kinds = {"compared": compared, "presence": present, "used": used}
            if use.how in kinds:
                kinds[use.how].add(use.path)
    return asked, compared | (present & used)


def _text(place: Place) -> str:
    value: object = place.container[place.key]
    return value if isinstance(value, str) else str(value).lower()
