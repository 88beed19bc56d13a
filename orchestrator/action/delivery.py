"""What an action hands over for delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Cut", "Delivery"]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a secret was taken out of a delivery: the part, the offset there, and the variable.

    `form` says how it was written there; see `orchestrator.written`.
    """

    part: str
    offset: int
    variable: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing that must leave the process: an HTTP request that is repeated until it is taken.

    `id` is derived from config, call, step and occurrence, so every repetition carries the same
    one. The credentials are not in here: the connection's name is, and it adds them at each
    attempt. `config` is the name of the config whose connections are meant; it is filled in when
    the delivery is handed over, `cuts` are the secrets taken out then, and `address` is where the
    connection led (`Connection.address`). Deliveries of one config with the same `order`, to the
    same endpoint, leave one after another.
    """

    id: str
    connection: str
    url: str
    body: bytes
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    call_id: str = ""
    attempt: int = 0
    order: str = ""
    config: str = ""
    cuts: tuple[Cut, ...] = ()
    address: str = ""
