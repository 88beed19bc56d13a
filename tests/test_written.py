"""Texts inside of others: secrets known again whoever wrote them, and what a terminal is shown."""

from __future__ import annotations

import base64
import html
import json
import time
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from orchestrator.journal import Redactor
from orchestrator.review.story import tell
from orchestrator.written import printable
from tests.cli import run_cli

SECRET = "Kä/7+x&\"y'=<z> \U0001f600w~"


def _lower(text: str) -> str:
    """With the letters of escapes in small ones, as some write them."""
    return quote(text, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%C3", "%c3")


FORMS = {
    "as it is": SECRET,
    "a URL": quote(SECRET, safe=""),
    "a URL of .NET": _lower(SECRET),
    "a URL of JavaScript": quote(SECRET, safe="~()*!'"),
    "a URL in a URL": quote(quote(SECRET, safe=""), safe=""),
    "a form": quote_plus(SECRET),
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON of Go": json.dumps(SECRET).replace("&", "\\u0026").replace("<", "\\u003c")[1:-1],
    "JSON of .NET": json.dumps(SECRET).replace("\\u00e4", "\\u00E4").replace("+", "\\u002B")[1:-1],
    "JSON of PHP": json.dumps(SECRET).replace("/", "\\/")[1:-1],
    "JSON in JSON": json.dumps(json.dumps(SECRET)[1:-1])[1:-1],
    "HTML": html.escape(SECRET),
    "HTML of Go": html.escape(SECRET).replace("+", "&#43;").replace("&quot;", "&#34;"),
    "XML": html.escape(SECRET).replace("&#x27;", "&apos;"),
    "HTML in HTML": html.escape(html.escape(SECRET)),
    "a URL in HTML": html.escape(quote(SECRET, safe="&'")),
    "Python": repr(SECRET)[1:-1],
    "bytes of Python": repr(SECRET.encode())[2:-1],
    "hex": SECRET.encode().hex(),
    "HEX": SECRET.encode().hex().upper(),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 of URLs": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_known_whoever_wrote_it(form: str) -> None:
    """One mask, and what stands around it is left."""
    told = str(Redactor((SECRET,)).secret(f"before {FORMS[form]} after"))
    assert told.replace("=", "").replace("\U0001f600", "") == "before *** after"


@pytest.mark.parametrize("user", ["", "a:", "ab:", "abc:", "someone else:"])
def test_a_secret_behind_a_name_in_base64_is_known(user: str) -> None:
    """As in an `Authorization: Basic` that comes back; at most one letter of it is left."""
    whole = base64.b64encode(f"{user}{SECRET}".encode()).decode()
    told = str(Redactor((SECRET,)).secret(whole))
    assert "***" in told
    assert len(told.replace("***", "")) <= len(base64.b64encode(user.encode())) + 4


@pytest.mark.parametrize("secret", [
    "/services/T00/B00", "-----BEGIN\nabc", "\\\\\\pw", "\\a\\b", "$a$b", "&&&&&&&&", "%%%%%%%%", "    x",
])  # fmt: skip
def test_a_hostile_text_is_looked_through_in_a_time_that_grows_with_it(secret: str) -> None:
    """No repetition without a bound: a quadratic one took minutes of what takes a tenth here."""
    redactor, began = Redactor((secret,)), time.process_time()
    for piece in ("\\", "%25", "&amp;", "&#0000000", "/", " +", "\\u00", "&", "\\\\'\""):
        redactor.secret(piece * (100_000 // len(piece)))
    assert time.process_time() - began < 10


def test_other_texts_stay_as_they_are() -> None:
    """A pattern for all forms must not fit what is no secret."""
    redactor = Redactor((SECRET, "1234", "a b", "x"))
    for text in ("a+c", "12 34", "K/7", "hello", "&amp;", "%20"):
        assert redactor.secret(text) == text


@pytest.mark.parametrize(("text", "shown"), [
    ("plain, with \u00e4 and \u00a0", "plain, with \u00e4 and \u00a0"),
    ("\x1b[2J\x07", "\\x1b[2J\\x07"),
    ("a\n    1.0  hook 'x' runs", "a\\n    1.0  hook 'x' runs"),
    ("\u202e \u2028 \x9b \r", "\\u202e \\u2028 \\x9b \\r"),
])  # fmt: skip
def test_what_people_said_makes_no_line_and_steers_no_terminal(text: str, shown: str) -> None:
    """In the timeline of a call, where an auditor reads it."""
    assert printable(text) == shown
    line = {"t": 1.0, "event": "user_turn", "text": text}
    assert list(tell([line])) == [f"    1.000  caller: {shown}"]
    call = {"call": {"id": "c", "user_number": text}}
    assert list(tell([call])) == [f"call c \u00b7 inbound from {shown}"]


def test_a_journal_under_redact_with_a_key_is_shown_and_not_played(tmp_path: Path) -> None:
    """What ran and why can be read, though the key itself is masked."""
    (tmp_path / "x.yaml").write_text(
        "version: 1\nprivacy: redact\nsession:\n"
        "  dtmf: [{log: key}]\n  error: [{log: 'went wrong'}]\n"
    )
    (tmp_path / "c.jsonl").write_text(
        '{"t": 1, "dtmf": "5"}\n'
        '{"t": 2, "event": "error", "code": "tts Xylophone", "message": "m", "severity": "warn", "source": "tts-1"}\n'
        '{"t": 3, "hangup": "x"}\n'
    )
    run_cli(
        "run", tmp_path / "x.yaml", "--call", tmp_path / "c.jsonl", "--journal-dir", tmp_path / "j"
    )
    ran = run_cli("journal", "show", tmp_path / "j" / "c.jsonl")
    assert ran.code == 0
    assert "Xylophone" not in ran.out
    assert 'source="tts-1"' in ran.out
    ran = run_cli("journal", "to-test", tmp_path / "j" / "c.jsonl")
    assert "was recorded under `privacy: redact`" in ran.err
