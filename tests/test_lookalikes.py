"""Lookalikes: characters that a person or a library takes for others pass no allow-list."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.config import Allow
from orchestrator.destinations import check_destination
from orchestrator.durations import parse_duration
from orchestrator.egress import Egress, parse_url
from orchestrator.errors import ActionFailed
from orchestrator.templates import parse_condition
from orchestrator.validation import check_text
from tests import hostile

ALLOWED = "+442079460123"
PREFIX = "+4915"
ALLOW = Allow(numbers=(ALLOWED,), prefixes=(PREFIX,))
#: The digits of six scripts, and what stands for `+`.
DIGITS = [
    "".join(map(chr, range(first, first + 10)))
    for first in (0x30, 0xFF10, 0x660, 0x6F0, 0x966, 0x1D7CE)
]
PLUSES = "+\uff0b\ufe62\u207a\u2795"


def disguised(number: str, digits: str, plus: str) -> str:
    return plus + "".join(digits[int(c)] for c in number[1:])


_NUMBER = st.one_of(
    st.just(ALLOWED),
    st.from_regex(r"\+(44|4915|1|900|882|979)[0-9]{5,10}", fullmatch=True),
)
_DISGUISED = st.builds(disguised, _NUMBER, st.sampled_from(DIGITS), st.sampled_from(PLUSES))
_DECORATED = st.builds(
    "".join,
    st.lists(st.one_of(_DISGUISED, st.sampled_from([ALLOWED, PREFIX, "tel:", ";phone-context=", ";ext=9", "\u200b",
                                                     "\u202e", " ", "-", "(0)", "p", "w", ",", "\n"]), hostile.TEXT),
             min_size=1, max_size=4),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(_DISGUISED | _DECORATED)
@example("tel:020;phone-context=+44")
@example(f"{ALLOWED},,9")
@example(f"+900{ALLOWED}")
def test_what_is_dialled_is_on_the_list_in_plain_digits(text: str) -> None:
    """Whatever a caller says as a number, the one that is dialled is E.164 and allowed."""
    try:
        number = check_destination(text, ALLOW, is_fixed=False)
    except ActionFailed:
        return
    assert number.isascii()
    assert number[0] == "+"
    assert number[1:].isdecimal()
    assert number == ALLOWED or number.startswith(PREFIX)


@pytest.mark.parametrize("digits", DIGITS[1:], ids=ascii)
def test_an_allow_list_has_plain_digits_only(digits: str) -> None:
    """A number of another script would look right to its author, and allow nobody."""
    number = "+" + disguised(ALLOWED, digits, "")
    text = f"version: 1\nallow: {{numbers: ['{number}']}}\nsession: {{call_start: [{{say: hi}}]}}\n"
    assert [p.code for p in check_text(text).problems] == ["HK420"]


@pytest.mark.parametrize(
    "host",
    [
        "crm\u3002example.com", "\u0441rm.example.com", "crm.example\u2024com", "crm.ex\u00e4mple.com",
        "\uff43rm.example.com", "crm.example.com\u200b", "crm\uff0eexample.com", "\u212arm.example.com",
        "crm.example.com\u3002evil.example", "cr\u00adm.example.com", "\u24d2rm.example.com",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_host_is_plain_ascii(host: str) -> None:
    """Readers of URLs map such characters to others, each in its own way."""
    with pytest.raises(ActionFailed):
        parse_url(f"https://{host}/")
    assert not Egress(frozenset({"crm.example.com"})).is_listed(host)
    text = f"version: 1\nallow: {{hosts: ['{host}']}}\nsession: {{call_start: [{{say: hi}}]}}\n"
    assert "HK420" in [p.code for p in check_text(text).problems] or "\u200b" in host


@given(st.text(max_size=20) | hostile.TEXT)
def test_no_text_reaches_a_listed_host_unless_it_is_that_host(text: str) -> None:
    """The host that is compared is the host that is asked."""
    egress = Egress(frozenset({"crm.example.com"}))
    try:
        url = parse_url(f"http://{text}/")
        egress.check(url)
    except ActionFailed:
        return
    is_loopback = url.host in ("localhost", "127.0.0.1", "::1") or url.host.endswith(".localhost")
    assert url.host == "crm.example.com" or is_loopback or url.host.startswith("127.")


@pytest.mark.parametrize("text", ["\uff18s", "\u0668s", "8\u017f", "\u00b2s"], ids=ascii)
def test_a_duration_has_plain_digits_only(text: str) -> None:
    """One that looks like `8s` and is none is said."""
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


BOMBS = ("(a+)+$", "(a|aa)+$", "(.*a){12}$", "(a?){30}a{30}$", "((a*)*)*b$", r"(\w+\s?)*$")


@pytest.mark.parametrize("pattern", BOMBS)
def test_a_pattern_takes_time_in_proportion_to_the_text(pattern: str) -> None:
    """Eight times the text, about eight times the time: never its square, never without end."""
    quoted = pattern.replace("\\", "\\\\")
    is_met = parse_condition(f"event.text is matching('{quoted}')").compile()

    class Scope:
        def __init__(self, length: int) -> None:
            self.event = {"text": "a" * length + "!"}

    def cost(length: int) -> float:
        scope, best = Scope(length), float("inf")
        for _ in range(3):
            began = time.process_time()
            is_met(scope)  # type: ignore[arg-type]
            best = min(best, time.process_time() - began)
        return best

    assert cost(800_000) <= 32 * cost(100_000) + 0.01
