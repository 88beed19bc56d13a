"""What of our speech the caller has heard by now: by the carrier's reports, else by estimate."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

__all__ = ["Heard", "speech_time"]

#: Seconds from a text to its first sound, and words a second, for carriers that report neither.
START_DELAY, WORDS_PER_SECOND = 0.3, 2.5
#: Seconds that reports may be behind the estimate before they are taken for lost.
LATE = 4.0


def speech_time(text: str) -> float:
    """Seconds from now until a text was heard, by estimate; 0 for no words."""
    words = len(text.split())
    return START_DELAY + words / WORDS_PER_SECOND if words else 0.0


class Heard:
    """Counts speech out and reports in. `now` is a clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until = 0.0  # when the last word will have been heard, by estimate
        self._is_expected = self._is_speaking = False
        self._has_reports = self._counts_tokens = False
        self._left = 0  # characters that were sent and not reported as played
        self._changed = asyncio.Event()

    def sent(self, text: str) -> None:
        """Speech went out."""
        if text.strip():
            start = max(self._now() + START_DELAY, self._until)
            self._until = start + len(text.split()) / WORDS_PER_SECOND
            self._left += len(text)
            self._is_expected = True

    def reported(self, name: Any, value: Any) -> None:
        """The carrier told of its playing."""
        if name == "agentSpeaking":
            self._has_reports = True
            self._is_speaking = value == "on"
            if value == "off":
                self._is_expected = False
        elif name == "tokensPlayed" and isinstance(value, str):
            self._counts_tokens = True
            self._left = max(0, self._left - len(value))
        self._changed.set()

    def dropped(self) -> None:
        """The caller cut in: what was queued will not be heard any more."""
        self._until, self._left = 0.0, 0
        self._is_expected = self._is_speaking = False
        self._changed.set()

    @property
    def wait(self) -> float:
        """Seconds until all was heard, or was by the latest; 0 when it was."""
        left = self._until - self._now()
        if not self._has_reports:
            return max(0.0, left)
        is_playing = self._is_speaking or self._is_expected
        is_behind = self._counts_tokens and self._left > 0
        return max(0.0, left + LATE) if is_playing or is_behind else 0.0

    async def all(self, limit: float) -> None:
        """Wait until all was heard, for `limit` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while (wait := self.wait) > 0:
                    self._changed.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), wait)
