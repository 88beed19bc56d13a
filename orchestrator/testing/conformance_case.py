"""One conformance case: a call script, the hooks it meets, the journal and the far side expected.

An expected journal is a list of lines as `story_of` writes them; `*` in a line stands for
anything, and a line that begins with `? ` may be missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

__all__ = [
    "CALLER",
    "LAST_SLOW_WORDS",
    "MACHINE",
    "NOTES",
    "REDIAL",
    "Case",
    "Replies",
    "called",
    "entrypoint",
    "hangs",
    "raises",
    "takes_notes",
]

#: Who calls, in each case.
CALLER = "+15550100"
#: What a carrier `can` do beside capabilities: break a call's connection and have it made again;
#: have its replies written by the call's dialog machine.
REDIAL, MACHINE = "redial", "machine"
#: What a far side may be unable to tell: of notes, which a dialog machine of ours takes elsewhere.
NOTES = "notes"

_SLOW_WORDS = "one two three four five six seven eight nine ten"
#: What nobody hears of it once it was cut.
LAST_SLOW_WORDS = "nine ten"


class Replies:
    """What the agent answers: at once, but to `slow` word by word, 50 ms each.

    It suits runtimes that ask for more than `stream(text)`: asked `what did I hear`, `what was
    noted` or `what did hooks say` it tells, and after `finish` it is done.
    """

    def __init__(self) -> None:
        self.heard: str | None = None
        self.hooks_said = self.noted = ""
        self.is_complete = False

    async def turn(self, text: str, context: Any = None) -> str:
        """The whole reply."""
        return f"you said {text}"

    async def stream(self, text: str, *_: Any, **__: Any) -> AsyncIterator[str]:
        """The reply, piece by piece."""
        self.is_complete = text == "finish"
        if text != "slow":
            told = {"what did I hear": f"you heard {self.heard}",
                    "what was noted": f"you heard {self.noted}",
                    "what did hooks say": f"you heard {self.hooks_said}"}  # fmt: skip
            yield told.get(text, f"you said {text}")
            return
        for word in _SLOW_WORDS.split():
            yield f"{word} "
            await asyncio.sleep(0.05)

    def assist(self, text: str) -> None:
        """Take a note."""
        self.noted = text

    def mark_interrupted(self, heard: str | None = None) -> None:
        """The caller cut in, and had heard this."""
        self.heard = heard

    def said(self, text: str) -> None:
        """Hooks said something."""
        self.hooks_said = text


class Deaf:
    """The same replies by a machine that has no more than it must."""

    def __init__(self) -> None:
        self._replies = Replies()

    def stream(self, text: str) -> AsyncIterator[str]:
        """The reply, piece by piece."""
        return self._replies.stream(text)


#: Whether the dialog machines of the case that is played now take notes.
takes_notes: ContextVar[bool] = ContextVar("takes_notes", default=True)


async def entrypoint(ctx: Any) -> None:
    """The entrypoint of every conformance call."""
    ctx.session.dialog_machine = Replies() if takes_notes.get() else Deaf()
    await ctx.session.run()


async def raises(ctx: Any) -> None:
    """A hook's function that fails."""
    raise ValueError("as the case wants it")


async def hangs(ctx: Any) -> None:
    """A hook's function that never returns."""
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Case:
    """One call: what the far side does, the hooks, and what the journal must say.

    Attributes:
        script: the far side's events in the short form, `t` in seconds after the bridge is up.
        drop: when the connection breaks, to be made again by the runtime; None for never.
        needs: what a runtime must be able to do; without it the case does not apply.
        sees: what its far side must be able to tell beside that.
        takes_notes: whether the dialog machine does.
        without: what it must not be able to do.
        asked: all that the far side must have been asked for beside speech, in order, in the words
            of `asked_for`; as in `expected`, `*` and `? ` leave something open.
        protected: texts that the caller must not have been able to cut.
        unheard: texts that the far side must not have heard.
        beside: another call at the same time; each has its own hooks, journal and far side.
    """

    name: str
    config: str
    script: tuple[Mapping[str, Any], ...]
    expected: tuple[str, ...]
    drop: float | None = None
    needs: frozenset[str] = frozenset()
    sees: frozenset[str] = frozenset()
    takes_notes: bool = True
    without: frozenset[str] = frozenset()
    asked: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    beside: Case | None = None

    def applies_to(self, can: frozenset[str], untold: frozenset[str] = frozenset()) -> str:
        """Why the case does not apply to a runtime that can do this; empty if it does.

        `untold`: what its far side cannot play or see.
        """
        if missing := self.needs - can:
            return f"cannot {', '.join(sorted(missing))}"
        if hidden := (self.needs | self.sees) & untold:
            return f"its far side cannot tell {', '.join(sorted(hidden))}"
        return f"can {', '.join(sorted(self.without & can))}" if self.without & can else ""


_BEGIN = ("runner call_start", "session call_start")


def called(*lines: str, state: str = "hangup", final: str = "ended") -> tuple[str, ...]:
    """The lines of a call with these in its middle."""
    gone = ("event hangup",) if state == "hangup" else ()
    return (*_BEGIN, *lines, *gone, f"session call_end {state}", f"runner call_end {final}")
