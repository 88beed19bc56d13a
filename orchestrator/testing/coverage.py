"""What call tests exercised of a config: hooks, conditions, steps, branches and failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.context import TRANSFER_FAILED
from orchestrator.document import Document
from orchestrator.journal import kind_of_line
from orchestrator.values import Place

__all__ = ["Coverage", "CoverageReport", "Item"]

_FAILED = ("failed", "timed_out")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a test can exercise, where it is written, and whether one did.

    `kind` is hook, condition, step, branch or failure.
    """

    kind: str
    what: str
    key: str
    file: str
    line: int
    column: int
    is_covered: bool


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """The items of one config in reading order, with its documents by file."""

    file: str
    items: tuple[Item, ...]
    documents: Mapping[str, Document]

    @property
    def missing(self) -> list[Item]:
        """What no test exercised."""
        return [item for item in self.items if not item.is_covered]

    @property
    def percent(self) -> float:
        """How much is exercised; 100 where there is nothing to."""
        covered = len(self.items) - len(self.missing)
        return round(100 * covered / len(self.items), 1) if self.items else 100.0


class Coverage:
    """Collects the journals of played calls under one config."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._ran: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self.is_played = False

    def add(self, lines: Iterable[Mapping[str, object]]) -> None:
        """Note what happened in one call."""
        for line in lines:
            self.is_played = True
            kind = kind_of_line(line)
            if "at" not in line or kind not in ("hook", "step", "note"):
                continue
            key = _written_key(str(line["at"]))
            if kind == "step":
                self._add_step(key, str(line["status"]))
            elif line.get("ran") is True:
                self._ran[f"hook {key}"] += 1
            elif line.get("ran") is False and str(line.get("why", "")).startswith("when: "):
                self._skipped[f"hook {key}"] += 1
            elif line.get("note") == TRANSFER_FAILED:  # some time after its step was done
                self._failed[key] += 1

    def _add_step(self, key: str, status: str) -> None:
        if status == "skipped":
            self._skipped[key] += 1
            return
        self._ran[key] += 1
        if status in _FAILED:
            self._failed[key] += 1

    def report(self) -> CoverageReport:
        """What was exercised so far."""
        places = [hook.place for hook in self._config.hooks]
        places += [step.place for step in self._config.steps()]
        documents = {place.document.file: place.document for place in places}
        items = sorted(self._items(), key=lambda item: (item.file, item.line, item.column))
        return CoverageReport(self._config.file, tuple(items), documents)

    def _items(self) -> Iterator[Item]:
        for hook in self._config.hooks:
            yield from self._hook_items(hook)
        for step in self._config.steps():
            yield from self._step_items(step)

    def _hook_items(self, hook: HookConfig) -> Iterator[Item]:
        key = f"hook {hook.key}"
        yield _item("hook", f"hook {hook.name!r} runs", hook.key, hook.place, self._ran[key])
        if hook.when is not None:
            what = f"hook {hook.name!r} does not run, its `when` being false"
            yield _item("condition", what, hook.key, hook.when.place, self._skipped[key])

    def _step_items(self, step: StepConfig) -> Iterator[Item]:
        yield _item("step", f"step {step.word} runs", step.key, step.place, self._ran[step.key])
        if step.when is not None:
            what = f"step {step.word} is left out, its `when` being false"
            yield _item("condition", what, step.key, step.when.place, self._skipped[step.key])
        if step.kind == "if":
            yield from self._branches(step)
        if step.on_error == "steps" or _may_fail(step):
            what = f"step {step.word} fails"
            yield _item("failure", what, step.key, step.place, self._failed[step.key])

    def _branches(self, step: StepConfig) -> Iterator[Item]:
        """`then` was taken as often as its first step was reached, `else` the other times."""
        then = self._reached(step.blocks.get("then", ()))
        yield _item("branch", "the condition of `if` is true", step.key, step.place, then)
        other = self._ran[step.key] - then
        yield _item("branch", "the condition of `if` is false", step.key, step.place, other)

    def _reached(self, steps: tuple[StepConfig, ...]) -> int:
        return self._ran[steps[0].key] + self._skipped[steps[0].key] if steps else 0


def _written_key(key: str) -> str:
    """The key of a step as it is written: one of a chain is the same wherever it runs."""
    return key.rpartition("/")[2]


def _may_fail(step: StepConfig) -> bool:
    """Whether it asks somebody else while the hook waits for the answer."""
    is_asking = step.action is not None and step.action.cls.waits
    return is_asking and not step.runs_in_background


def _item(kind: str, what: str, key: str, place: Place, count: int) -> Item:
    position = place.key_position
    return Item(kind, what, key, position.file, position.line, position.column, count > 0)
