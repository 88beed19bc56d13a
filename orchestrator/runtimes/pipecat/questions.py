"""Questions to a Pipecat model that nothing answers.

A processor may drop the caller's turn, and a model may write nothing: Pipecat reports neither. So
a frame of ours follows each question through the pipeline. Models write while they process it, so
that what they wrote comes to the voice before that frame does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.runtimes.callbacks import CallbackBridge

__all__ = ["Questions"]


class Questions:
    """Tells the line when the question that was asked last is left without an answer.

    Only where the pipeline has one voice: a model that speaks by itself answers when it likes.

    Args:
        frames: Pipecat's module of frames.
        voices: the text-to-speech services of the pipeline.
        line: the call.
    """

    def __init__(self, frames: Any, voices: Sequence[Any], line: CallbackBridge) -> None:
        self._line = line
        self._open: Any = None
        self._words = (frames.TextFrame, frames.TTSSpeakFrame)
        self._follower = type("QuestionPassedFrame", (frames.DataFrame,), {})
        self._is_seen = len(voices) == 1
        if self._is_seen:
            voices[0].add_event_handler("on_before_process_frame", line.guarded(self._on_frame))

    def ask(self) -> Any:
        """A question is asked: what is to follow it."""
        self._open = self._follower()
        return self._open

    async def asked(self, model: Any, follower: Any) -> None:
        """The processor that is asked first is done with it."""
        if self._is_seen and follower is self._open:
            await model.queue_frame(follower)

    def answer(self) -> None:
        """It is answered, or will be: by tools first, whose results are asked about anew."""
        self._open = None

    def _on_frame(self, _: Any, frame: Any) -> None:
        """What the voice is given."""
        if frame is self._open:
            self._open = None
            self._line.no_reply()
        elif isinstance(frame, self._words) and frame.text.strip():
            self._open = None
