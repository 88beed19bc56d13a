"""Open the memory that is set: one word chooses what keeps it.

======================  ==========================================================================
nothing                 a SQLite file, `$XDG_STATE_HOME/hook-orchestrator/memory.db`
a path, sqlite:///path  that SQLite file; processes of one machine may share it
nats://host:4222        a bucket on a NATS server, shared by machines
memory:                 nothing is kept when the process ends
======================  ==========================================================================
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from orchestrator.engine import Engine
from orchestrator.errors import EnvironmentFailure, words
from orchestrator.memory.memory import Memory

__all__ = ["VARIABLE", "open_memory"]

#: The environment variable that chooses.
VARIABLE = "ORCHESTRATOR_MEMORY"

_log = logging.getLogger("orchestrator.memory")


def open_memory(setting: str | Path | None, environment: Mapping[str, str]) -> Memory:
    """The memory that is set; by default a file of this user, and none if that cannot be.

    Raises:
        EnvironmentFailure: the setting is none, or cannot be opened.
    """
    engine = Engine.read(setting, environment, VARIABLE, "memory.db")
    if engine.is_memory:
        return Memory()
    if engine.is_nats:
        from orchestrator.memory.nats import NatsKeeper

        return Memory(NatsKeeper(engine.url))
    try:
        return Memory(engine.file)
    except EnvironmentFailure as error:
        if not engine.is_default:
            raise
        extra = {"reason": words(error)}
        _log.warning("nothing is remembered over a restart; set ORCHESTRATOR_MEMORY", extra=extra)
        return Memory()
