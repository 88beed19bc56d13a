"""Kinds of connections to outside systems; the registry finds them by name."""

__all__: list[str] = []
