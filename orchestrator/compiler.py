"""Config + environment -> Plan: everything is decided here, nothing at call time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from orchestrator.action import Action, Condition, Options, Steps
from orchestrator.chosen import WrittenTexts, guarded, reads_vars_only
from orchestrator.config import Condition as When
from orchestrator.config import (
    Config,
    ConnectionConfig,
    HookConfig,
    StepConfig,
)
from orchestrator.destinations import prepare_numbers
from orchestrator.encoding import path_value
from orchestrator.errors import ActionFailed, ConfigError, EnvironmentFailure, Problem
from orchestrator.options import Option, convert, field_name, shown_options
from orchestrator.plan import (
    ActionBody,
    Body,
    ChainBody,
    Handler,
    IfBody,
    ParallelBody,
    Plan,
    SetBody,
    Step,
    StopBody,
    WaitBody,
)
from orchestrator.registry import ActionType
from orchestrator.services import prepare_web
from orchestrator.targets import EVENT_NEEDS, TARGETS, lent_to
from orchestrator.templates import parse_condition
from orchestrator.values import Constant, Environment, Value

__all__ = ["compile_config"]

Read = Callable[[Any], Any]


def compile_config(config: Config, variables: Mapping[str, str]) -> Plan:
    """Bind a checked config to an environment.

    Raises:
        ConfigError: environment variables are not set, or their values do not fit.
    """
    return _Compiler(config, variables).plan()


class _Compiler:
    def __init__(self, config: Config, variables: Mapping[str, str]) -> None:
        self.config = config
        self.env = Environment(variables)
        self.problems: list[Problem] = []
        self.vars: dict[str, Any] = {}
        self.prepare: list[Callable[[], None]] = []
        self.texts = WrittenTexts(config, self.vars)
        self.hook: HookConfig | None = None

    def plan(self) -> Plan:
        config = self.config
        self.vars.update({name: self._constant(value) for name, value in config.vars.items()})
        openers = {name: self._opener(c) for name, c in config.connections.items()}
        handlers: dict[Any, list[Handler]] = {}
        for hook in config.hooks:
            handlers.setdefault((hook.scope, hook.event), []).append(self._handler(hook))
        if self.problems:
            raise ConfigError(self.problems)
        return Plan(
            name=config.name,
            digest=config.digest,
            handlers=MappingProxyType({key: tuple(items) for key, items in handlers.items()}),
            vars=MappingProxyType(self.vars),
            connections=MappingProxyType(openers),
            allow=config.allow,
            is_private=config.privacy == "redact",
            needs=_needs(config),
            lent={target: lent_to(target, config) for target in TARGETS},
            kinds={name: c.type.name for name, c in config.connections.items()},
            secrets=frozenset(self.env.secrets),
            names=_names(config),
            secret_names=dict(self.env.secret_names),
            has_ladder=any(step.word == "silence_timer" for step in config.steps()),
            prepare=tuple(self.prepare),
        )

    # --- values

    def _compile(
        self,
        value: Value,
        *,
        is_secret: bool = False,
        is_carried: bool = False,
        encode: Callable[[Any], str] | None = None,
    ) -> Constant | Read:
        try:
            if is_carried:
                self._keep_secret(value)
            return value.compile(
                self.env, is_secret=is_secret, is_carried=is_carried, encode=encode
            )
        except EnvironmentFailure as error:
            self._report_unset(value, str(error))
            return Constant(None)

    def _keep_secret(self, value: Value) -> None:
        """What `vars` bring from the environment into a URL or header is as secret there."""
        for _, template, _ in value.templates():
            for read in template.reads:
                name = str(read.path[1]) if read.path[0] == "vars" and len(read.path) > 1 else ""
                if name in self.config.vars:
                    self.config.vars[name].compile(self.env, is_carried=True)

    def _report_unset(self, value: Value, message: str) -> None:
        """Report a variable that is not set, where it is written."""
        for text, ref in value.env_refs():
            try:
                self.env.read(ref)
            except EnvironmentFailure as error:
                position = text.place.inside(text.raw, ref.offset, ref.length)
                self.problems.append(text.place.document.problem("HK601", str(error), position))
                return
        self._problem("HK601", message, value)

    def _problem(self, code: str, message: str, value: Value) -> None:
        document = value.place.document
        self.problems.append(document.problem(code, message, value.place.value_position))

    def _constant(self, value: Value, option: Option | None = None) -> Any:
        known = len(self.problems)
        is_secret = option is not None and option.kind == "secret"
        is_carried = option is not None and _carries(option)
        compiled = self._compile(value, is_secret=is_secret, is_carried=is_carried)
        if not isinstance(compiled, Constant) or len(self.problems) > known:
            return None  # validation refuses templates where a constant is wanted
        return self._converted(value, option, compiled.value) if option else compiled.value

    def _converted(self, value: Value, option: Option, raw: Any) -> Any:
        try:
            return convert(option, raw)
        except ActionFailed as error:
            self._problem("HK602", self._told(str(error), value, option.name), value)
            return None

    def _told(self, message: str, value: Value | None, option: str) -> str:
        """What is wrong with a value, unless that would tell a secret, or a part of one."""
        refs = value.env_refs() if value is not None else ()
        names = [ref.name for _, ref in refs if ref.name in self.env.secret_names]
        if not names:
            return message
        return f"`{option}`: what {', '.join(names)} holds does not fit; it is not shown here"

    def _read(self, value: Value) -> Read:
        compiled = self._compile(value)
        if isinstance(compiled, Constant):
            constant = compiled.value
            return lambda _scope: constant
        return compiled

    def _opener(self, connection: ConnectionConfig) -> Callable[[Any], Any]:
        table = connection.type.options
        given = {
            field_name(name): self._constant(value, table[name])
            for name, value in connection.options.items()
        }
        cls, name, allow = connection.type.cls, connection.name, self.config.allow
        self.env.secrets.update(_secrets(given, table))
        self._check_connection(connection, given)
        self.prepare.append(lambda: cls(**given).prepare())

        def open_connection(services: Any) -> Any:
            return cls.open(name, cls(**given), services, allow)

        return open_connection

    def _check_connection(self, connection: ConnectionConfig, given: Mapping[str, Any]) -> None:
        """What only shows once the environment is known: a URL, a secret that is none."""
        is_known = all(value is not None for value in given.values())
        if self.problems or not is_known:
            return
        for fault in connection.type.cls(**given).faults(self.config.allow):
            value = connection.options.get(fault.option)
            place = value.place if value is not None else connection.place
            told = self._told(fault.message, value, fault.option)
            message = f"connection `{connection.name}`: {told}"
            self.problems.append(
                place.document.problem(fault.code, message, place.value_position, help=fault.help)
            )

    # --- hooks and steps

    def _handler(self, hook: HookConfig) -> Handler:
        self.hook = hook
        policy = None if hook.on_error == "steps" else hook.on_error
        return Handler(
            key=hook.key,
            name=hook.name,
            event=hook.event,
            place=_place(hook),
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
            place=_place(step),
            body=self._body(step, policy, in_background or is_background),
            id=step.id,
            when=_condition(step.when),
            explain=_explain(step.when),
            save=step.save,
            timeout=self._timeout(step, in_background or is_background),
            retry=step.retry or (self.config.defaults.retry if step.kind == "action" else None),
            on_error=self._on_error(step, policy),
            background=is_background,
            after=step.after,
        )

    def _timeout(self, step: StepConfig, is_background: bool) -> float | None:
        if step.timeout is not None:
            return step.timeout
        if step.kind not in ("action", "parallel"):
            return None
        return BACKGROUND_LIMIT if is_background else self.config.defaults.timeout

    def _on_error(self, step: StepConfig, policy: str | None) -> tuple[Step, ...] | None:
        if step.on_error == "steps":
            return self._steps(step.blocks.get("on_error", ()), "continue")
        word = step.on_error or policy or self.config.defaults.on_error
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
                return WaitBody(self._constant(step.options["wait"], _DURATION))
            case "stop":
                return StopBody(self._read(step.options["stop"]))
            case "set":
                pairs = [(name, self._read(value)) for name, value in step.options.items()]
                return SetBody(tuple(pairs))
            case "run":
                return self._chain(step, policy, in_background)
        return self._action(step, block)

    def _chain(self, step: StepConfig, policy: str | None, in_background: bool) -> ChainBody:
        name = str(step.options["run"].raw)
        inner = tuple(_under(chained, step.key) for chained in self.config.chains[name].steps)
        return ChainBody(name, self._steps(inner, policy, is_background=in_background))

    def _prepare(self, step: StepConfig, action: ActionType) -> None:
        """Note what the step's first run would import."""
        given = [option for name, option in action.options.items() if name in step.options]
        wanted = [action.cls.prepare]
        if any(option.accepts("destination") for option in given):
            wanted.append(prepare_numbers)
        if any(option.accepts("url") for option in given):
            wanted.append(prepare_web)
        self.prepare += [function for function in wanted if function not in self.prepare]

    def _action(self, step: StepConfig, block: Callable[[str], tuple[Step, ...]]) -> ActionBody:
        assert step.action is not None  # noqa: S101 - narrows the type for the checker
        kind, table = step.action, step.action.options
        self._prepare(step, kind)
        fixed: dict[str, Any] = {
            n: Steps(block(n)) for n, o in table.items() if o.kind == "steps" and n in step.blocks
        }
        rendered: list[tuple[str, Option, Read]] = []
        defaults = self.config.defaults.options.get(kind.name, {})
        written = {**defaults, **step.options}
        for name, value in written.items():
            option = table[name]
            compiled = self._compile_option(value, option)
            if isinstance(compiled, Constant):
                fixed[field_name(name)] = compiled.value
            else:
                rendered.append((field_name(name), option, compiled))
        connection = step.options.get("connection")
        constant = None if rendered else kind.cls(**fixed)
        return ActionBody(
            name=kind.name,
            cls=kind.cls,
            constant=constant,
            shown=shown_options(constant) if constant is not None else {},
            make=_maker(kind.cls, fixed, tuple(rendered)),
            connection=str(connection.raw) if connection else None,
            has_fixed_destination=_has_fixed_destination(written, table),
            limit=self.config.limit_of(kind),
        )

    def _compile_option(self, value: Value, option: Option) -> Constant | Read:
        if option.kind == "record" and isinstance(value.raw, dict):
            return self._compile_record(value, option)
        if option.kind == "condition":
            read = parse_condition(str(value.raw)).compile()
            return Constant(Condition(_event_condition(read, self.vars)))
        encode = path_value if option.kind in ("path", "url") else None
        is_secret, is_carried = option.kind == "secret", _carries(option)
        compiled = self._compile(value, is_secret=is_secret, is_carried=is_carried, encode=encode)
        if option.is_written and not isinstance(compiled, Constant):
            compiled = self._at_load(compiled, option)
        if isinstance(compiled, Constant):
            return Constant(self._converted(value, option, compiled.value))
        if option.is_trusted and not reads_vars_only(value):
            return guarded(compiled, option, self.texts.of(value, self.hook), self.config.allow)
        return compiled

    def _at_load(self, read: Read, option: Option) -> Constant:
        """What is read at load sees `vars` only: of a call it would be the caller's word."""
        try:
            return Constant(read(_EventScope({}, self.vars)))
        except ActionFailed:
            return Constant(None if option.is_required else option.default)

    def _compile_record(self, value: Value, option: Option) -> Constant | Read:
        parts = {
            field_name(name): self._compile_option(item, option.fields[name])
            for name, item in value.items.items()
        }
        if all(isinstance(part, Constant) for part in parts.values()):
            return Constant(option.type(**{k: p.value for k, p in parts.items()}))  # type: ignore[union-attr]
        return lambda scope: option.type(
            **{k: p.value if isinstance(p, Constant) else p(scope) for k, p in parts.items()}
        )


_IN_URL = re.compile(r"[a-z+0-9]+://[^/\s:@]*:(.+)@")
#: Seconds for a background step that does not say.
BACKGROUND_LIMIT = 30.0
_DURATION = Option("wait", "duration")


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


def _event_condition(
    read: Read, variables: Mapping[str, Any]
) -> Callable[[Mapping[str, Any]], bool]:
    """A condition that an action asks with an event's fields: it sees `event` and `vars`."""

    def is_met(fields: Mapping[str, Any]) -> bool:
        try:
            return bool(read(_EventScope(fields, variables)))
        except ActionFailed:
            return False

    return is_met


class _EventScope:
    def __init__(self, event: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
        self.event = event
        self.vars = variables
        self.data: dict[str, Any] = {}
        self.steps: dict[str, Any] = {}
        self.call = self.memory = self.now = self.error = None


def _place(thing: StepConfig | HookConfig) -> str:
    position = thing.place.key_position
    return f"{position.file}:{position.line}"


def _under(step: StepConfig, prefix: str) -> StepConfig:
    """A chain's step as it runs under one `run`: its key names the hook that ran it."""
    blocks = {name: tuple(_under(s, prefix) for s in steps) for name, steps in step.blocks.items()}
    return replace(step, key=f"{prefix}/{step.key}", blocks=blocks)


def _secrets(given: Mapping[str, Any], table: Mapping[str, Option]) -> set[str]:
    found: set[str] = set()
    for name, option in table.items():
        value = given.get(field_name(name))
        if option.accepts("secret") and isinstance(value, str) and value:
            found |= {value, *_passwords(value)}
        elif isinstance(value, list) and option.accepts_item("secret"):
            found.update(v for v in value if v)
        elif isinstance(value, Options):
            found |= _secrets(vars(value), option.fields)
    return found


def _carries(option: Option) -> bool:
    """Whether its value leaves where credentials are put: in a URL, a header, an `auth`."""
    is_target = option.accepts("url") or option.accepts("path")
    return is_target or option.name in ("headers", "auth", "query", "base_url")


def _passwords(text: str) -> set[str]:
    """The password in a URL, as it is written and as it is meant: errors may show it alone."""
    match = _IN_URL.match(text)
    return {match[1], unquote(match[1])} if match else set()


def _has_fixed_destination(written: Mapping[str, Value], table: Mapping[str, Option]) -> bool:
    """Whether each number that the step dials is the config author's own word."""
    return all(
        reads_vars_only(value)
        for name, value in written.items()
        if table[name].accepts("destination")
    )


def _needs(config: Config) -> Mapping[str, tuple[str, ...]]:
    needs: dict[str, list[str]] = {}
    for step in config.steps():
        if step.action is None:
            continue
        written = {name: value.constant for name, value in step.options.items()}
        for need in step.action.needs_for(written):
            needs.setdefault(need, []).append(_place(step))
    for hook in config.hooks:
        if hook.event in EVENT_NEEDS:
            needs.setdefault(EVENT_NEEDS[hook.event], []).append(_place(hook))
    return MappingProxyType({need: tuple(dict.fromkeys(places)) for need, places in needs.items()})


def _names(config: Config) -> frozenset[str]:
    """Words of the config that are nobody's secret: names, reasons, addresses, keys."""
    names = {"silence", "timer", "completed", "id", "status", "body", *_END_STATES}
    for step in config.steps():
        for option in ("name", "reason", "pause", "url", "path", "source", "connection", "method"):
            value = step.options.get(option)
            if value is not None and isinstance(value.constant, str):
                names.add(value.constant)
        if step.action is not None:
            given = {name: value.raw for name, value in step.options.items()}
            names.update(step.action.output_for(given).fields)
            names.update(step.action.options)
        for value in step.options.values():
            names.update(_keys(value))
    return frozenset(names)


def _keys(value: Value) -> Iterator[str]:
    """The keys that a value writes out, and those by which it reads."""
    for inner in value.walk():
        if isinstance(inner.raw, dict):
            yield from map(str, inner.raw)
    for _, template, _ in value.templates():
        for read in template.reads:
            yield from (part for part in read.path if isinstance(part, str))


_END_STATES = ("hangup", "ended", "transferred", "error", "shutdown", "failed")
