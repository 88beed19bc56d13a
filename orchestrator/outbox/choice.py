"""Open the store that is set: one word chooses the engine.

======================  ==========================================================================
nothing                 a SQLite file, `$XDG_STATE_HOME/hook-orchestrator/outbox.db`
a path, sqlite:///path  that SQLite file; processes of one machine may share it
nats://host:4222        NATS JetStream, shared by machines; the file above while it is away
memory:                 nothing is kept when the process ends
======================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.engine import Engine
from orchestrator.errors import EnvironmentFailure
from orchestrator.outbox.fallback import FallbackStore
from orchestrator.outbox.memory import MemoryStore
from orchestrator.outbox.nats_link import Target
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.outbox.store import OutboxStore

__all__ = ["VARIABLE", "Choice"]

#: The environment variable that chooses the engine.
VARIABLE = "ORCHESTRATOR_OUTBOX"


class Choice:
    """Which store is set. `open` makes one; `may_hold` says whether it can hold something by now.

    `setting` is a word of the table above, or a store of somebody else's making.

    Raises:
        EnvironmentFailure: the setting names no store, or the URL of a server cannot be used.
    """

    def __init__(
        self, setting: str | Path | OutboxStore | None, environment: Mapping[str, str]
    ) -> None:
        self._store = None if isinstance(setting, str | Path | None) else setting
        given = setting if isinstance(setting, str | Path) else None
        self._engine = Engine.read(given, environment, VARIABLE, "outbox.db")
        self.file, self.url = self._engine.file, self._engine.url
        self.is_nats, self.is_memory = self._engine.is_nats, self._engine.is_memory
        if self.is_nats:
            Target.parse(self.url)  # says at the start what no server can mend

    def may_hold(self) -> bool:
        """Whether an earlier process, or another one, may have left deliveries."""
        if self._store is not None:
            return True
        return self.is_nats or (not self.is_memory and self.file.exists())

    def open(self) -> OutboxStore:
        """The store, with what takes over while it is away.

        Raises:
            EnvironmentFailure: a package is missing.
        """
        if self._store is not None:
            return self._store
        if self.is_memory:
            return MemoryStore()
        embedded = FallbackStore(SqliteStore(self.file), MemoryStore())
        if not self.is_nats:
            return embedded
        return FallbackStore(self._server(), embedded, can_hold=self.file.exists)

    def open_plain(self) -> OutboxStore:
        """The store for commands that look into it, and for a worker alone: they take nothing on.

        With a server that is also the file of this machine, in which runners keep what they take
        while the server is away.

        Raises:
            EnvironmentFailure: a package is missing, or memory was chosen.
        """
        if self.is_memory:
            raise EnvironmentFailure("an outbox in memory cannot be looked into from outside")
        if not self.is_nats:
            return SqliteStore(self.file)
        return FallbackStore(self._server(), SqliteStore(self.file), can_hold=self.file.exists)

    def _server(self) -> OutboxStore:
        from orchestrator.outbox.nats import NatsStore

        return NatsStore(self.url)

    def __str__(self) -> str:
        return str(self._engine)
