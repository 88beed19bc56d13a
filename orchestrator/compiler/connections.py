"""Connections of a config -> what opens them when the first call needs one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.compiler.secrets import secrets_of
from orchestrator.compiler.values import Values
from orchestrator.config import Allow, ConnectionConfig
from orchestrator.options import field_name

__all__ = ["Opener", "opener"]


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens a connection with a call's services.

    `address` is where it leads; one that `rehearses` may be opened in virtual time.
    """

    name: str
    make: Callable[[], Any] = field(repr=False)  # which holds credentials
    allow: Allow
    address: str
    rehearses: bool

    def __call__(self, services: Any) -> Any:
        """The open connection."""
        made: Any = self.make()
        return made.open(self.name, made, services, self.allow)


def opener(
    connection: ConnectionConfig, values: Values, allow: Allow, prepare: list[Callable[[], None]]
) -> Opener:
    """What opens the connection; `prepare` learns what that will import."""
    table = connection.type.options
    given = {
        field_name(name): values.constant(value, table[name])
        for name, value in connection.options.items()
    }
    values.env.secrets.update(secrets_of(given, table))
    address = _checked(connection, given, values, allow)
    cls: Callable[..., Any] = connection.type.cls

    def make() -> Any:
        return cls(**given)

    prepare.append(lambda: make().prepare())
    return Opener(connection.name, make, allow, address, bool(connection.type.cls.rehearses))


def _checked(
    connection: ConnectionConfig, given: Mapping[str, Any], values: Values, allow: Allow
) -> str:
    """Where it leads; problems are what only shows now: a URL, a secret that is none."""
    is_known = all(value is not None for value in given.values())
    if values.problems or not is_known:
        return ""
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
    return "" if faults else str(made.address)
