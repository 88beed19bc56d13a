"""What the agent speaks and plays, by estimate: until when the caller hears it.

For runtimes that do not report when audio starts and stops (`playback`), or only now and then. What
is queued is a row of parts: texts, whose length is estimated from their words, and sounds, whose
length is told or unknown. A report that the agent stopped ends the first part; what is behind it
begins then, by estimate, since no carrier says whether its reports cover sounds too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["LONGEST_SOUND", "Speech", "seconds_of"]

#: Speech rate: 150 words a minute.
WORDS_PER_SECOND = 2.5
#: Seconds that a sound of unknown length plays, at most: too long a wait harms nobody, a sound that
#: is cut, or a caller who is asked whether they are there while they listen, does.
LONGEST_SOUND = 60.0


#: Letters of scripts that put no spaces between words (Thai to Khmer, kana, Han), and how many make
#: up the time of a word, rather too few than too many.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_LETTERS_PER_WORD = 2


def seconds_of(text: str) -> float:
    """How long a text takes to say, by estimate."""
    return _words(text) / WORDS_PER_SECOND


def _words(text: str) -> float:
    unspaced = 0 if text.isascii() else len(_UNSPACED.findall(text))
    return len(text.split()) + unspaced / _LETTERS_PER_WORD


@dataclass(slots=True)
class _Part:
    seconds: float
    is_sound: bool
    is_told: bool = False


class Speech:
    """The agent's audio that went out. Times are seconds on the caller's clock, `now`.

    `delay` are the seconds from a text to its first sound.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay
        self._parts: list[_Part] = []
        self._starts = 0.0  # when the first part began, or will
        self._has_reports = self._is_in_word = False

    @property
    def until(self) -> float:
        """When all will have been heard; 0 for nothing."""
        return self._starts + sum(part.seconds for part in self._parts) if self._parts else 0.0

    @property
    def is_queued(self) -> bool:
        """Whether something went out whose end was not reported."""
        return bool(self._parts)

    @property
    def is_text_queued(self) -> bool:
        """Whether words are among it."""
        return any(not part.is_sound for part in self._parts)

    @property
    def told(self) -> float:
        """Seconds of sounds whose length was told."""
        return sum(part.seconds for part in self._parts if part.is_told)

    def text(self, now: float, text: str) -> None:
        """A text went out, or the next piece of one: tokens of a word are one word."""
        words = _words(text)
        if words and self._is_in_word and not text[0].isspace():
            words -= 1
        if text:
            self._is_in_word = not text[-1].isspace()
        if text.strip():
            self._add(now, _Part(words / WORDS_PER_SECOND, is_sound=False))

    def text_ends(self) -> None:
        """The text is complete: what comes next begins with a new word."""
        self._is_in_word = False

    def sound(self, now: float, seconds: float | None) -> None:
        """A sound went out; None for one of unknown length."""
        self._is_in_word = False
        is_told = seconds is not None
        self._add(now, _Part(seconds if seconds is not None else LONGEST_SOUND, True, is_told))

    def _add(self, now: float, part: _Part) -> None:
        self._pass(now)
        starts = now + self._delay
        if not self._parts:
            self._starts = starts
        else:  # behind what is queued, or after a gap
            self._starts += max(0.0, starts - self.until)
        last = self._parts[-1] if self._parts else None
        if last is not None and not (last.is_sound or part.is_sound):
            last.seconds += part.seconds
        else:
            self._parts.append(part)

    def _pass(self, now: float) -> None:
        """Forget what is over: sounds by their time, words by a report where there are any."""
        while self._parts and (self._parts[0].is_sound or not self._has_reports):
            ends = self._starts + self._parts[0].seconds
            if ends > now:
                return
            self._parts.pop(0)
            self._starts = ends

    def began(self) -> None:
        """The far side reports that the agent speaks."""
        self._has_reports = True

    def ended(self, now: float) -> None:
        """The far side reports that the agent stopped."""
        self._pass(now)
        self._has_reports = True
        if self._parts:
            self._parts.pop(0)
            self._starts = now + self._delay

    def dropped(self) -> None:
        """The caller cut in: what was queued will not be heard any more."""
        self._parts.clear()
        self._is_in_word = False
