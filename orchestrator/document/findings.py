"""The words for what is wrong with a node that the parser could read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.document.scalars import TooLarge, is_curly_quoted, missing_space, resolve
from orchestrator.document.text import ODD_SPACE
from orchestrator.document.tree import Finding, Span, YamlMap
from orchestrator.events import near_miss

__all__ = [
    "bad_alias",
    "bad_key",
    "curly",
    "duplicate_key",
    "glued_keys",
    "glued_pair",
    "odd_space",
    "quoting_fix",
    "read_plain",
    "refused_tag",
    "second_anchor",
    "surrogate",
    "too_deep",
    "too_many",
    "unquoted_template",
]

_ODD = ODD_SPACE.pattern
_ODD_EDGE = re.compile(f"^({_ODD})|^(?:-|[\\w.-]+:)({_ODD})|({_ODD})(?:#|$)")
_TEMPLATE_END = re.compile(r"\}\}(?=\s*(?:[,\]}:]|$))")
_COMMENT = re.compile(r"\s+#.*")
_SHOWN = 40


def quoted_form(text: str) -> str | None:
    """The text in quotes that need no escape, double ones first, or None when it has both."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f"'{text}'" if "'" not in text else None


def quoting_fix(line: int, column: int, text: str) -> tuple[Span, str] | None:
    """The fix that puts the text at this place in quotes."""
    form = quoted_form(text)
    return (Span(line, column, line, column + len(text)), form) if form else None


def read_plain(value: str, span: Span, has_odd_space: bool) -> tuple[Any, list[Finding]]:
    """The value of a plain scalar, and what it was probably meant to be."""
    findings: list[Finding] = []
    if has_odd_space and (match := _ODD_EDGE.search(value)):
        start, end = match.span(match.lastindex or 0)
        is_one_line = span.line == span.end_line
        column = span.column + start if is_one_line else span.column
        findings.append(odd_space(value[start], span.line, column, end - start))
    if is_curly_quoted(value):
        findings.append(curly(value, span))
    try:
        return resolve(value), findings
    except TooLarge:
        shown = value if len(value) < 30 else f"{value[:20]}... ({len(value)} characters)"
        help_ = "put it in quotes if it is an identifier"
        return value, [*findings, Finding("HK026", f"the number {shown} is too large", span, help_)]


def odd_space(character: str, line: int, column: int, length: int = 1) -> Finding:
    """A no-break space, or one like it, where a space would indent or separate."""
    message = f"a no-break space (U+{ord(character):04X}) stands where a space belongs"
    if character in "\u200b\u2060":
        message = f"an invisible character (U+{ord(character):04X}) stands here"
    place = Span(line, column, line, column + length)
    return Finding("HK013", message, place, "replace it by a plain space, or delete it")


def curly(value: str, span: Span) -> Finding:
    """Curly quotes around a value."""
    fix = None
    if span.line == span.end_line and (form := quoted_form(value[1:-1])):
        fix = (span, form)
    message = "curly quotes are part of the text here"
    return Finding("HK012", message, span, "use straight quotes", fix=fix, severity="warning")


def bad_key(value: Any, span: Span) -> Finding:
    """A key that is not text."""
    if isinstance(value, dict | list):
        kind = "a mapping" if isinstance(value, dict) else "a list"
        return Finding("HK015", f"{kind} cannot be a key", span, "put it in quotes if it is text")
    shown = json.dumps(value)
    help_ = f'put it in quotes: "{shown}"' if value is not None else "write the name of the key"
    return Finding("HK015", f"the key {shown} is not text", span, help_)


def duplicate_key(key: str, span: Span, first: Span) -> Finding:
    """A key that its mapping has already."""
    related = ((first, "first written here"),)
    help_ = "join the two, or rename one"
    return Finding("HK014", f"the key `{key}` is written twice", span, help_, related)


def glued_keys(node: YamlMap) -> list[Finding]:
    """Mend keys such as `{text:hello}` in a flow mapping, with a finding for each."""
    glued = [k for k, v in node.items() if v is None and ":" in k and not node.key_spans[k].style]
    findings: list[Finding] = []
    for text in glued:
        pair, span = missing_space(text), node.key_spans[text]
        if pair is None or span.line != span.end_line or pair[0] in node:
            continue
        findings.append(glued_pair(pair, span))
        middle = span.column + len(pair[0])
        del node[text], node.key_spans[text], node.value_spans[text]
        node[pair[0]] = read_plain(pair[1], span, False)[0]
        node.key_spans[pair[0]] = span._replace(end_column=middle)
        node.value_spans[pair[0]] = span._replace(column=middle + 1)
    return findings


def glued_pair(pair: tuple[str, str], span: Span) -> Finding:
    """A key and value without a space between them, on one line."""
    key, value = pair
    message = f"there is no space after the colon of `{key}`"
    column = span.column + len(key)
    place = Span(span.line, column, span.line, column + 1)
    return Finding("HK011", message, place, f"write `{key}: {_start(value)}`", fix=(place, ": "))


def _start(text: str) -> str:
    """The beginning of a text: a report shows where, not what else is in a file."""
    first = text.partition("\n")[0]
    return first if len(text) <= _SHOWN else f"{first[:_SHOWN]}..."


def bad_alias(name: str, span: Span, anchors: Mapping[str, Any]) -> Finding:
    """An alias whose anchor is missing, or is the node around it."""
    if name in anchors:
        message = f"`*{name}` stands inside of the node it repeats"
        return Finding("HK018", message, span, "move it out of that node")
    near = near_miss(name, anchors)
    help_ = f"mark a node with `&{name}` before this line, or put the value in quotes"
    help_ = f"did you mean `*{near}`?" if near else help_
    return Finding("HK017", f"no anchor `&{name}` stands before this alias", span, help_)


def second_anchor(name: str, span: Span, first: Span) -> Finding:
    """An anchor whose name is taken."""
    message = f"the anchor `&{name}` is defined twice"
    return Finding("HK019", message, span, "rename one", ((first, "first defined here"),))


def surrogate(span: Span) -> Finding:
    """An escape for half of a character."""
    help_ = "write the character itself"
    return Finding("HK029", "an escape in this text is only half of a character", span, help_)


def refused_tag(tag: str, line: int, column: int) -> Finding:
    """A tag; none is allowed."""
    place = Span(line, column, line, column + len(tag))
    help_ = "remove it, or put the value in quotes if it is text"
    return Finding("HK022", f"the tag `{tag}` is not allowed", place, help_)


def too_deep(span: Span, limit: int) -> Finding:
    """A node below the depth limit."""
    message = f"nested more than {limit} levels deep"
    return Finding("HK021", message, span, "move inner steps into chains")


def too_many(span: Span, limit: int, *, has_aliases: bool) -> Finding:
    """The node that went over the limit of nodes."""
    if has_aliases:
        message = f"more than {limit:,} values, aliases followed"
        return Finding("HK020", message, span, "use fewer aliases; share steps through chains")
    help_ = "split the file with `include`, and keep data behind a connection"
    return Finding("HK020", f"more than {limit:,} values", span, help_)


def unquoted_template(
    lines: Sequence[str], line: int, column: int, *, in_flow: bool = False
) -> tuple[Finding, str]:
    """The finding about a `{{` without quotes, and the whole value it starts, if it is on one line.

    In a flow mapping or list the value ends with its braces, elsewhere with the line.
    """
    value = lines[line][column:]
    ends = [match.end() for match in _TEMPLATE_END.finditer(value)]
    last = value.rfind("}}") + 2
    if in_flow:
        value = value[: ends[0]] if ends else ""
    else:
        value = value[:last] + _COMMENT.sub("", value[last:]).rstrip() if last > 1 else ""
    fix = quoting_fix(line, column, value) if value else None
    help_ = f"put the whole value in quotes: `{fix[1]}`" if fix else "put the whole value in quotes"
    message = "a template without quotes is read as a mapping"
    place = Span(line, column, line, column + 2)
    return Finding("HK007", message, place, help_, fix=fix), value
