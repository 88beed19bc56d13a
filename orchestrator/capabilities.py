"""The table of capabilities: what a runtime may be able to do beside carrying the call."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ALL_CAPABILITIES", "CAPABILITIES"]

#: What a runtime may be able to do. A config that needs one that is missing is refused at load.
CAPABILITIES: Mapping[str, str] = MappingProxyType(
    {
        "say": "speak a text",
        "say.protected": "speak a text that the caller cannot interrupt",
        "interrupt": "stop the agent's speech",
        "end": "end the call, after queued speech was heard",
        "transfer.number": "transfer to a phone number",
        "transfer.queue": "transfer to a queue of people",
        "transfer.agent": "hand over to another agent",
        "transfer.warm": "brief the other side before connecting",
        "transfer.outcome": "report how a transfer ended",
        "recording": "pause and resume the recording",
        "filler": "speak a filler while the agent thinks",
        "digits": "send key tones",
        "language": "change the language of the call",
        "play": "play a sound",
        "inject": "pass a note to the dialog machine",
        "playback": "report when the agent's audio starts and stops",
        "state": "report who speaks",
        "dtmf": "report pressed keys",
        "voicemail": "report answering machines",
        "error": "report errors",
        "metric": "report measurements",
        "tools": "report tool calls and results",
    }
)
ALL_CAPABILITIES = frozenset(CAPABILITIES)
