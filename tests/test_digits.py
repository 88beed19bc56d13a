"""Digits that a caller gives while the recording is paused are written nowhere, then or later."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.digits import digits_in, hide_digits, hide_heard
from orchestrator.replay import play
from orchestrator.runtimes.script_bridge import PlayOptions
from tests.kit import lines, make_plan, run, script
from tests.test_hostile_events import logged

CARD = "4242424242421234"
TEXT = """
session:
  agent_turn: [{recording: {pause: card, max: 60s}}]
  dtmf:
    - set: {card: "{{ (data.card | default('')) ~ event.digit }}"}
  tool_call:
    - name: number
      do:
        - set: {num: "{{ event.args.n }}"}
        - emit: {event: custom.number, fields: {num: "{{ data.num }}"}}
        - log: {message: number, fields: {num: "{{ data.num }}"}}
  user_turn:
    - set: {spoken: "{{ event.text }}"}
  custom.number: [{set: {again: "{{ event.num }}"}}]
  interruption:
    - recording: resume
    - log: {message: "{{ data.card | default('-') }}", fields: {num: "{{ data.num | default(0) }}"}}
    - set: {shown: "{{ data.num | default(0) }}", words: "{{ data.spoken | default('-') }}"}
    - say: "You gave {{ data.card | default('-') }}."
  call_end: [{log: {message: all, fields: {turns: "{{ call.transcript }}"}}}]
"""


def written(*given_: dict[str, object], privacy: str = "open") -> str:
    """Journal and log of a call that gives something in the pause, and all of it again later."""
    events = [{"t": 1, "agent_turn": "Your number?"}, *given_, {"t": 50, "event": "interruption"},
              {"t": 51, "user_turn": "It was order 7788."}, {"t": 52, "hangup": ""}]  # fmt: skip
    with logged() as found:
        played = run(f"privacy: {privacy}\n{TEXT}", events)
    assert not lines(played, status="failed")
    return "\n".join([json.dumps(played.lines), *found["text"], *found["json"]])


@pytest.mark.parametrize("privacy", ["open", "redact"])
def test_keys_that_were_put_together_stay_hidden(privacy: str) -> None:
    """In `data`, in a log line and in what is said after the pause."""
    keys = [{"t": 2 + n, "dtmf": digit} for n, digit in enumerate(CARD)]
    found = written(*keys, privacy=privacy)
    assert not any(CARD[at : at + 3] in found for at in range(len(CARD) - 2))


def test_a_pause_that_is_refused_hides_digits_all_the_same() -> None:
    """The caller may give them anyway; after its time what comes is shown, they are not."""
    events = [{"t": 1, "agent_turn": "Your number?"}, {"t": 2, "user_turn": f"it is {CARD}"},
              {"t": 70, "user_turn": f"{CARD}, and my order is 7788"},
              {"t": 71, "hangup": ""}]  # fmt: skip
    played = play(
        make_plan(TEXT), script(events), options=PlayOptions(refuses=frozenset({"recording"}))
    )
    assert lines(played, step="recording", status="failed")
    text = json.dumps(played.lines)
    assert not any(CARD[at : at + 3] in text for at in range(len(CARD) - 2))
    assert "order is 7788" in text


@pytest.mark.parametrize("privacy", ["open", "redact"])
def test_numbers_are_digits_too(privacy: str) -> None:
    """Of a step, an act, an event and a log record; during the pause and after it."""
    call = {"t": 2, "event": "tool_call", "name": "pay", "args": {"n": int(CARD)}}
    assert CARD not in written(call, privacy=privacy)


def test_digits_in_words_are_digits() -> None:
    """A transcript may spell them."""
    found = written({"t": 2, "user_turn": "four two four two, one double three oh"})
    assert "four" not in found
    assert "three" not in found


def test_what_has_nothing_to_do_with_it_stays_readable() -> None:
    """An order number that is said later."""
    assert "It was order 7788." in written({"t": 2, "user_turn": "4242 4242"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [("4242-4242", "****-****"), ("call 4242 now", "call **** now"), ("in 42 days", "in 42 days"),
     ("42", "**"), ("x 999 y", "x 999 y"), ("four two four two", "* * * *"),
     ("\u0664\u0662\u0664\u0662", "****")],
)  # fmt: skip
def test_what_was_heard_is_hidden_in_any_form(text: str, shown: str) -> None:
    """Three digits in a row that were heard, or a text that is nothing else."""
    assert hide_heard(text, "4242" * 4) == shown


@pytest.mark.parametrize("words", ["four two", "vier zwei", "cuatro dos", "quatre deux"])
def test_words_of_some_languages_are_known(words: str) -> None:
    """English, German, Spanish, French."""
    assert digits_in(words) == "42"
    assert hide_digits(words) == "* *"


@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("vierundzwanzig zweiunddreißig siebenundachtzig", "243287"),
        ("vier und zwanzig, zwei und dreissig", "2432"), ("einundzwanzig", "21"),
        ("zehn elf zwölf zwanzig dreißig", "1011122030"), ("zwoelf fünfzehn fuenfzig", "121550"),
        ("quarante-deux soixante-dix-sept vingt-trois", "427723"),
        ("quatre-vingt-dix-neuf quatre-vingts quatre-vingt-deux", "998082"),
        ("soixante et onze, vingt et un, soixante-douze", "712172"),
        ("vingt trente quarante cinquante", "20304050"), ("dix-huit dix neuf dix", "181910"),
        ("veintitrés cuarenta y cinco treinta y ocho", "234538"), ("veintitres dieciséis", "2316"),
        ("fourtyseven twentythree fourty-two FOURTWO fournine", "4723424249"),
        ("four_one \uff46\uff4f\uff55\uff52 onetwothree _5_ fo\u200bur", "41412354"),
        ("twenty thirty", "2030"), ("twenty-two double seven triple oh", "2277000"),
        ("four hundred, nineteen oh five", "4001905"), ("ninety and nine", "99"),
        ("\u00b2\u00b3 \uff14\uff11 \u0664\u0661 \u2460", "2341411"), ("cien mil", "00000"),
    ],
)  # fmt: skip
def test_numbers_in_words_are_read(words: str, digits: str) -> None:
    """Tens, teens and compounds of four languages, spelt together or apart, with accents or not."""
    assert digits_in(words).split(" ")[0] == digits
    hidden = hide_digits(words)
    assert not [w for w in re.findall(r"[^\W\d_]{2,}", hidden) if w not in ("und", "et", "and")]
    assert digits_in(hide_heard(words, digits)) == ""


HUNDREDS = [
    ("vierhundertzwölf", "40012", "412"), ("vierhundertundzwölf", "40012", "412"),
    ("vier hundert zwoelf", "40012", "412"), ("hunderteinundzwanzig", "0021", "121"),
    ("achtzehnhundertvierzig", "180040", "1840"), ("einhundertfünf", "1005", "105"),
    ("four hundred and twelve", "40012", "412"), ("a hundred and five", "005", "105"),
    ("FOURHUNDREDTWELVE", "40012", "412"), ("nineteen hundred eighty-four", "190084", "1984"),
    ("two thousand four hundred and twelve", "200040012", "2412"),
    ("4 hundred 12", "40012", "412"), ("12 hundred 34", "120034", "1234"),
    ("quatre cent douze", "40012", "412"), ("cent quatre-vingt-dix-sept", "0097", "197"),
    ("mille neuf cent", "000900", "1900"), ("deux cents trois", "2003", "203"),
    ("quinientos veintitrés", "50023", "523"), ("cuatrocientas doce", "40012", "412"),
    ("setecientos treinta y ocho", "70038", "738"), ("ciento uno", "001", "101"),
    ("dos mil doscientos dos", "20002002", "2202"), ("novecientosonce", "90011", "911"),
    ("four hundred twelve, two hundred seven", "400122007", "412207"),
]  # fmt: skip


@pytest.mark.parametrize(("spoken", "said", "meant"), HUNDREDS)
def test_hundreds_are_hidden_as_they_were_said_and_as_what_they_mean(
    spoken: str, said: str, meant: str
) -> None:
    """Whoever says 412 so may read it back as either, and what is in keys may be said so."""
    heard = digits_in(spoken)
    for digits in (said, meant):
        assert hide_heard(f"PIN {digits}.", heard) == f"PIN {'*' * len(digits)}."
        assert digits_in(hide_heard(f"so {spoken} now", digits)) == ""
    assert digits_in(hide_digits(spoken)) == ""
    assert hide_heard(f"{spoken} then", heard) == f"{hide_heard(spoken, heard)} then"


def test_what_comes_before_and_after_a_hundred_goes_on_with_its_digits() -> None:
    """Keys one by one, then words, then keys."""
    heard = digits_in("7") + digits_in("four hundred twelve") + digits_in("9")
    assert hide_heard("so 7400129", heard) == "so *******"


@pytest.mark.parametrize(
    ("spoken", "digits"),
    [("four o two", "402"), ("four naught two", "402"), ("aught 7 o", "070"), ("O four", "04"),
     ("three sevens, two eights", "3728"), ("ones zeroes", "10"), ("drei Siebenen", "37"),
     ("tres sietes ceros", "370"), ("treinta y una veintiuna", "3121")],
)  # fmt: skip
def test_zeros_and_plurals_are_digits(spoken: str, digits: str) -> None:
    """Other words for nought, and words in the plural."""
    assert digits_in(spoken) == digits
    assert digits_in(hide_digits(spoken)) == ""


def test_what_has_a_row_of_heard_digits_beside_a_hundred_keeps_the_rest() -> None:
    """A number that was not heard stays, next to one that was."""
    assert hide_heard("42429999", "4242") == "****9999"
    assert hide_heard("order 7788, four hundred and twelve", "412") == "order 7788, * * and *"


def test_what_was_said_in_words_is_hidden_as_digits_and_the_other_way_round() -> None:
    """A number that is read back in another form is the same number."""
    heard = digits_in("vierundzwanzig zweiunddreißig siebenundachtzig")
    assert hide_heard("ending in 2432 87, is it 24 32 87?", heard) == (
        "ending in **** **, is it ** ** **?"
    )
    assert hide_heard("87 32 24", heard) == "** ** **"
    assert hide_heard("on 32 days, in 24 hours", heard) == "on 32 days, in 24 hours"
    assert hide_heard("zwei vier drei zwei", heard) == "* * * *"
    assert hide_heard("zwei fünf drei zwei", heard) == "zwei fünf drei zwei"


@pytest.mark.parametrize(
    "text",
    ["someone phoned the tenant often", "der Verein hat einen Stein", "eine Achse und ein Auto",
     "the weight of his heightened senses", "el universo entero y una", "tooth footer, the onesie of Otto", "cientos, Achtung, sevenths", "Unterseite, Elfen, dosis"],
)  # fmt: skip
def test_words_that_hold_such_letters_stay(text: str) -> None:
    """Only whole runs of number words count."""
    assert hide_digits(text).replace("*", "una") == text


def test_a_megabyte_of_number_words_takes_its_time_in_proportion() -> None:
    """No run of letters can be taken apart in so many ways that it stalls."""

    def cost(text: str) -> float:
        began = time.process_time()
        hide_digits(text)
        return time.process_time() - began

    for unit in ("achtzehn", "one", "seventeen", "quatrevingt", "achtzehn "):
        small, large = unit * 2_000 + "x", unit * 20_000 + "x"
        assert min(cost(large) for _ in range(2)) < 40 * min(cost(small) for _ in range(3)) + 0.01


@given(st.text())
def test_no_digit_is_left(text: str) -> None:
    """Of whatever script."""
    assert not any(c.isdigit() for c in hide_digits(text))
    hide_heard(text, digits_in(text))
