"""Places: each character of a scalar's value is found again in the source."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.document import Document, YamlList, YamlMap, parse_document
from orchestrator.document.places import places

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LINES = st.text(st.sampled_from("ab é\n  :#'\"\\-{}\t"), max_size=40)


def scalars(node: Any) -> list[tuple[Any, Any]]:
    """Every value of a tree with its span."""
    if isinstance(node, YamlMap):
        own = [(value, node.value_spans[key]) for key, value in node.items()]
        own += [(key, span) for key, span in node.key_spans.items()]
    elif isinstance(node, YamlList):
        own = list(zip(node, node.item_spans, strict=True))
    else:
        return []
    return own + [pair for value, _ in own for pair in scalars(value)]


def assert_places(document: Document) -> None:
    for value, span in scalars(document.root):
        if isinstance(value, str):
            assert places(document.lines, span, value) is not None, (document.text, value)
        for offset, character in enumerate(value if isinstance(value, str) else ""):
            position = document.inside(span, value, offset)
            line = document.lines[position.line - 1]
            written = line[position.column - 1 : position.column]
            if written != character:
                is_break = character in " \n" and not line[position.column - 1 :].strip(" \t\\")
                is_escape = span.style == '"' and written == "\\"
                assert is_break or is_escape, (document.text, value, offset, position)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(TEXT, LINES), st.sampled_from(['"', "'", "|", ">", ""]), st.sampled_from([20, 10_000])
)
def test_each_character_of_a_value_is_found_in_the_source(
    text: str, style: str, width: int
) -> None:
    """In every style, with escapes, doubled quotes, indentation and folded lines."""
    written = yaml.safe_dump(
        {"a": [text]}, default_style=style or None, width=width, allow_unicode=True
    )
    assert_places(parse_document(written, "f.yaml"))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "ab",
                " ",
                "  ",
                "\n   ",
                "\n",
                "\n     ",
                "\\n",
                "\\\n   ",
                "\\u00e9",
                "''",
                '\\"',
                "é",
                "\t",
            ]
        )
    ),
    st.sampled_from(
        [
            'a: "%s"\n',
            "a: '%s'\n",
            "a: x%s\n",
            "a: |\n   %s\n",
            "a: >\n   %s\n",
            "a: >2\n   %s\n",
            "a: |+\n\n   %s\n",
        ]
    ),
)
def test_hand_written_layouts_keep_their_places(pieces: list[str], form: str) -> None:
    """Layouts that no writer produces, but people do."""
    document = parse_document(form % "".join(pieces), "f.yaml")
    if document.root is not None:
        assert_places(document)


LAYOUTS = [
    "a: >\n  x\n    more\n  y\n\n  z\n",
    "a: >\n  x\n\n    more\n\n  y\n",
    "a: >+\n\n  x\n  y\n\n\n",
    "a: >1\n   x\n y\n",
    "a: |2\n    x\n  y\n",
    'a: "x \\\n   y\n\n   z\\\n\n   w"\n',
    "a: x\n\n\n  y\n  z\n",
    "a: 'x  \n\n   y ''\n   '\n",
]


@pytest.mark.parametrize("text", LAYOUTS)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_folding_by_hand_keeps_places(text: str, line_break: str) -> None:
    """More-indented lines, blank lines and escaped breaks, in both kinds of line ends."""
    document = parse_document(text.replace("\n", line_break), "f.yaml")
    assert document.root is not None
    value, span = document.root["a"], document.root.value_spans["a"]
    assert places(document.lines, span, value) is not None
    assert_places(document)


INSIDE = [
    ("a: xy{{ z }}\n", 2, 2, (1, 6, 8)),
    ("a: 'it''s {{'\n", 5, 2, (1, 11, 13)),
    ('a: "\\t\\u00e9{{"\n', 2, 2, (1, 13, 15)),
    ("a: |\n  one\n  {{ two\n", 4, 2, (3, 3, 5)),
    ("a: >\n  one\n  {{ two\n", 4, 2, (3, 3, 5)),
    ("a: one\n   {{\n", 4, 2, (2, 4, 6)),
    ("a: &x 'b{{'\n", 1, 2, (1, 9, 11)),
    ("a: ''\n", 0, 1, (1, 5, 6)),
    ("a: bc\n", 2, 1, (1, 6, 7)),
]


@pytest.mark.parametrize(("text", "offset", "length", "expected"), INSIDE)
def test_a_part_of_a_value_has_its_own_position(
    text: str, offset: int, length: int, expected: tuple[int, int, int]
) -> None:
    """Line, column and end of a template's braces, or of the end of the value."""
    document = parse_document(text, "f.yaml")
    root = document.root
    assert root is not None
    position = document.inside(root.value_spans["a"], root["a"], offset, length)
    assert (position.line, position.column, position.end_column) == expected
