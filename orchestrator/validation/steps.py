"""Hooks and steps: mappings of a document -> `HookConfig` and `StepConfig`, or problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.config import Condition, ErrorPolicy, HookConfig, Retry, StepConfig
from orchestrator.document import YamlList, YamlMap
from orchestrator.errors import EnvironmentFailure, UserError
from orchestrator.events import Scope, near_miss
from orchestrator.registry import CONTROL_WORDS, STEP_KEYS, ActionType, Registry
from orchestrator.templates import parse_condition
from orchestrator.validation.option_values import OptionReader
from orchestrator.validation.reader import Reader, kind_of
from orchestrator.values import Place, Value, parse_value

__all__ = ["HOOK_KEYS", "StepReader"]

HOOK_KEYS = (
    "name",
    "when",
    "do",
    "finally",
    "max_count",
    "cooldown",
    "timeout",
    "on_error",
    "background",
)
_STARTERS = tuple(word for word in CONTROL_WORDS if word not in ("then", "else"))
_PARALLEL_KEYS = ("steps", "first_error", "late")


@dataclass(slots=True)
class StepReader:
    """Reads the hooks and steps of one document."""

    reader: Reader
    registry: Registry
    accepts_unknown: bool = False

    # --- hooks

    def hooks(self, node: YamlMap, event: str, scope: Scope, *, first: int = 0) -> list[HookConfig]:
        """The hooks of one event; `first` is the number of the first in the whole config."""
        value = node[event]
        if isinstance(value, YamlMap):
            self.reader.report(
                "HK103",
                f"the hooks of `{event}` must be a list",
                self.reader.key_position(node, event),
                help="put a `- ` before each hook",
            )
            return []
        items = self.reader.items(node, event, "a list of hooks")
        if items is None:
            return []
        if not items:
            self.reader.report(
                "HK113", f"`{event}` has no hooks", self.reader.key_position(node, event)
            )
        keys = [f"{scope}.{event}[{first + i}]" for i in range(len(items))]
        hooks = [self._hook(items, i, event, scope, key) for i, key in enumerate(keys)]
        return [hook for hook in hooks if hook is not None]

    def _hook(
        self, items: YamlList, index: int, event: str, scope: Scope, key: str
    ) -> HookConfig | None:
        node = items[index]
        if isinstance(node, YamlMap) and ("do" in node or self._looks_like_hook(node)):
            return self._full_hook(items, index, event, scope, key)
        step = self.step(items, index, key)
        if step is None:
            return None
        name = step.id or f"{event}[{index}] {step.word}"
        return HookConfig(key, name, scope, event, step.place, (step,), is_single=True)

    def _looks_like_hook(self, node: YamlMap) -> bool:
        only_hook = {"name", "finally", "max_count", "cooldown"}
        return bool(only_hook & set(node)) and not self._action_keys(node)

    def _full_hook(
        self, items: YamlList, index: int, event: str, scope: Scope, key: str
    ) -> HookConfig | None:
        node, reader = items[index], self.reader
        place = _first_key(reader, node, items, index)
        stray = [k for k in self._action_keys(node) if k not in HOOK_KEYS]
        if stray:
            reader.report(
                "HK114",
                f"`{stray[0]}` stands beside `do`",
                reader.key_position(node, stray[0]),
                help="put it into `do:` as a step of its own",
            )
        else:
            reader.check_keys(node, HOOK_KEYS, "a hook")
        if "do" not in node:
            reader.report("HK104", "a hook needs `do:` with its steps", place.key_position)
            return None
        policy, policy_steps = self._on_error(node, key)
        return HookConfig(
            key=key,
            name=reader.text(node, "name") or f"{event}[{index}]",
            scope=scope,
            event=event,
            place=place,
            steps=self.block(node, "do", f"{key}.do"),
            cleanup=self.block(node, "finally", f"{key}.finally"),
            when=self.condition(node, "when"),
            max_count=reader.integer(node, "max_count", low=1, high=1_000_000),
            cooldown=reader.duration(node, "cooldown"),
            timeout=reader.duration(node, "timeout", low=0.001),
            on_error=policy,
            on_error_steps=policy_steps,
            background=reader.boolean(node, "background", default=False),
            settings={k: reader.place(node, k) for k in node if k in HOOK_KEYS},
        )

    # --- steps

    def block(self, node: YamlMap, key: str, path: str) -> tuple[StepConfig, ...]:
        """The steps under a key of a mapping; () when the key is not there."""
        if key not in node:
            return ()
        value = node[key]
        if isinstance(value, YamlMap):
            self.reader.report(
                "HK103",
                f"`{key}` must be a list of steps",
                self.reader.key_position(node, key),
                help="put a `- ` before each step",
            )
            return ()
        items = self.reader.items(node, key, "a list of steps")
        if items is None:
            return ()
        if not items:
            self.reader.report(
                "HK113", f"`{key}` has no steps", self.reader.key_position(node, key)
            )
        steps = [self.step(items, i, f"{path}[{i}]") for i in range(len(items))]
        return tuple(step for step in steps if step is not None)

    def step(self, items: YamlList, index: int, key: str) -> StepConfig | None:
        """One step of a list; None when it is too wrong to go on with."""
        node, reader = items[index], self.reader
        if not isinstance(node, YamlMap):
            self._not_a_mapping(items, index)
            return None
        words = self._action_keys(node)
        if not words:
            self._no_action(items, index)
            return None
        if len(words) > 1:
            first = reader.document.related(reader.key_position(node, words[0]), "the first one")
            reader.report(
                "HK111",
                f"a step does one thing: `{words[0]}` and `{words[1]}` are two",
                reader.key_position(node, words[1]),
                related=[first],
                help="make them two steps, each with its own `- `",
            )
        return self._read(node, words[0], key)

    def _action_keys(self, node: YamlMap) -> list[str]:
        """The keys of a step that say what it does, unknown words last."""
        known: list[str] = []
        unknown: list[str] = []
        for key in node:
            if (
                key in STEP_KEYS
                or key in HOOK_KEYS
                or key in ("then", "else")
                or key.startswith("x-")
            ):
                continue
            is_known = key in _STARTERS or self.find_action(key) is not None
            (known if is_known else unknown).append(key)
        if known or not unknown:
            return known
        step_key_typos = [k for k in unknown if near_miss(k, (*STEP_KEYS, *HOOK_KEYS))]
        others = [k for k in unknown if k not in step_key_typos]
        return others[:1] or unknown[:1]

    def find_action(self, word: str) -> ActionType | None:
        """The action of this name; None when there is none or it cannot be imported."""
        try:
            return self.registry.action(word)
        except (EnvironmentFailure, UserError):
            return None

    def _not_a_mapping(self, items: YamlList, index: int) -> None:
        value = items[index]
        position = self.reader.value_position(items, index)
        if isinstance(value, str) and value:
            word = value.split(":")[0].strip()
            hint = (
                f"write `- {word}: {{}}`" if self.find_action(word) else "write `- action: options`"
            )
            self.reader.report(
                "HK112", f"a step is a mapping, found {kind_of(value)}", position, help=hint
            )
            return
        code = "HK110" if value is None else "HK112"
        self.reader.report(
            code,
            f"a step is a mapping, found {kind_of(value)}",
            position,
            help="write `- action: options`",
        )

    def _no_action(self, items: YamlList, index: int) -> None:
        node = items[index]
        place = _first_key(self.reader, node, items, index)
        for key in ("then", "else"):
            if key in node:
                self.reader.report(
                    "HK114", f"`{key}` without `if`", self.reader.key_position(node, key)
                )
                return
        keys = ", ".join(f"`{k}`" for k in node)
        what = f"this step has no action, only {keys}" if node else "this step is empty"
        self.reader.report(
            "HK110", what, place.key_position, help="name the action, such as `say: ...`"
        )

    def _read(self, node: YamlMap, word: str, key: str) -> StepConfig | None:
        reader = self.reader
        settings = {k: reader.place(node, k) for k in node if k in STEP_KEYS}
        policy, policy_steps = self._on_error(node, key)
        shared: dict[str, Any] = {
            "key": key,
            "word": word,
            "place": reader.place(node, word),
            "id": reader.name(node, "id"),
            "when": self.condition(node, "when"),
            "save": reader.name(node, "save"),
            "timeout": reader.duration(node, "timeout", low=0.001),
            "retry": self.retry(node),
            "on_error": policy,
            "background": reader.boolean(node, "background"),
            "after": reader.duration(node, "after", low=0.1),
            "settings": settings,
        }
        blocks = {"on_error": policy_steps} if policy_steps else {}
        if word in _STARTERS:
            self._check_step_keys(node, word, ("then", "else") if word == "if" else ())
            control: StepConfig | None = _CONTROLS[word](self, node, shared, blocks)
            return control
        self._check_step_keys(node, word, ())
        return self._action(node, word, shared, blocks)

    def _check_step_keys(self, node: YamlMap, word: str, more: tuple[str, ...]) -> None:
        allowed = (word, *STEP_KEYS, *more)
        others = set(self._action_keys(node))
        for key in node:
            if key in allowed or key in others or key.startswith("x-"):
                continue
            position = self.reader.key_position(node, key)
            if key in HOOK_KEYS:
                self.reader.report(
                    "HK114",
                    f"`{key}` belongs to a hook, not to a step",
                    position,
                    help="write the hook as `- name: ...` with `do:`",
                )
            elif key in ("then", "else"):
                self.reader.report("HK114", f"`{key}` without `if`", position)
            else:
                self._unknown_key(node, key, word, allowed)

    def _unknown_key(self, node: YamlMap, key: str, word: str, allowed: tuple[str, ...]) -> None:
        action = self.find_action(word)
        if action is not None and key in action.options:
            self.reader.report(
                "HK114",
                f"`{key}` is an option of {word}",
                self.reader.key_position(node, key),
                help=f"indent it under `{word}:`",
            )
            return
        self.reader.check_keys(node, allowed, f"step `{word}`", only=[key])

    # --- actions

    def _action(
        self, node: YamlMap, word: str, shared: dict[str, Any], blocks: dict[str, Any]
    ) -> StepConfig | None:
        try:
            action = self.registry.action(word)
        except (EnvironmentFailure, UserError) as error:
            self.reader.report("HK625", str(error), self.reader.key_position(node, word))
            return None
        if action is None:
            return self._unknown_action(node, word, shared)
        options = OptionReader(self.reader, self, action).read(node, word, shared["key"], blocks)
        return StepConfig(kind="action", action=action, options=options, blocks=blocks, **shared)

    def _unknown_action(
        self, node: YamlMap, word: str, shared: dict[str, Any]
    ) -> StepConfig | None:
        if self.accepts_unknown:
            return None
        names = (*self.registry.action_names(), *_STARTERS)
        near = near_miss(word, names)
        hint = f"did you mean `{near}`?" if near else f"known: {', '.join(names)}"
        self.reader.report(
            "HK221", f"unknown action `{word}`", self.reader.key_position(node, word), help=hint
        )
        return None

    # --- control steps

    def _if(
        self, node: YamlMap, shared: dict[str, Any], blocks: dict[str, Any]
    ) -> StepConfig | None:
        if "then" not in node:
            self.reader.report("HK104", "`if` needs `then:`", self.reader.key_position(node, "if"))
        for name in ("then", "else"):
            if name in node:
                blocks[name] = self.block(node, name, f"{shared['key']}.{name}")
        condition = self.condition(node, "if")
        if condition is None:
            return None
        options = {"if": Value(node["if"], condition.place)}
        return StepConfig(kind="if", options=options, blocks=blocks, **shared)

    def _parallel(
        self, node: YamlMap, shared: dict[str, Any], blocks: dict[str, Any]
    ) -> StepConfig:
        value, path = node["parallel"], f"{shared['key']}.parallel"
        options: dict[str, Value] = {}
        if isinstance(value, YamlMap) and "steps" in value:
            self.reader.check_keys(value, _PARALLEL_KEYS, "`parallel`")
            blocks["parallel"] = self.block(value, "steps", path)
            for name, words in (("first_error", ("cancel", "wait")), ("late", ("cancel", "keep"))):
                if self.reader.choice(value, name, words) is not None:
                    options[name] = Value(value[name], self.reader.place(value, name))
        else:
            blocks["parallel"] = self.block(node, "parallel", path)
        return StepConfig(kind="parallel", options=options, blocks=blocks, **shared)

    def _wait(
        self, node: YamlMap, shared: dict[str, Any], blocks: dict[str, Any]
    ) -> StepConfig | None:
        if self.reader.duration(node, "wait", low=0.001) is None:
            return None
        return self._simple("wait", node, shared, blocks)

    def _simple(
        self, word: Any, node: YamlMap, shared: dict[str, Any], blocks: dict[str, Any]
    ) -> StepConfig:
        value = parse_value(node[word], self.reader.place(node, word))
        return StepConfig(kind=word, options={word: value}, blocks=blocks, **shared)

    def _stop(
        self, node: YamlMap, shared: dict[str, Any], blocks: dict[str, Any]
    ) -> StepConfig | None:
        if self.reader.text(node, "stop", what="a reason") is None:
            return None
        return self._simple("stop", node, shared, blocks)

    def _run(
        self, node: YamlMap, shared: dict[str, Any], blocks: dict[str, Any]
    ) -> StepConfig | None:
        if self.reader.text(node, "run", what="the name of a chain") is None:
            return None
        return self._simple("run", node, shared, blocks)

    def _set(
        self, node: YamlMap, shared: dict[str, Any], blocks: dict[str, Any]
    ) -> StepConfig | None:
        values = self.reader.mapping(node, "set", "a mapping of names to values")
        if values is None:
            return None
        if not values:
            self.reader.report("HK113", "`set` sets nothing", self.reader.key_position(node, "set"))
        options = {k: parse_value(v, self.reader.place(values, k)) for k, v in values.items()}
        return StepConfig(kind="set", options=options, blocks=blocks, **shared)

    # --- step and hook settings

    def condition(self, node: YamlMap, key: str) -> Condition | None:
        """The expression under `when` or `if`."""
        if key not in node:
            return None
        value = node[key]
        if isinstance(value, bool):
            value = "true" if value else "false"
        if not isinstance(value, str) or not value.strip():
            self.reader.wrong_type(node, key, "a condition such as `event.text is matching('...')`")
            return None
        return Condition(parse_condition(value), self.reader.place(node, key))

    def retry(self, node: YamlMap) -> Retry | None:
        """`retry: 2` or `retry: {times, backoff, max}`."""
        reader = self.reader
        if "retry" not in node:
            return None
        value = node["retry"]
        if not isinstance(value, YamlMap):
            times = reader.integer(node, "retry", low=0, high=20)
            return Retry(times) if times else None
        reader.check_keys(value, ("times", "backoff", "max"), "`retry`")
        if "times" not in value:
            reader.report("HK104", "`retry` needs `times`", reader.key_position(node, "retry"))
            return None
        times = reader.integer(value, "times", low=0, high=20)
        backoff = reader.duration(value, "backoff", low=0.001)
        most = reader.duration(value, "max", low=0.001)
        if not times:
            return None
        return Retry(
            times, backoff if backoff is not None else 0.2, most if most is not None else 5.0
        )

    def _on_error(
        self, node: YamlMap, path: str
    ) -> tuple[ErrorPolicy | None, tuple[StepConfig, ...]]:
        if "on_error" not in node:
            return None, ()
        if isinstance(node["on_error"], (YamlList, YamlMap)):
            return "steps", self.block(node, "on_error", f"{path}.on_error")
        return self.reader.choice(node, "on_error", ("stop", "continue")), ()


def _first_key(reader: Reader, node: Any, items: YamlList, index: int) -> Place:
    if isinstance(node, YamlMap) and node:
        return reader.place(node, next(iter(node)))
    return reader.place(items, index)


_CONTROLS: Mapping[str, Any] = {
    "if": StepReader._if,
    "parallel": StepReader._parallel,
    "wait": StepReader._wait,
    "stop": StepReader._stop,
    "run": StepReader._run,
    "set": StepReader._set,
}
