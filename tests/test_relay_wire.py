"""The pure parts of ConversationRelay beside the vendors' own packages."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey
from telnyx.lib.webhook_verification import WebhookVerificationError, verify_webhook_signature
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, Dial, Enqueue, VoiceResponse

from orchestrator.errors import CommandRefused, UserError
from orchestrator.events import find_event
from orchestrator.relay.dialects import RELAY_CAPABILITIES
from orchestrator.relay.frames import BadFrame, events_of, frame_of, offer_of, parse_frame
from orchestrator.relay.heard import Heard
from orchestrator.relay.signatures import (
    Request,
    Seal,
    TelnyxSignatures,
    TwilioSignatures,
    twilio_signature,
)
from orchestrator.relay.twiml import BUSY, HANG_UP, Directions, hold, say_goodbye, whisper
from orchestrator.runtime import Interrupt, Play, ReplyDelta, Say, Transfer
from orchestrator.targets import TARGETS

URL = "https://calls.example.com/phone/voice"
DIRECTIONS = Directions("https://h.example", Seal(b"s"), {"interruptible": "any"}, {"de-DE": {}})


def test_the_table_of_targets_says_what_the_adapter_can() -> None:
    """One fact, in two places for the sake of imports."""
    assert TARGETS["conversation_relay"] == RELAY_CAPABILITIES


# --- signatures


forms = st.lists(st.tuples(st.text(max_size=12), st.text(max_size=20)), max_size=6)


@given(forms, st.sampled_from([URL, f"{URL}?a=1&b=%20", "https://h.example:8443/x"]))
def test_twilios_validator_and_ours_agree(form: list[tuple[str, str]], url: str) -> None:
    """What it signs we take, what we compute it takes, and neither takes the other's changed."""
    form = [pair for pair in form if _is_text(pair)]
    fields = dict(form)
    theirs = RequestValidator("token")
    signature = theirs.compute_signature(url, fields)
    assert signature == twilio_signature("token", url, list(fields.items()))
    ours = TwilioSignatures(["other", "token"])
    headers = {"x-twilio-signature": signature}
    assert ours.why_not(Request(url, headers, form=list(fields.items()))) == ""
    assert theirs.validate(url, fields, twilio_signature("token", url, list(fields.items())))
    changed = [*fields.items(), ("zz", "1")]
    assert ours.why_not(Request(url, headers, form=changed)) != ""
    assert not theirs.validate(url, dict(changed), signature)


def _is_text(pair: tuple[str, str]) -> bool:
    return not any("\ud800" <= c <= "\udfff" for text in pair for c in text)


@pytest.mark.parametrize("signed", ["https://h.example/r", "https://h.example:443/r",
                                    "wss://h.example/r", "wss://h.example:443/r"])  # fmt: skip
def test_a_handshake_is_signed_in_any_of_the_reported_ways(signed: str) -> None:
    """wss or https, with the port or without."""
    headers = {"x-twilio-signature": RequestValidator("t").compute_signature(signed, {})}
    ours = TwilioSignatures(["t"])
    assert ours.why_not(Request("https://h.example/r", headers, is_handshake=True)) == ""
    assert ours.why_not(Request("https://h.example/other", headers, is_handshake=True)) != ""
    if signed.startswith("wss"):
        assert ours.why_not(Request("https://h.example/r", headers)) != ""


def test_a_body_that_is_no_form_is_signed_by_its_hash() -> None:
    """As the vendor's validator does it."""
    body = json.dumps({"a": 1})
    theirs = RequestValidator("t")
    url = f"{URL}?bodySHA256={theirs.compute_hash(body)}"
    headers = {"x-twilio-signature": theirs.compute_signature(url, {})}
    assert theirs.validate(url, body, headers["x-twilio-signature"])
    ours = TwilioSignatures(["t"])
    assert ours.why_not(Request(url, headers, body.encode())) == ""
    assert "hash" in ours.why_not(Request(url, headers, b"{}"))
    assert "hash" in ours.why_not(Request(URL, headers, body.encode()))


KEY = SigningKey.generate()
PUBLIC_KEY = base64.b64encode(bytes(KEY.verify_key)).decode()
BODY = urlencode({"CallSid": "CA1", "From": "+15550100"}).encode()


def _telnyx(body: bytes = BODY, seconds: int = 0, key: SigningKey = KEY) -> dict[str, str]:
    """What Telnyx sends with `body`, signed `seconds` from now."""
    stamp = str(int(time.time()) + seconds)
    signature = key.sign(stamp.encode() + b"|" + body).signature
    return {"telnyx-timestamp": stamp,
            "telnyx-signature-ed25519": base64.b64encode(signature).decode()}  # fmt: skip


def _without_time() -> dict[str, str]:
    return {name: text for name, text in _telnyx().items() if "time" not in name}


# Signed when the test runs: what was signed as this file was read is too old when its turn comes.
TELNYX_CASES: dict[str, tuple[Callable[[], dict[str, str]], bytes, bool]] = {
    "right": (_telnyx, BODY, True),
    "another body": (_telnyx, BODY + b"&To=1", False),
    "another key": (lambda: _telnyx(key=SigningKey.generate()), BODY, False),
    "old": (lambda: _telnyx(seconds=-4000), BODY, False),
    "ahead": (lambda: _telnyx(seconds=4000), BODY, False),
    "another time": (lambda: _telnyx() | {"telnyx-timestamp": str(int(time.time()) + 1)}, BODY,
                     False),
    "no time": (_without_time, BODY, False),
    "no number": (lambda: _telnyx() | {"telnyx-timestamp": "now"}, BODY, False),
    "no signature": (lambda: {"telnyx-timestamp": str(int(time.time()))}, BODY, False),
    "no base64": (lambda: _telnyx() | {"telnyx-signature-ed25519": "%%%"}, BODY, False),
    "short": (lambda: _telnyx() | {"telnyx-signature-ed25519": "YWJj"}, BODY, False),
    "nothing": (dict, BODY, False),
}  # fmt: skip


@pytest.mark.parametrize("name", TELNYX_CASES)
def test_telnyx_verifier_and_ours_agree(name: str) -> None:
    """The published one and ours take and refuse the same."""
    signed, body, is_good = TELNYX_CASES[name]
    headers = signed()
    ours = TelnyxSignatures(PUBLIC_KEY, time.time).why_not(Request(URL, headers, body))
    assert (ours == "") is is_good, ours
    if is_good:
        verify_webhook_signature(body, headers, PUBLIC_KEY)
    else:
        with pytest.raises(WebhookVerificationError):
            verify_webhook_signature(body, headers, PUBLIC_KEY)


def test_a_telnyx_handshake_may_be_unsigned_but_not_wrongly_signed() -> None:
    """Its path says whose it is."""
    ours = TelnyxSignatures(PUBLIC_KEY, time.time)
    assert ours.why_not(Request(URL, {}, is_handshake=True)) == ""
    assert ours.why_not(Request(URL, _telnyx(b""), is_handshake=True)) == ""
    assert ours.why_not(Request(URL, _telnyx(b"x"), is_handshake=True)) != ""


@pytest.mark.parametrize("key", ["", "abc", base64.b64encode(b"short").decode()])
def test_a_key_that_is_none_is_refused_at_the_start(key: str) -> None:
    """Not in the first call."""
    with pytest.raises(UserError):
        TelnyxSignatures(key, time.time)


def test_a_seal_is_of_one_call_and_one_secret() -> None:
    """It fits nowhere else."""
    seal = Seal(b"secret")
    assert seal.fits("CA1", seal.of("CA1"))
    assert not seal.fits("CA2", seal.of("CA1"))
    assert not Seal(b"other").fits("CA1", seal.of("CA1"))
    assert not seal.fits("CA1", "")
    assert not seal.fits("CA1", "\udcff")


# --- documents


def _same(ours: str, theirs: Any) -> None:
    def tree(element: ET.Element) -> Any:
        return (element.tag, element.attrib, element.text or "", [tree(e) for e in element])

    assert tree(ET.fromstring(ours)) == tree(ET.fromstring(str(theirs)))


def test_documents_are_what_twilios_builder_makes() -> None:
    """Element for element, attribute for attribute."""
    url = DIRECTIONS.url("relay", "CA1")
    theirs = VoiceResponse()
    connect = Connect(action=DIRECTIONS.url("action", "CA1"))
    relay = connect.conversation_relay(url=url.replace("https", "wss"), interruptible="any")
    relay.language(code="de-DE")
    relay.parameter(name="a", value='<"&ü>')
    theirs.append(connect)
    _same(DIRECTIONS.connect("CA1", {"a": '<"&ü>'}), theirs)

    theirs = VoiceResponse()
    dial = Dial(action=DIRECTIONS.url("dialled", "CA1", 2), timeout=20, answer_on_bridge=True)
    dial.number("+15550100", status_callback=DIRECTIONS.url("answered", "CA1", 2),
                status_callback_event="answered")  # fmt: skip
    theirs.append(dial)
    _same(DIRECTIONS.transfer("CA1", Transfer("number", "+15550100", answer_within=20), 2), theirs)

    theirs = VoiceResponse()
    dial = Dial(action=DIRECTIONS.url("dialled", "CA1", 2), timeout=25, answer_on_bridge=True)
    dial.number("+15550100", url=DIRECTIONS.url("whisper", "CA1", 2))
    theirs.append(dial)
    _same(DIRECTIONS.transfer("CA1", Transfer("number", "+15550100", "warm", "x"), 2), theirs)

    theirs = VoiceResponse()
    theirs.append(Enqueue(name="people", action=DIRECTIONS.url("dialled", "CA1", 2),
                          wait_url=DIRECTIONS.url("hold", "CA1")))  # fmt: skip
    _same(DIRECTIONS.transfer("CA1", Transfer("queue", "people"), 2), theirs)


def test_small_documents_too() -> None:
    """Hangup, Reject, Say, Pause and Leave."""
    for ours, make in (
        (HANG_UP, lambda r: r.hangup()),
        (BUSY, lambda r: r.reject(reason="busy")),
        (whisper("hi"), lambda r: r.say("hi")),
        (say_goodbye(("a & b", "c")), lambda r: (r.say("a & b"), r.say("c"), r.hangup())),
        (hold(7.4), lambda r: (r.pause(length=7), r.leave())),
    ):
        theirs = VoiceResponse()
        make(theirs)
        _same(ours, theirs)


@given(st.text())
def test_any_text_makes_a_document_that_parses(text: str) -> None:
    """Whatever a hook says, control characters and lone surrogates left out."""
    ET.fromstring(say_goodbye((text,)).encode())
    ET.fromstring(DIRECTIONS.connect("CA1", {"a": text}).encode())
    ET.fromstring(DIRECTIONS.transfer("CA1", Transfer("queue", text), 1).encode())


# --- frames


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from(
    ["voicePrompt", "lang", "last", "digit", "utteranceUntilInterrupt", "durationUntilInterruptMs",
     "description", "name", "value", "callSid", "sessionId", "from", "to", "direction",
     "customParameters"]
)  # fmt: skip
kinds = st.sampled_from(["setup", "prompt", "dtmf", "interrupt", "error", "info", "other"])


@settings(max_examples=400)
@given(kinds, st.dictionaries(names, values, max_size=8))
def test_any_frame_is_events_or_a_bad_frame(kind: str, fields: dict[str, Any]) -> None:
    """Events have every field that their table promises; nothing else is raised."""
    frame = {**fields, "type": kind}
    with contextlib.suppress(BadFrame):
        for event in events_of(frame):
            spec = find_event("session", event.name)
            assert spec is not None
            assert spec.fields.keys() <= event.fields.keys()
    with contextlib.suppress(BadFrame):
        offer = offer_of(frame)
        assert isinstance(offer.call_id, str)
        assert offer.direction in ("inbound", "outbound")


@given(st.binary() | st.text() | values.map(json.dumps))
def test_any_message_is_a_frame_or_a_bad_frame(raw: Any) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(BadFrame):
        assert isinstance(parse_frame(raw)["type"], str)


@pytest.mark.parametrize("raw", ["[" * 100_000, "1" * 5_000, '{"type": 1}', "", b"\xff"])
def test_hostile_messages_are_bad_frames(raw: Any) -> None:
    """Depth, length and bytes."""
    with pytest.raises(BadFrame):
        parse_frame(raw)


def test_a_command_without_a_frame_is_refused() -> None:
    """The wire cannot stop speech."""
    with pytest.raises(CommandRefused, match="interrupt"):
        frame_of(Interrupt())


@pytest.mark.parametrize("words", ["", "  "])
def test_a_prompt_without_words_is_no_turn(words: str) -> None:
    """It was noise: the caller is quiet again, and nobody answers."""
    (event,) = events_of({"type": "prompt", "voicePrompt": words, "last": True})
    assert (event.name, event.fields) == ("state", {"state": "listening", "who": "caller"})


# --- what was heard


def test_a_sound_is_waited_for_whatever_is_reported_of_words() -> None:
    """No carrier says whether its reports cover sounds; the end of the words is not the end."""
    now = 0.0
    heard = Heard(lambda: now)
    heard.sent(Say("one two three four five"))
    heard.sent(Play("https://x.example/a.mp3", lasts=10.0))
    heard.reported("agentSpeaking", "on")
    now = 3.0
    heard.reported("agentSpeaking", "off")
    assert heard.wait == pytest.approx(10.3)
    now = 12.0
    assert heard.wait == pytest.approx(1.3)
    now = 13.3
    assert heard.wait == 0
    heard.sent(Play("https://x.example/a.mp3"))
    assert heard.wait == pytest.approx(60.3)
    heard.reported("agentSpeaking", "on")
    heard.reported("agentSpeaking", "off")
    assert heard.wait == 0, "this carrier reports sounds too"


def test_tokens_are_not_words() -> None:
    """A reply takes as long to say however the model cuts it."""
    heard = Heard(lambda: 0.0)
    for token in "supercalifragilistic words":
        heard.sent(ReplyDelta(token))
    assert heard.wait == pytest.approx(0.3 + 2 / 2.5)


def test_speech_is_estimated_until_a_report_comes() -> None:
    """Words by the estimate; audio by reports; tokens by what is left of them."""
    now = 0.0
    heard = Heard(lambda: now)
    assert heard.wait == 0
    heard.sent(Say("one two three four five"))
    assert heard.wait == pytest.approx(2.3)
    now = 3.0
    assert heard.wait == 0
    heard.reported("agentSpeaking", "on")
    assert heard.wait > 0
    heard.reported("agentSpeaking", "off")
    assert heard.wait == 0
    heard.reported("tokensPlayed", "one two three four five")
    heard.sent(Say("six seven"))
    heard.reported("agentSpeaking", "on")
    heard.reported("tokensPlayed", "six")
    heard.reported("agentSpeaking", "off")
    assert heard.wait > 0, "the rest comes"
    heard.reported("tokensPlayed", " seven")
    assert heard.wait == 0
    heard.sent(Say("lost"))
    now = 60.0
    assert heard.wait == 0, "a report that never comes is not waited for"
    heard.sent(Say("a b c"))
    heard.dropped()
    assert heard.wait == 0
