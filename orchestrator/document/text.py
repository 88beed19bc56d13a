"""What can be found in the text of a file before and beside parsing it.

Its size, characters that are refused, tabs that indent, and the comments that ignore findings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from orchestrator.document.tree import Finding, RawSpan, Span

__all__ = [
    "MAX_BYTES",
    "ODD_SPACE",
    "bad_characters",
    "ignore_comments",
    "is_too_large",
    "split_lines",
    "tab_indents",
    "too_large",
    "undecodable",
]

MAX_BYTES = 1_000_000

#: Spaces that look like a space, or like nothing, but are part of the text for YAML.
ODD_SPACE = re.compile("[\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000]+")

# YAML allows U+0085, U+2028 and U+2029 and its parsers break lines there, but editors do not, so
# every line number behind one would be off. U+FEFF is fine as the first character only.
_BAD = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_GOOD_ASCII = bytes([9, 10, 13, *range(0x20, 0x7F)])
_BREAK = re.compile("\r\n|\r|\n")
_TAB_INDENT = re.compile("^( *)\t[ \t]*(?=[^\\s#])", re.MULTILINE)
_IGNORE = re.compile(r"(?<!\S)#[ \t]*hooks:[ \t]*ignore\b(?:\[([^\]\n]*)\])?")
_MAX_FINDINGS = 20


def split_lines(text: str) -> list[str]:
    """The lines of a text without their breaks, exactly as the YAML parser counts them."""
    return _BREAK.split(text)


def is_too_large(text: str) -> bool:
    """Whether the text takes more than `MAX_BYTES` as UTF-8."""
    if len(text) > MAX_BYTES or text.isascii():
        return len(text) > MAX_BYTES
    return len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES


def too_large() -> Finding:
    """The finding about a file over the limit."""
    message = f"the file is larger than {MAX_BYTES:,} bytes"
    return Finding("HK002", message, Span(0, 0, 0, 0), "split it with `include`")


def undecodable(data: bytes, error: UnicodeDecodeError) -> Finding:
    """The finding about the first byte that is not UTF-8."""
    before = split_lines(data[: error.start].decode("utf-8").removeprefix("\ufeff"))
    line, column = len(before) - 1, len(before[-1])
    message = f"byte 0x{data[error.start]:02x} is not UTF-8 text"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        message = "the file is UTF-16, not UTF-8"
    return Finding("HK003", message, Span(line, column, line, column + 1), "save the file as UTF-8")


def bad_characters(text: str) -> list[Finding]:
    """A finding for each character that no config may hold, up to a sensible number."""
    if text.isascii() and not text.encode("ascii").translate(None, _GOOD_ASCII):
        return []  # a tenth of the time of the search below
    if _BAD.search(text) is None:
        return []
    found: list[Finding] = []
    for number, line in enumerate(split_lines(text)):
        for match in _BAD.finditer(line):
            found.append(_bad_character(number, match))
            if len(found) == _MAX_FINDINGS:
                return found
    return found


def _bad_character(line: int, match: re.Match[str]) -> Finding:
    character, column = match[0], match.start()
    name = unicodedata.name(character, "a control character").lower()
    if character in "\x85\u2028\u2029":
        name = "a line separator"
    message = f"character U+{ord(character):04X} ({name}) is not allowed"
    help_ = "delete it, or write it as an escape in double quotes"
    return Finding("HK004", message, Span(line, column, line, column + 1), help_)


def tab_indents(text: str, quoted: Iterable[RawSpan]) -> list[Finding]:
    """The first line that a tab indents where the parser lets it pass, between brackets."""
    if "\t" not in text or _TAB_INDENT.search(text) is None:
        return []
    spans = [Span(*raw) for raw in quoted]
    inside = {n for span in spans for n in range(span.line + 1, _last_line(span) + 1)}
    places = [(n, m) for n, line in enumerate(split_lines(text)) if (m := _TAB_INDENT.match(line))]
    places = [(n, m) for n, m in places if n not in inside]
    return [tab_finding(n, len(m[1]), len(places) - 1) for n, m in places[:1]]


def tab_finding(line: int, column: int, others: int = 0) -> Finding:
    """The finding about a tab at this place, and how many other lines have one."""
    tail = f", and {others} other line{'s' * (others > 1)}" if others > 0 else ""
    message = f"a tab indents this line{tail}"
    return Finding("HK005", message, Span(line, column, line, column + 1), "indent with spaces")


def _last_line(span: Span) -> int:
    """The last line with text of the span: a block scalar ends at the start of the next line."""
    return span.end_line - (span.end_column == 0)


def ignore_comments(text: str, quoted: Iterable[RawSpan]) -> dict[int, set[str]]:
    """The codes that `# hooks: ignore[...]` comments name, by the line (from 1) they apply to."""
    if "hooks:" not in text or _IGNORE.search(text) is None:
        return {}
    lines, spans = split_lines(text), [Span(*raw) for raw in quoted]
    ignores: dict[int, set[str]] = {}
    for number, line in enumerate(lines):
        for match in _IGNORE.finditer(line):
            if not any(_covers(span, number, match.start()) for span in spans):
                codes = {code.strip() for code in (match[1] or "").split(",")} - {""}
                codes = codes or {""}  # a comment that names no code
                ignores.setdefault(_target(lines, number) + 1, set()).update(codes)
    return ignores


def _covers(span: Span, line: int, column: int) -> bool:
    """Whether the place is text of this scalar; the header of a block scalar may have a comment."""
    if span.style in ("|", ">"):
        return span.line < line <= _last_line(span)
    return span[:2] <= (line, column) < span[2:4]


def _target(lines: Sequence[str], number: int) -> int:
    """The line a comment is about: its own, or the next with content if it stands alone."""
    if not lines[number].lstrip().startswith("#"):
        return number
    for after in range(number + 1, len(lines)):
        if (content := lines[after].strip()) and not content.startswith("#"):
            return after
    return number
