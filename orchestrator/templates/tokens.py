"""A text split into literal parts and `{{ }}`, and an expression split into tokens.

The tokens are Jinja's own, except that `lineno` carries the character offset in the source. So
does then every node that Jinja's parser makes, and every syntax error.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cache
from typing import Any

from jinja2 import Environment, lexer
from jinja2.lexer import Token, operators

from orchestrator.frozen import frozen
from orchestrator.templates.model import MAX_TOKENS, Fault

__all__ = ["Tokens", "jinja", "tokenize"]

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"', "\n": ""}
_PAIRS = {"lparen": "rparen", "lbracket": "rbracket", "lbrace": "rbrace"}
_CLOSING = frozenset(_PAIRS.values())
_MAX_DIGITS = 18

#: Jinja's own rules of an expression, in its order, as one pattern: its lexer tries one by one,
#: which was a fifth of the cost of checking a config.
_TOKEN = re.compile(
    f"(?P<whitespace>{lexer.whitespace_re.pattern})"
    f"|(?P<float>(?ix:{lexer.float_re.pattern}))"
    f"|(?P<integer>(?ix:{lexer.integer_re.pattern}))"
    f"|(?P<name>{lexer.name_re.pattern})"  # type: ignore[attr-defined]  # not in its __all__
    f"|(?P<string>(?s:{lexer.string_re.pattern}))"
    f"|(?P<operator>{lexer.operator_re.pattern})"
)


@cache
def jinja() -> Environment:
    """The one environment; it only ever lexes and parses."""
    return Environment()  # noqa: S701 - nothing is rendered by it


@frozen
class Tokens:
    """The tokens of one expression; `ends` by offset, `closing` the end of each bracket pair."""

    items: tuple[Token, ...]
    ends: dict[int, int]
    closing: dict[int, int]
    end: int

    def after(self, place: int) -> int:
        """The offset of the first token at or after a place, or the end of the expression."""
        index = bisect_left(self.items, place, key=lambda token: token.lineno)
        return self.items[index].lineno if index < len(self.items) else self.end

    def end_of(self, offset: int) -> int:
        """Where the token at this offset ends; for a bracket, where its pair ends."""
        return self.closing.get(offset, self.ends.get(offset, offset))


def tokenize(source: str, start: int, end: int) -> Tokens | Fault:
    """The tokens of `source[start:end]`, or what is wrong with it."""
    # Jinja joins "\r\n" into one character, which would shift every later offset.
    part = source[start:end].replace("\r\n", " \n").replace("\r", "\n")
    found: list[Token] = []
    ends: dict[int, int] = {}
    closing: dict[int, int] = {}
    open_at: list[Token] = []
    offset = start
    try:
        while offset < end:
            match = _TOKEN.match(part, offset - start)
            if match is None:
                return _bad_character(source, offset, end)
            kind, raw = str(match.lastgroup), match[0]
            after = offset + len(raw)
            if kind != "whitespace":
                token = _token(offset, kind, raw)
                found.append(token)
                ends[offset] = after
                if token.type in _PAIRS:
                    open_at.append(token)
                elif token.type in _CLOSING:
                    if not open_at or _PAIRS[open_at[-1].type] != token.type:
                        return _bad_character(source, offset, end)
                    closing[open_at.pop().lineno] = after
                if len(found) > MAX_TOKENS:
                    return _too_long(start, end)
            offset = after
    except _BadToken as bad:
        return Fault("HK301", str(bad), offset, max(1, bad.length), bad.help)
    if open_at:
        last = open_at[-1]
        return Fault("HK301", f"`{last.value}` is never closed", last.lineno, 1)
    return Tokens(tuple(found), ends, closing, end)


class _BadToken(Exception):
    def __init__(self, message: str, length: int, help: str | None = None) -> None:
        super().__init__(message)
        self.length = length
        self.help = help


def _token(offset: int, kind: str, raw: str) -> Token:
    value: Any = raw
    if kind == "operator":
        return Token(offset, operators[raw], raw)
    if kind == "string":
        value = _ESCAPE.sub(_unescape, raw[1:-1])
    elif kind == "integer":
        if len(raw) > _MAX_DIGITS:
            raise _BadToken(f"a number of more than {_MAX_DIGITS} digits", len(raw), _QUOTE_IT)
        value = int(raw.replace("_", ""), 0)
    elif kind == "float":
        value = float(raw.replace("_", ""))
        if value in (float("inf"), float("-inf")):
            raise _BadToken("a number that is too large", len(raw))
    elif kind == "name" and not raw.isidentifier():
        raise _BadToken(f"{raw!r} is no name and no number", len(raw), _QUOTE_IT)
    return Token(offset, kind, value)


_QUOTE_IT = "put text in quotes"


def _unescape(match: re.Match[str]) -> str:
    digits = match[1] or match[2]
    if digits:
        letter = chr(int(digits, 16))
        return "\ufffd" if "\ud800" <= letter <= "\udfff" else letter
    # Any other backslash stays, so that '\d' and '\b' in a pattern mean what they say.
    return _LETTERS.get(match[3], match[0])


def _too_long(start: int, end: int) -> Fault:
    words = f"an expression of more than {MAX_TOKENS} words and signs"
    return Fault("HK312", words, start, end - start, "save a part with `set` in a step before")


def _bad_character(source: str, offset: int, end: int) -> Fault:
    rest = source[offset:end]
    for sign, word in (("&&", "and"), ("&", "and"), ("!", "not")):
        if rest.startswith(sign):
            return Fault("HK305", f"`{sign}` is not an operator here", offset, len(sign),
                         f"write `{word}`")  # fmt: skip
    if rest.startswith("${"):
        return Fault("HK313", "a variable of the environment inside a template", offset, 2,
                     "write `${NAME}` outside of the braces, or in `vars`")  # fmt: skip
    if rest[:1] in ("'", '"'):
        return Fault("HK301", "a text without its closing quote", offset, len(rest))
    if rest[:1] in (")", "]", "}"):
        return Fault("HK301", f"`{rest[:1]}` closes nothing that is open here", offset, 1)
    what = f"unexpected character {rest[:1]!r}" if rest else "the expression ends too early"
    return Fault("HK301", what, offset, 1, "curly quotes must be straight ones"
                 if rest[:1] in ("\u201c", "\u201d", "\u2018", "\u2019") else None)  # fmt: skip
