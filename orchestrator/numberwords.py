"""Numbers in words: which parts of a text are digits, said in English, German, Spanish or French.

Transcripts spell what callers say in many ways: `forty-two`, `fourtytwo`, `vierundzwanzig`,
`treinta y ocho`, `quatre-vingt-dix`, with or without accents, in full-width letters, run together.
A text is therefore read without accents, case and invisible characters, and a run of letters counts
if all of it is number words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Token", "tokens"]


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a text that stands for digits; a word such as `double` for none of its own.

    `scale` is 100 or 1000 for the word of one, and 0 for any other.
    """

    start: int
    end: int
    digits: str
    scale: int = 0


def _numbered(words: str, first: int = 0, step: int = 1) -> dict[str, int]:
    """Words for numbers that follow each other; `/` stands between words for the same one."""
    return {
        word: first + step * index
        for index, same in enumerate(words.split())
        for word in same.split("/")
    }


_UNITS = {
    **_numbered("zero/oh/nought/naught/aught/null/cero one/eins two/zwei/zwo/dos/deux"
                " three/drei/tres/trois"
                " four/vier/cuatro/quatre five/funf/fuenf/cinco/cinq six/sechs/seis"
                " seven/sieben/siete/sept eight/acht/ocho/huit nine/niner/neun/nueve/neuf"),
    "un": 1, "uno": 1, "una": 1, "une": 1,
    # `three sevens`, `tres sietes`, `drei Siebenen`
    **_numbered("zeros/zeroes/ohs/noughts/naughts/aughts/nullen/ceros ones/einsen twos/zweien/doses"
                " threes/dreien/treses fours/vieren/cuatros fives/funfen/cincos"
                " sixes/sechsen/seises sevens/siebenen/sietes eights/achten/ochos"
                " nines/neunen/nueves"),
}  # fmt: skip
_TEENS = {
    **_numbered("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
                " nineteen", 10),
    **_numbered("zehn elf zwolf/zwoelf dreizehn vierzehn funfzehn/fuenfzehn sechzehn siebzehn"
                " achtzehn neunzehn", 10),
    **_numbered("diez once doce trece catorce quince dieciseis diecisiete dieciocho"
                " diecinueve", 10),
    **_numbered("dix onze douze treize quatorze quinze seize dixsept dixhuit dixneuf", 10),
    **_numbered("veintiuno/veintiun/veintiuna veintidos"
                " veintitres veinticuatro veinticinco veintiseis"
                " veintisiete veintiocho veintinueve", 21),
}  # fmt: skip
_TENS = {
    **_numbered("twenty/zwanzig/veinte/vingt/vingts"
                " thirty/dreissig/dreizig/treinta/trente"
                " forty/fourty/vierzig/cuarenta/quarante"
                " fifty/funfzig/fuenfzig/cincuenta/cinquante sixty/sechzig/sesenta/soixante"
                " seventy/siebzig/setenta/septante eighty/achtzig/ochenta/octante/huitante"
                " ninety/neunzig/noventa/nonante", 20, 10),
}  # fmt: skip
#: Hundreds in one word.
_HUNDREDS = {
    word: number * 100
    for number, stem in enumerate(
        ("dosc", "tresc", "cuatroc", "quin", "seisc", "setec", "ochoc", "novec"), 2
    )
    for word in (f"{stem}ientos", f"{stem}ientas")
}
_SCALES = {
    **dict.fromkeys(("hundred", "hundreds", "hundert", "cien", "ciento", "cent", "cents"), 100),
    **dict.fromkeys(("thousand", "thousands", "tausend", "mil", "mille"), 1000),
}
#: Zero as a word of its own; as a part of others it would make numbers of half the language.
_ALONE = "o"
#: `twice` the digits that follow.
_TIMES = {"double": 2, "triple": 3, "treble": 3}
#: What joins two words of one number. `ein` is an article but for `einundzwanzig`, `einhundert`.
_JOINS = frozenset({"und", "y", "et", "and"})
_WORDS: Mapping[str, object] = {
    **_UNITS, **_TEENS, **_TENS, **_HUNDREDS, **_SCALES, **_TIMES, "ein": 1,
    **dict.fromkeys(_JOINS),
}  # fmt: skip
_LONGEST = sorted(_WORDS, key=len, reverse=True)
_BEGINS = re.compile("|".join(_LONGEST))
_RUN = re.compile(r"[^\W\d_]+|\d")
#: What may stand between the words of one number.
_NEAR = re.compile(r"[\s_-]{0,3}")
#: Letters of a run in which every way to take it apart is tried.
_TRIED = 120

#: A word, where it stands in the plain text, and whether it begins a run of letters.
_Word = tuple[str, int, int]


def tokens(text: str) -> Iterator[Token]:
    """The digits of a text and the words for some, in order."""
    plain, places = _plain(text)
    words = [word for run in _RUN.finditer(plain) for word in _split(run[0], run.start())]
    at = 0
    while at < len(words):
        count, digits = _number(words, at, plain)
        start, end = words[at][1], words[at + count - 1][2]
        if digits is not None:
            scale = _SCALES.get(words[at][0], 0)
            yield Token(places[start], places[end - 1] + 1, digits, scale)
        at += count


def _plain(text: str) -> tuple[str, list[int] | range]:
    """The text without accents, case and invisible characters; where each character stood."""
    if text.isascii():
        return text.lower(), range(len(text))
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for part in unicodedata.normalize("NFKD", character).casefold():
            if unicodedata.category(part) not in ("Mn", "Cf"):
                letters.append(part)
                places.append(place)
    return "".join(letters), places


def _split(run: str, start: int) -> list[_Word]:
    """The number words that a run of letters is made of; none if anything else is in it."""
    if run.isdecimal():
        return [(run, start, start + 1)]
    if run == _ALONE:
        return [(run, start, start + 1)]
    if _BEGINS.match(run) is None:
        return []
    ends = _ends(run)
    found: list[_Word] = []
    at = 0
    while at < len(run):
        if at not in ends:
            return []
        found.append((run[at : ends[at]], start + at, start + ends[at]))
        at = ends[at]
    return found


def _ends(run: str) -> dict[int, int]:
    """From where to where a word goes, on the way through the run that uses the longest words."""
    if len(run) > _TRIED:
        ends = {}
        at = 0
        while (found := _BEGINS.match(run, at)) is not None:
            ends[at] = at = found.end()
        return ends
    good: dict[int, int] = {len(run): len(run)}
    for at in range(len(run) - 1, -1, -1):
        for word in _LONGEST:
            if run.startswith(word, at) and at + len(word) in good:
                good[at] = at + len(word)
                break
    return good


def _number(words: list[_Word], at: int, plain: str) -> tuple[int, str | None]:
    """How many words from here are one number, and its digits; None of what is none."""
    word = words[at][0]
    if word.isdecimal():
        return 1, str(int(word))
    if word in _TIMES:
        if not _follows(words, at, plain):
            return 1, ""
        count, digits = _number(words, at + 1, plain)
        return count + 1, (digits or "") * _TIMES[word]
    if word in _SCALES:
        return 1, str(_SCALES[word])[1:]
    if word in _HUNDREDS:
        return 1, str(_HUNDREDS[word])
    if word == _ALONE:
        return 1, "0"
    if word in _TENS:
        return _tens(words, at, plain, _TENS[word], 1)
    if word in _UNITS or word == "ein":
        return _unit(words, at, plain)
    if word == "dix" and (after := _ahead(words, at, plain)) and _UNITS.get(after[0], 0) >= 7:
        return 2, str(10 + _UNITS[after[0]])  # dix-sept
    return 1, str(_TEENS[word]) if word in _TEENS else None


def _unit(words: list[_Word], at: int, plain: str) -> tuple[int, str | None]:
    """A digit, or the beginning of `vierundzwanzig` and `quatre-vingt`."""
    word, after = words[at][0], _ahead(words, at, plain)
    if word == "quatre" and after[:1] in (["vingt"], ["vingts"]):
        return _tens(words, at + 1, plain, 80, 2)
    if after[:1] == ["und"] and len(after) > 1 and after[1] in _TENS:
        return 3, str(_TENS[after[1]] + _UNITS.get(word, 1))
    if word == "ein":
        return 1, "1" if after[:1] and after[0] in _SCALES else None
    return 1, str(_UNITS[word])


def _tens(
    words: list[_Word], at: int, plain: str, number: int, count: int
) -> tuple[int, str | None]:
    """Twenty and more, with the digit that follows; French goes on to nineteen at 60 and 80."""
    after = _ahead(words, at, plain)
    joined = int(bool(after) and after[0] in _JOINS and after[0] != "und")
    after, count = after[joined:], count + joined
    if words[at][0] != "vingts" and after:
        unit = _UNITS.get(after[0], 0)
        if unit:
            return count + 1, str(number + unit)
        if words[at][0] in ("soixante", "vingt") and number in (60, 80) and after[0] in _TEENS:
            more, digits = _number(words, at + joined + 1, plain)  # soixante-dix-sept
            return count + more, str(number + int(digits or 0))
    return count - joined, str(number)


def _ahead(words: list[_Word], at: int, plain: str) -> list[str]:
    """The next words, at most three, as long as they stand close together."""
    found: list[str] = []
    while len(found) < 3 and _follows(words, at, plain):
        at += 1
        found.append(words[at][0])
    return found


def _follows(words: list[_Word], at: int, plain: str) -> bool:
    """Whether the next word stands close to this one."""
    if at + 1 >= len(words):
        return False
    return _NEAR.fullmatch(plain[words[at][2] : words[at + 1][1]]) is not None
