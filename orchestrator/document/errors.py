"""Syntax errors in our words, at the place where the mistake is.

A parser reports where it could not go on, which is often lines behind the mistake, in terms of its
own grammar. The checks here look at the text around that place, the likeliest mistake first.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.document.colons import bare_colon, colon, glued_line, no_colon
from orchestrator.document.findings import glued_pair, odd_space
from orchestrator.document.indents import wrong_indent
from orchestrator.document.quotes import (
    escape,
    reserved,
    template,
    text_after_quote,
    unclosed_quote,
)
from orchestrator.document.scalars import missing_space
from orchestrator.document.scene import Lines, at, character_of, line_of, opening_of
from orchestrator.document.text import ODD_SPACE, tab_finding
from orchestrator.document.tree import Failure, Finding, Span, Tree

__all__ = ["diagnose", "not_a_mapping"]


def diagnose(failure: Failure, lines: Lines) -> Finding:
    """The one finding about a syntax error."""
    for check in _CHECKS:
        finding = check(failure, lines)
        if finding is not None:
            return finding
    line = min(failure.line, len(lines) - 1)
    if lines[line][: failure.column].rstrip()[-1:] in ("]", "}") and failure.column:
        message, help_ = "text follows the closing bracket", "put the whole value in quotes"
        return Finding("HK028", message, at(line, failure.column), help_)
    character = lines[line][failure.column : failure.column + 1]
    message = f"{character!r} does not fit here" if character else "something is missing here"
    help_ = "check this line and the one above for a missing comma, colon or quote"
    return Finding("HK001", message, at(line, failure.column), help_)


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


def _tab(failure: Failure, lines: Lines) -> Finding | None:
    """A tab where spaces indent."""
    line = line_of(lines, failure.line)
    indent = line[: len(line) - len(line.lstrip(" \t"))]
    if "\t" in indent:
        return tab_finding(failure.line, indent.index("\t"))
    if character_of(failure, lines) == "\t":
        message = "a tab separates these, where a space belongs"
        place = at(failure.line, failure.column)
        return Finding("HK005", message, place, "use spaces", fix=(place, " "))
    return None


def _odd_indent(failure: Failure, lines: Lines) -> Finding | None:
    """A no-break space that should indent or separate, here or on the line above."""
    for number in (failure.line, failure.line - 1):
        line = line_of(lines, number)
        for match in ODD_SPACE.finditer(line):
            before = line[: match.start()]
            if not before.strip(" -") or before.endswith(":"):
                return odd_space(match[0][0], number, match.start(), len(match[0]))
    return None


def _document_marks(failure: Failure, lines: Lines) -> Finding | None:
    """What only files with several documents have: `...`, `%YAML`."""
    if "incompatible" in failure.problem:
        place = at(failure.line, 0, len(line_of(lines, failure.line)))
        return Finding("HK001", "this YAML version is not known", place, "remove the line")
    if "document start" in failure.problem and lines[0].startswith("%"):
        return Finding("HK009", "`%` cannot start a line", at(0, 0), "put the text in quotes")
    above = [line for line in lines[: failure.line] if line.strip() and line.lstrip()[0] != "#"]
    if "document start" in failure.problem and above and above[-1].startswith("..."):
        place = at(failure.line, failure.column)
        message = "text stands behind the end of the document"
        return Finding("HK023", message, place, "remove the `...` line")
    return None


def _bracket(failure: Failure, lines: Lines) -> Finding | None:
    """A bracket that is not closed, closed by another one, or closed twice."""
    opening, character = opening_of(failure, lines), character_of(failure, lines)
    if opening not in ("[", "{") or failure.context is None or "flow" not in failure.problem:
        if character in ("]", "}"):
            place, help_ = at(failure.line, failure.column), "put it in quotes if it is text"
            return Finding("HK027", f"`{character}` closes nothing", place, help_)
        return None
    closing = "]" if opening == "[" else "}"
    related = ((at(*failure.context), "opened here"),)
    place = at(failure.line, failure.column)
    if character in ("]", "}"):
        message = f"`{character}` does not close `{opening}`"
        return Finding("HK027", message, place, f"write `{closing}`", related)
    if failure.line > failure.context[0] and character in ("", ":", "-"):
        message = f"this `{opening}` is never closed"
        help_ = f"close it with `{closing}`, or put the text in quotes"
        return Finding("HK027", message, at(*failure.context), help_)
    help_ = f"separate the items by commas, and close them with `{closing}`"
    return Finding("HK027", f"expected `,` or `{closing}` here", place, help_, related)


def _open_at_end(failure: Failure, lines: Lines) -> Finding | None:
    """A bracket that is still open where the file ends."""
    if any(line.strip() for line in lines[failure.line + 1 :]) or character_of(failure, lines):
        return None
    found = _innermost_open(lines)
    if found is None:
        return None
    line, column, opening = found
    message = f"this `{opening}` is never closed"
    help_ = f"close it with `{_CLOSING[opening]}`, or put the text in quotes"
    return Finding("HK027", message, at(line, column), help_)


_CLOSING = {"[": "]", "{": "}"}


def _innermost_open(lines: Lines) -> tuple[int, int, str] | None:
    """The last bracket that nothing closes; quoted text and comments left out."""
    stack: list[tuple[int, int, str]] = []
    quote = ""
    for number, line in enumerate(lines):
        before = " "
        for column, character in enumerate(line):
            if quote:
                quote = "" if character == quote and before != "\\" else quote
            elif character == "#" and before.isspace():
                break
            elif character in "\"'" and before in " [{,:":
                quote = character
            elif character in _CLOSING and (stack or before in " [{,:"):
                stack.append((number, column, character))
            elif stack and character == _CLOSING[stack[-1][2]]:
                stack.pop()
            before = character
    return stack[-1] if stack else None


_CHECKS: tuple[Callable[[Failure, Lines], Finding | None], ...] = (
    _document_marks,
    _tab,
    _odd_indent,
    unclosed_quote,
    escape,
    template,
    text_after_quote,
    bare_colon,
    colon,
    no_colon,
    reserved,
    _bracket,
    wrong_indent,
    glued_line,
    _open_at_end,
)
