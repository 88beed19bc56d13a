"""What the far side of a conformance call saw, and what of it is not as it must be."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from orchestrator.runtime import (
    Command,
    End,
    Filler,
    Inject,
    Interrupt,
    Play,
    Recording,
    ReplyDelta,
    Say,
    SendDigits,
    SetLanguage,
    Transfer,
)
from orchestrator.testing.conformance_case import LAST_SLOW_WORDS, Case

__all__ = ["FarSide", "amiss", "asked_for", "breaches", "first_difference"]


@dataclass(slots=True)
class FarSide:
    """What the other end of a call heard and was asked: by its own account, not by a journal's.

    Attributes:
        said: what the caller was told, in order; replies may come in pieces.
        is_ordered: whether it is; a voice may make speech before its turn to be heard comes.
        asked: all else that it was asked for, in order, in the words of `asked_for`.
        protected: what of `said` the caller could not have cut.
        late: what was said or asked after the end was asked for.
    """

    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    protected: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    is_ordered: bool = True

    def take(self, command: Command) -> None:
        """Note a command that came through."""
        is_speech = isinstance(command, (Say, ReplyDelta))
        what = command.text if isinstance(command, (Say, ReplyDelta)) else asked_for(command)
        if what and "end" in self.asked:
            self.late.append(what)
        if is_speech:
            self.said.append(what)
        elif what:
            self.asked.append(what)
        if isinstance(command, Say) and not command.interruptible:
            self.protected.append(what)


def asked_for(command: Command) -> str:
    """A command in the suite's words; empty for speech, and the end of a reply."""
    match command:
        case End():
            return "end"
        case Transfer(kind, target, "warm", announcement):
            return f"transfer {kind} {target}, warm: {announcement}"
        case Transfer(kind, target):
            return f"transfer {kind} {target}"
        case SendDigits(digits):
            return f"keys {digits}"
        case Play(source, loop):
            return f"play {source} {loop}"
        case Recording(change):
            return f"recording {change}"
        case Filler(text):
            return f"filler {text}"
        case SetLanguage(speech, transcription):
            return f"language {speech} {transcription}".rstrip()
        case Interrupt():
            return "interrupt"
        case Inject(note):
            return f"note {note}"
    return ""


def first_difference(expected: Sequence[str], seen: Sequence[str]) -> str:
    """Where lines leave the expected ones; `*` is anything, a line after `? ` may be missing."""
    at = 0
    for line in expected:
        pattern = line.removeprefix("? ").replace("[", "[[]").replace("?", "[?]")
        if at < len(seen) and fnmatchcase(seen[at], pattern):
            at += 1
        elif not line.startswith("? "):
            got = seen[at] if at < len(seen) else "nothing more"
            return f"line {at + 1}: expected {line!r}, got {got!r}"
    return f"line {at + 1}: {seen[at]!r} was not expected" if at < len(seen) else ""


#: How lines of a story begin that claim that words were spoken, and what of it are no words.
_SAID = {
    "do say ": "do say ",
    "event agent_turn you said": "event agent_turn ",
    "event agent_turn you heard": "event agent_turn ",
}


def amiss(case: Case, story: Sequence[str], seen: FarSide, *, writes_replies: bool) -> str:
    """What the far side saw otherwise than it must be; empty if there is nothing."""
    return (
        _said_wrongly(story, seen)
        or _asked_wrongly(case, seen)
        or (_went_on_after_a_cut(story, seen) if writes_replies else "")
        or next((f"the caller could cut {text!r}" for text in case.protected
                 if text not in seen.protected), "")
        or next((f"the far side heard {text!r}" for text in case.unheard
                 if _run_together(text) in _run_together("".join(seen.said))), "")
    )  # fmt: skip


def _said_wrongly(story: Sequence[str], seen: FarSide) -> str:
    """Each text that the journal tells of is heard as often as it tells so, in that order."""
    heard = _run_together("".join(seen.said))
    told = [line.removeprefix(_SAID[word]) for line in story for word in _SAID
            if line.startswith(word)]  # fmt: skip
    all_told = "|".join(map(_run_together, told))
    at = 0
    for text in told:
        words = _run_together(text)
        if words not in heard:
            return f"the far side never heard {text!r}"
        if heard.count(words) > all_told.count(words):
            return f"the far side heard {text!r} more than once"
        found = heard.find(words, at)
        if found < 0 and seen.is_ordered:
            return f"the far side heard {text!r} too early"
        at = found + len(words)
    return ""


def _asked_wrongly(case: Case, seen: FarSide) -> str:
    if seen.late:
        return f"the far side got {seen.late[0]!r} after the end"
    wanted = first_difference(case.asked, seen.asked)
    return f"what the far side was asked for, {wanted}" if wanted else ""


def _went_on_after_a_cut(story: Sequence[str], seen: FarSide) -> str:
    is_cut = "event agent_turn (cut)" in story
    is_heard = _run_together(LAST_SLOW_WORDS) in _run_together("".join(seen.said))
    return "the far side heard the rest of a reply that was cut" if is_cut and is_heard else ""


def _run_together(text: str) -> str:
    return "".join(text.split())


class _Breaches(logging.Handler):
    """Keeps what the session logs of a bridge that raised what no bridge may raise."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("bridge raised"):
            error = record.exc_info[1] if record.exc_info else None
            self.found.append(f"the {record.getMessage()}: {error!r}" if error else
                              f"the {record.getMessage()}")  # fmt: skip


@contextlib.contextmanager
def breaches() -> Iterator[list[str]]:
    """What bridges raise meanwhile, beside `LineGone` and `CommandRefused`."""
    handler, logger = _Breaches(), logging.getLogger("orchestrator")
    logger.addHandler(handler)
    try:
        yield handler.found
    finally:
        logger.removeHandler(handler)
