"""What an operator sets of `<ConversationRelay>` and `<Language>`, read from options and variables.

The carriers pass over what they do not know, without a word, and the first call shows it. So a name
that is nearly one of theirs is a mistake; any other is passed on, since theirs grow.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType
from unicodedata import category

from orchestrator.errors import UserError

__all__ = ["LANGUAGE", "RELAY", "pair_of", "read_language", "read_pair", "split_pairs"]

#: Attributes by their published names. `url` and `action` are ours.
RELAY = frozenset(
    {"debug", "deepgramSmartFormat", "dtmfDetection", "elevenlabsTextNormalization", "events",
     "hints", "intelligenceService", "interruptSensitivity", "interruptible", "language",
     "partialPrompts", "preemptible", "reportInputDuringAgentSpeech", "speechModel",
     "transcriptionLanguage", "transcriptionProvider", "ttsLanguage", "ttsProvider", "voice",
     "welcomeGreeting", "welcomeGreetingInterruptible", "welcomeGreetingLanguage"}
)  # fmt: skip
LANGUAGE = frozenset({"speechModel", "transcriptionProvider", "ttsProvider", "voice"})
_OURS = frozenset({"action", "url"})
_SPOKEN_INTO = frozenset({"none", "dtmf", "speech", "any", "true", "false"})
_VALUES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **dict.fromkeys(("interruptible", "welcomeGreetingInterruptible"), _SPOKEN_INTO),
        **dict.fromkeys(("dtmfDetection", "preemptible", "partialPrompts"),
                        frozenset({"true", "false"})),
    }
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_CODE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}")
#: How much alike a mistake and what was meant are.
_NEAR = 0.8


def split_pairs(text: str) -> list[str]:
    """The pairs of a variable: a value goes on until the next attribute's name and sign."""
    names = "|".join(sorted(RELAY, key=len, reverse=True))
    return [pair.strip() for pair in re.split(rf"\s+(?=(?:{names})=)", text) if pair.strip()]


def read_pair(pair: str) -> tuple[str, str]:
    """One `NAME=VALUE` of `<ConversationRelay>`.

    Raises:
        UserError: it has not that form, or the name or the value is nearly another one.
    """
    name, value = pair_of(pair, RELAY)
    choices = _VALUES.get(name)
    if choices is not None and value not in choices:
        raise UserError(f"{name} is one of {', '.join(sorted(choices))}, got {value!r}")
    return name, value


def pair_of(pair: str, known: frozenset[str]) -> tuple[str, str]:
    """One `NAME=VALUE` whose names are these, or are none of ours that resembles one of them.

    Raises:
        UserError: it is not, or no document can hold the value.
    """
    name, sign, value = pair.partition("=")
    if not sign or not _NAME.fullmatch(name) or name in _OURS:
        raise UserError(f"{pair!r} is no NAME=VALUE of the carrier's document")
    if any(_is_unwritable(character) for character in value):
        raise UserError(f"{name}: its value holds a control character: {value!r}")
    if name not in known:
        lower = {own.lower(): own for own in known}
        near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=_NEAR)
        if near:
            raise UserError(f"{name!r} is no attribute; did you mean {lower[near[0]]!r}?")
    return name, value


def _is_unwritable(character: str) -> bool:
    """Whether no XML document can hold it, or none that a carrier makes sense of."""
    return category(character) in ("Cc", "Cs") or character in "\ufffe\uffff"


def read_language(text: str) -> tuple[str, Mapping[str, str]]:
    """A language with its attributes: `de-DE`, or `de-DE,voice=...,ttsProvider=...`.

    Raises:
        UserError: it has not that form.
    """
    code, *pairs = (part.strip() for part in text.split(","))
    if code != "multi" and not _CODE.fullmatch(code):
        raise UserError(f"{text!r} is no language; write one such as de-DE, or de-DE,voice=NAME")
    return code, dict(pair_of(pair, LANGUAGE) for pair in pairs)
