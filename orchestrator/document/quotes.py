"""Syntax errors of values: quotes, escapes, templates and characters that YAML keeps for itself."""

from __future__ import annotations

import re

from orchestrator.document.findings import quoting_fix, unquoted_template
from orchestrator.document.scene import COMMENT, Lines, at, character_of, line_of, opening_of
from orchestrator.document.tree import Failure, Finding

__all__ = ["escape", "reserved", "template", "text_after_quote", "unclosed_quote"]

_TEMPLATE = re.compile(r"(?:(?<=[:\-,\[{]\s)|(?<=\[)|^)\s*\{\{")
_RESERVED = {
    "@": "`@` cannot start a value",
    "`": "a backtick cannot start a value",
    "%": "`%` cannot start a value",
    "*": "`*` starts an alias, and no name follows",
    "&": "`&` starts an anchor, and no name follows",
    "!": "`!` starts a tag",
    "|": "`|` starts a block of lines, so no text can follow it on this line",
    ">": "`>` starts a block of lines, so no text can follow it on this line",
    ",": "`,` cannot start a value",
    "?": "`?` starts a key",
}


def template(failure: Failure, lines: Lines) -> Finding | None:
    """A template without quotes on the line of the error, or where the bracket opened."""
    context = failure.context[0] if failure.context else failure.line
    for number in dict.fromkeys((failure.line, context)):
        line = line_of(lines, number)
        limit = failure.column + 2 if number == failure.line else len(line)
        match = _TEMPLATE.search(line, 0, limit)
        if match is not None:
            return unquoted_template(lines, number, match.end() - 2)[0]
    if line_of(lines, failure.line)[failure.column - 1 : failure.column + 1] == "{%":
        help_ = "only `{{ ... }}` can be used, and the whole value in quotes"
        place = at(failure.line, failure.column - 1, 2)
        return Finding("HK009", "`{%` cannot start a value", place, help_)
    return None


def unclosed_quote(failure: Failure, lines: Lines) -> Finding | None:
    """Quoted text that runs to the end of the file, or to a quote that opens another text."""
    help_ = "close the quote where the text ends, on this line"
    message = "this quote is never closed"
    if "quoted scalar" in failure.problem and "unexpected" in failure.problem and failure.context:
        return Finding("HK010", message, at(*failure.context), help_)
    last = failure.last
    if last and _follows_quote(failure, lines) and last.line < last.end_line:
        message = f"this quote is not closed before line {last.end_line + 1}"
        return Finding("HK010", message, at(last.line, last.column), help_)
    return None


def text_after_quote(failure: Failure, lines: Lines) -> Finding | None:
    """Text behind a closing quote; often that quote was meant to be part of the text."""
    if not _follows_quote(failure, lines) or failure.last is None:
        return None
    style, end = failure.last.style, failure.last.end_column
    message = "text follows the closing quote"
    help_ = "put the whole value in one pair of quotes"
    if "{{" in failure.last_value and "}}" not in failure.last_value:
        message = "this quote ends the text inside of a template"
        help_ = f"use {'single' if style == chr(34) else 'double'} quotes inside of the template"
    elif style == "'" and failure.column == end and character_of(failure, lines).isalnum():
        message = "this apostrophe ends the text"
        help_ = "write it twice, or put the text in double quotes"
    return Finding("HK028", message, at(failure.line, end - 1), help_)


def _follows_quote(failure: Failure, lines: Lines) -> bool:
    """Whether the parser stumbled over text right behind a quoted text, on the same line."""
    last = failure.last
    if last is None or last.style not in ("'", '"') or last.end_line != failure.line:
        return False
    between = line_of(lines, failure.line)[last.end_column : failure.column]
    return not between.strip() and character_of(failure, lines) not in ("", ",", "]", "}", "#")


def escape(failure: Failure, lines: Lines) -> Finding | None:
    """A backslash that starts no escape."""
    is_escape = re.search("escape|hexdecimal|hexadecimal", failure.problem)
    if is_escape is None or opening_of(failure, lines) != '"':
        return None
    column = line_of(lines, failure.line).rfind("\\", 0, failure.column + 1)
    shown = line_of(lines, failure.line)[column : column + 2]
    help_ = "double the backslash, or use single quotes"
    if shown in ("\\u", "\\x", "\\U"):
        help_ = "write the character itself, or all its hexadecimal digits"
    message = f"`{shown}` is not an escape that YAML knows"
    return Finding("HK029", message, at(failure.line, max(column, 0), 2), help_)


def reserved(failure: Failure, lines: Lines) -> Finding | None:
    """A first character that means something to YAML."""
    place = (failure.line, failure.column)
    scanning = re.search("scanning an? (alias|anchor|tag|block scalar|directive)", failure.problem)
    if failure.context is not None and scanning:
        place = failure.context
    elif not re.search("cannot start|node content|keys are not allowed", failure.problem):
        return None
    line = line_of(lines, place[0])
    character = line[place[1] : place[1] + 1]
    if character not in _RESERVED:
        return None
    value = COMMENT.sub("", line[place[1] :]).rstrip()
    in_flow = "{" in line[: place[1]] or "[" in line[: place[1]]
    fix = quoting_fix(*place, value) if place[1] and not in_flow else None
    help_ = f"put the value in quotes: `{fix[1]}`" if fix else "put the value in quotes"
    return Finding("HK009", _RESERVED[character], at(*place), help_, fix=fix)
