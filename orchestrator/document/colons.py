"""Syntax errors around colons: one in text, one without a space, one without a key, or none."""

from __future__ import annotations

import re

from orchestrator.document.findings import curly, glued_pair, quoting_fix
from orchestrator.document.indents import wrong_indent
from orchestrator.document.scalars import CURLY, missing_space
from orchestrator.document.scene import COMMENT, Lines, at, character_of, line_of
from orchestrator.document.tree import Failure, Finding, Span

__all__ = ["bare_colon", "colon", "glued_line", "no_colon"]

_KEY_AND_VALUE = re.compile(r"""\s*(?:- +)*(?:"[^"]*"|'[^']*'|[^\s'"#{\[][^:]*): +(\S.*)""")
_GLUED_LINE = re.compile(r"""(\s*(?:- +)*)([A-Za-z_][\w.-]*):([\[{"'].*)""")
_WORD = re.compile(r"[A-Za-z_][\w.-]*")
_MAX_KEY = 1024  # the limit of YAML itself


def bare_colon(failure: Failure, lines: Lines) -> Finding | None:
    """A colon at the start of a line, or behind a key that is too long to be one."""
    if character_of(failure, lines) != ":":
        return None
    place = at(failure.line, failure.column)
    if not line_of(lines, failure.line)[: failure.column].strip(" -"):
        return Finding("HK011", "no key stands before this colon", place, "write `key: value`")
    if failure.column > _MAX_KEY:
        return Finding("HK001", f"a key of more than {_MAX_KEY} characters", place, "shorten it")
    return None


def colon(failure: Failure, lines: Lines) -> Finding | None:
    """A colon with a space where no key can be: in text, under a value, or behind `key:value`."""
    line, column = line_of(lines, failure.line), failure.column
    if character_of(failure, lines) != ":":
        return None
    if "flow" in failure.problem:
        is_same_line = failure.last is not None and failure.last.line == failure.line
        return _colon_in_text(failure.line, column, None) if is_same_line else None
    if "mapping values" not in failure.problem:
        return None
    match = _KEY_AND_VALUE.match(line[:column])
    if match is not None:
        start = match.start(1)
        value = COMMENT.sub("", line[start:]).rstrip()
        if value[0] in CURLY and value[-1] in CURLY[value[0]]:
            return curly(value, at(failure.line, start, len(value)))._replace(severity="error")
        return _colon_in_text(failure.line, column, quoting_fix(failure.line, start, value))
    return _glued_above(failure, lines) or wrong_indent(failure, lines)


def _colon_in_text(line: int, column: int, fix: tuple[Span, str] | None) -> Finding:
    message = "text without quotes cannot have a colon and a space"
    help_ = "put the whole value in quotes"
    return Finding("HK008", message, at(line, column), help_, fix=fix)


def _glued_above(failure: Failure, lines: Lines) -> Finding | None:
    """`key:value` on a line that was taken as the start of a longer text."""
    if failure.last is None or failure.last.style:
        return None
    for number in range(failure.last.line, failure.line):
        line = line_of(lines, number)
        start = len(line) - len(line.lstrip(" "))
        start = failure.last.column if number == failure.last.line else start
        if pair := missing_space(COMMENT.sub("", line[start:])):
            return glued_pair(pair, at(number, start, len(pair[0])))
    return None


def no_colon(failure: Failure, lines: Lines) -> Finding | None:
    """A word on a line of its own where a key belongs."""
    if "expected ':'" not in failure.problem or failure.context is None:
        return None
    number, column = failure.context
    text = COMMENT.sub("", line_of(lines, number)[column:]).rstrip()
    if pair := missing_space(text):
        return glued_pair(pair, at(number, column, len(pair[0])))
    place = at(number, column, max(len(text), 1))
    if _WORD.fullmatch(text) and _holds_lines(lines, number, column):
        fix = (place, f"{text}:")
        return Finding("HK011", f"`{text}` has no colon", place, f"write `{text}:`", fix=fix)
    if failure.last and failure.last.style in ("|", ">") and failure.last.end_line == number:
        message, help_ = "this line is not part of the text block above", "indent the text"
        return Finding("HK006", message, place, help_)
    message = "this line is neither `key: value` nor a list item"
    help_ = "write `key: value`, or `- ` before a list item"
    return Finding("HK011", message, place, help_)


def _holds_lines(lines: Lines, number: int, column: int) -> bool:
    """Whether the line below one is further in, or the first item of a list: it is under a key."""
    written = [line for line in lines[number + 1 :] if line.split("#")[0].strip()]
    inner = _indent(written[0]) if written else -1
    return inner > column or (inner == column and written[0][column:].startswith("- ")
                              and not _is_in_list(lines[:number], column))  # fmt: skip


def _is_in_list(above: Lines, column: int) -> bool:
    """Whether the lines above are items of a list at this column."""
    near = next((line for line in reversed(above) if line.strip() and _indent(line) <= column), "")
    return _indent(near) == column and near[column:].startswith("- ")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def glued_line(failure: Failure, lines: Lines) -> Finding | None:
    """A bracket or quote right behind the colon of a key: `json:{...}` is read as a longer key."""
    match = _GLUED_LINE.match(line_of(lines, failure.line))
    if match is None:
        return None
    place = at(failure.line, match.end(1), len(match[2]))
    return glued_pair((match[2], match[3]), place)
