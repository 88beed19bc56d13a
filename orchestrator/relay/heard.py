"""What of our speech the caller has heard by now: by the carrier's reports, else by estimate."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from orchestrator.runtime import Command, Play, ReplyDelta, ReplyEnd, Say
from orchestrator.speech import Speech, seconds_of

__all__ = ["LATE", "Heard", "speech_time"]

#: Seconds from a text to its first sound, for carriers that do not report it.
START_DELAY = 0.3
#: Seconds that reports may be behind the estimate before they are taken for lost.
LATE = 4.0


def speech_time(text: str) -> float:
    """Seconds from now until a text was heard, by estimate; 0 for no words."""
    return START_DELAY + seconds_of(text) if text.strip() else 0.0


class Heard:
    """Counts speech out and reports in. `now` is a clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._speech = Speech(START_DELAY)
        self._is_speaking = False
        self._has_reports = self._counts_tokens = False
        self._left = 0  # characters that were sent and not reported as played
        self._changed = asyncio.Event()

    def sent(self, command: Command) -> None:
        """A command went out; what speaks or plays takes time to be heard."""
        match command:
            case Say(text):
                self._say(text)
                self._speech.text_ends()
            case ReplyDelta(text):
                self._say(text)
            case ReplyEnd():
                self._speech.text_ends()
            case Play():
                self._speech.sound(self._now(), command.seconds)

    def _say(self, text: str) -> None:
        self._speech.text(self._now(), text)
        self._left += len(text) if text.strip() else 0

    def reported(self, name: Any, value: Any) -> None:
        """The carrier told of its playing."""
        if name == "agentSpeaking":
            self._has_reports = True
            self._is_speaking = value == "on"
            if value == "off":
                self._speech.ended(self._now())
            else:
                self._speech.began()
        elif name == "tokensPlayed" and isinstance(value, str):
            self._counts_tokens = True
            self._left = max(0, self._left - len(value))
        self._changed.set()

    def dropped(self) -> None:
        """The caller cut in: what was queued will not be heard any more."""
        self._speech.dropped()
        self._left = 0
        self._is_speaking = False
        self._changed.set()

    @property
    def told(self) -> float:
        """Seconds of sounds whose length was told."""
        return self._speech.told

    @property
    def wait(self) -> float:
        """Seconds until all was heard, or was by the latest; 0 when it was."""
        left = self._speech.until - self._now()
        if not self._has_reports:
            return max(0.0, left)
        is_behind = self._counts_tokens and self._left > 0
        if self._is_speaking or self._speech.is_text_queued or is_behind:
            return max(0.0, left + LATE)
        return max(0.0, left)  # a sound, which carriers may not report

    async def all(self, limit: float) -> None:
        """Wait until all was heard, for `limit` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while (wait := self.wait) > 0:
                    self._changed.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), wait)
