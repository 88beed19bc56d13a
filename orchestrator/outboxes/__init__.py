"""What keeps the outbox's entries: memory, a SQLite file, a NATS server."""

__all__: list[str] = []
