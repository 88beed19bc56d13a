"""Journals read again: the files, their story in words, their sums, and two plays compared."""

__all__: list[str] = []
