"""What carries calls: one runtime or bridge per file; nothing is imported from here."""

__all__: list[str] = []
