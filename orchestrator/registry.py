"""Names -> classes: the one door through which actions and connections come in.

Built-ins are `"module:attribute"` strings, imported when a config uses them. Plugins come from
`plugins:` in a config, installed packages through the entry-point group `orchestrator.actions`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

from orchestrator.action import Action, Fault, Limit, Shape, snake_case
from orchestrator.capabilities import CAPABILITIES
from orchestrator.errors import EnvironmentFailure, OrchestratorError, UserError, named
from orchestrator.options import Option, OptionKind, options_of

__all__ = [
    "BUILTIN_ACTIONS",
    "BUILTIN_CONNECTIONS",
    "CONTROL_WORDS",
    "ENTRY_POINTS",
    "STEP_KEYS",
    "ActionType",
    "ConnectionType",
    "Registry",
    "import_name",
]

ENTRY_POINTS = "orchestrator.actions"
T = TypeVar("T")

#: Keys of a step beside its action; no action may have such a name.
STEP_KEYS = ("id", "when", "save", "timeout", "retry", "on_error", "background", "after")
CONTROL_WORDS = ("if", "then", "else", "parallel", "wait", "stop", "set", "run")
_RESERVED = frozenset(
    (*STEP_KEYS, *CONTROL_WORDS, "name", "do", "finally", "max_count", "cooldown")
)

_ACTION_NAMES = (
    "cancel_timer", "crm_lookup", "crm_write", "emit", "end_call", "escalate_transfer", "forget",
    "http", "inject", "interrupt", "log", "place_call", "play", "python", "recording", "remember",
    "say", "send_dtmf", "set_filler", "set_language", "silence_timer", "timer", "webhook",
)  # fmt: skip


def _class_name(word: str) -> str:
    return "".join(part.capitalize() for part in word.split("_"))


BUILTIN_ACTIONS: Mapping[str, str] = MappingProxyType(
    {name: f"actions.{name}:{_class_name(name)}" for name in _ACTION_NAMES}
)
BUILTIN_CONNECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "http": "orchestrator.connections.http:HttpConnection",
        "sql": "orchestrator.connections.sql:SqlConnection",
        "telnyx": "orchestrator.connections.carriers:TelnyxConnection",
        "twilio": "orchestrator.connections.carriers:TwilioConnection",
    }
)


@dataclass(frozen=True)
class ActionType:
    """An action class under its name in YAML, with its options read."""

    name: str
    cls: type[Action]
    origin: str

    @cached_property
    def options(self) -> Mapping[str, Option]:
        """The options by name, in the order written."""
        return MappingProxyType(options_of(self.cls))

    @cached_property
    def chooses_lane(self) -> bool:
        """Whether the options of a step decide if it runs in the background."""
        return any("is_background" in vars(c) for c in self.cls.__mro__ if c is not Action)

    @cached_property
    def main(self) -> str:
        """The option that a bare value fills; empty when there is none."""
        return self.cls.main or next(iter(self.options), "")

    def accepting(self, kind: OptionKind) -> frozenset[str]:
        """The options that take values of a kind."""
        found = self._accepting.get(kind)
        if found is None:
            names = (name for name, option in self.options.items() if option.accepts(kind))
            found = self._accepting[kind] = frozenset(names)
        return found

    @cached_property
    def _accepting(self) -> dict[OptionKind, frozenset[str]]:
        return {}

    @cached_property
    def has_check(self) -> bool:
        """Whether the class sees faults in the combination of options."""
        return any("check" in vars(c) for c in self.cls.__mro__ if c is not Action)

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The options without a default."""
        return tuple(name for name, option in self.options.items() if option.is_required)

    @cached_property
    def takes_mapping(self) -> bool:
        """Whether the value of the main option may itself be a mapping."""
        main = self.options.get(self.main)
        return main is not None and main.accepts("mapping")

    @property
    def manual(self) -> str:
        """The user's manual: the class docstring."""
        return inspect.cleandoc(self.cls.__doc__ or "")

    # --- what the class says of a step's written options; a plugin's may fail or say anything

    def check(self, options: Mapping[str, Any]) -> Sequence[Fault]:
        """Faults in the combination of options; see `Action.check`.

        Raises:
            UserError: the class is at fault; so for all that follow.
        """
        if not self.has_check:
            return ()
        faults = self._ask("check", lambda: self.cls.check(options), (list, tuple))
        for fault in faults:
            self._must_be("check", fault, Fault)
        return faults

    def needs_for(self, options: Mapping[str, Any]) -> frozenset[str]:
        """The capabilities that are needed; see `Action.needs_for`."""
        needs = self._ask("needs_for", lambda: self.cls.needs_for(options), (frozenset, set))
        unknown = sorted(str(need) for need in needs if need not in CAPABILITIES)
        if unknown:
            raise UserError(f"{self._whose}: {unknown[0]!r} is no capability")
        return frozenset(needs)

    def output_for(self, options: Mapping[str, Any]) -> Shape:
        """The shape of the output; see `Action.output_for`."""
        return self._ask("output_for", lambda: self.cls.output_for(options), Shape)

    def is_background(self, options: Mapping[str, Any], *, saves: bool) -> bool:
        """Whether a step runs in the background unasked; see `Action.is_background`."""
        return self._ask(
            "is_background", lambda: self.cls.is_background(options, saves=saves), bool
        )

    def try_out(self, options: Mapping[str, Any]) -> None:
        """Ask everything once, so that a class at fault is found where it is used."""
        self.check(options)
        self.needs_for(options)
        self.output_for(options)
        self.is_background(options, saves=False)

    @property
    def _whose(self) -> str:
        return f"action {self.name!r} of {self.origin}"

    def _ask(self, what: str, ask: Callable[[], T], kind: type[Any] | tuple[type[Any], ...]) -> T:
        try:
            answer = ask()
        except Exception as error:  # the code of a plugin
            raise UserError(f"{self._whose}: its `{what}` failed: {named(error)}") from error
        self._must_be(what, answer, kind)
        return answer

    def _must_be(self, what: str, answer: Any, kind: type[Any] | tuple[type[Any], ...]) -> None:
        if not isinstance(answer, kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            wanted = " or ".join(one.__name__ for one in kinds)
            raise UserError(f"{self._whose}: its `{what}` is {answer!r}, where {wanted} is wanted")

    def check_class(self) -> None:
        """Whether the settings of the class are of the types that `Action` gives them.

        Raises:
            UserError: one is not, or an option has a type that cannot be written in YAML.
        """
        for what, kind in _SETTINGS.items():
            self._must_be(what, getattr(self.cls, what), kind)
        main, options = self.cls.main, self.options
        if main and main not in options:
            raise UserError(f"{self._whose}: its `main` is {main!r}, which is none of its options")


#: The settings of an action class, with their types.
_SETTINGS: Mapping[str, type[Any] | tuple[type[Any], ...]] = MappingProxyType(
    {"main": str, "needs": (frozenset, set), "output": Shape, "waits": bool,
     "in_background": bool, "taint": str, "limited": (Limit, type(None)), "in_journal": bool}
)  # fmt: skip


@dataclass(frozen=True)
class ConnectionType:
    """A kind of connection, with its options read."""

    name: str
    cls: type[Any]

    @cached_property
    def options(self) -> Mapping[str, Option]:
        """The options by name."""
        return MappingProxyType(options_of(self.cls))

    @property
    def manual(self) -> str:
        """The user's manual: the class docstring."""
        return inspect.cleandoc(self.cls.__doc__ or "")


def import_name(name: str) -> Any:
    """The object that `module:attribute` names.

    Raises:
        EnvironmentFailure: the module cannot be imported or lacks the attribute.
    """
    module_name, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a plugin's module may raise anything on import
        raise EnvironmentFailure(f"cannot import {module_name!r}: {named(error)}") from error
    for part in attribute.split(".") if attribute else ():
        try:
            found = getattr(found, part)
        except AttributeError:
            raise EnvironmentFailure(f"module {module_name!r} has no {attribute!r}") from None
    return found


class Registry:
    """The actions and connections that a config may name. Cheap to make; imports on first use."""

    def __init__(self) -> None:
        self._actions: dict[str, ActionType] = {}
        self._connections: dict[str, ConnectionType] = {}
        self._installed: dict[str, str] | None = None

    def action(self, name: str) -> ActionType | None:
        """The action of this name, or None.

        Raises:
            EnvironmentFailure: an installed package promises the action but cannot be imported.
        """
        known = self._actions.get(name)
        if known is not None:
            return known
        if name in BUILTIN_ACTIONS:
            return self._add(name, import_name(BUILTIN_ACTIONS[name]), "built-in")
        target = self._entry_points().get(name)
        return self._add(name, import_name(target), f"package {target}") if target else None

    def connection(self, kind: str) -> ConnectionType | None:
        """The kind of connection of this name, or None."""
        if kind not in self._connections and kind in BUILTIN_CONNECTIONS:
            cls = import_name(BUILTIN_CONNECTIONS[kind])
            self._connections[kind] = ConnectionType(kind, cls)
        return self._connections.get(kind)

    def action_names(self) -> tuple[str, ...]:
        """Every name that `action` knows, sorted."""
        return tuple(sorted({*BUILTIN_ACTIONS, *self._actions, *self._entry_points()}))

    def connection_kinds(self) -> tuple[str, ...]:
        """Every kind that `connection` knows, sorted."""
        return tuple(sorted({*BUILTIN_CONNECTIONS, *self._connections}))

    def load_plugin(self, module_name: str) -> tuple[str, ...]:
        """Add the action classes that a module defines; their names.

        Raises:
            EnvironmentFailure: the module cannot be imported.
            UserError: it defines no action, or one under a name that is taken.
        """
        module = import_name(module_name)
        found = [cls for cls in vars(module).values() if _is_action_of(cls, module_name)]
        if not found:
            raise UserError(f"module {module_name!r} defines no action class")
        return tuple(self._add(_word(cls), cls, f"plugin {module_name}").name for cls in found)

    def _entry_points(self) -> dict[str, str]:
        if self._installed is None:
            from importlib.metadata import entry_points  # 60 ms of CPU: only when it is needed

            self._installed = {p.name: p.value for p in entry_points(group=ENTRY_POINTS)}
        return self._installed

    def _add(self, name: str, cls: Any, origin: str) -> ActionType:
        if not (isinstance(cls, type) and issubclass(cls, Action)):
            raise UserError(f"action {name!r} is {cls!r}, not a class derived from Action")
        if name in _RESERVED:
            raise UserError(f"an action cannot be named {name!r}: that is a word of the language")
        known = self._actions.get(name)
        if known is not None and known.cls is not cls:
            raise UserError(f"action {name!r} comes from {known.origin} and again from {origin}")
        found = ActionType(name, cls, origin)
        if name not in BUILTIN_ACTIONS:
            found.check_class()
        self._actions[name] = found
        return found

    def at_hand(self) -> Iterator[ActionType]:
        """The built-in actions and those that are loaded; no installed package is looked for."""
        yield from self._found(sorted({*BUILTIN_ACTIONS, *self._actions}))

    def __iter__(self) -> Iterator[ActionType]:
        return self._found(self.action_names())

    def _found(self, names: Iterable[str]) -> Iterator[ActionType]:
        for name in names:
            try:
                found = self.action(name)
            except OrchestratorError:
                continue
            if found is not None:
                yield found


def _is_action_of(cls: Any, module_name: str) -> bool:
    return (
        isinstance(cls, type)
        and issubclass(cls, Action)
        and cls is not Action
        and (cls.__module__ == module_name or cls.__module__.startswith(f"{module_name}."))
        and not cls.__name__.startswith("_")
    )


def _word(cls: type[Action]) -> str:
    """Its `name` where that is a setting, not an option; else the class name in snake_case."""
    name = vars(cls).get("name")
    hint = str(vars(cls).get("__annotations__", {}).get("name", "ClassVar"))
    return name if isinstance(name, str) and "ClassVar" in hint else snake_case(cls.__name__)
