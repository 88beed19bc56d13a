"""What `--dialog MODULE:NAME` names: a machine, what makes machines, or what writes replies.

What can be told from the object itself is told before any call; what it makes is looked at when it
is made (`Dialogs.prepare`).
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from typing import Any

import click

from orchestrator.dialog import Dialogs, from_callable
from orchestrator.dialog.contract import is_superdialog, is_superdialog_class, stream_fault
from orchestrator.registry import import_name
from orchestrator.runtime import DialogMachine

__all__ = ["imported"]

#: Decorators and arguments given that are looked through.
MOST_LAYERS = 30
#: What a function calls the words of a caller, and a call.
_WORDS, _CALL = frozenset({"text"}), frozenset({"ctx", "context"})


def imported(name: str) -> Dialogs:
    """The dialog machines that `MODULE:NAME` stands for.

    Raises:
        UsageError: it is something else, or can never work.
        EnvironmentFailure: it cannot be imported.
    """
    found = import_name(name)
    if isinstance(found, type):
        _check_class(name, found)
    elif is_superdialog(found):
        raise click.UsageError(
            f"{name} holds one conversation, which callers must not share; name a class or "
            "function that makes one for each call"
        )
    elif isinstance(found, DialogMachine):
        _refuse(name, stream_fault(found.stream))
        return Dialogs(name, lambda ctx: found, shared=found)
    elif not callable(found):
        raise click.UsageError(
            f"{name} is neither a dialog machine (`stream(text)`) nor a class or function that "
            "makes one nor an async function"
        )
    elif _writes_replies(found):
        _check_writer(name, found)
        machine = from_callable(found)
        return Dialogs(name, lambda ctx: machine, shared=machine)
    elif inspect.isgeneratorfunction(found):
        raise click.UsageError(f"{name} is a generator that is not async: write `async def`")
    return _made_by(name, found)


def _refuse(name: str, fault: str) -> None:
    if fault:
        raise click.UsageError(f"{name}: {fault}")


def _check_class(name: str, cls: type) -> None:
    if is_superdialog_class(cls):
        return
    stream = getattr(cls, "stream", None)
    if stream is None and not any(map(_may_give_stream, cls.__mro__[:-1])):
        raise click.UsageError(f"{name} makes no dialog machine: it has no `stream(text)`")
    static = inspect.getattr_static(cls, "stream", None)
    if callable(stream) and not isinstance(static, functools.partialmethod):
        is_method = inspect.isfunction(static)
        _refuse(name, stream_fault(stream, *([None] if is_method else [])))


def _may_give_stream(cls: type) -> bool:
    """Whether what a class makes may have a `stream` that the class itself has not."""
    code = getattr(vars(cls).get("__init__"), "__code__", None)
    is_set = code is not None and "stream" in code.co_names
    return is_set or "__new__" in vars(cls) or "__getattr__" in vars(cls)


# --- functions that write replies


def _writes_replies(found: Any) -> bool:
    """Whether it answers with words, at once or in pieces; else it makes machines.

    A plain function may do either: what is wrapped around an async one does what that does, and
    one that takes `text` is given text.
    """
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    if any(kind(f) for f in _layers(found) for kind in kinds):
        return True
    if inspect.isgeneratorfunction(found):
        return False
    needed = _needed(found)
    return len(needed) == 1 and (
        needed[0].name in _WORDS or needed[0].annotation in (str, "str")
    )  # fmt: skip


def _layers(found: Any) -> Iterator[Any]:
    """The function in all that is around it: decorators, arguments given, an object."""
    for _ in range(MOST_LAYERS):  # an object that makes up what it is asked for has no end
        yield found
        if isinstance(found, functools.partial):
            found = found.func
        elif (inner := getattr(found, "__wrapped__", None)) is not None:
            found = inner
        elif not inspect.isroutine(found):
            found = getattr(found, "__call__", None)  # noqa: B004 - its kind is asked
        else:
            return


def _check_writer(name: str, found: Any) -> None:
    needed = _needed(found)
    if len(needed) == 1 and needed[0].name in _CALL:
        raise click.UsageError(
            f"{name} is async and needs the call's context: what makes machines is not async, and "
            "what writes replies is given the caller's words"
        )
    signature = _signature(found)
    try:
        if signature is not None:
            signature.bind("words")
    except TypeError as error:
        raise click.UsageError(f"{name} is given the caller's words alone: {error}") from None
    if signature is not None and signature.return_annotation in (str, "str"):
        kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        if not any(kind(f) for f in _layers(found) for kind in kinds):
            raise click.UsageError(f"{name} is not async, and would hold up every call")


# --- what makes machines


def _made_by(name: str, factory: Callable[..., Any]) -> Dialogs:
    needed = _needed(factory)
    if len(needed) > 1:
        raise click.UsageError(
            f"{name} needs {len(needed)} arguments; it is given the call's context"
        )
    signature = _signature(factory)
    try:
        if signature is not None:
            signature.bind(*["context"] * len(needed))
    except TypeError as error:
        raise click.UsageError(f"{name} is given the call's context alone: {error}") from None
    if not needed and not _hides_its_own(factory):
        return Dialogs(name, lambda ctx: factory(), is_for_any=True)

    def make(ctx: Any) -> Any:
        try:
            made = factory(ctx)
        except TypeError:
            if needed:
                raise
            return factory()
        if not isinstance(made, (Awaitable, AsyncIterable)) or isinstance(made, DialogMachine):
            return made
        _unasked(made)  # so it writes replies, and waits for words
        return from_callable(factory)

    return Dialogs(name, make)


def _hides_its_own(factory: Any) -> bool:
    """Whether it takes whatever it is given, as what is wrapped around another function does."""
    signature = None if isinstance(factory, type) else _signature(factory)
    parameters = signature.parameters.values() if signature is not None else ()
    return any(p.kind is p.VAR_POSITIONAL for p in parameters)


def _unasked(reply: Any) -> None:
    """A reply that nobody waits for does not begin."""
    if isinstance(reply, asyncio.Future):
        reply.cancel()
    elif inspect.iscoroutine(reply):
        reply.close()


def _needed(function: Any) -> list[inspect.Parameter]:
    """The parameters that must be given by their place."""
    signature = _signature(function)
    return [
        p for p in (signature.parameters.values() if signature is not None else ())
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip


def _signature(function: Any) -> inspect.Signature | None:
    """How it is called; None of what is written in C."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None
