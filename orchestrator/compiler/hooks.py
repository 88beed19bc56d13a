"""A hook of a config -> a handler: its steps made of actions, conditions, limits, policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.action import Action, Steps
from orchestrator.chosen import reads_vars_only
from orchestrator.compiler.listing import at
from orchestrator.compiler.values import Read, Values
from orchestrator.config import BACKGROUND_LIMIT, Config, HookConfig, StepConfig
from orchestrator.config import Condition as When
from orchestrator.destinations import prepare_numbers
from orchestrator.options import Option, convert, field_name, shown_options
from orchestrator.plan import (
    ActionBody,
    Body,
    ChainBody,
    Handler,
    IfBody,
    ParallelBody,
    SetBody,
    Step,
    StopBody,
    WaitBody,
)
from orchestrator.registry import ActionType
from orchestrator.services import prepare_web
from orchestrator.templates import parse_condition
from orchestrator.values import Constant

__all__ = ["HookCompiler"]

_DURATION = Option("wait", "duration")


class HookCompiler:
    """Compiles one hook; what its first run will import is added to `prepare`."""

    def __init__(
        self,
        hook: HookConfig,
        config: Config,
        values: Values,
        prepare: list[Callable[[], None]],
    ) -> None:
        self._hook = hook
        self._config = config
        self._values = values
        self._prepare = prepare

    def handler(self) -> Handler:
        """The hook, ready to run."""
        hook = self._hook
        policy = None if hook.on_error == "steps" else hook.on_error
        return Handler(
            key=hook.key,
            name=hook.name,
            event=hook.event,
            place=at(hook.place),
            steps=self._steps(hook.steps, policy, is_background=hook.background),
            cleanup=self._steps(hook.cleanup, "continue"),
            when=_condition(hook.when),
            explain=_explain(hook.when),
            when_text=hook.when.template.source if hook.when else "",
            max_count=hook.max_count,
            cooldown=hook.cooldown,
            timeout=hook.timeout,
            on_error=self._steps(hook.on_error_steps, "continue") or None,
            background=hook.background,
        )

    def _steps(
        self,
        steps: tuple[StepConfig, ...],
        policy: str | None = None,
        *,
        is_background: bool = False,
    ) -> tuple[Step, ...]:
        return tuple(self._step(step, policy, is_background) for step in steps)

    def _step(self, step: StepConfig, policy: str | None, in_background: bool) -> Step:
        is_background = step.runs_in_background and not in_background
        return Step(
            key=step.key,
            word=step.word,
            place=at(step.place),
            body=self._body(step, policy, in_background or is_background),
            id=step.id,
            when=_condition(step.when),
            explain=_explain(step.when),
            save=step.save,
            timeout=self._timeout(step, in_background or is_background),
            retry=step.retry or (self._config.defaults.retry if step.kind == "action" else None),
            on_error=self._on_error(step, policy),
            background=is_background,
            after=step.after,
        )

    def _timeout(self, step: StepConfig, is_background: bool) -> float | None:
        if step.timeout is not None:
            return step.timeout
        if step.kind not in ("action", "parallel"):
            return None
        return BACKGROUND_LIMIT if is_background else self._config.defaults.timeout

    def _on_error(self, step: StepConfig, policy: str | None) -> tuple[Step, ...] | None:
        if step.on_error == "steps":
            return self._steps(step.blocks.get("on_error", ()), "continue")
        word = step.on_error or policy or self._config.defaults.on_error
        return () if word == "continue" else None

    def _body(self, step: StepConfig, policy: str | None, in_background: bool) -> Body:
        def block(name: str) -> tuple[Step, ...]:
            return self._steps(step.blocks.get(name, ()), policy, is_background=in_background)

        match step.kind:
            case "if":
                raw = step.options["if"].raw
                condition = parse_condition(str(raw).lower() if isinstance(raw, bool) else str(raw))
                return IfBody(condition.compile(), block("then"), block("else"))
            case "parallel":
                first = step.options.get("first_error")
                late = step.options.get("late")
                return ParallelBody(
                    block("parallel"),
                    first_error=first.raw if first else "cancel",
                    keeps_late=bool(late and late.raw == "keep"),
                )
            case "wait":
                return WaitBody(self._values.constant(step.options["wait"], _DURATION))
            case "stop":
                return StopBody(self._values.read(step.options["stop"]))
            case "set":
                pairs = [(name, self._values.read(value)) for name, value in step.options.items()]
                return SetBody(tuple(pairs))
            case "run":
                return self._chain(step, policy, in_background)
        return self._action(step, block)

    def _chain(self, step: StepConfig, policy: str | None, in_background: bool) -> ChainBody:
        name = str(step.options["run"].raw)
        inner = tuple(_under(chained, step.key) for chained in self._config.chains[name].steps)
        return ChainBody(name, self._steps(inner, policy, is_background=in_background))

    def _note_imports(self, step: StepConfig, action: ActionType) -> None:
        """Note what the step's first run would import."""
        given = [option for name, option in action.options.items() if name in step.options]
        wanted = [action.cls.prepare]
        if any(option.accepts("destination") for option in given):
            wanted.append(prepare_numbers)
        if any(option.accepts("url") for option in given):
            wanted.append(prepare_web)
        self._prepare += [function for function in wanted if function not in self._prepare]

    def _action(self, step: StepConfig, block: Callable[[str], tuple[Step, ...]]) -> ActionBody:
        assert step.action is not None  # noqa: S101 - narrows the type for the checker
        kind, table = step.action, step.action.options
        self._note_imports(step, kind)
        fixed: dict[str, Any] = {
            n: Steps(block(n)) for n, o in table.items() if o.kind == "steps" and n in step.blocks
        }
        rendered: list[tuple[str, Option, Read]] = []
        defaults = self._config.defaults.options.get(kind.name, {})
        written = {**defaults, **step.options}
        for name, value in written.items():
            option = table[name]
            compiled = self._values.option(value, option, self._hook)
            if isinstance(compiled, Constant):
                fixed[field_name(name)] = compiled.value
            else:
                rendered.append((field_name(name), option, compiled))
        numbers = [value for n, value in written.items() if table[n].accepts("destination")]
        connection = step.options.get("connection")
        constant = None if rendered else kind.cls(**fixed)
        return ActionBody(
            name=kind.name,
            cls=kind.cls,
            constant=constant,
            shown=shown_options(constant) if constant is not None else {},
            make=_maker(kind.cls, fixed, tuple(rendered)),
            connection=str(connection.raw) if connection else None,
            has_fixed_destination=all(map(reads_vars_only, numbers)),
            written_numbers=self._values.texts(numbers, self._hook),
            limit=self._config.limit_of(kind),
        )


def _maker(
    cls: type[Action], fixed: Mapping[str, Any], rendered: tuple[tuple[str, Option, Read], ...]
) -> Callable[[Any], Action]:
    """Build the action for one run: fixed options as they are, the others rendered."""
    # A text that renders to text needs no conversion, and most actions no `__init__` of their own.
    reads = tuple((name, option, option.kind == "text", read) for name, option, read in rendered)
    is_usual = cls.__init__ is Action.__init__

    def make(scope: Any) -> Action:
        options = dict(fixed)
        for name, option, is_text, read in reads:
            value = read(scope)
            if not (is_text and value.__class__ is str):
                value = convert(option, value)
            options[name] = value
        if not is_usual:
            return cls(**options)
        action = cls.__new__(cls)
        action.__dict__ = options
        return action

    return make


def _condition(condition: When | None) -> Read | None:
    return condition.template.compile() if condition is not None else None


def _explain(condition: When | None) -> Read | None:
    return condition.template.compile_explain() if condition is not None else None


def _under(step: StepConfig, prefix: str) -> StepConfig:
    """A chain's step as it runs under one `run`: its key names the hook that ran it."""
    blocks = {name: tuple(_under(s, prefix) for s in steps) for name, steps in step.blocks.items()}
    return replace(step, key=f"{prefix}/{step.key}", blocks=blocks)
