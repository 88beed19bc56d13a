"""What outlives a call: values, flags, counts and limits over all calls (`memory`).

A keeper keeps it over restarts and between processes: a SQLite file (`sqlite`), a NATS server
(`nats`); `choice` opens the one that is set. `call` is the memory as one call sees it.
"""

from orchestrator.memory.call import CallMemory
from orchestrator.memory.memory import MAX_TIMES, Memory

__all__ = ["MAX_TIMES", "CallMemory", "Memory"]
