"""Text of a YAML file -> plain data with the position of every key and value, or what is wrong.

Everything here is about YAML itself; what the keys mean is for the modules above.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orchestrator.document.builder import MASK, build
from orchestrator.document.errors import diagnose, not_a_mapping
from orchestrator.document.findings import unquoted_template
from orchestrator.document.indents import glued_dash
from orchestrator.document.places import Place, places
from orchestrator.document.scalars import missing_space
from orchestrator.document.text import (
    MAX_BYTES,
    bad_characters,
    ignore_comments,
    is_too_large,
    split_lines,
    tab_indents,
    too_large,
    undecodable,
)
from orchestrator.document.tree import Finding, RawSpan, Span, Tree, YamlList, YamlMap
from orchestrator.errors import EnvironmentFailure, Fix, Position, Problem, ProblemList, Related

__all__ = [
    "Document",
    "Span",
    "YamlList",
    "YamlMap",
    "glued_dash",
    "missing_space",
    "parse_document",
    "read_document",
]

#: Characters of a value whose places are looked for one by one; a longer one is marked as a whole.
MOST_PLACED = 100_000

#: How many templates without quotes are reported in one go; each costs a pass over the file.
_MAX_TEMPLATES = 20


@dataclass(slots=True)
class Document:
    """A file as plain data with places.

    `root` is None when the YAML cannot be read as a mapping; `problems` then says why. `ignores`
    has the codes of `# hooks: ignore[...]` comments by the line, from 1, that they apply to; with
    any, `headers` has the line of the `|` or `>` for each line of the text below it.
    """

    file: str
    text: str
    root: YamlMap | None = None
    problems: list[Problem] = field(default_factory=list)
    ignores: dict[int, set[str]] = field(default_factory=dict)
    headers: dict[int, int] = field(default_factory=dict)
    _lines: list[str] | None = field(default=None, repr=False)

    @property
    def lines(self) -> list[str]:
        """The lines of the text; split on first use, since a file without problems needs none."""
        if self._lines is None:
            self._lines = split_lines(self.text)
        return self._lines

    def position(self, span: Span) -> Position:
        """The position of a span: of its first line, if it has several."""
        line, column, end_line, end_column, _ = span
        if end_line > line:
            end_column = len(self._line(line))
        return Position(self.file, line + 1, column + 1, max(end_column, column + 1) + 1)

    def key_position(self, node: YamlMap, key: str) -> Position:
        """The position of a key."""
        return self.position(node.key_spans[key])

    def value_position(self, node: YamlMap | YamlList, key: str | int) -> Position:
        """The position of the value of a key, or of an item of a list."""
        return self.position(_value_span(node, key))

    def inside(self, span: Span, value: str, offset: int, length: int = 1) -> Position:
        """The position of a part of a scalar's value, found again in the source.

        Args:
            span: the span of the scalar.
            value: its value, as in the tree.
            offset: the first character of the part; the length of the value means its end.
            length: how many characters; the position ends with its first line.
        """
        found = places(self.lines, span, value) if len(value) <= MOST_PLACED else None
        if found is None:
            return self.position(span)
        first = found[offset] if offset < len(found) else _end_place(span, found)
        final = found[min(offset + max(length, 1), len(found)) - 1] if found else first
        end = final.column + final.width
        if final.line != first.line:
            end = len(self._line(first.line))
        return self.position(Span(first.line, first.column, first.line, end))

    def problem(
        self,
        code: str,
        message: str,
        position: Position,
        *,
        severity: Literal["error", "warning"] = "error",
        help: str | None = None,
        related: Iterable[Related] = (),
        fix: Fix | None = None,
    ) -> Problem:
        """A problem of this file, with its source line."""
        line = self._line(position.line - 1)
        return Problem(code, message, position, severity, help, line, tuple(related), fix)

    def related(self, position: Position, message: str) -> Related:
        """A second place of this file, with its source line."""
        return Related(position, message, self._line(position.line - 1))

    def value_span(self, node: YamlMap | YamlList, key: str | int) -> Span:
        """The span of the value of a key, or of an item of a list."""
        return _value_span(node, key)

    def _line(self, number: int) -> str:
        return self.lines[number] if 0 <= number < len(self.lines) else ""

    def _report(self, findings: Iterable[Finding]) -> None:
        collected = ProblemList()
        for finding in findings:
            collected.add(self._problem_of(finding))
        self.problems.extend(collected.sorted())

    def _problem_of(self, finding: Finding) -> Problem:
        related = [self.related(self.position(span), words) for span, words in finding.related]
        fix = None
        if finding.fix is not None:
            span, new = finding.fix
            old = self._line(span.line)[span.column : span.end_column]
            fix = Fix(self.position(span), old, new)
        return self.problem(
            finding.code, finding.message, self.position(finding.span),
            severity=finding.severity, help=finding.help, related=related, fix=fix,
        )  # fmt: skip


def _value_span(node: YamlMap | YamlList, key: str | int) -> Span:
    if isinstance(node, YamlList):
        return node.item_spans[int(key)]
    return node.value_spans[str(key)]


def _end_place(span: Span, found: list[Place]) -> Place:
    """The place behind the last character."""
    if found:
        return Place(found[-1].line, found[-1].column + found[-1].width)
    return Place(span.line, span.column + (1 if span.style in ("'", '"') else 0))


def parse_document(text: str, file: str) -> Document:
    """Read YAML text. Never raises: what is wrong is among the document's problems."""
    text = text.removeprefix("\ufeff")
    if is_too_large(text):
        return _unreadable(file, text[:200], [too_large()])
    document = Document(file, text)
    if refused := bad_characters(text):
        document._report(refused)
        return document
    tree, findings = _build(document)
    findings += tree.findings
    if tree.failure is not None:
        findings.append(diagnose(tree.failure, document.lines))
    elif isinstance(tree.root, YamlMap):
        document.root = tree.root
    elif not tree.is_refused and not (isinstance(tree.root, str) and _has_error(findings)):
        findings.append(not_a_mapping(tree))
    document.ignores = ignore_comments(text, tree.quoted)
    if document.ignores:
        document.headers = _headers(tree.quoted)
    if tree.failure is None:
        findings += tab_indents(text, tree.quoted)
    document._report(findings)
    return document


def _headers(quoted: Iterable[RawSpan]) -> dict[int, int]:
    """The line of a block scalar's header by the lines (from 1) of its text."""
    return {
        number + 1: line + 1
        for line, _, end_line, _, style in quoted
        if style in ("|", ">")
        for number in range(line + 1, end_line + 1)
    }


def _has_error(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _build(document: Document) -> tuple[Tree, list[Finding]]:
    """The tree, with the text of templates that lack their quotes as if they had them.

    The parser sees each such template as one plain word of the same length, so all other places
    and findings of the file stay exact.
    """
    masked, findings = document.text, list[Finding]()
    raw: dict[tuple[int, int], str] = {}
    while True:
        tree = build(masked, raw)
        template = tree.template
        if template is None:
            break
        finding, value = unquoted_template(
            document.lines, template.line, template.column, in_flow=template.in_flow
        )
        findings.append(finding)
        if not value or len(raw) == _MAX_TEMPLATES:
            break
        raw[template.line, template.column] = value
        start = template.index
        masked = masked[:start] + MASK * len(value) + masked[start + len(value) :]
    if raw and tree.failure is not None:
        tree.failure = None  # most likely the same mistake: what follows the template
        tree.is_refused = True
    return tree, findings


def _unreadable(file: str, text: str, findings: Iterable[Finding]) -> Document:
    document = Document(file, text)
    document._report(findings)
    return document


def read_document(path: str | os.PathLike[str]) -> Document:
    """Read a YAML file.

    Raises:
        EnvironmentFailure: the file cannot be read.
    """
    file = os.fspath(path)
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(MAX_BYTES + 4)  # 3 bytes are a byte order mark, 1 is too many
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EnvironmentFailure(f"cannot read {file!r}: {reason.lower()}") from error
    if len(data.removeprefix(b"\xef\xbb\xbf")) > MAX_BYTES:
        return _unreadable(file, data[:200].decode("utf-8", "replace"), [too_large()])
    try:
        return parse_document(data.decode("utf-8"), file)
    except UnicodeDecodeError as error:
        finding = undecodable(data, error)
        is_wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = data.decode("utf-16" if is_wide else "utf-8", "replace").removeprefix("\ufeff")
        return _unreadable(file, text, [finding])
