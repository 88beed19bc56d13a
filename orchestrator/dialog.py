"""Small dialog machines: an echo to try things with, and one made from any async function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from orchestrator.runtime import DialogMachine

__all__ = ["Echo", "from_callable"]


class Echo:
    """Repeats what the caller said, word by word, `delay` seconds before each word."""

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay

    async def stream(self, text: str) -> AsyncIterator[str]:
        """The reply to the caller's words, piece by piece."""
        for piece in ("You", *(f" {word}" for word in f"said: {text}".split(" "))):
            await asyncio.sleep(self._delay)
            yield piece


class _FromCallable:
    def __init__(self, function: Callable[[str], Awaitable[str] | AsyncIterator[str]]) -> None:
        self._function = function

    async def stream(self, text: str) -> AsyncIterator[str]:
        answer = self._function(text)
        if isinstance(answer, AsyncIterator):
            async for piece in answer:
                yield piece
        else:
            yield await answer


def from_callable(
    function: Callable[[str], Awaitable[str] | AsyncIterator[str]],
) -> DialogMachine:
    """A dialog machine whose replies `function` writes: at once, or piece by piece.

    Example:
        >>> async def answer(text: str) -> str:
        ...     return "One moment, please."
        >>> machine = from_callable(answer)
    """
    return _FromCallable(function)
