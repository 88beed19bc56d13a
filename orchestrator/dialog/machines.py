"""Small dialog machines, and where the machines of calls come from."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from orchestrator.dialog.adapter import Adapter
from orchestrator.dialog.contract import is_machine, is_superdialog, stream_fault
from orchestrator.errors import ActionFailed, EnvironmentFailure, named
from orchestrator.runtime import DialogMachine

if TYPE_CHECKING:
    from orchestrator.runtimes.native import CallContext

__all__ = ["Dialogs", "Echo", "from_callable"]

logger = logging.getLogger(__name__)

#: What writes a reply: a text, or an async iterator of its pieces.
Answers = Callable[[str], Awaitable[str | None] | AsyncIterable[str]]


class Echo(Adapter):
    """Repeats what the caller said, word by word, `delay` seconds before each word."""

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay

    async def _reply(self, text: str) -> AsyncIterator[str]:
        for piece in ("You", *(f" {word}" for word in f"said: {text}".split(" "))):
            await asyncio.sleep(self._delay)
            yield piece


class _FromCallable(Adapter):
    def __init__(self, function: Answers) -> None:
        self._function = function

    async def _reply(self, text: str) -> AsyncIterator[str]:
        answer = self._function(text)
        if isinstance(answer, AsyncIterable):
            async for piece in answer:
                yield piece
        elif not isinstance(answer, Awaitable):
            raise TypeError(f"what writes replies is async, but gave {type(answer).__name__}")
        elif (whole := await answer) is not None:
            yield whole


def from_callable(function: Answers) -> DialogMachine:
    """A dialog machine whose replies `function` writes: at once, or piece by piece.

    It is called with the caller's words. None is silence, as an empty text is.

    Example:
        >>> async def answer(text: str) -> str:
        ...     return "One moment, please."
        >>> machine = from_callable(answer)
    """
    return _FromCallable(function)


class Dialogs:
    """The dialog machines of calls: one made for each, or one that all of them share.

    What is made for a call is closed with it; what calls share is closed once, by `aclose`.

    Args:
        name: what an operator calls them.
        make: makes the machine of a call; it is given the call's context.
        shared: what it gives, if that is one machine for all calls.
        is_for_any: whether `make` makes no use of the context: then `prepare` tries it out.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[CallContext | None], DialogMachine],
        *,
        shared: DialogMachine | None = None,
        is_for_any: bool = False,
    ) -> None:
        self._name = name
        self._make = make
        self._shared = shared
        self._is_for_any = is_for_any
        self._spare: DialogMachine | None = None  # the first call takes it

    def prepare(self) -> None:
        """Find out before any call whether a machine can be made, where that needs no call.

        Raises:
            EnvironmentFailure: it cannot; the message names the machine and says why.
        """
        if self._is_for_any:
            self._spare = self._made(None)

    async def carry(self, ctx: CallContext) -> None:
        """An entrypoint: run the call's session with its machine.

        A machine that cannot be made is an error of each turn: the hooks of the call still run.
        """
        machine = self._machine_of(ctx)
        ctx.session.dialog_machine = machine
        try:
            await ctx.session.run()
        finally:
            if machine is not self._shared:
                await self._close(machine)

    def _machine_of(self, ctx: CallContext) -> DialogMachine:
        machine, self._spare = self._spare, None
        try:
            return machine or self._made(ctx)
        except EnvironmentFailure as error:
            extra = {"call_id": ctx.call_id, "reason": str(error)}
            logger.error("a call has no dialog machine", extra=extra)
            return _Unmade(str(error))

    def _made(self, ctx: CallContext | None) -> DialogMachine:
        try:
            machine = self._make(ctx)
        except (Exception, SystemExit) as error:
            why = f"the dialog machine {self._name} cannot be made: {named(error)}"
            raise EnvironmentFailure(why) from error
        if not is_machine(machine):
            what = type(machine).__name__
            if inspect.iscoroutine(machine):
                machine.close()  # nobody awaits it
            raise EnvironmentFailure(
                f"{self._name} made a {what}, which is no dialog machine (`stream`)"
            )
        if not is_superdialog(machine) and (fault := stream_fault(machine.stream)):
            raise EnvironmentFailure(f"{self._name} made no dialog machine: {fault}")
        return machine

    async def aclose(self) -> None:
        """Close what calls shared, once no call is on any more."""
        for machine in (self._shared, self._spare):
            if machine is not None:
                await self._close(machine)
        self._shared = self._spare = None

    async def _close(self, machine: DialogMachine) -> None:
        aclose = getattr(machine, "aclose", None)
        if aclose is not None:
            try:
                await aclose()
            except (Exception, SystemExit):  # it is user code, and the call went well
                logger.exception("a dialog machine could not be closed")


class _Unmade:
    """Stands for a machine that could not be made."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def stream(self, text: str) -> AsyncIterator[str]:
        raise ActionFailed(self._why)
        yield ""
