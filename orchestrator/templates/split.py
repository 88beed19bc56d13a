"""A text split at its `{{ }}`. Needs no Jinja, so that plain texts and lone paths cost nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.templates.library import ROOTS
from orchestrator.templates.model import MAX_HOLES, MAX_SOURCE, Fault
from orchestrator.templates.tree import Path

__all__ = ["Hole", "find_braces", "scan_path", "split"]

_TEXT = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_INSIDE = re.compile(rf"{_TEXT}|\}}\}}|[{{}}]", re.DOTALL)
_BRACES = re.compile(rf"{_TEXT}|\{{\{{|\{{%|%\}}", re.DOTALL)
_PATH = re.compile(rf"\s*((?:{'|'.join(ROOTS)})(?:\.[A-Za-z_][A-Za-z0-9_]*)+)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hole:
    """One `{{ }}`: where its expression starts and ends."""

    start: int
    end: int


def split(source: str) -> tuple[list[str | Hole], list[Fault]]:
    """The literal parts and the holes of a text, and the faults of its outer syntax."""
    if len(source) > MAX_SOURCE and "{{" in source:
        words = f"a template of more than {MAX_SOURCE:,} characters"
        return [source], [Fault("HK312", words, 0, 1, "split it, or save parts of it with `set`")]
    pieces: list[str | Hole] = []
    place = 0
    while (opening := source.find("{{", place)) >= 0:
        end = _find_end(source, opening + 2)
        if end < 0:
            return [source], [Fault("HK302", "`{{` without `}}`", opening, 2)]
        if len(pieces) > 2 * MAX_HOLES:
            return [source], [Fault("HK312", f"more than {MAX_HOLES} `{{{{ }}}}`", opening, 2)]
        pieces += [source[place:opening], _hole(source, opening + 2, end)]
        place = end + 2
    pieces.append(source[place:])
    return _trimmed(source, pieces), _find_blocks(source, pieces)


def _find_end(source: str, place: int) -> int:
    depth = 0
    while match := _INSIDE.search(source, place):
        sign = match[0]
        if sign == "}}" and not depth:
            return match.start()
        if sign == "{":
            depth += 1
        elif sign[0] == "}":
            depth -= 1 if depth else 0
        place = match.start() + 1 if sign[0] in "{}" else match.end()
    return -1


def _hole(source: str, start: int, end: int) -> Hole:
    """Without the signs of whitespace control, `{{- x -}}`."""
    is_signed = source[start : start + 1] in ("-", "+") and start < end
    start += is_signed
    end -= source[end - 1 : end] == "-" and start < end
    return Hole(start, end)


def _trimmed(source: str, pieces: list[str | Hole]) -> list[str | Hole]:
    for index, piece in enumerate(pieces):
        if isinstance(piece, Hole):
            before, after = pieces[index - 1], pieces[index + 1]
            if source[piece.start - 1] == "-":
                pieces[index - 1] = str(before).rstrip()
            if source[piece.end] == "-":
                pieces[index + 1] = str(after).lstrip()
    return [piece for piece in pieces if piece != ""]


def _find_blocks(source: str, pieces: list[str | Hole]) -> list[Fault]:
    if "{%" not in source and "{#" not in source:
        return []
    holes = [piece for piece in pieces if isinstance(piece, Hole)]
    blanked = source
    for hole in holes:
        blanked = blanked[: hole.start] + " " * (hole.end - hole.start) + blanked[hole.end :]
    block, comment = blanked.find("{%"), blanked.find("{#")
    if block >= 0:
        return [Fault("HK303", "`{% %}` is not allowed", block, 2,
                      "use an inline `if` in `{{ }}`, or steps with `when`")]  # fmt: skip
    if comment >= 0 and blanked.find("#}", comment) >= 0:
        return [Fault("HK303", "`{# #}` is not allowed", comment, 2, "write a YAML comment")]
    return []


def find_braces(source: str) -> int:
    """Where a condition has `{{` or `{%` outside of its texts, or -1."""
    for match in _BRACES.finditer(source):
        if match[0][0] in "{%":
            return match.start()
    return -1


def scan_path(source: str, start: int, end: int) -> Path | None:
    """The tree of a lone dotted path such as ` call.id `, the same that Jinja's parser gives."""
    match = _PATH.fullmatch(source, start, end)
    if match is None:
        return None
    root, *parts = match[1].split(".")
    offsets, ends = [match.start(1)], [match.start(1) + len(root)]
    for part in parts:
        offsets.append(ends[-1] + 1)
        ends.append(ends[-1] + 1 + len(part))
    return Path(offsets[0], ends[-1], root, tuple(parts), tuple(offsets), tuple(ends))
