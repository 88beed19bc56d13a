"""Values of a config -> constants, or functions of a scope that read them at call time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from orchestrator.action import Condition
from orchestrator.chosen import WrittenTexts, guarded, reads_vars_only
from orchestrator.compiler.secrets import carries
from orchestrator.config import Config, HookConfig
from orchestrator.encoding import path_value
from orchestrator.errors import ActionFailed, EnvironmentFailure, Problem
from orchestrator.headers import in_one_line
from orchestrator.options import Option, convert, field_name
from orchestrator.templates import parse_condition
from orchestrator.values import Constant, Environment, Value

__all__ = ["Read", "Values"]

Read = Callable[[Any], Any]


class Values:
    """Binds the values of one config to an environment; what does not fit is in `problems`."""

    def __init__(self, config: Config, variables: Mapping[str, str]) -> None:
        self.env = Environment(variables)
        self.problems: list[Problem] = []
        self.vars: dict[str, Any] = {}
        self._config = config
        self._texts = WrittenTexts(config, self.vars)
        self.vars.update({name: self.constant(value) for name, value in config.vars.items()})

    def _compile(
        self,
        value: Value,
        *,
        is_secret: bool = False,
        is_carried: bool = False,
        encode: Callable[[Any], Any] | None = None,
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
                if name in self._config.vars:
                    self._config.vars[name].compile(self.env, is_carried=True)

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

    def constant(self, value: Value, option: Option | None = None) -> Any:
        """The value, converted for `option`; None, with a problem, when it does not fit."""
        known = len(self.problems)
        is_secret = option is not None and option.kind == "secret"
        is_carried = option is not None and carries(option)
        compiled = self._compile(value, is_secret=is_secret, is_carried=is_carried)
        if not isinstance(compiled, Constant) or len(self.problems) > known:
            return None  # validation refuses templates where a constant is wanted
        return self._converted(value, option, compiled.value) if option else compiled.value

    def _converted(self, value: Value, option: Option, raw: Any) -> Any:
        try:
            return convert(option, raw)
        except ActionFailed as error:
            self._problem("HK602", self.told(str(error), value, option.name), value)
            return None

    def told(self, message: str, value: Value | None, option: str) -> str:
        """What is wrong with a value, unless that would tell a secret, or a part of one."""
        refs = value.env_refs() if value is not None else ()
        names = [ref.name for _, ref in refs if ref.name in self.env.secret_names]
        if not names:
            return message
        return f"`{option}`: what {', '.join(names)} holds does not fit; it is not shown here"

    def read(self, value: Value) -> Read:
        """What reads the value at call time."""
        compiled = self._compile(value)
        if isinstance(compiled, Constant):
            constant = compiled.value
            return lambda _scope: constant
        return compiled

    def option(self, value: Value, option: Option, hook: HookConfig) -> Constant | Read:
        """What one option of an action gets, and how."""
        if option.kind == "record" and isinstance(value.raw, dict):
            return self._record(value, option, hook)
        if option.kind == "condition":
            read = parse_condition(str(value.raw)).compile()
            return Constant(Condition(_event_condition(read, self.vars)))
        encode = self._encoder_of(option, value, hook)
        is_secret, is_carried = option.kind == "secret", carries(option)
        compiled = self._compile(value, is_secret=is_secret, is_carried=is_carried, encode=encode)
        if option.is_written and not isinstance(compiled, Constant):
            compiled = self._at_load(compiled, option)
        if isinstance(compiled, Constant):
            return Constant(self._converted(value, option, compiled.value))
        if option.is_trusted and not reads_vars_only(value):
            return guarded(compiled, option, self._texts.of(value, hook), self._config.allow)
        return compiled

    def _encoder_of(
        self, option: Option, value: Value, hook: HookConfig
    ) -> Callable[[Any], Any] | None:
        """What keeps a value of the call in its place in this option."""
        if option.kind not in ("path", "url"):
            return in_one_line if option.name == "headers" else None
        # A path that the author wrote, and a template only chooses, is no value of the call.
        paths = {text for text in self._texts.in_parts(value, hook) if "/" in text}
        if not paths:
            return path_value
        return lambda found: found if _is_one_of(found, paths) else path_value(found)

    def texts(self, values: Iterable[Value], hook: HookConfig) -> frozenset[str]:
        """The texts between which templates choose, those that are written out."""
        chosen = [value for value in values if not reads_vars_only(value)]
        return frozenset().union(*(self._texts.of(value, hook) for value in chosen))

    def _at_load(self, read: Read, option: Option) -> Constant:
        """What is read at load sees `vars` only: of a call it would be the caller's word."""
        try:
            return Constant(read(_EventScope({}, self.vars)))
        except ActionFailed:
            return Constant(None if option.is_required else option.default)

    def _record(self, value: Value, option: Option, hook: HookConfig) -> Constant | Read:
        parts = {
            field_name(name): self.option(item, option.fields[name], hook)
            for name, item in value.items.items()
        }
        if all(isinstance(part, Constant) for part in parts.values()):
            return Constant(option.type(**{k: p.value for k, p in parts.items()}))  # type: ignore[union-attr]
        return lambda scope: option.type(
            **{k: p.value if isinstance(p, Constant) else p(scope) for k, p in parts.items()}
        )


def _is_one_of(value: Any, texts: Set[str]) -> bool:
    return isinstance(value, str) and value in texts


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
