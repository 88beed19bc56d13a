"""Steps: mappings of a document -> `StepConfig`, or findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config import Condition, ErrorPolicy, StepConfig
from orchestrator.document import YamlList, YamlMap, missing_space
from orchestrator.errors import EnvironmentFailure, UserError
from orchestrator.events import near_miss
from orchestrator.registry import BUILTIN_ACTIONS, CONTROL_WORDS, STEP_KEYS, ActionType, Registry
from orchestrator.validation.controls import CONTROLS
from orchestrator.validation.findings import word_fix
from orchestrator.validation.levels import lift_settings
from orchestrator.validation.option_reader import Blocks, OptionReader
from orchestrator.validation.plugins import Plugins
from orchestrator.validation.reader import Reader
from orchestrator.validation.settings import read_condition, read_retry
from orchestrator.validation.words import kind_of
from orchestrator.values import Place, Value, parse_value

__all__ = ["HOOK_KEYS", "StepReader"]

HOOK_KEYS = (
    "name", "when", "do", "finally", "max_count", "cooldown", "timeout", "on_error", "background",
)  # fmt: skip
_BRANCHES = ("then", "else")
_SETTINGS = frozenset((*STEP_KEYS, *HOOK_KEYS, *_BRANCHES))
_OF_PARALLEL = ("steps", "first_error", "late")
_STARTERS = tuple(word for word in CONTROL_WORDS if word not in _BRANCHES)
#: Letters by which the name of somebody's action differs when a known one was meant.
_TYPO = 2
_EXAMPLE = "write `- action: options`"
_MEND = "mend the class; docs/extending.md says what each part gives"


@dataclass(slots=True)
class StepReader:
    """Reads the steps of one document.

    `defaults` has the default options of the config by action, which steps need not repeat.
    """

    reader: Reader
    registry: Registry
    accepts_unknown: bool = False
    defaults: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    plugins: Plugins = field(default_factory=Plugins)
    skipped: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)

    def block(self, node: YamlMap, key: str, path: str) -> tuple[StepConfig, ...]:
        """The steps under a key of a mapping; () when the key is not there."""
        if key not in node:
            return ()
        if isinstance(node[key], YamlMap):
            message, hint = f"`{key}` must be a list of steps", "put a `- ` before each step"
            self.reader.not_a_list(node, key, message, hint)
            return ()
        items = self.reader.items(node, key, "a list of steps")
        if items is None:
            return ()
        if not items:
            self.reader.at(node, key, "HK113", f"`{key}` has no steps", on="key")
        steps = [self.step(items, i, f"{path}[{i}]") for i in range(len(items))]
        return tuple(step for step in steps if step is not None)

    def step(self, items: YamlList, index: int, path: str) -> StepConfig | None:
        """One step of a list; None when it is too wrong to go on with."""
        step = self._step(items, index, path)
        if step is None:
            self.lost.update(_names_in(items[index]))
        return step

    def _step(self, items: YamlList, index: int, path: str) -> StepConfig | None:
        node = items[index]
        if not isinstance(node, YamlMap):
            self._report_plain(items, index)
            return None
        words = self.words(node)
        if not words:
            self._report_no_action(items, index)
            return None
        if len(words) > 1:
            self._report_two(node, words)
            return None
        return self._read(node, words[0], path)

    # --- which action

    def words(self, node: YamlMap) -> list[str]:
        """The keys that say what a step does: known words, else the likeliest unknown one."""
        others = [k for k in node if k not in _SETTINGS]
        known = [k for k in others if self.is_known(k)]
        if known or not others:
            return known
        actions = [k for k in others if near_miss(k, self._names())]
        strange = [k for k in others if not near_miss(k, (*STEP_KEYS, *HOOK_KEYS))]
        return (actions or strange or others)[:1]

    def is_known(self, word: str) -> bool:
        """Whether it is a control word or the name of an action."""
        return word in _STARTERS or self.find_action(word) is not None

    def find_action(self, word: str) -> ActionType | None:
        """The action of this name; None when there is none or it cannot be imported."""
        try:
            return self.registry.action(word)
        except (EnvironmentFailure, UserError):
            return None

    def _names(self) -> tuple[str, ...]:
        return (*self.registry.action_names(), *_STARTERS)

    def _report_plain(self, items: YamlList, index: int) -> None:
        value = items[index]
        word = value.split(":")[0].strip() if isinstance(value, str) else ""
        hint, code = _EXAMPLE, "HK112" if value is not None else "HK110"
        if word and self.is_known(word):
            pair = missing_space(value)
            hint = f"write `- {word}: {self._example(word)}`"
            if pair:
                hint = f"write `- {pair[0]}: {pair[1][:40]}`"
        message = f"a step is a mapping, found {kind_of(value)}"
        if value is None:
            message = "this step is empty"
        self.reader.at(items, index, code, message, help=hint)

    def _example(self, word: str) -> str:
        """What may stand behind a word: nothing is needed where no option is."""
        action = self.find_action(word)
        is_free = action is not None and not any(o.is_required for o in action.options.values())
        return "{}" if is_free and action is not None and not action.check({}) else "..."

    def _report_no_action(self, items: YamlList, index: int) -> None:
        node = items[index]
        place, hint = first_place(self.reader, items, index), "name the action, such as `say: ...`"
        for key in _BRANCHES:
            if key in node:
                self.reader.at(node, key, "HK114", f"`{key}` without `if`", on="key")
                return
        if "do" in node:
            message, hint = "a hook cannot stand among steps", "use `if:` and `then:`, or a chain"
            self.reader.at(node, "do", "HK114", message, on="key", help=hint)
            return
        keys = ", ".join(f"`{k}`" for k in node)
        message = f"this step has no action, only {keys}" if node else "this step is empty"
        self.reader.findings.at(place, "HK110", message, on="key", help=hint)

    def _report_two(self, node: YamlMap, words: list[str]) -> None:
        first = self.reader.document.key_position(node, words[0])
        related = [self.reader.document.related(first, "the first one")]
        message = f"a step does one thing: `{words[0]}` and `{words[1]}` are two"
        hint = "make them two steps, each with its own `- `"
        self.reader.at(node, words[1], "HK111", message, on="key", related=related, help=hint)

    # --- one step

    def _read(self, node: YamlMap, word: str, path: str) -> StepConfig | None:
        reader = self.reader
        is_there = word in _STARTERS or self._is_there(node, word)
        if not is_there:
            self.lost.update(_names_in(node))
        shared: dict[str, Any] = {"key": path, "word": word, "place": reader.place(node, word)}
        blocks: Blocks = {}
        outside: list[str] = []
        if isinstance(node[word], YamlMap) and not _SETTINGS.isdisjoint(node[word]):
            self._lift(node, word)
        if len(node) > 1:
            outside = self._check_keys(node, word)
            shared |= self._settings(node, path, blocks)
            shared |= dict.fromkeys(("after",) if "after" in outside else ())
        if word in _STARTERS:
            return CONTROLS[word](reader, self.block, node, shared, blocks)
        if not is_there or word in self.skipped:
            return self._unknown(node, word, shared, blocks)
        return self._action(node, word, shared, blocks, outside)

    def _lift(self, node: YamlMap, word: str) -> None:
        """Take settings of the step from among the options of its action."""
        action = self.find_action(word) if word not in _STARTERS else None
        own = action.options if action is not None else _OF_PARALLEL if word == "parallel" else ()
        is_main = action is not None and action.takes_mapping
        if own and not (is_main and not any(key in own for key in node[word])):
            before = dict(node[word])
            for key in lift_settings(self.reader, node, word, own, STEP_KEYS):
                self.lost.update(_names_in(before[key]))

    def _settings(self, node: YamlMap, path: str, blocks: Blocks) -> dict[str, Any]:
        """What stands beside the action; steps of `on_error` go into `blocks`."""
        reader = self.reader
        policy, policy_steps = self.on_error(node, path)
        if policy_steps:
            blocks["on_error"] = policy_steps
        return {
            "id": reader.name(node, "id", is_read=True),
            "when": self.condition(node, "when"),
            "save": reader.name(node, "save", is_read=True),
            "timeout": reader.duration(node, "timeout", low=0.001),
            "retry": read_retry(reader, node),
            "on_error": policy,
            "background": reader.boolean(node, "background"),
            "after": reader.duration(node, "after", low=0.1),
            "settings": {k: reader.place(node, k) for k in node if k in STEP_KEYS},
        }

    def _is_there(self, node: YamlMap, word: str) -> bool:
        """Whether the action exists; what options an unknown one has, nobody can say."""
        try:
            if self.registry.action(word) is not None:
                return True
        except (EnvironmentFailure, UserError) as error:
            self.reader.at(node, word, "HK625", str(error), on="key")
            return False
        if self.reader.has_invisible(node, word):
            return False
        near = near_miss(word, self._names())
        if self.accepts_unknown and (near is None or abs(len(near) - len(word)) > _TYPO):
            self.skipped.add(word)
            return True
        if self.plugins.is_reported and not near:
            self.lost.add(word)  # the plugin that is at fault would have it
            return False
        near = near or near_miss(word, STEP_KEYS)
        hint = f"did you mean `{near}`?" if near else self._unknown_hint()
        document = self.reader.document
        fix = word_fix(document, document.key_position(node, word), word, near) if near else None
        message = f"unknown action `{word}`"
        self.reader.at(node, word, "HK221", message, on="key", help=hint, fix=fix)
        return False

    def _unknown_hint(self) -> str:
        if self.plugins.missing:
            plugins = ", ".join(self.plugins.missing)
            return f"not installed here: {plugins}; `--allow-unknown-actions` lets it pass"
        return f"known: {', '.join(self._names())}"

    def _unknown(
        self, node: YamlMap, word: str, shared: dict[str, Any], blocks: Blocks
    ) -> StepConfig:
        """A step whose action is not installed here: its templates can be checked all the same."""
        value = parse_value(node[word], self.reader.place(node, word))
        options = {str(key): item for key, item in value.items.items()} or {word: value}
        return StepConfig(kind="action", options=options, blocks=blocks, **shared)

    def _action(
        self, node: YamlMap, word: str, shared: dict[str, Any], blocks: Blocks, outside: list[str]
    ) -> StepConfig | None:
        action = self.registry.action(word)
        assert action is not None  # noqa: S101 - `_is_there` has asked
        given = {name: value.raw for name, value in self.defaults.get(word, {}).items()}
        for name in outside:
            given[name] = node[name]
        options = OptionReader(self.reader, self.block, action, given)
        try:
            read = options.read(node, word, shared["key"], blocks)
            if action.name not in BUILTIN_ACTIONS:
                action.try_out({name: value.constant for name, value in read.items()})
        except UserError as error:
            self.reader.at(node, word, "HK603", str(error), on="key", help=_MEND)
            return None
        return StepConfig(kind="action", action=action, options=read, blocks=blocks, **shared)

    def _check_keys(self, node: YamlMap, word: str) -> list[str]:
        """Report keys that do not belong here; the options of the action among them."""
        allowed = (word, *(_BRANCHES if word == "if" else ()), *STEP_KEYS)
        outside = self._outside(node, word, allowed)
        if outside:
            self.reader.beside(node, outside, f"{_options(outside)} of {word}", word)
            self.lost.update(name for key in outside for name in _names_in(node[key]))
        for key in list(node):
            if key not in allowed and key not in outside:
                self._report_key(node, key, word, allowed)
        return outside

    def _outside(self, node: YamlMap, word: str, allowed: tuple[str, ...]) -> list[str]:
        """Options that stand beside their action; `after` too, where the action needs its own."""
        strays = [key for key in node if key not in allowed]
        if "after" in node and node[word] is None:
            strays.append("after")
        action = self.find_action(word) if strays and word not in _STARTERS else None
        if action is None:
            return []
        own = action.required if "after" in strays else ()
        return [
            k for k in node if k in strays and k in action.options and (k != "after" or k in own)
        ]

    def _report_key(self, node: YamlMap, key: str, word: str, allowed: tuple[str, ...]) -> None:
        report = self.reader.at
        if key in _BRANCHES:
            report(node, key, "HK114", f"`{key}` without `if`", on="key")
        elif key in HOOK_KEYS:
            message, hint = f"`{key}` belongs to a hook, not to a step", "write the hook with `do:`"
            report(node, key, "HK114", message, on="key", help=hint)
        else:
            self.reader.unknown_key(node, key, allowed, f"step `{word}`")

    # --- settings

    def condition(self, node: YamlMap, key: str) -> Condition | None:
        """The expression under `when` or `if`."""
        return read_condition(self.reader, node, key)

    def on_error(
        self, node: YamlMap, path: str
    ) -> tuple[ErrorPolicy | None, tuple[StepConfig, ...]]:
        """`on_error: stop`, `continue`, or steps."""
        if "on_error" not in node:
            return None, ()
        if isinstance(node["on_error"], (YamlList, YamlMap)):
            return "steps", self.block(node, "on_error", f"{path}.on_error")
        return self.reader.choice(node, "on_error", ("stop", "continue")), ()


def _options(names: list[str]) -> str:
    return "an option" if len(names) == 1 else "options"


def first_place(reader: Reader, items: YamlList, index: int) -> Place:
    """The place of the first key of an item, or of the item when it is no mapping."""
    node = items[index]
    if isinstance(node, YamlMap) and node:
        return reader.place(node, next(iter(node)))
    return reader.place(items, index)


def _names_in(node: Any) -> Iterator[str]:
    """The names that a step would have given to others: what it saves, sets, and its id."""
    if isinstance(node, YamlMap):
        for key, value in node.items():
            if key in ("save", "id") and isinstance(value, str):
                yield value
            if key == "set" and isinstance(value, YamlMap):
                yield from value
            yield from _names_in(value)
    elif isinstance(node, YamlList):
        for item in node:
            yield from _names_in(item)
