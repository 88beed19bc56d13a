"""The words that a call test may use about a config: its actions, ids and connections."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from orchestrator.config import Config, StepConfig
from orchestrator.registry import CONTROL_WORDS
from orchestrator.testing.timeline import ALIASES, COMMANDS, MAIN_FIELDS, value_fields
from orchestrator.validation.known import output_of

__all__ = ["Words"]

#: Further words of the timeline, beside commands and actions.
_OTHERS = ("hook", "skipped", "event", "timer")
_CONTROLS = tuple(word for word in CONTROL_WORDS if word not in ("then", "else"))
_OUTCOME = ("status", "output", "error", "id")


class Words:
    """What can be named in `expect`, `never` and `given`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @cached_property
    def happenings(self) -> tuple[str, ...]:
        """Every word of the timeline, the likely ones first."""
        actions = self._config.registry.action_names()
        return tuple(dict.fromkeys((*COMMANDS, *actions, *_OTHERS, *_CONTROLS)))

    def canonical(self, word: str) -> str:
        """The word under which it stands on the timeline."""
        return ALIASES.get(word, word)

    def main(self, word: str) -> str | None:
        """The field that a bare value stands for."""
        word = self.canonical(word)
        if word in MAIN_FIELDS:
            return MAIN_FIELDS[word]
        action = self._config.registry.action(word) if word not in _CONTROLS else None
        return action.main if action is not None else "status"

    def fields(self, word: str) -> tuple[str, ...]:
        """The fields of a word; empty when it may have any."""
        word = self.canonical(word)
        if own := value_fields(word):
            return own
        if word in (*_OTHERS, *_CONTROLS):
            return ()
        action = self._config.registry.action(word)
        return (*action.options, *_OUTCOME) if action is not None else ()

    @cached_property
    def hooks(self) -> tuple[str, ...]:
        """The names of the config's hooks."""
        return tuple(hook.name for hook in self._config.hooks)

    def answer_fields(self, key: str) -> tuple[str, ...]:
        """The fields that answers of an answerer have; empty where they may have any."""
        shapes = [output_of(step) for step in self._config.steps() if _answers(step, key)]
        if not shapes or any(shape.kind != "record" or shape.is_open for shape in shapes):
            return ()
        return tuple(dict.fromkeys(name for shape in shapes for name in shape.fields))

    @cached_property
    def answerers(self) -> tuple[str, ...]:
        """What `given` may name: ids, connections and actions of the config's steps."""
        return tuple(dict.fromkeys(self._answerers()))

    def _answerers(self) -> Iterator[str]:
        steps = [step for step in self._config.steps() if step.action is not None]
        yield from (step.id for step in steps if step.id)
        yield from self._config.connections
        yield from (step.word for step in steps)


def _answers(step: StepConfig, key: str) -> bool:
    """Whether a step asks what `key` names: its id, its action, or its connection."""
    if step.action is None:
        return False
    connection = step.options.get("connection")
    return key in (step.id, step.word) or (connection is not None and connection.raw == key)
