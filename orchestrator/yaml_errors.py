"""Syntax errors in our words, at the place where the mistake is.

A parser reports where it could not go on, which is often lines behind the mistake, in terms of its
own grammar. The checks here look at the text around that place, the likeliest mistake first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from orchestrator.yaml_findings import (
    curly,
    glued_pair,
    odd_space,
    quoting_fix,
    unquoted_template,
)
from orchestrator.yaml_indents import wrong_indent
from orchestrator.yaml_scalars import CURLY, missing_space
from orchestrator.yaml_text import ODD_SPACE, tab_finding
from orchestrator.yaml_tree import Failure, Finding, Span, Tree

__all__ = ["diagnose", "not_a_mapping"]

_Lines = Sequence[str]

_TEMPLATE = re.compile(r"(?:(?<=[:\-,\[{]\s)|(?<=\[)|^)\s*\{\{")
_KEY_AND_VALUE = re.compile(r"""\s*(?:- +)*(?:"[^"]*"|'[^']*'|[^\s'"#{\[][^:]*): +(\S.*)""")
_COMMENT = re.compile(r"\s+#.*")
_GLUED_LINE = re.compile(r"""(\s*(?:- +)*)([A-Za-z_][\w.-]*):([\[{"'].*)""")
_MAX_KEY = 1024  # the limit of YAML itself
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


def diagnose(failure: Failure, lines: _Lines) -> Finding:
    """The one finding about a syntax error."""
    for check in _CHECKS:
        finding = check(failure, lines)
        if finding is not None:
            return finding
    line = min(failure.line, len(lines) - 1)
    if match := _GLUED_LINE.match(lines[line]):
        return glued_pair((match[2], match[3]), _at(line, match.end(1), len(match[2])))
    if lines[line][: failure.column].rstrip()[-1:] in ("]", "}") and failure.column:
        message, help_ = "text follows the closing bracket", "put the whole value in quotes"
        return Finding("HK028", message, _at(line, failure.column), help_)
    character = lines[line][failure.column : failure.column + 1]
    message = f"{character!r} does not fit here" if character else "something is missing here"
    help_ = "check this line and the one above for a missing comma, colon or quote"
    return Finding("HK001", message, _at(line, failure.column), help_)


def not_a_mapping(tree: Tree) -> Finding:
    """The finding about a file that is empty, or a list, or plain text."""
    if tree.span is None or (tree.root is None and tree.span[:2] == tree.span[2:4]):
        help_ = "start with `version: 1`; `orchestrator init` writes an example"
        return Finding("HK024", "the file is empty", Span(0, 0, 0, 0), help_)
    pair = missing_space(tree.root)
    if pair is not None and not tree.span.style:
        return glued_pair(pair, tree.span)
    kind = "a list" if isinstance(tree.root, list) else "a single value"
    message = f"the top level is {kind}, not a mapping"
    return Finding("HK025", message, tree.span, "start with `version: 1`, then `session:`")


def _at(line: int, column: int, length: int = 1) -> Span:
    return Span(line, column, line, column + length)


def _line(lines: _Lines, number: int) -> str:
    return lines[number] if 0 <= number < len(lines) else ""


def _character(failure: Failure, lines: _Lines) -> str:
    """The character the parser stumbled over; nothing at the end of a line or of the file."""
    return _line(lines, failure.line)[failure.column : failure.column + 1]


def _opening(failure: Failure, lines: _Lines) -> str:
    """The first character of what the parser was reading."""
    if failure.context is None:
        return ""
    line, column = failure.context
    return _line(lines, line)[column : column + 1]


def _tab(failure: Failure, lines: _Lines) -> Finding | None:
    """A tab where spaces indent."""
    line = _line(lines, failure.line)
    indent = line[: len(line) - len(line.lstrip(" \t"))]
    if "\t" in indent:
        return tab_finding(failure.line, indent.index("\t"))
    if _character(failure, lines) == "\t":
        message = "a tab separates these, where a space belongs"
        place = _at(failure.line, failure.column)
        return Finding("HK005", message, place, "use spaces", fix=(place, " "))
    return None


def _odd_indent(failure: Failure, lines: _Lines) -> Finding | None:
    """A no-break space that should indent or separate, here or on the line above."""
    for number in (failure.line, failure.line - 1):
        line = _line(lines, number)
        for match in ODD_SPACE.finditer(line):
            before = line[: match.start()]
            if not before.strip(" -") or before.endswith(":"):
                return odd_space(match[0][0], number, match.start(), len(match[0]))
    return None


def _unclosed_quote(failure: Failure, lines: _Lines) -> Finding | None:
    """Quoted text that runs to the end of the file, or to a quote that opens another text."""
    help_ = "close the quote where the text ends, on this line"
    message = "this quote is never closed"
    if "quoted scalar" in failure.problem and "unexpected" in failure.problem and failure.context:
        return Finding("HK010", message, _at(*failure.context), help_)
    last = failure.last
    if last and _follows_quote(failure, lines) and last.line < last.end_line:
        message = f"this quote is not closed before line {last.end_line + 1}"
        return Finding("HK010", message, _at(last.line, last.column), help_)
    return None


def _escape(failure: Failure, lines: _Lines) -> Finding | None:
    """A backslash that starts no escape."""
    is_escape = re.search("escape|hexdecimal|hexadecimal", failure.problem)
    if is_escape is None or _opening(failure, lines) != '"':
        return None
    column = _line(lines, failure.line).rfind("\\", 0, failure.column + 1)
    shown = _line(lines, failure.line)[column : column + 2]
    help_ = "double the backslash, or use single quotes"
    if shown in ("\\u", "\\x", "\\U"):
        help_ = "write the character itself, or all its hexadecimal digits"
    message = f"`{shown}` is not an escape that YAML knows"
    return Finding("HK029", message, _at(failure.line, max(column, 0), 2), help_)


def _follows_quote(failure: Failure, lines: _Lines) -> bool:
    """Whether the parser stumbled over text right behind a quoted text, on the same line."""
    last = failure.last
    if last is None or last.style not in ("'", '"') or last.end_line != failure.line:
        return False
    between = _line(lines, failure.line)[last.end_column : failure.column]
    return not between.strip() and _character(failure, lines) not in ("", ",", "]", "}", "#")


def _text_after_quote(failure: Failure, lines: _Lines) -> Finding | None:
    """Text behind a closing quote; often that quote was meant to be part of the text."""
    if not _follows_quote(failure, lines) or failure.last is None:
        return None
    style, end = failure.last.style, failure.last.end_column
    message = "text follows the closing quote"
    help_ = "put the whole value in one pair of quotes"
    if "{{" in failure.last_value and "}}" not in failure.last_value:
        message = "this quote ends the text inside of a template"
        help_ = f"use {'single' if style == chr(34) else 'double'} quotes inside of the template"
    elif style == "'" and failure.column == end and _character(failure, lines).isalnum():
        message = "this apostrophe ends the text"
        help_ = "write it twice, or put the text in double quotes"
    return Finding("HK028", message, _at(failure.line, end - 1), help_)


def _template(failure: Failure, lines: _Lines) -> Finding | None:
    """A template without quotes on the line of the error, or where the bracket opened."""
    context = failure.context[0] if failure.context else failure.line
    for number in dict.fromkeys((failure.line, context)):
        line = _line(lines, number)
        limit = failure.column + 2 if number == failure.line else len(line)
        match = _TEMPLATE.search(line, 0, limit)
        if match is not None:
            return unquoted_template(lines, number, match.end() - 2)[0]
    if _line(lines, failure.line)[failure.column - 1 : failure.column + 1] == "{%":
        help_ = "only `{{ ... }}` can be used, and the whole value in quotes"
        place = _at(failure.line, failure.column - 1, 2)
        return Finding("HK009", "`{%` cannot start a value", place, help_)
    return None


def _colon(failure: Failure, lines: _Lines) -> Finding | None:
    """A colon with a space where no key can be: in text, under a value, or behind `key:value`."""
    line, column = _line(lines, failure.line), failure.column
    if _character(failure, lines) != ":":
        return None
    if "flow" in failure.problem:
        is_same_line = failure.last is not None and failure.last.line == failure.line
        return _colon_in_text(failure.line, column, None) if is_same_line else None
    if "mapping values" not in failure.problem:
        return None
    match = _KEY_AND_VALUE.match(line[:column])
    if match is not None:
        start = match.start(1)
        value = _COMMENT.sub("", line[start:]).rstrip()
        if value[0] in CURLY and value[-1] in CURLY[value[0]]:
            return curly(value, _at(failure.line, start, len(value)))._replace(severity="error")
        return _colon_in_text(failure.line, column, quoting_fix(failure.line, start, value))
    return _glued_above(failure, lines) or wrong_indent(failure, lines)


def _colon_in_text(line: int, column: int, fix: tuple[Span, str] | None) -> Finding:
    message = "text without quotes cannot have a colon and a space"
    help_ = "put the whole value in quotes"
    return Finding("HK008", message, _at(line, column), help_, fix=fix)


def _glued_above(failure: Failure, lines: _Lines) -> Finding | None:
    """`key:value` on a line that was taken as the start of a longer text."""
    if failure.last is None or failure.last.style:
        return None
    for number in range(failure.last.line, failure.line):
        line = _line(lines, number)
        start = len(line) - len(line.lstrip(" "))
        start = failure.last.column if number == failure.last.line else start
        if pair := missing_space(_COMMENT.sub("", line[start:])):
            return glued_pair(pair, _at(number, start, len(pair[0])))
    return None


def _bare_colon(failure: Failure, lines: _Lines) -> Finding | None:
    """A colon at the start of a line, or behind a key that is too long to be one."""
    if _character(failure, lines) != ":":
        return None
    place = _at(failure.line, failure.column)
    if not _line(lines, failure.line)[: failure.column].strip(" -"):
        return Finding("HK011", "no key stands before this colon", place, "write `key: value`")
    if failure.column > _MAX_KEY:
        return Finding("HK001", f"a key of more than {_MAX_KEY} characters", place, "shorten it")
    return None


def _document_marks(failure: Failure, lines: _Lines) -> Finding | None:
    """What only files with several documents have: `...`, `%YAML`."""
    if "incompatible" in failure.problem:
        place = _at(failure.line, 0, len(_line(lines, failure.line)))
        return Finding("HK001", "this YAML version is not known", place, "remove the line")
    above = [line for line in lines[: failure.line] if line.strip() and line.lstrip()[0] != "#"]
    if "document start" in failure.problem and above and above[-1].startswith("..."):
        place = _at(failure.line, failure.column)
        return Finding("HK023", "text stands behind the end of the document", place,
                       "remove the `...` line")  # fmt: skip
    return None


def _no_colon(failure: Failure, lines: _Lines) -> Finding | None:
    """A word on a line of its own where a key belongs."""
    if "expected ':'" not in failure.problem or failure.context is None:
        return None
    number, column = failure.context
    text = _COMMENT.sub("", _line(lines, number)[column:]).rstrip()
    if pair := missing_space(text):
        return glued_pair(pair, _at(number, column, len(pair[0])))
    if failure.last and failure.last.style in ("|", ">") and failure.last.end_line == number:
        message, help_ = "this line is not part of the text block above", "indent the text"
        return Finding("HK006", message, _at(number, column, len(text)), help_)
    message = "this line is neither `key: value` nor a list item"
    help_ = "write `key: value`, or `- ` before a list item"
    return Finding("HK011", message, _at(number, column, max(len(text), 1)), help_)


def _reserved(failure: Failure, lines: _Lines) -> Finding | None:
    """A first character that means something to YAML."""
    place = (failure.line, failure.column)
    scanning = re.search("scanning an? (alias|anchor|tag|block scalar|directive)", failure.problem)
    if failure.context is not None and scanning:
        place = failure.context
    elif not re.search("cannot start|node content|keys are not allowed", failure.problem):
        return None
    line = _line(lines, place[0])
    character = line[place[1] : place[1] + 1]
    if character not in _RESERVED:
        return None
    value = _COMMENT.sub("", line[place[1] :]).rstrip()
    in_flow = "{" in line[: place[1]] or "[" in line[: place[1]]
    fix = quoting_fix(*place, value) if place[1] and not in_flow else None
    help_ = f"put the value in quotes: `{fix[1]}`" if fix else "put the value in quotes"
    return Finding("HK009", _RESERVED[character], _at(*place), help_, fix=fix)


def _bracket(failure: Failure, lines: _Lines) -> Finding | None:
    """A bracket that is not closed, closed by another one, or closed twice."""
    opening, character = _opening(failure, lines), _character(failure, lines)
    if opening not in ("[", "{") or failure.context is None or "flow" not in failure.problem:
        if character in ("]", "}") and character:
            message, help_ = (
                f"`{character}` closes nothing",
                "put the value in quotes if it is text",
            )
            return Finding("HK027", message, _at(failure.line, failure.column), help_)
        return None
    closing = "]" if opening == "[" else "}"
    related = ((_at(*failure.context), "opened here"),)
    place = _at(failure.line, failure.column)
    if character in ("]", "}"):
        message = f"`{character}` does not close `{opening}`"
        return Finding("HK027", message, place, f"write `{closing}`", related)
    if failure.line > failure.context[0] and character in ("", ":", "-"):
        message = f"this `{opening}` is never closed"
        help_ = f"close it with `{closing}`, or put the text in quotes"
        return Finding("HK027", message, _at(*failure.context), help_)
    help_ = f"separate the items by commas, and close them with `{closing}`"
    return Finding("HK027", f"expected `,` or `{closing}` here", place, help_, related)


_CHECKS: tuple[Callable[[Failure, _Lines], Finding | None], ...] = (
    _document_marks,
    _tab,
    _odd_indent,
    _unclosed_quote,
    _escape,
    _template,
    _text_after_quote,
    _bare_colon,
    _colon,
    _no_colon,
    _reserved,
    _bracket,
    wrong_indent,
)
