"""Hooks: the list under an event -> `HookConfig`, or findings."""

from __future__ import annotations

from orchestrator.config import HookConfig
from orchestrator.document import YamlList, YamlMap
from orchestrator.events import (
    RUNNER_EVENTS,
    SESSION_EVENTS,
    TIMED_WORDS,
    Scope,
    find_event,
    near_miss,
)
from orchestrator.validation.findings import word_fix
from orchestrator.validation.reader import Reader
from orchestrator.validation.steps import HOOK_KEYS, StepReader, first_place

__all__ = ["read_hooks"]

_ONLY_HOOK = frozenset({"name", "do", "finally", "max_count", "cooldown"})


def read_hooks(
    steps: StepReader, root: YamlMap, scope: Scope, counts: dict[tuple[Scope, str], int]
) -> list[HookConfig]:
    """The hooks of one scope; `counts` numbers them over all files of the config."""
    hooks: list[HookConfig] = []
    node = steps.reader.mapping(root, scope, "a mapping of events") if scope in root else None
    for written in list(node) if node is not None else ():
        assert node is not None  # noqa: S101 - narrows the type for the checker
        event = written
        if find_event(scope, written) is None:
            event = _report_event(steps.reader, node, written, scope) or ""
        for item in _items(steps.reader, node, event) if event else ():
            number = counts.get((scope, event), 0)
            counts[scope, event] = number + 1
            hook = _HookReader(steps, scope, event, f"{scope}.{event}[{number}]").read(*item)
            hooks.extend([hook] if hook is not None else [])
    return hooks


def _items(reader: Reader, node: YamlMap, event: str) -> list[tuple[YamlList, int]]:
    if isinstance(node[event], YamlMap):
        message, hint = f"the hooks of `{event}` must be a list", "put a `- ` before each hook"
        reader.not_a_list(node, event, message, hint)
        return []
    items = reader.items(node, event, "a list of hooks")
    if items is not None and not items:
        reader.at(node, event, "HK113", f"`{event}` has no hooks", on="key")
    return [(items, i) for i in range(len(items))] if items is not None else []


def _report_event(reader: Reader, node: YamlMap, event: str, scope: Scope) -> str | None:
    """Report an unknown event; the one that was meant, under which it is read then."""
    valid = RUNNER_EVENTS if scope == "runner" else (*SESSION_EVENTS, "custom.<name>")
    other: Scope = "session" if scope == "runner" else "runner"
    message, position = (
        f"unknown {scope} event `{event}`",
        reader.document.key_position(node, event),
    )
    if reader.has_invisible(node, event):
        return None
    if event in TIMED_WORDS:
        hint = f"silence and time are timers: use `{TIMED_WORDS[event]}` in `call_start`"
        reader.at(node, event, "HK235", message, on="key", help=hint)
        return None
    near = near_miss(event, [name for name in valid if name not in node])
    hint = f"did you mean `{near}`?" if near else f"one of {', '.join(valid)}"
    if find_event(other, event) is not None:
        hint, near = f"it is an event of `{other}:`", None
    fix = word_fix(reader.document, position, event, near) if near else None
    reader.at(node, event, "HK220", message, on="key", help=hint, fix=fix)
    if near is None or find_event(scope, near) is None:
        return None
    reader.rename(node, event, near)
    return near


class _HookReader:
    """Reads one hook: a single step, or a mapping with `do`."""

    def __init__(self, steps: StepReader, scope: Scope, event: str, key: str) -> None:
        self.steps = steps
        self.reader = steps.reader
        self.scope = scope
        self.event = event
        self.key = key

    def read(self, items: YamlList, index: int) -> HookConfig | None:
        """The hook of an item; None when it is too wrong to go on with."""
        node = items[index]
        if isinstance(node, YamlMap) and self._is_full(node):
            return self._full(items, index)
        if isinstance(node, list):
            message, hint = "a hook is a mapping, found a list", "write the steps under `do:`"
            self.reader.at(items, index, "HK112", message, help=hint)
            return None
        step = self.steps.step(items, index, self.key)
        if step is None:
            return None
        name = step.id or f"{self.event}[{self.key.rpartition('[')[2][:-1]}] {step.word}"
        return HookConfig(
            self.key, name, self.scope, self.event, step.place, (step,), is_single=True
        )

    def _is_full(self, node: YamlMap) -> bool:
        if "do" in node:
            return True
        is_hook = bool(_ONLY_HOOK & set(node)) or any(near_miss(k, ("do",)) for k in node)
        return is_hook and not any(self.steps.is_known(k) for k in node)

    def _full(self, items: YamlList, index: int) -> HookConfig | None:
        node, reader = items[index], self.reader
        self._check_keys(node)
        place = first_place(reader, items, index)
        if "do" not in node:
            message, hint = "a hook needs `do:` with its steps", "add `do:` and a list of steps"
            reader.findings.at(place, "HK104", message, on="key", help=hint)
            return None
        policy, policy_steps = self.steps.on_error(node, self.key)
        return HookConfig(
            key=self.key,
            name=self._name(node) or self.key.partition(".")[2],
            scope=self.scope,
            event=self.event,
            place=place,
            steps=self.steps.block(node, "do", f"{self.key}.do"),
            cleanup=self.steps.block(node, "finally", f"{self.key}.finally"),
            when=self.steps.condition(node, "when"),
            max_count=reader.integer(node, "max_count", low=1, high=1_000_000),
            cooldown=reader.duration(node, "cooldown", low=0.001),
            timeout=reader.duration(node, "timeout", low=0.001),
            on_error=policy,
            on_error_steps=policy_steps,
            background=reader.boolean(node, "background", default=False),
            settings={k: reader.place(node, k) for k in node if k in HOOK_KEYS},
        )

    def _name(self, node: YamlMap) -> str | None:
        """The name, which journals show and templates cannot fill."""
        name: str | None = self.reader.text(node, "name")
        if name is not None and "{{" in name:
            on = self.reader.inside(node, "name", name.index("{{"), 2)
            message, hint = "the name of a hook is fixed: no templates here", "write the name out"
            self.reader.at(node, "name", "HK118", message, on=on, help=hint)
        return name

    def _check_keys(self, node: YamlMap) -> None:
        for key in list(node):
            if key in HOOK_KEYS:
                continue
            if self.steps.is_known(key):
                message, hint = f"`{key}` stands beside `do`", "put it into `do:` as a step"
                self.reader.at(node, key, "HK114", message, on="key", help=hint)
            elif key in ("id", "save", "retry", "after"):
                message = f"`{key}` belongs to a step, not to a hook"
                self.reader.at(node, key, "HK114", message, on="key")
            else:
                self.reader.unknown_key(node, key, HOOK_KEYS, "a hook")
