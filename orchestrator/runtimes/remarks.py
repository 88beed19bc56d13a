"""Remarks of a bridge on its wire, for the journal of its call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Remarks"]


class Remarks:
    """Lines on the wire's doings for a call's journal, kept until there is one; not too many."""

    #: Remarks that one call's journal takes.
    most = 20

    def __init__(self) -> None:
        self._note: Callable[..., None] | None = None
        self._kept: list[tuple[str, dict[str, Any]]] = []
        self._count = 0

    def take_notes(self, note: Callable[..., None]) -> None:
        """Have them written down from now on."""
        self._note = note
        for text, details in self._kept:
            note(text, **details)
        self._kept.clear()

    def __call__(self, text: str, **details: Any) -> None:
        """Remark on something."""
        self._count += 1
        if self._count > self.most:
            return
        if self._count == self.most:
            text, details = f"{text}; no more of them are noted", {}
        if self._note is not None:
            self._note(text, **details)
        else:
            self._kept.append((text, details))
