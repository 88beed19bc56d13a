"""Equality with Jinja, for what both can do.

The text of a value is ours on both sides (booleans and lists as JSON, no null, no digits of noise),
so Jinja's filters get it from us; `~` has no such hook and is left out. `round`, `tojson`, `int` and `float`
differ on purpose and have their own table.
"""

from types import SimpleNamespace

import jinja2
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import filters
from jinja2.sandbox import ImmutableSandboxedEnvironment
from templates_scope import FakeScope

from orchestrator.errors import TemplateFailed
from orchestrator.templates import parse_condition, parse_template
from orchestrator.templates.parse import parse_expression
from orchestrator.templates.split import scan_path
from orchestrator.templates.tree import Path
from orchestrator.templates.values import text


class KeysOnly(ImmutableSandboxedEnvironment):
    """Jinja without its fall-back to methods, where `data.items` without such a key is a method."""

    def getitem(self, obj, argument):
        try:
            return obj[argument]
        except (LookupError, TypeError):
            return self.undefined(obj=obj, name=argument)

    getattr = getitem


ENV = KeysOnly(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)


def with_our_text(run, kept=()):
    def wrapped(value, *args, **kwargs):
        return run(value if isinstance(value, kept) else text(value), *args, **kwargs)

    return wrapped


def join_with_our_text(value, separator):
    return separator.join(map(text, value))


def urlencode_with_our_text(value):
    pairs = {key: text(item) for key, item in value.items()} if isinstance(value, dict) else None
    return filters.do_urlencode(text(value) if pairs is None else pairs)


for name in ("lower", "replace", "string", "title", "trim", "upper", "capitalize"):
    ENV.filters[name] = with_our_text(ENV.filters[name])
ENV.filters["urlencode"] = urlencode_with_our_text
ENV.filters["truncate"] = with_our_text(
    lambda value, *args, **kwargs: filters.do_truncate(ENV, value, *args, **kwargs)
)
ENV.filters["replace"] = with_our_text(lambda value, old, new: value.replace(old, new))
ENV.filters["join"] = join_with_our_text

NAMES = ("a", "b", "tier", "items", "keys", "x1")
TEXTS = st.text("abAB xyz-1.é{}%", max_size=8)
SCALARS = st.one_of(TEXTS, st.integers(-50, 50), st.floats(-50, 50).map(lambda f: round(f, 2)))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=8,
)
DATA = st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=2, max_size=6)


def literal(value):
    return repr(value).replace("\\'", "'") if "'" not in str(value) else "'q'"


PATHS = st.builds(
    lambda parts: "data" + "".join(parts),
    st.lists(
        st.one_of(
            st.sampled_from(NAMES).map(lambda name: f"['{name}']"),
            st.sampled_from(("tier", "x1", "a", "b")).map(lambda name: f".{name}"),
            st.integers(0, 2).map(lambda number: f"[{number}]"),
        ),
        min_size=1,
        max_size=3,
    ),
)
LEAVES = st.one_of(PATHS, st.sampled_from(("event.text", "vars.queue")), SCALARS.map(literal))
FILTERS = st.sampled_from((
    "upper", "lower", "trim", "title", "capitalize", "length", "string", "first", "last",
    "default('d')", "default('', true)", "join(', ')", "replace('a', 'bb')", "truncate(4, true)",
    "truncate(5, end='', leeway=0)", "sort", "unique | list", "abs", "max", "min", "sum",
    "urlencode",
))  # fmt: skip
TESTS = st.sampled_from((
    "is string", "is not number", "is defined", "is undefined", "is mapping", "is sequence",
    "is none", "is odd", "is divisibleby 3", "is eq 'a'", "is in ['a', 1]",
))  # fmt: skip


def compound(inner):
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.builds(lambda e, f: f"({e}) | {f}", inner, FILTERS),
        st.builds(lambda e, f: f"{e} | {f}", LEAVES, FILTERS),
        st.builds(lambda e, t: f"({e} {t})", PATHS, TESTS),
        st.builds(lambda p, s: f"({p[0]} {s} {p[1]})", pair,
                  st.sampled_from(("==", "!=", "<", ">=", "in", "not in", "and", "or", "+", "-",
                                   "<", "/", "//"))),
        st.builds(lambda p, t: f"({p[0]} if {t} else {p[1]})", pair, inner),
        st.builds(lambda p: f"[{p[0]}, {p[1]}]", pair),
        inner.map(lambda e: f"(not {e})"),
        inner.map(lambda e: f"(-{e})"),
    )  # fmt: skip


EXPRESSIONS = st.recursive(LEAVES, compound, max_leaves=6)


def same(ours, theirs):
    if isinstance(theirs, jinja2.Undefined):
        return ours is None
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs or str(ours) == str(theirs)


@given(EXPRESSIONS, DATA, TEXTS)
@settings(max_examples=1200, deadline=None)
def test_values_equal_those_of_jinja(expression, data, speech):
    """Where both give a value, it is the same value."""
    names = {"data": data, "event": {"text": speech}, "vars": {"queue": "q"}}
    template = parse_template("{{ " + expression + " }}")
    assert template.faults == ()
    try:
        ours = template.compile()(FakeScope(**names))
        theirs = ENV.compile_expression(expression, undefined_to_none=False)(**names)
    except (TemplateFailed, jinja2.TemplateError, ArithmeticError, TypeError, ValueError,
            LookupError, AttributeError):  # fmt: skip
        return
    assert same(ours, theirs), (ours, theirs)


@given(st.lists(st.one_of(PATHS, TEXTS.map(lambda t: t.replace("{", "").replace("%", ""))),
                min_size=1, max_size=5), DATA)  # fmt: skip
@settings(max_examples=500, deadline=None)
def test_texts_equal_those_of_jinja(pieces, data):
    """Texts with paths to texts and numbers render as Jinja renders them."""
    source = "".join(
        "{{ " + p + " | string | upper | replace('A', 'z') }}" if p.startswith("data") else p
        for p in pieces
    )
    try:
        ours = parse_template(source).compile()(FakeScope(data=data))
        theirs = ENV.from_string(source).render(data=data)
    except (TemplateFailed, jinja2.TemplateError):
        return
    if "[" not in theirs and "{" not in theirs:  # lists and mappings are JSON with us
        assert ours == theirs


@given(EXPRESSIONS, DATA)
@settings(max_examples=500, deadline=None)
def test_conditions_equal_those_of_jinja(expression, data):
    """A condition holds where Jinja's value is true."""
    names = {"data": data, "event": {"text": "abc"}, "vars": {"queue": "q"}}
    try:
        ours = parse_condition(expression).compile()(FakeScope(**names))
        theirs = bool(ENV.compile_expression(expression)(**names))
    except (TemplateFailed, jinja2.TemplateError, ArithmeticError, TypeError, ValueError,
            LookupError, AttributeError):  # fmt: skip
        return
    assert ours == theirs


@given(st.from_regex(r"\s?(event|call|data)(\.[a-z_][a-z0-9_]{0,4}){1,4}\s?", fullmatch=True))
@settings(max_examples=200)
def test_the_quick_scanner_gives_the_tree_of_the_parser(source):
    """Scanning a lone path by hand changes nothing but the time it takes."""
    scanned = scan_path(source, 0, len(source))
    if scanned is not None:
        assert isinstance(scanned, Path)
        assert scanned == parse_expression(source, 0, len(source))


def test_the_scope_is_any_object_with_the_attributes():
    """The engine needs attributes of the scope only."""
    scope = SimpleNamespace(vars={"a": {"b": 1}})
    assert parse_template("{{ vars.a.b }}").compile()(scope) == 1
