"""Commands -> the controls of a session, and their fields as journals show them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from typing import Any

from orchestrator.runtime import (
    Command,
    End,
    Filler,
    Inject,
    Interrupt,
    Play,
    Recording,
    Say,
    SendDigits,
    SetLanguage,
    Transfer,
)

__all__ = ["command_fields", "send_command"]


def command_fields(command: Command) -> dict[str, Any]:
    """The fields of a command that say something, for journals and tests."""
    return {
        field.name: value
        for field in fields(command)
        if (value := getattr(command, field.name)) != field.default
    }


#: How each command is asked of a session.
_SEND: Mapping[type[Command], Callable[[Any, Any], Awaitable[None]]] = {
    Say: lambda s, c: s.say(c.text, interruptible=c.interruptible),
    Interrupt: lambda s, c: s.interrupt(),
    End: lambda s, c: s.end(c.reason),
    Transfer: lambda s, c: s.transfer(
        c.target,
        transfer_type=c.kind,
        mode=c.mode,
        announcement=c.announcement,
        answer_within=c.answer_within,
    ),
    Recording: lambda s, c: (
        s.recording.pause(c.reason) if c.change == "pause" else s.recording.resume()
    ),
    Filler: lambda s, c: s.set_filler(c.text),
    SendDigits: lambda s, c: s.send_digits(c.digits),
    SetLanguage: lambda s, c: s.set_language(c.speech, c.transcription),
    Play: lambda s, c: s.play(c.source, loop=c.loop, interruptible=c.interruptible, lasts=c.lasts),
    Inject: lambda s, c: s.inject(c.note),
}


async def send_command(session: Any, command: Command) -> None:
    """Ask a session for what a command says; raises what the session's control raises."""
    await _SEND[type(command)](session, command)
