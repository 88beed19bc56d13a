"""Connections of a config -> what opens them when the first call needs one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.compiler.secrets import secrets_of
from orchestrator.compiler.values import Values
from orchestrator.config import Allow, ConnectionConfig
from orchestrator.options import field_name

__all__ = ["opener"]


def opener(
    connection: ConnectionConfig, values: Values, allow: Allow, prepare: list[Callable[[], None]]
) -> Callable[[Any], Any]:
    """What opens the connection with a call's services; `prepare` learns what that will import."""
    table = connection.type.options
    given = {
        field_name(name): values.constant(value, table[name])
        for name, value in connection.options.items()
    }
    cls, name = connection.type.cls, connection.name
    values.env.secrets.update(secrets_of(given, table))
    _check(connection, given, values, allow)
    prepare.append(lambda: cls(**given).prepare())

    return Opener(cls, name, given, allow)


@dataclass(frozen=True, slots=True, repr=False)
class Opener:
    """Opens a connection with a call's services."""

    cls: Any
    name: str
    given: Mapping[str, Any]
    allow: Allow

    @property
    def rehearses(self) -> bool:
        """Whether it may be opened in virtual time."""
        return bool(self.cls.rehearses)

    def __call__(self, services: Any) -> Any:
        return self.cls.open(self.name, self.cls(**self.given), services, self.allow)


def _check(
    connection: ConnectionConfig, given: Mapping[str, Any], values: Values, allow: Allow
) -> None:
    """What only shows once the environment is known: a URL, a secret that is none."""
    is_known = all(value is not None for value in given.values())
    if values.problems or not is_known:
        return
    made = connection.type.cls(**given)
    faults = list(made.faults(allow))
    if not faults:
        values.env.secrets.update(made.made_secrets())
    for fault in faults:
        value = connection.options.get(fault.option)
        place = value.place if value is not None else connection.place
        told = values.told(fault.message, value, fault.option)
        message = f"connection `{connection.name}`: {told}"
        values.problems.append(
            place.document.problem(fault.code, message, place.value_position, help=fault.help)
        )
