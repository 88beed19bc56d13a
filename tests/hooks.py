"""Python callables that the tests' configs call: good ones and bad ones."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import Any

from orchestrator.action import ActionFailed

seen: list[Any] = []


def forget() -> None:
    """Begin a test with nothing seen."""
    seen.clear()
    flaky.calls = itertools.count(1)  # type: ignore[attr-defined]


async def note(ctx: Any, *fields: Any) -> int:
    """Write down when it ran and with what."""
    seen.append((round(ctx.call.duration, 3), *fields))
    return len(seen)


async def mark(ctx: Any) -> None:
    """Write down that a hook of the config ran."""
    seen.append("yaml")


async def score(ctx: Any, text: str) -> dict[str, int]:
    """Return plain data."""
    return {"length": len(text)}


def plain_function(ctx: Any) -> str:
    """A function that is not async; it runs in a thread."""
    return f"hello {ctx.call.id}"


async def boom(ctx: Any) -> None:
    """Raise what nobody expects."""
    raise ValueError("boom")


async def boom_with(ctx: Any, *, words: Any) -> None:
    """Raise with words that somebody else chose."""
    raise ValueError(words)


async def hang(ctx: Any) -> None:
    """Never return."""
    await asyncio.Event().wait()


async def stubborn(ctx: Any) -> None:
    """Swallow every cancellation and go on for an hour."""
    for _ in range(3600):
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            continue


async def slow(ctx: Any) -> str:
    """Take three seconds."""
    await asyncio.sleep(3)
    return "late"


async def garbage(ctx: Any) -> Any:
    """Return what is no data."""
    return object()


async def huge(ctx: Any) -> str:
    """Return far too much."""
    return "x" * 2_000_000


async def leave(ctx: Any) -> None:
    """Want to end the process."""
    raise SystemExit(3)


async def odd(ctx: Any) -> None:
    """Raise what `except Exception` does not see."""
    raise BaseException("odd")


async def nan(ctx: Any) -> float:
    """Return a number that JSON cannot hold."""
    return float("nan")


async def flood(ctx: Any) -> None:
    """Emit events without end."""
    while True:
        await ctx.emit("custom.flood", {})


async def block(ctx: Any) -> None:
    """Keep the event loop at once."""
    time.sleep(0.15)  # noqa: ASYNC251


async def block_later(ctx: Any) -> None:
    """Keep it after a first wait."""
    await asyncio.sleep(0)
    time.sleep(0.15)  # noqa: ASYNC251


async def for_ever(ctx: Any) -> None:
    """Never stop, whatever is asked."""
    while True:
        try:
            await asyncio.sleep(0.01)
        except BaseException:  # noqa: S112 - that is what it is for
            continue


async def cancelled(ctx: Any) -> None:
    """Raise the exception of a cancellation that nobody asked for."""
    raise asyncio.CancelledError


async def flaky(ctx: Any) -> str:
    """Fail twice, then work."""
    number = next(flaky.calls)  # type: ignore[attr-defined]
    seen.append(round(ctx.call.duration, 3))
    if number < 3:
        raise ConnectionError("not yet")
    return f"try {number}"


async def idem(ctx: Any) -> str:
    """Give the id of this side effect."""
    return str(ctx.id)


flaky.calls = itertools.count(1)  # type: ignore[attr-defined]


async def slow5(ctx: Any) -> str:
    """Take five seconds."""
    await asyncio.sleep(5)
    return "late"


async def close(ctx: Any) -> None:
    """Raise what Python raises in a generator that is closed."""
    raise GeneratorExit


async def close_later(ctx: Any) -> None:
    """Raise it after a wait."""
    await asyncio.sleep(0.01)
    raise GeneratorExit


class Mute(Exception):
    """It cannot say what is wrong."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


async def mute(ctx: Any) -> None:
    """Raise what cannot be shown."""
    raise Mute


async def mute_failure(ctx: Any) -> None:
    """Raise a failure of ours that cannot be shown."""

    class Failure(Mute, ActionFailed):
        pass

    raise Failure("no words")


async def leave_trouble(ctx: Any) -> None:
    """Leave a task and a thread that raise."""

    async def raises() -> None:
        raise KeyError("s3cret")

    asyncio.ensure_future(raises())  # noqa: RUF006 - lost on purpose
    thread = threading.Thread(target=lambda: 1 // 0)
    thread.start()
    thread.join()
    await asyncio.sleep(0.01)


async def most_digits(ctx: Any) -> int:
    """Give as many digits as JSON takes in."""
    return int("9" * 4_300)


async def quotes_all(ctx: Any) -> None:
    """Raise what quotes a whole answer."""
    raise ValueError("bad answer: " + "word " * 200_000)
