"""Documents: data, places, limits, and each mistake that YAML itself can hold."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.codes import YAML_CODES
from orchestrator.document import (
    YamlMap,
    missing_space,
    parse_document,
    read_document,
)
from orchestrator.document.builder import build
from orchestrator.errors import EnvironmentFailure, Problem


def root_of(text: str) -> YamlMap:
    document = parse_document(text, "f.yaml")
    assert document.root is not None, document.problems
    return document.root


def only(text: str) -> Problem:
    problems = parse_document(text, "f.yaml").problems
    assert len(problems) == 1, problems
    return problems[0]


def place(problem: Problem) -> tuple[str, int, int]:
    return problem.code, problem.position.line, problem.position.column


TYPED: list[tuple[str, Any]] = [
    ("true", True), ("false", False), ("null", None), ("", None),
    ("0", 0), ("-7", -7), ("42", 42), ("1.5", 1.5), ("-0.25", -0.25), ("1e3", 1000.0), (".5", 0.5),
]  # fmt: skip
TEXTS = [
    "NO", "no", "yes", "on", "off", "True", "NULL", "~", "12:30", "1:30:00", "1.2.3", "0123",
    "+15550100", "+1.5", "0x1f", "0o17", "1_000", "2024-01-31", ".inf", "-.inf", ".nan", "--", "-",
    ".", "1e", "8s", "\u0661", "2024-01-31T10:00:00Z", "00.5", "=",
]  # fmt: skip


@pytest.mark.parametrize(("written", "value"), TYPED)
def test_a_plain_scalar_of_yaml_1_2_has_its_type(written: str, value: object) -> None:
    """Booleans, null, whole numbers and floats are values, of exactly these types."""
    got = root_of(f"a: {written}\n")["a"]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("written", [text for text in TEXTS if text != "-"])
def test_every_other_plain_scalar_stays_the_text_that_was_written(written: str) -> None:
    """Country codes, times, phone numbers and dates are never turned into something else."""
    assert root_of(f"a: {written}\n")["a"] == written


@pytest.mark.parametrize("written", ["true", "null", "1", "1.5", "<<"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_quoted_scalar_is_always_text(written: str, quote: str) -> None:
    """Quotes make text of anything, as a value and as a key."""
    assert root_of(f"{quote}{written}{quote}: {quote}{written}{quote}\n") == {written: written}


@pytest.mark.parametrize(
    "digits", ["9" * 641, "9" * 5000, "-" + "9" * 5000, "1e999", "0." + "1" * 700]
)
def test_a_number_out_of_range_is_a_finding_and_stays_text(digits: str) -> None:
    """`int()` of very many digits raises, and a float may be infinite; neither reaches a call."""
    document = parse_document(f"a: {digits}\n", "f.yaml")
    assert place(document.problems[0]) == ("HK026", 1, 4)
    assert document.root == {"a": digits}


STYLES = [("plain", ""), ("'x'", "'"), ('"x"', '"'), ("|\n  x", "|"), (">-\n  x", ">")]


@pytest.mark.parametrize(("written", "style"), STYLES)
@pytest.mark.parametrize("is_pure", [False, True])
def test_a_span_tells_the_style_of_its_scalar(written: str, style: str, is_pure: bool) -> None:
    """Checks of unquoted numbers need to know; both parsers say the same."""
    root = build(f"a: {written}\n", {}, is_pure=is_pure).root
    assert root.value_spans["a"].style == style


def test_every_key_value_and_item_has_its_position() -> None:
    """Lines and columns count from 1, and a position ends behind its text."""
    document = parse_document("a: 1\nlist:\n  - {k: 'v'}\n", "f.yaml")
    root = document.root
    assert root is not None
    item = root["list"][0]
    assert str(document.key_position(root, "list")) == "f.yaml:2:1"
    assert document.key_position(root, "list").end_column == 5
    assert str(document.value_position(root["list"], 0)) == "f.yaml:3:5"
    assert str(document.value_position(item, "k")) == "f.yaml:3:9"


def test_positions_are_the_same_with_crlf_and_a_byte_order_mark() -> None:
    """Files from Windows read as any other."""
    text = "a: 1\nb:\n  - x\n  - 'y z'\n"
    for variant in (text.replace("\n", "\r\n"), "\ufeff" + text):
        document = parse_document(variant, "f.yaml")
        assert document.problems == []
        assert document.root == {"a": 1, "b": ["x", "y z"]}
        assert str(document.value_position(document.root["b"], 1)) == "f.yaml:4:5"


def test_an_alias_is_the_node_of_its_anchor() -> None:
    """The data is shared, and its places are those of the anchor, behind the anchor's name."""
    document = parse_document("x-a: &a {k: 1}\nx-t: &t text\nb: *a\nc: *t\n", "f.yaml")
    root = document.root
    assert root is not None
    assert root["b"] is root["x-a"]
    assert str(document.value_position(root, "b")) == "f.yaml:1:9"
    assert str(document.value_position(root, "c")) == "f.yaml:2:9"


MISTAKES = [
    # tabs, spaces, characters
    ("a:\n\tb: 1\n", "HK005", 2, 1),
    ("a:\n  b: x\n\tc: y\n", "HK005", 3, 1),
    ("a: |\n\tc\n", "HK005", 2, 1),
    ("a: [\n  1,\n \t2]\n", "HK005", 3, 2),
    ("a:\n  -\tb: 1\n    c: 2\n", "HK005", 2, 4),
    ("a:\u00a0b\n", "HK013", 1, 3),
    ("a: 1\u00a0# note\n", "HK013", 1, 5),
    ("a:\n  b: 1\n\u00a0\u00a0c: 2\n", "HK013", 3, 1),
    ("a:\n  - b: 1\n  \u00a0 c: 2\n", "HK013", 3, 3),
    ("a: b\x07c\n", "HK004", 1, 5),
    ('a: 1\nb: "x\u2028y"\n', "HK004", 2, 6),
    ("a: 1\n\ufeffb: 2\n", "HK004", 2, 1),
    ("a: \ud800\n", "HK004", 1, 4),
    # templates, colons, first characters, quotes
    ("a: {{ x }}\nb: 1\n", "HK007", 1, 4),
    ("a: {{ x }} and {{ y }}\n", "HK007", 1, 4),
    ("a:\n  - say: {{ a.b[0] | default({}) }}\n", "HK007", 2, 10),
    ("a: {b: {{ x }}, c: 1}\n", "HK007", 1, 8),
    ("a: [{{ x }}, 1]\n", "HK007", 1, 5),
    ("a: {{ x\n", "HK007", 1, 4),
    ("{{ x }}: 1\n", "HK007", 1, 1),
    ("a: {% if x %}y{% endif %}\n", "HK009", 1, 4),
    ("say: Hello: world\n", "HK008", 1, 11),
    ("a: {b: c: d}\n", "HK008", 1, 9),
    ("a: @b\n", "HK009", 1, 4),
    ("a: `b`\n", "HK009", 1, 4),
    ("a: %b\n", "HK009", 1, 4),
    ("%b\na: 1\n", "HK009", 1, 1),
    ("a: *b*\n", "HK009", 1, 4),
    ("a: > hello\n", "HK009", 1, 4),
    ("a: , b\n", "HK009", 1, 4),
    ('a: "hello\nb: 1\nc: 2\n', "HK010", 1, 4),
    ('a: "hello\nb: "there"\n', "HK010", 1, 4),
    ("a:\n  - say: 'x\n  - say: y\n", "HK010", 2, 10),
    ('a: "{{ x | default("y") }}"\n', "HK028", 1, 20),
    ("a: 'it's me'\n", "HK028", 1, 7),
    ('a: "hi" there\n', "HK028", 1, 7),
    ("a: [1] b\n", "HK028", 1, 8),
    ('a: "\\d"\n', "HK029", 1, 5),
    ('a: "x\\ud83d\\ude00"\n', "HK029", 1, 6),
    # keys
    ("version:1\nname: x\n", "HK011", 1, 8),
    ("a: 1\nkey:value\nb: 2\n", "HK011", 2, 4),
    ("key:value\n", "HK011", 1, 4),
    ("a: {text:hello}\n", "HK011", 1, 9),
    ('a: 1\njson:{b: "c", d: 1}\n', "HK011", 2, 5),
    ("a: 1\nword\nb: 2\n", "HK011", 2, 1),
    ("a: 1\n: 2\n", "HK011", 2, 1),
    ("a: 1\nb: 2\na: 3\n", "HK014", 3, 1),
    ("a:\n  - {b: 1, b: 2}\n", "HK014", 2, 12),
    ("true: 1\n", "HK015", 1, 1),
    ("a: {1: x}\n", "HK015", 1, 5),
    ("null: 1\n", "HK015", 1, 1),
    ("[a]: b\n", "HK015", 1, 1),
    ("? {a: b}\n: c\n", "HK015", 1, 3),
    ("x-a: &a {b: 1}\nc:\n  <<: *a\n", "HK016", 3, 3),
    # indentation and brackets
    ("a:\n  b: 1\n c: 2\n", "HK006", 3, 2),
    ("a:\n  - b: 1\n   c: 2\n", "HK006", 3, 4),
    ("a:\n  say: hi\n    note: x\n", "HK006", 3, 5),
    ("a:\n  - x\n - y\n", "HK006", 3, 2),
    ("a: 1\n- b\n", "HK006", 2, 1),
    ("a: - b\n", "HK006", 1, 4),
    ("a: |\n    x\n   y\nb: 1\n", "HK006", 3, 4),
    ("a: |\nb\nc: 1\n", "HK006", 2, 1),
    ("a: [1, 2\nb: 3\n", "HK027", 1, 4),
    ("a: {b: 1\nc: 2\n", "HK027", 1, 4),
    ("a: [1, 2}\n", "HK027", 1, 9),
    ("a: ] b\n", "HK027", 1, 4),
    # anchors, tags, the whole file
    ("a: &queue 1\nb: *quee\n", "HK017", 2, 4),
    ("a: &a [*a]\n", "HK018", 1, 8),
    ("a: &x 1\nb: &x 2\n", "HK019", 2, 4),
    ("a: !!str 1\n", "HK022", 1, 4),
    ("a: !!python/object/apply:os.system ['id']\n", "HK022", 1, 4),
    ("a: &x !secret b\n", "HK022", 1, 7),
    ("a: 1\n---\nb: 2\n", "HK023", 2, 1),
    ("a: 1\n...\nb: 2\n", "HK023", 3, 1),
    ("", "HK024", 1, 1),
    ("# only\n\n# comments\n", "HK024", 1, 1),
    ("- a\n", "HK025", 1, 1),
    ("\nhello\n", "HK025", 2, 1),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "line", "column"), MISTAKES)
def test_a_mistake_is_one_finding_where_it_was_made(
    text: str, code: str, line: int, column: int
) -> None:
    """One finding, its code, line and column, with help and words of our own."""
    problem = only(text)
    assert place(problem) == (code, line, column)
    assert problem.is_error
    assert problem.help
    assert problem.message[:1] == problem.message[:1].lower()
    assert not problem.message.endswith(".")


def test_every_yaml_code_is_explained_and_tested() -> None:
    """The table above, the tests below and the code table hold the same codes."""
    elsewhere = {"HK001", "HK002", "HK003", "HK012", "HK020", "HK021", "HK026"}
    assert {code for _, code, _, _ in MISTAKES} | elsewhere == set(YAML_CODES)


@pytest.mark.parametrize("written", ["“Hi”", "‘Hi’", "„Hi“", "«Hi»"])  # noqa: RUF001
def test_curly_quotes_around_a_value_are_a_warning_with_a_fix(written: str) -> None:
    """They are legal text, so the value stands, but hardly ever meant."""
    problem = only(f"a: {written}\n")
    assert (place(problem), problem.severity) == (("HK012", 1, 4), "warning")
    assert problem.fix is not None
    assert (problem.fix.old, problem.fix.new) == (written, '"Hi"')


@pytest.mark.parametrize(
    "text",
    [
        "a: “Hi” she said\n",
        "a: x\u00a0y 5\u00a0€\n",
        "a: 'x\n\ty'\n",
        "a: |\n  x\n  \ty\n",
        "a: b\n# \ttab\n",
        "a: http://x\n",
        "a:\tb\n",
    ],
)
def test_what_only_looks_like_a_mistake_is_fine(text: str) -> None:
    """Curly quotes, no-break spaces and tabs may be part of a text."""
    assert parse_document(text, "f.yaml").problems == []


FIXES = [
    ("a: {{ x }} y # c\n", 'a: "{{ x }} y" # c\n'),
    ("a: {b: {{ x['y'] }}, c: 1}\n", "a: {b: \"{{ x['y'] }}\", c: 1}\n"),
    ('a: {{ x | default("y") }}\n', "a: '{{ x | default(\"y\") }}'\n"),
    ("say: Hello: world\n", 'say: "Hello: world"\n'),
    ("a: @b # c\n", 'a: "@b" # c\n'),
    ("version:1\nname: x\n", "version: 1\nname: x\n"),
    ("a: {text:hello}\n", "a: {text: hello}\n"),
]


@pytest.mark.parametrize(("before", "after"), FIXES)
def test_a_fix_mends_the_file(before: str, after: str) -> None:
    """Applying the fix gives the file that was meant, which has no findings."""
    fix = only(before).fix
    assert fix is not None
    lines = before.splitlines(keepends=True)
    line, start = lines[fix.position.line - 1], fix.position.column - 1
    assert line[start:].startswith(fix.old)
    lines[fix.position.line - 1] = line[:start] + fix.new + line[start + len(fix.old) :]
    assert "".join(lines) == after
    assert parse_document(after, "f.yaml").problems == []


def test_all_templates_without_quotes_are_found_and_the_rest_is_still_read() -> None:
    """One run finds every one of them, and other mistakes beside them, in exact places."""
    text = "a: {{ x }}\nb: [{{ y }}, 2]\nc:\n  - {{ z }}\nd: 1\nd: 2\n"
    document = parse_document(text, "f.yaml")
    codes = [place(problem) for problem in document.problems]
    assert codes == [("HK007", 1, 4), ("HK007", 2, 5), ("HK007", 4, 5), ("HK014", 6, 1)]
    assert document.root == {"a": "{{ x }}", "b": ["{{ y }}", 2], "c": ["{{ z }}"], "d": 1}


def test_a_duplicate_key_points_at_the_first() -> None:
    """The related place is the first key; its value is the one that is kept."""
    document = parse_document("a: 1\nb: 2\na: 3\n", "f.yaml")
    (related,) = document.problems[0].related
    assert (related.position.line, related.source_line) == (1, "a: 1")
    assert document.root == {"a": 1, "b": 2}


def test_a_merge_key_is_one_finding_and_not_a_missing_key_each() -> None:
    """The merge is done after all, so that later checks do not miss what it brings."""
    root = root_of("x-a: &a {b: 1, c: 2}\nd:\n  <<: *a\n  b: 3\n")
    assert root["d"] == {"b": 3, "c": 2}
    assert root["d"].value_spans["c"] == root["x-a"].value_spans["c"]


def test_a_warning_does_not_hide_that_the_file_is_no_mapping() -> None:
    """A root in curly quotes is both."""
    codes = [problem.code for problem in parse_document("“hi”", "f.yaml").problems]
    assert codes == ["HK012", "HK025"]


def test_findings_come_in_the_order_of_the_file() -> None:
    """All findings of one reading, sorted by place."""
    document = parse_document("b: !t 1\n1: x\nb: *z\n", "f.yaml")
    assert [p.position.line for p in document.problems] == [1, 2, 3, 3]


def test_a_finding_quotes_its_source_line() -> None:
    """A reporter needs no second look at the file."""
    assert only("a: 1\nb: @x\n").source_line == "b: @x"


IGNORES = [
    ("a: 1 # hooks: ignore[HK403]\n", {1: {"HK403"}}),
    ("a: 1  #hooks: ignore[HK403, HK105] why\n", {1: {"HK403", "HK105"}}),
    ("# hooks: ignore[HK403]\n# more\n\na: 1\n", {4: {"HK403"}}),
    ("a: '# hooks: ignore[HK403]'\n", {}),
    ("a: |\n  # hooks: ignore[HK403]\n", {}),
    ("a: | # hooks: ignore[HK403]\n  x\n", {1: {"HK403"}}),
    ("a: x#hooks: ignore[HK403]\n", {}),
]


@pytest.mark.parametrize(("text", "ignores"), IGNORES)
def test_ignore_comments_belong_to_their_line_or_the_next(
    text: str, ignores: dict[int, set[str]]
) -> None:
    """A trailing comment means its line, one on its own the next; text is no comment."""
    assert parse_document(text, "f.yaml").ignores == ignores


@pytest.mark.parametrize(
    ("value", "pair"),
    [
        ("log:hi", ("log", "hi")),
        ("end_call:", None),
        ("09:00", None),
        ("http://x", None),
        ("a b", None),
        (3, None),
    ],
)
def test_a_missing_space_is_seen_in_text(value: object, pair: tuple[str, str] | None) -> None:
    """The layer above asks where it wanted a mapping and got text."""
    assert missing_space(value) == pair


def nested(opening: str, closing: str, depth: int) -> str:
    return "a: " + opening * depth + closing * depth + "\n"


def test_depth_64_is_read_and_65_is_not() -> None:
    """The top level counts as one."""
    assert parse_document(nested("[", "]", 63), "f.yaml").problems == []
    assert place(only(nested("[", "]", 64))) == ("HK021", 1, 67)


def test_depth_counts_aliases() -> None:
    """A chain of aliases is as deep as what it stands for."""
    chain = "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 70))
    assert only("a0: &a0 [x]\n" + chain).code == "HK021"


def test_depth_counts_what_an_alias_holds() -> None:
    """Forty levels in an anchor and thirty around its alias are too many, twenty are not."""
    anchored = f"a: &a {'[' * 40}{']' * 40}\n"
    assert only(f"{anchored}b: {'[' * 30}*a {']' * 30}\n").code == "HK021"
    assert parse_document(f"{anchored}b: {'[' * 20}*a {']' * 20}\n", "f.yaml").problems == []


def test_an_alias_bomb_is_refused_by_arithmetic() -> None:
    """Nine levels of ten aliases stand for a billion values."""
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
    )
    assert only(bomb).code == "HK020"


def test_the_node_limit_counts_plain_nodes_too() -> None:
    """A long flat list is refused as well."""
    assert only("a:\n" + "- b\n" * 100_001).code == "HK020"
    assert parse_document("a:\n" + "- b\n" * 90_000, "f.yaml").problems == []


HOSTILE = [
    "[" * 50_000, "{" * 50_000, "- " * 50_000, "? " * 50_000, "[a: " * 50_000, "a: {{ x\n" * 3_000,
    "x" * 10_000_000, "é" * 900_000, "- {{ x }}\n" * 3_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:4] + str(len(text)))
def test_a_hostile_file_is_refused_fast_and_in_little_memory(text: str) -> None:
    """At most twice the processor time of an honest file of 2,000 lines, and a few megabytes."""
    honest = "a:\n" + "  - {log: some text, save: x}\n" * 2_000
    allowed = 2 * min(cpu_time(honest) for _ in range(3))
    assert min(cpu_time(text) for _ in range(3)) < allowed
    tracemalloc.start()
    assert not all(not p.is_error for p in parse_document(text, "f.yaml").problems)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def cpu_time(text: str) -> float:
    start = time.process_time()
    parse_document(text, "f.yaml")
    return time.process_time() - start


def test_a_file_is_read(tmp_path: Path) -> None:
    """The document is named as the path was given."""
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\r\n")
    document = read_document(path)
    assert (document.file, document.root) == (str(path), {"a": "é"})


@pytest.mark.parametrize("name", ["missing.yaml", ".", "bad\0name"])
def test_a_file_that_cannot_be_read_is_a_failure_of_the_environment(
    tmp_path: Path, name: str
) -> None:
    """A missing file, a directory and an impossible name are no findings."""
    with pytest.raises(EnvironmentFailure, match="cannot read"):
        read_document(f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1\nb: x\xff\n", ("HK003", 2, 5)),
        (b"\xff\xfea\x00", ("HK003", 1, 1)),
        (b"a: " + b"x" * 10_000_000, ("HK002", 1, 1)),
        (b"a: " + b"x" * 999_998, ("HK002", 1, 1)),
    ],
)
def test_bytes_that_are_no_config_are_a_finding_with_a_place(
    tmp_path: Path, data: bytes, expected: tuple[str, int, int]
) -> None:
    """Bytes that are not UTF-8, and more of them than the limit."""
    path = tmp_path / "a.yaml"
    path.write_bytes(data)
    document = read_document(path)
    assert [place(problem) for problem in document.problems] == [expected]


PIECES = st.sampled_from(
    [
        "a: ",
        "b",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "  ",
        '"',
        "'",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        ":",
        " # ",
        "{{ ",
        "}}",
        "&x ",
        "*x",
        "!t ",
        "|",
        ">-",
        "\n\t",
        "\u00a0",
        "<<: ",
        "? ",
        "---\n",
        "...\n",
        "%",
        "@",
        "\\",
        "\r\n",
        "1",
        "true",
        "é",
        "“",
        "\ufeff",
        "\u2028",
        "\ue000",
        "k:v",
        "# hooks: ignore[HK1]",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=25).map("".join)))
def test_no_text_raises_and_what_is_not_read_is_explained(text: str) -> None:
    """A document always comes back, with data or with a reason on a line that exists."""
    document = parse_document(text, "f.yaml")
    assert document.root is not None or any(p.is_error for p in document.problems)
    for problem in document.problems:
        assert problem.code in YAML_CODES
        assert problem.help
        assert 1 <= problem.position.line <= len(document.lines)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LINES = st.text(st.sampled_from("ab é\n  :#'\"\\-{}\t"), max_size=40)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
    LINES,
)
TREES = st.dictionaries(
    TEXT,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)
        ),
        max_leaves=12,
    ),
    min_size=1,
    max_size=5,
)


class Dumper(yaml.SafeDumper):
    """Writes what was put in without aliases, and text always in quotes or blocks."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def dump_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = dumper.default_style or ("|" if "\n" in text else "'")  # type: ignore[attr-defined]
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, dump_text)


@settings(max_examples=200, deadline=None)
@given(TREES, st.booleans(), st.booleans(), st.sampled_from([20, 80, 10_000]))
def test_what_a_yaml_writer_wrote_is_read_back(
    tree: dict[str, Any], is_flow: bool, is_unicode: bool, width: int
) -> None:
    """Documents in block and flow style, with all kinds of quotes and folding, keep their data."""
    text = yaml.dump(tree, Dumper=Dumper, default_flow_style=is_flow, allow_unicode=is_unicode,
                     width=width, sort_keys=False)  # fmt: skip
    document = parse_document(text, "f.yaml")
    if not any(p.code in ("HK004", "HK013") for p in document.problems):
        assert document.root == tree, text


@pytest.mark.parametrize(
    "text", [text for text, code, _, _ in MISTAKES if code in ("HK014", "HK016", "HK022")]
)
def test_the_parser_in_python_builds_the_same_tree(text: str) -> None:
    """Where the C parser is missing, only the speed differs."""
    fast, slow = build(text, {}), build(text, {}, is_pure=True)
    assert (fast.root, fast.findings, fast.span) == (slow.root, slow.findings, slow.span)


@pytest.mark.parametrize(("text", "code", "line", "column"), MISTAKES)
def test_the_parser_in_python_finds_the_same_mistakes(
    text: str, code: str, line: int, column: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes and lines do not depend on the parser; columns only for half of a character."""
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    problem = only(text)
    assert (problem.code, problem.position.line) == (code, line)
    assert problem.position.column == column or "half" in problem.message
