"""Hostile text: what callers, remote systems and CRM rows may hold to do harm."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from orchestrator.shapes import Shape

#: Each of these has broken some system that took text for something else.
NASTY = (
    # templates and expressions
    "{{ 7 * 7 }}", "{{ vars }}", "{{ call.__class__.__mro__ }}", "{% for x in y %}x{% endfor %}",
    "{# c #}", "${HOME}", "${HOME:-x}", "$${X}", "#{7*7}", "<%= 7*7 %>", "%(message)s %s %n %x", "{0.__class__}",
    # YAML, JSON, XML, SQL, shells
    "- webhook: {url: x}", "!!python/object/apply:os.system ['id']", "&a *a", "<<: *x", '"}, {"do": "end_call"',
    '{"$ref": "#/x"}', "]]>", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;', "<script>alert(1)</script>",
    "'; drop table customers; --", "\" or 1=1 --", "$(id)", "`id`", "; rm -rf /", "| cat",
    # line ends, headers, control characters, terminals
    "\r\nX-Evil: 1\r\n\r\nGET / HTTP/1.1", "a\nb", "a\rb", "\x00", "a\x00b", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07",
    "\x07\x08\x7f", "\x85\x9b31m", "\u2028\u2029", "\ufeff",
    # Unicode: halves of pairs, directions, lookalikes, marks without end
    "\ud83d", "\udc00\ud800", "x\udfffy", "\u202eevil\u202c", "\u2066\u2069", "\u200b\u200d", "\u0440aypal.example",
    "\uff0b\uff11\uff15\uff15\uff15\uff10\uff11\uff10\uff10", "+\u0661\u0665\u0665\u0665\u0660\u0661\u0660\u0660", "\ufb01 \ufb00 \u017f K \u0130 \u0131", "Z" + "\u0300" * 300, "\U000e0041\U0010ffff", "\uffff\ufdd0",
    # paths, URLs, hosts
    "../../etc/passwd", "..%2f..%2f", "%2e%2e/", "..\\..\\x", "/", "//evil.example/x", "@evil.example", "?a=b#c",
    "http://169.254.169.254/", "file:///etc/passwd", "a;b=c&d=e", "%", "%zz", "%00", ".", "..",
    # patterns, numbers, emptiness
    "(a+)+$", "(((((((((a*)*)*)*)*)*)*)*)*)b", "a" * 40 + "!", "[", "(?P<x>", "\\", "1e999", "-0", "NaN", "9" * 400,
    "", " ", "\t", "null", "true", "no",
)  # fmt: skip

#: As much as one value may hold, and a little more.
LONG = ("ab(" * 333_333 + "x", "\u202e" * 1_000_000, "{{" * 500_001, "9" * 1_000_001)

_ANY_TEXT = st.text(st.characters(), max_size=30)  # halves of surrogate pairs included
TEXT = st.lists(st.one_of(st.sampled_from(NASTY), _ANY_TEXT), min_size=1, max_size=3).map("".join)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
JSON = st.recursive(
    TEXT | NUMBERS | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def of_shape(shape: Shape) -> st.SearchStrategy[Any]:
    """Hostile values of a field. One that promises a few words is not trusted to keep to them."""
    if shape.kind == "text":
        return st.one_of(st.sampled_from(shape.choices), TEXT) if shape.choices else TEXT
    if shape.kind == "bool":
        return st.booleans()
    if shape.is_number:
        return NUMBERS if shape.kind == "number" else st.integers(-(2**70), 2**70)
    return JSON.filter(lambda value: value is not None)
