"""What counts as a dialog machine, and what may be asked of one beside `stream(text)`.

`runtime.DialogMachine` is all that a machine must be. What else it has, the Unpod SDK's adapters do
too, is used where it is there::

    stream(text, language=...)      told the language of the caller's words
    assist(note)                    takes a note that the caller does not hear
    mark_interrupted(heard)         told what the caller heard of what it wrote; None: not known
    said(text)                      told what hooks said, which it did not write
    is_complete                     true once it has nothing more to say: the call ends
    patience                        seconds that it may write nothing, in a reply; None: no limit

A machine of the package `superdialog` has `turn(text, stream=True)` in the place of `stream`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from orchestrator.dialog.adapter import Adapter
from orchestrator.runtime import DialogMachine

__all__ = ["PATIENCE", "Machine", "is_machine", "is_superdialog", "is_superdialog_class",
           "stream_fault"]  # fmt: skip

logger = logging.getLogger(__name__)

#: Seconds within which a reply begins, and that no pause in it exceeds.
PATIENCE = 15.0

_CUT = "The caller cut your last reply short."
_HEARD = "The caller cut your last reply short; they heard only: {heard}"


def is_superdialog(value: object) -> bool:
    """Whether it is a machine of the package `superdialog`, which the SDK accepts by its name."""
    return is_superdialog_class(type(value))


def is_superdialog_class(made: type) -> bool:
    """Whether its instances are machines of the package `superdialog`."""
    return any(
        cls.__module__.partition(".")[0] == "superdialog"
        and cls.__name__ in ("DialogMachine", "LLMAgent")
        for cls in made.__mro__
    )


def stream_fault(stream: Callable[..., Any], *before: object) -> str:
    """Why a `stream` can never give a reply, empty for nothing; `before` stand before the text."""
    if inspect.iscoroutinefunction(stream):
        return "its `stream` returns where it must `yield` the pieces of the reply"
    if inspect.isgeneratorfunction(stream):
        return "its `stream` is a generator that is not async: write `async def`"
    told = {"language": "en"} if _takes_language(stream) else {}
    try:
        inspect.signature(stream).bind(*before, "words", **told)
    except TypeError as error:
        return f"its `stream` is given the caller's words: {error}"
    except ValueError:  # written in C
        pass
    return ""


def is_machine(value: object) -> bool:
    """Whether replies can come from it."""
    return is_superdialog(value) or isinstance(value, DialogMachine)


class Machine:
    """A dialog machine as a session asks it, whatever it has beside its replies.

    Raises:
        TypeError: it is none.
    """

    def __init__(self, given: Any) -> None:
        if not is_machine(given):
            raise TypeError(
                "a dialog machine has `stream(text)`, or is one of the package superdialog; "
                f"got {type(given).__name__}"
            )
        self.given = given
        self._write = _of_superdialog(given) if is_superdialog(given) else given.stream
        asked = given.turn if is_superdialog(given) else given.stream
        self._takes_language = _takes_language(asked)

    def stream(self, text: str, language: str | None = None) -> AsyncIterator[str]:
        """The reply to the caller's words, piece by piece."""
        told = {"language": language} if language and self._takes_language else {}
        written: AsyncIterator[str] = self._write(text, **told)
        return written

    @property
    def patience(self) -> float | None:
        """For how many seconds it may write nothing; None for a machine that sees to that."""
        own = getattr(self.given, "patience", PATIENCE)
        return own if own is None or (type(own) in (int, float) and own > 0) else PATIENCE

    @property
    def takes_notes(self) -> bool:
        """Whether it takes notes that the caller does not hear."""
        is_there = callable(getattr(self.given, "assist", None))
        return is_there and getattr(type(self.given), "assist", None) is not Adapter.assist

    async def note(self, note: str) -> None:
        """Give it a note."""
        await _done(self.given.assist(note))

    async def interrupted(self, heard: str | None) -> None:
        """The caller cut in; `heard` is what they heard of the agent's words, if that is known."""
        mark = getattr(self.given, "mark_interrupted", None)
        if callable(mark):
            await _done(mark(heard))
        elif self.takes_notes:
            await self.note(_CUT if heard is None else _HEARD.format(heard=heard))

    async def said(self, text: str) -> None:
        """Hooks said something, which belongs to the conversation too."""
        take = getattr(self.given, "said", None)
        if callable(take):
            await _done(take(text))

    @property
    def is_complete(self) -> bool:
        """Whether it has nothing more to say: the dialog is over."""
        try:
            found = getattr(self.given, "is_complete", False)
            return bool(found() if callable(found) else found)
        except (Exception, SystemExit):  # it is user code, and the call goes on
            logger.exception("a dialog machine could not say whether it is complete")
            return False


async def _done(answer: Any) -> None:
    if hasattr(answer, "__await__"):
        await answer


def _of_superdialog(machine: Any) -> Callable[..., AsyncIterator[str]]:
    async def stream(text: str, **told: str) -> AsyncIterator[str]:
        chunks: Any = machine.turn(text, stream=True, **told)
        if isinstance(chunks, Awaitable):
            chunks = await chunks
        try:
            async for chunk in chunks:
                yield chunk.text
        finally:
            aclose = getattr(chunks, "aclose", None)
            if aclose is not None:
                await aclose()

    return stream


def _takes_language(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return False
    return any(p.name == "language" or p.kind is p.VAR_KEYWORD for p in parameters)
