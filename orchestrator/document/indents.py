"""Lines that are indented in a way that fits nothing around them."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.document.tree import Failure, Finding, Span

__all__ = ["glued_dash", "wrong_indent"]


def wrong_indent(failure: Failure, lines: Sequence[str]) -> Finding | None:
    """The finding about the line of a syntax error, if its indentation is the reason."""
    line = lines[failure.line] if failure.line < len(lines) else ""
    content = line.strip(" ")
    indent = len(line) - len(line.lstrip(" "))
    if "sequence entries are not allowed" in failure.problem:
        return _item_on_key_line(failure, content)
    is_on_key = "mapping values" in failure.problem
    if not content or (failure.column > indent and not is_on_key):
        return None
    if indent == 0 and failure.line == 0:
        return None
    place = Span(failure.line, indent, failure.line, len(line.rstrip()))
    last = failure.last
    if last and last.style in ("|", ">") and last.end_line == failure.line:
        message = "this line is indented less than the text block above it"
        return Finding("HK006", message, place, "line it up with the first line of the text")
    if is_on_key:
        message = "this line is indented below a line that already has a value"
        return Finding("HK006", message, place, _levels(lines, failure.line))
    if ("'-'" in failure.problem or "collection" in failure.problem) and glued_dash(content):
        place = Span(failure.line, indent, failure.line, indent + 1)
        help_ = f"put a space after it: `- {content[1:40]}`"
        return Finding("HK006", "there is no space after the `-`", place, help_)
    if "'-'" in failure.problem or "collection" in failure.problem:
        help_ = "start it with `- `, or line it up with the keys of the item above"
        return Finding("HK006", "a list item is expected here", place, help_)
    if content.startswith("- "):
        help_ = "indent the list below its key, or remove the dash"
        return Finding("HK006", "a list item stands where a key is expected", place, help_)
    message = "the indentation of this line fits no line above it"
    return Finding("HK006", message, place, _levels(lines, failure.line))


def glued_dash(text: str) -> bool:
    """Whether a line, or a key, begins with a dash that should start a list item."""
    return len(text) > 1 and text[0] == "-" and (text[1].isalpha() or text[1] == "_")


def _item_on_key_line(failure: Failure, content: str) -> Finding:
    place = Span(failure.line, failure.column, failure.line, failure.column + 1)
    message = "a list item cannot start here"
    help_ = "put it on a line of its own below the key, or put the text in quotes"
    return Finding("HK006", message, place, help_)


def _levels(lines: Sequence[str], number: int) -> str:
    """The help: which indentations the lines above would allow."""
    levels: list[int] = []
    for line in reversed(lines[max(0, number - 200) : number]):
        content = line.strip(" ")
        if not content or content.startswith("#"):
            continue
        for level in _starts(line):
            if not levels or level < levels[-1]:
                levels.append(level)
        if levels[-1] == 0:
            break
    words = [str(level) for level in sorted(levels)[-4:]] or ["0"]
    counted = " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    return f"indent it by {counted} spaces, like the lines above it"


def _starts(line: str) -> list[int]:
    """Where keys can start below this line: behind its dashes, and at its indentation."""
    indent = len(line) - len(line.lstrip(" "))
    starts = [indent]
    while line[starts[-1] :].startswith("- "):
        rest = line[starts[-1] + 1 :]
        starts.append(len(line) - len(rest.lstrip(" ")))
    return starts[::-1]
