"""What `orchestrator serve` was asked for, checked and made into settings."""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from orchestrator.engine import Engine
from orchestrator.errors import EnvironmentFailure, UserError
from orchestrator.hosts import split_server_url
from orchestrator.memory.choice import VARIABLE as MEMORY
from orchestrator.outbox.nats_link import Target
from orchestrator.relay.attributes import read_language, read_pair, split_pairs
from orchestrator.relay.dialects import DIALECTS, Dialect
from orchestrator.relay.signatures import TelnyxSignatures, TwilioSignatures, Unsigned, Verifier

if TYPE_CHECKING:
    from orchestrator.serve import ServeSettings

__all__ = ["SEAL", "Asked", "Pairs"]

_Read = TypeVar("_Read")

#: What marks the URLs of a call, where the carrier's own secret is not one that we share with it.
SEAL = "ORCHESTRATOR_SERVE_SECRET"


_URL_FORM = "--public-url has the form https://HOST[:PORT][/PREFIX]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of the command, as its help describes them.

    Raises:
        UsageError: they do not go together, or one has not its form.
    """

    host: str
    port: int
    public_url: str | None
    carrier: str
    dialog: str | None
    instructions: Path | None
    relay: tuple[str, ...]
    language: tuple[str, ...]
    max_calls: int
    drain: float
    journal_dir: Path | None
    setting: str | None
    memory: str | None
    is_insecure: bool

    def __post_init__(self) -> None:
        if self.is_insecure and not _is_loopback(self.host):
            raise click.UsageError(
                f"--insecure-no-signatures is for this machine only, not for --host {self.host}"
            )
        if self.public_url is not None:
            _public_url(self.public_url)
        elif not self.is_insecure:
            raise click.UsageError("name the --public-url that the carrier reaches us at")
        _each("--relay", read_pair, self.relay)
        _each("--language", read_language, self.language)

    def verifier(self, variables: Mapping[str, str]) -> Verifier:
        """What tells the carrier's requests from others.

        Raises:
            EnvironmentFailure: the secret is not set or is none, or a package is missing.
        """
        if self.is_insecure:
            return Unsigned()
        dialect = DIALECTS[self.carrier]
        given = variables.get(dialect.variable, "").strip()
        if not given:
            raise EnvironmentFailure(
                f"{dialect.variable} is not set: {dialect.holds}, which requests are checked with"
            )
        try:
            if dialect.name == "telnyx":
                return TelnyxSignatures(given, time.time)
            return TwilioSignatures([token.strip() for token in given.split(",")])
        except UserError as error:
            raise EnvironmentFailure(f"{dialect.variable}: {error}") from None

    def check_memory(self, variables: Mapping[str, str]) -> None:
        """Whether the memory can be what is set, also where only a later config uses it.

        Raises:
            EnvironmentFailure: it cannot.
        """
        engine = Engine.read(self.memory, variables, MEMORY, "memory.db")
        if engine.is_nats:
            Target.parse(engine.url)

    def settings(
        self, verifier: Verifier, variables: Mapping[str, str], port: int
    ) -> ServeSettings:
        """The settings of the service, which listens on `port`."""
        from orchestrator.serve import ServeSettings  # its packages are an extra

        dialect = DIALECTS[self.carrier]
        here = f"http://{self.host}:{port}"
        return ServeSettings(
            dialect,
            _public_url(self.public_url) if self.public_url is not None else here,
            verifier,
            _seal(dialect, variables),
            _each("--relay", read_pair, self.relay),
            _each("--language", read_language, self.language),
            self.max_calls,
            self.drain,
            owns_process=True,
        )


def _public_url(text: str) -> str:
    try:
        parts = split_server_url(text)
    except ValueError as error:
        raise click.UsageError(f"{_URL_FORM}: {error}") from None
    is_plain = not (parts.query or parts.fragment or parts.username)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    if not (is_plain and is_safe):
        raise click.UsageError(_URL_FORM)
    return text.rstrip("/")


def _seal(dialect: Dialect, variables: Mapping[str, str]) -> bytes:
    """What marks our URLs: shared by all processes behind one address where that can be."""
    own = variables.get(SEAL, "")
    if not own and dialect.name == "twilio":
        own = variables.get(dialect.variable, "").partition(",")[0].strip()
    return own.encode(errors="surrogateescape") or secrets.token_bytes(32)


def _each(
    option: str, read: Callable[[str], tuple[str, _Read]], given: Sequence[str]
) -> dict[str, _Read]:
    """What several times one option gives, by name."""
    try:
        return dict(map(read, given))
    except UserError as error:
        raise click.UsageError(f"{option}: {error}") from None


class Pairs(click.types.StringParamType):
    """`NAME=VALUE`; a variable holds several, whose values may have spaces in them."""

    name = "NAME=VALUE"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """The pairs of a variable."""
        return split_pairs(rv)


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
