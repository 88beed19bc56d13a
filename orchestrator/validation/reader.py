"""Read typed values out of a document's mappings; what does not fit becomes a finding in place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.document import Document, YamlList, YamlMap, glued_dash
from orchestrator.durations import format_duration, parse_duration
from orchestrator.errors import Position
from orchestrator.events import near_miss
from orchestrator.validation.findings import Findings, word_fix
from orchestrator.validation.torn import tears
from orchestrator.validation.words import BOOLEANS, duration_hint, kind_of, listed, with_one_more
from orchestrator.values import Place

__all__ = ["DAY", "MISSING", "Reader"]

MISSING: Any = object()

#: Seconds; the longest duration that a config may hold.
DAY = 86_400.0

#: Characters without width: spaces, joiners, direction marks.
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff]")
#: A `#` behind a space, and no space behind it: `order #42`; not the comments that are for us.
_GLUED_COMMENT = re.compile(r"[ \t]#(?![\s#!]|hooks:)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TEMPLATE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class Reader:
    """Reads one document.

    `emptied` are keys, by the id of their mapping, whose value was found beside them; `glued` says
    whether the file has a comment that looks like text, once that was asked; `is_torn` whether
    steps may stand in what could not be read.
    """

    document: Document
    findings: Findings = field(default_factory=Findings)
    emptied: set[tuple[int, str]] = field(default_factory=set)
    glued: bool | None = None
    is_torn: bool = False

    def place(self, node: Any, key: Any) -> Place:
        """The place of a value, to keep with what is made of it."""
        return Place(self.document, node, key)

    @property
    def problems(self) -> Findings:
        """What was found so far."""
        return self.findings

    def at(self, node: Any, key: Any, code: str, message: str, **more: Any) -> None:
        """Add a finding about the value of a key, or with `on="key"` about the key."""
        self.is_torn |= tears(code, key, node[key])
        self.findings.at(Place(self.document, node, key), code, message, **more)

    def report(
        self, code: str, message: str, position: Position, *, help: str | None = None
    ) -> None:
        """Add a finding about a position."""
        self.findings.add(self.document.problem(code, message, position, help=help))

    def key_position(self, node: YamlMap, key: str) -> Position:
        """Where a key stands."""
        return self.document.key_position(node, key)

    def value_position(self, node: YamlMap | YamlList, key: Any) -> Position:
        """Where a value stands."""
        return self.document.value_position(node, key)

    def wrong_type(self, node: Any, key: Any, wanted: str) -> None:
        """The value of a key is of another type than wanted."""
        if (id(node), key) in self.emptied:
            return
        is_bare = node[key] is None and isinstance(node, YamlMap)
        subject = f"`{key}`: " if isinstance(node, YamlMap) else ""
        message = f"{subject}expected {wanted}, found {kind_of(node[key])}"
        self.at(node, key, "HK103", message, on="key" if is_bare else "value")

    # --- mappings and lists

    def check_keys(
        self,
        node: YamlMap,
        allowed: Iterable[str],
        what: str,
        *,
        help: str | None = None,
        required: Iterable[str] = (),
    ) -> bool:
        """Report every key that is not allowed, with the near miss, else with `help`.

        A near miss is read as what was meant, so that what stands below it is checked too. So is
        the only stray key where one `required` key is missing. Returns whether it is unclear what
        others were meant to be: then a missing key is no mistake of its own.
        """
        names = list(allowed)
        strays = [key for key in node if key not in names]
        if not strays:
            return False
        outside = self._outside(node, names)
        strays = [key for key in strays if key not in outside]
        missing = [name for name in required if name not in node]
        is_unclear = any(near_miss(key, names) is None for key in strays)
        for key in strays:
            alike = [name for name in missing if name in key]
            meant = (alike or missing) if len(strays) == 1 else alike
            self.unknown_key(node, key, names, what, help, meant[0] if len(meant) == 1 else None)
        return is_unclear

    def _outside(self, node: YamlMap, names: Iterable[str]) -> list[str]:
        """Report keys that stand below an empty one as if they were in it; which they are."""
        strays: dict[str, list[str]] = {}
        holder: str | None = None
        for key in node:
            if key in names:
                span = node.value_spans[key]
                is_bare = node[key] is None and span[:2] == span[2:4]
                holder = key if is_bare else None
            elif holder is not None and not near_miss(key, [n for n in names if n not in node]):
                strays.setdefault(holder, []).append(key)
        for name, keys in strays.items():
            self.emptied.add((id(node), name))
            self.beside(node, keys, f"beside `{name}`, not in it", name)
        return [key for keys in strays.values() for key in keys]

    def beside(self, node: YamlMap, keys: list[str], what: str, holder: str) -> None:
        """Report keys that should be indented under another one."""
        is_one = len(keys) == 1
        message = f"{listed(keys)} {'is' if is_one else 'are'} {what}"
        hint = f"indent {'it' if is_one else 'them'} under `{holder}:`"
        self.at(node, keys[0], "HK114", message, on="key", help=hint)

    def unknown_key(
        self,
        node: YamlMap,
        key: str,
        names: Iterable[str],
        what: str,
        help: str | None = None,
        meant: str | None = None,
    ) -> None:
        """Report one key that is not allowed; a name that is taken is no suggestion.

        Where none is near, `meant` is.
        """
        if self.has_invisible(node, key):
            return
        free = [name for name in names if name not in node]
        near = near_miss(key, free) or with_one_more(key, free) or meant
        position = self.document.key_position(node, key)
        fix = word_fix(self.document, position, key, near) if near else None
        hint = f"did you mean `{near}`?" if near else help or f"allowed: {', '.join(names)}"
        message = f"unknown key `{key}` in {what}"
        self.at(node, key, "HK105", message, on="key", help=hint, fix=fix)
        if near:
            self.rename(node, key, near)

    def rename(self, node: YamlMap, key: str, meant: str) -> None:
        """Read what stands under a misspelt key, which is reported, as what was meant."""
        node[meant] = node.pop(key)
        node.key_spans[meant] = node.key_spans.pop(key)
        node.value_spans[meant] = node.value_spans.pop(key)

    def has_invisible(self, node: YamlMap, key: str) -> bool:
        """Whether a key holds a character that nobody sees, which is reported then."""
        match = _INVISIBLE.search(key) if not key.isascii() else None
        if match is None:
            return False
        at = self.document.key_position(node, key)
        column = at.column + match.start()
        on = Position(at.file, at.line, column, column + 1)
        plain = _INVISIBLE.sub("", key)
        message = f"an invisible character (U+{ord(match[0]):04X}) stands in `{plain}`"
        self.at(node, key, "HK013", message, on=on, help=f"delete it: `{plain}`")
        return True

    def not_a_list(self, node: YamlMap, key: str, message: str, help: str) -> None:
        """A mapping stands where a list should: without dashes, or without a space after them."""
        glued = next(filter(glued_dash, node[key]), None)
        if glued is None:
            self.at(node, key, "HK103", message, on="key", help=help)
            return
        hint = f"put a space after it: `- {glued[1:]}: ...`"
        at = self.document.key_position(node[key], glued)
        dash = Position(at.file, at.line, at.column, at.column + 1)
        self.at(node[key], glued, "HK103", "there is no space after the `-`", on=dash, help=hint)

    def check_comment(self, node: Any, key: Any) -> None:
        """Warn of text that ends where a `#` begins a comment that looks like more of the text."""
        if self.glued is None:
            text = self.document.text
            self.glued = "#" in text and _GLUED_COMMENT.search(text) is not None
        if not self.glued:
            return
        *_, end_line, end_column, style = self.document.value_span(node, key)
        rest = "" if style else self.document.lines[end_line][end_column:]
        match = _GLUED_COMMENT.match(rest, len(rest) - len(rest.lstrip()) - 1)
        if match is None:
            return
        column = end_column + match.end()
        at = Position(
            self.document.file, end_line + 1, column, column + len(rest) - match.end() + 1
        )
        message, hint = "the text ends here: `#` begins a comment", "put the whole text in quotes"
        self.at(node, key, "HK126", message, on=at, severity="warning", help=hint)

    def check_invisible(self, node: Any, key: Any) -> None:
        """Warn of a character in a name of another system that nobody sees."""
        text = node[key]
        match = _INVISIBLE.search(text) if not text.isascii() else None
        if match is not None:
            message = f"an invisible character (U+{ord(match[0]):04X}) stands in this name"
            on, hint = self.inside(node, key, match.start()), "delete it, if it is not meant"
            self.at(node, key, "HK013", message, on=on, severity="warning", help=hint)

    def mapping(self, node: Any, key: Any, wanted: str = "a mapping") -> YamlMap | None:
        """The mapping under a key; None (and a finding) when it is something else."""
        if isinstance(node[key], YamlMap):
            return node[key]  # type: ignore[no-any-return]
        self.wrong_type(node, key, wanted)
        return None

    def items(self, node: Any, key: Any, wanted: str) -> YamlList | None:
        """The list under a key; None (and a finding) when it is something else."""
        if isinstance(node[key], YamlList):
            return node[key]  # type: ignore[no-any-return]
        self.wrong_type(node, key, wanted)
        return None

    # --- scalars; each gives the default when the key is missing or its value does not fit

    def text(self, node: YamlMap, key: str, default: Any = None, *, what: str = "text") -> Any:
        """The text under a key."""
        value = node.get(key, MISSING)
        if value is MISSING:
            return default
        if isinstance(value, str) and value.strip():
            return value
        self.wrong_type(node, key, what)
        return default

    def name(self, node: YamlMap, key: str, *, is_read: bool = False) -> str | None:
        """A name; one that templates read has no `-`, which would be a minus there."""
        value = self.text(node, key, what="a name")
        if value is None:
            return None
        form, marks = (_TEMPLATE_NAME, "_") if is_read else (_NAME, "_ and -")
        if form.fullmatch(value):
            return str(value)
        hint = f"use letters, digits, {marks}; begin with a letter"
        self.at(node, key, "HK119", f"{value!r} is no name for `{key}`", help=hint)
        return None

    def boolean(self, node: YamlMap, key: str, default: Any = None) -> Any:
        """`true` or `false` under a key; a word for one is reported, and read as meant."""
        value = node.get(key, MISSING)
        if value is MISSING or isinstance(value, bool):
            return default if value is MISSING else value
        meant = self.not_boolean(node, key)
        return default if meant is None else meant == "true"

    def not_boolean(self, node: Any, key: Any) -> str | None:
        """Report a value that should be true or false; a word for it, which is given, by itself."""
        value = node[key]
        meant = BOOLEANS.get(value.lower()) if isinstance(value, str) else None
        if meant is None and str(value).lower() in ("true", "false"):
            meant = str(value).lower()
        if meant is None:
            self.wrong_type(node, key, "true or false")
            return None
        position = self.document.value_position(node, key)
        line = self.document.lines[position.line - 1]
        old = line[position.column - 1 : position.end_column - 1]
        message = f"`{key}`: {value!r} is text here, not true or false"
        fix = word_fix(self.document, position, old, meant)
        self.at(node, key, "HK115", message, help=f"write {meant}", fix=fix)
        return meant

    def integer(self, node: YamlMap, key: str, *, low: int, high: int) -> int | None:
        """A whole number under a key."""
        value = node.get(key, MISSING)
        if value is MISSING:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong_type(node, key, "a whole number")
            return None
        if low <= value <= high:
            return value
        message = f"`{key}` must be from {low} to {high:,}, found {value}"
        self.at(node, key, "HK106", message)
        return None

    def duration(self, node: Any, key: Any, *, low: float = 0.0, high: float = DAY) -> float | None:
        """Seconds of a duration under a key."""
        value = node.get(key, MISSING) if isinstance(node, dict) else node[key]
        if value is MISSING:
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            hint = f"write {value}s or {value}ms"
            self.at(node, key, "HK108", f"`{key}`: the number {value} has no unit", help=hint)
            return None
        if not isinstance(value, str) or not value:
            self.wrong_type(node, key, "a duration such as 500ms, 8s, 2m or 1h")
            return None
        return self._seconds(node, key, value, low, high)

    def _seconds(self, node: Any, key: Any, text: str, low: float, high: float) -> float | None:
        try:
            seconds = parse_duration(text)
        except ValueError:
            message = f"`{key}`: {text!r} is no duration"
            self.at(node, key, "HK108", message, help=duration_hint(text))
            return None
        if low <= seconds <= high:
            return seconds
        hint = f"from {format_duration(low)} to {format_duration(high)}"
        self.at(node, key, "HK106", f"`{key}`: {text} is out of range", help=hint)
        return None

    def choice(self, node: YamlMap, key: str, choices: Iterable[str], default: Any = None) -> Any:
        """One of a few words under a key."""
        value = node.get(key, MISSING)
        names = list(choices)
        if value is MISSING:
            return default
        if isinstance(value, str) and value in names:
            return value
        self.not_a_choice(node, key, names)
        return default

    def not_a_choice(self, node: Any, key: Any, names: list[str]) -> None:
        """Report a value that is not one of a few words."""
        place, message = self.place(node, key), f"`{key}` cannot be {kind_of(node[key])}"
        otherwise = f"one of {', '.join(names)}"
        if isinstance(node[key], str):
            self.findings.unknown(place, "HK107", message, names, otherwise)
        else:
            self.findings.at(place, "HK107", message, help=otherwise)

    # --- positions inside of a text

    def inside(self, node: Any, key: Any, offset: int, length: int = 1) -> Position:
        """The position of a part of a text value."""
        return self.place(node, key).inside(node[key], offset, length)
