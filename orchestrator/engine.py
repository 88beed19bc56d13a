"""Which engine keeps something, in one word: a file of this machine, a server, or nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import EnvironmentFailure

__all__ = ["Engine", "private_file", "state_file"]

_log = logging.getLogger("orchestrator")

_NATS = ("nats://", "tls://", "ws://", "wss://")


@dataclass(frozen=True, slots=True)
class Engine:
    """What a setting says. `url` is that of a server, `file` the file that is meant, or the usual
    one beside a server; `is_default` when nothing was said.
    """

    url: str
    file: Path
    is_nats: bool = False
    is_memory: bool = False
    is_default: bool = False

    @classmethod
    def read(
        cls, setting: str | Path | None, environment: Mapping[str, str], variable: str, name: str
    ) -> Engine:
        """Read a setting, else the environment's `variable`; `name` is that of the usual file.

        Raises:
            EnvironmentFailure: it names no engine.
        """
        given = str(setting if setting is not None else environment.get(variable, "")).strip()
        scheme, found, rest = given.partition("://")
        usual = state_file(name, environment)
        if f"{scheme.lower()}{found}" in _NATS:
            return cls(f"{scheme.lower()}{found}{rest}", usual, is_nats=True)
        if given in ("memory:", ":memory:"):
            return cls("", usual, is_memory=True)
        if not given:
            return cls("", usual, is_default=True)
        if not found:
            return cls("", Path(given).expanduser())
        if scheme.lower() != "sqlite" or not rest.startswith("/"):
            raise EnvironmentFailure(
                f"{variable}: expected a path, sqlite:///path, nats://host or memory:, "
                f"got a URL that begins with {scheme + '://'!r}"
            )
        # sqlite:///relative, sqlite:////absolute
        return cls("", Path(rest[1:]).expanduser())

    def __str__(self) -> str:
        if self.is_nats:
            return self.url.partition("?")[0].rpartition("@")[2]
        return "memory" if self.is_memory else str(self.file)


def state_file(name: str, environment: Mapping[str, str]) -> Path:
    """Where a file of this user's state is when nothing is set."""
    state = environment.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return folder / "hook-orchestrator" / name


def private_file(path: Path) -> None:
    """Make a file for SQLite that its owner alone may read, or take one that is there from others.

    The files that SQLite puts beside it get its mode when they are made. What another user owns
    stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    # One that is there is not opened: to close it would drop the locks of another store in it.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        return
    for one in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with contextlib.suppress(OSError):
            _take_from_others(one)


def _take_from_others(path: Path) -> None:
    found = path.stat()
    is_open = stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) & 0o077
    if is_open and found.st_uid == os.geteuid():
        path.chmod(0o600)
        _log.warning("others could read a file of ours; now they cannot", extra={"file": str(path)})
