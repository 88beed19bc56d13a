"""What must still leave the process: when (`schedule`), how (`outbox`), and what keeps it.

A store keeps to the contract in `store`: memory, a SQLite file, a NATS server; `choice` opens the
one that is set, `fallback` stands in for one that fails.
"""

from orchestrator.outbox.outbox import ATTEMPT_LIMIT, Limits, Outbox

__all__ = ["ATTEMPT_LIMIT", "Limits", "Outbox"]
