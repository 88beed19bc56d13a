"""A dialog machine in the form that the Unpod SDK's session asks of one too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

__all__ = ["Adapter"]


class Adapter(ABC):
    """What our own machines have in common: one object serves our runner and the SDK's.

    The SDK refuses what has no `turn` and no `assist`, passes `language` along with all words, and
    never calls `turn` in a call.
    """

    def stream(
        self, text: str, context: object = None, language: str | None = None
    ) -> AsyncIterator[str]:
        """The reply to the caller's words, piece by piece."""
        return self._reply(text)

    async def turn(self, text: str, context: object = None) -> str:
        """The whole reply."""
        return "".join([piece async for piece in self.stream(text)])

    def assist(self, text: str) -> None:  # noqa: B027 - the SDK wants it to be there
        """Take a note, and make nothing of it; who makes something of notes has its own.

        See `contract.Machine.takes_notes`: our runner asks nobody to take a note in vain.
        """

    @abstractmethod
    def _reply(self, text: str) -> AsyncIterator[str]: ...
