"""The documents that tell a carrier what to do with a call, as XML.

The same verbs at Twilio (TwiML) and Telnyx (TeXML). Every URL in them is ours, with the call and
its seal in the path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote
from xml.etree import ElementTree as ET

from orchestrator.relay.signatures import Seal
from orchestrator.runtime import Transfer

__all__ = ["BUSY", "HANG_UP", "NOTHING", "Directions", "hold", "say_goodbye", "whisper"]

#: Characters that XML 1.0 cannot hold.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: The part of a query that tells which transfer of its call is meant.
TRANSFER = "transfer"
#: Seconds that a carrier lets a phone ring, at least and at most.
RING_LEAST, RING_MOST = 5, 600


def _add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    clean = {name: _NOT_XML.sub("", value) for name, value in attributes.items()}
    element = ET.SubElement(parent, tag, clean)
    if text:
        element.text = _NOT_XML.sub("", text)
    return element


def _response() -> ET.Element:
    return ET.Element("Response")


def _text(root: ET.Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(root, encoding="unicode")


def _only(tag: str, **attributes: str) -> str:
    root = _response()
    _add(root, tag, **attributes)
    return _text(root)


#: Ends the call; turns a new one away; does nothing.
HANG_UP = _only("Hangup")
BUSY = _only("Reject", reason="busy")
NOTHING = _text(_response())


def say_goodbye(texts: tuple[str, ...]) -> str:
    """Speak texts in the carrier's own voice, and hang up."""
    root = _response()
    for text in texts:
        _add(root, "Say", text)
    _add(root, "Hangup")
    return _text(root)


def whisper(text: str) -> str:
    """What the other side hears before the caller is connected."""
    root = _response()
    if text:
        _add(root, "Say", text)
    return _text(root)


def hold(seconds: float) -> str:
    """Wait in a queue so long, then leave it."""
    root = _response()
    _add(root, "Pause", length=str(max(1, round(seconds))))
    _add(root, "Leave")
    return _text(root)


@dataclass(frozen=True, slots=True)
class Directions:
    """Makes documents that lead back here.

    Attributes:
        base: our public address, `https://host/prefix` without a slash at its end.
        seal: marks the URLs of a call.
        attributes: of `<ConversationRelay>`.
        languages: more languages that speech may be in, each with its attributes.
    """

    base: str
    seal: Seal
    attributes: Mapping[str, str]
    languages: Mapping[str, Mapping[str, str]]

    def url(self, route: str, call_id: str, transfer: int = 0) -> str:
        """Our address for a route of a call, or of one of its transfers."""
        query = f"?{TRANSFER}={transfer}" if transfer else ""
        return f"{self.base}/{route}/{quote(call_id, safe='')}/{self.seal.of(call_id)}{query}"

    def reconnect(self, call_id: str) -> str:
        """Connect a caller with us who was with us before: nobody is greeted twice."""
        greeting = "welcomeGreeting"
        rest = {k: v for k, v in self.attributes.items() if not k.startswith(greeting)}
        return replace(self, attributes=rest).connect(call_id, {})

    def connect(self, call_id: str, parameters: Mapping[str, str]) -> str:
        """Connect the caller with us; the parameters come back in `setup`."""
        root = _response()
        connect = _add(root, "Connect", action=self.url("action", call_id))
        scheme, _, rest = self.url("relay", call_id).partition(":")
        url = f"{'wss' if scheme == 'https' else 'ws'}:{rest}"
        relay = _add(connect, "ConversationRelay", url=url, **self.attributes)
        for code, attributes in self.languages.items():
            _add(relay, "Language", code=code, **attributes)
        for name, value in parameters.items():
            _add(relay, "Parameter", name=name, value=value)
        return _text(root)

    def transfer(self, call_id: str, transfer: Transfer, number: int) -> str:
        """Hand the caller over, and ask here again when that is over.

        `number` counts the call's transfers: what the carrier asks then tells of which it is.
        """
        root = _response()
        action = self.url("dialled", call_id, number)
        if transfer.kind == "queue":
            _add(root, "Enqueue", transfer.target, action=action,
                 waitUrl=self.url("hold", call_id))  # fmt: skip
            return _text(root)
        ring = min(max(RING_LEAST, round(transfer.answer_within)), RING_MOST)
        dial = _add(root, "Dial", action=action, timeout=str(ring), answerOnBridge="true")
        if transfer.mode == "warm":  # that it asks for the announcement tells that it picked up
            told = {"url": self.url("whisper", call_id, number)}
        else:
            told = {"statusCallback": self.url("answered", call_id, number),
                    "statusCallbackEvent": "answered"}  # fmt: skip
        _add(dial, "Number", transfer.target, **told)
        return _text(root)
