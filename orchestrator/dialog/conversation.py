"""The conversation that a model is shown: what was said, as far as the caller heard it."""

from __future__ import annotations

__all__ = ["MOST_TURNS", "Conversation"]

#: Messages that are sent along, beside the instructions and the notes before them.
MOST_TURNS = 100

Message = dict[str, str]


class Conversation:
    """Messages in the order of the call; `system` are the instructions above them."""

    def __init__(self, system: str = "") -> None:
        self._system = system
        self.messages: list[Message] = []

    def add(self, role: str, text: str) -> None:
        """Somebody said something; a note is of role `system`."""
        self.messages.append({"role": role, "content": text})

    def sent(self) -> list[Message]:
        """What a model is shown: the last turns, and every note whenever it was given."""
        old, new = self.messages[:-MOST_TURNS], self.messages[-MOST_TURNS:]
        instructions = [{"role": "system", "content": self._system}] if self._system else []
        notes = [message for message in old if message["role"] == "system"]
        return [*instructions, *notes, *new]

    def cut(self, heard: str) -> None:
        """Of what the agent said since the caller's last words, they heard so much.

        Runtimes tell it of one utterance or of all since then, so both are tried. Words that are
        not found were spoken in another form (numbers, for one): they stand for the last message.
        """
        said = self._said_last()
        left = _plain(heard)
        for start in range(len(said) if left else 0):
            cut = self._cut_at(said[start:], left)
            if cut is not None:
                at, text = cut
                self._keep(said[start + at :], text)
                return
        self._keep(said[-1:], heard)

    def _said_last(self) -> list[int]:
        """Where the agent's messages stand behind the caller's last words."""
        found: list[int] = []
        for at in range(len(self.messages) - 1, -1, -1):
            if self.messages[at]["role"] == "user":
                break
            if self.messages[at]["role"] == "assistant":
                found.append(at)
        return found[::-1]

    def _cut_at(self, said: list[int], heard: str) -> tuple[int, str] | None:
        """In which message the heard words end, and what is left of it; None if they do not fit."""
        for number, at in enumerate(said):
            text = self.messages[at]["content"]
            plain = _plain(text)
            if plain.startswith(heard):
                return number, _start_of(text, len(heard))
            if not heard.startswith(plain):
                return None
            heard = heard[len(plain) :].lstrip()
        return None

    def _keep(self, said: list[int], text: str) -> None:
        """Let the first of these messages end so, and take the others out."""
        for at in said[:0:-1]:
            del self.messages[at]
        if said and text.strip():
            self.messages[said[0]]["content"] = text
        elif said:
            del self.messages[said[0]]


def _plain(text: str) -> str:
    return " ".join(text.split())


def _start_of(text: str, length: int) -> str:
    """The beginning of a text that is so long without its spare spaces."""
    for end in range(len(text) + 1):
        if len(_plain(text[:end])) >= length:
            return text[:end]
    return text
