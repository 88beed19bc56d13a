import pytest
from templates_scope import DATA, FakeScope

from orchestrator.errors import TemplateFailed
from orchestrator.templates import Read, parse_condition, parse_template


def render(text, **scope):
    return parse_template(text).compile()(FakeScope(**({"data": DATA} | scope)))


def holds(text, **scope):
    template = parse_condition(text)
    assert template.faults == ()
    return template.compile()(FakeScope(**({"data": DATA} | scope)))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("call {{ call.id }} {{ call.user_number }}", "call c1 +15550100"),
        ("{{ call.turns }}", 3),
        ("{{ call.turns }}\n", 3),
        (" {{ call.turns }}", " 3"),
        ("a {{- call.id -}} b", "ac1b"),
        ("{{ data.price }}!", "0.3!"),
        ("{{ data.yes }} {{ data.items }}", "true [3, 1, 2]"),
        ("{{ data.customer['first_name'] | title }}", "Ann Lee"),
        ("{{ data.items[0] + data.items[-1] }}", 5),
        ("{{ data.items.1 }}", 1),
        ("{{ 'many' if data.count > 2 else 'few' }}", "many"),
        ("{{ data.count * 2 - 1 }}", 5),
        ("{{ data.count / 2 }} {{ data.count // 2 }} {{ data.count % 2 }}", "1.5 1 1"),
        ("{{ -data.count }}", -3),
        ("{{ event.text ~ '/' ~ data.count }}", "I want a Human/3"),
        ("{{ [data.count, {'a': none}] }}", [3, {"a": None}]),
        ("{{ data.customer.first_name | default('x') }}", "ann lee"),
        ("{{ data.nobody.first_name | default('there') }}", "there"),
        ("{{ data.nobody.first_name | title | default('there') }}", "there"),
        ("{{ data.customer.none | default('there') }}", "there"),
        ("{{ data.customer.empty | default('there') }}", ""),
        ("{{ data.customer.empty | default('there', true) }}", "there"),
        ("{{ data.items[9] | d(0) }}", 0),
        ("{{ memory.get('x') | default('new') }}", "new"),
        ("{{ memory.get('k') }} {{ memory.count('k', '5m') }}", "kept 4"),
        ("{{ call.count('user_turn') }} {{ call.count('user_turn', '2m') }}", "2 120"),
        ("{{ now.hour }} {{ now.weekday }} {{ now.time }}", "9 mon 09:30"),
        ("{{ now.date }}", "2024-01-01"),
        ("{{ now }}", "2024-01-01T09:30:00+00:00"),
        ("{{ '{{' }} {{ '}}' }}", "{{ }}"),
        ("{{ data.none }}", None),
    ],
)  # fmt: skip
def test_texts_render(text, result):
    """Texts with expressions give text, and a lone expression gives its value."""
    template = parse_template(text)
    assert template.faults == ()
    assert render(text) == result


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("event.text | upper", "I WANT A HUMAN"),
        ("' x ' | trim", "x"),
        ("'abc' | capitalize", "Abc"),
        ("data.items | length", 3),
        ("data.items | join('-')", "3-1-2"),
        ("data.items | first", 3),
        ("data.items | last", 2),
        ("[] | first", None),
        ("2.5 | round", 2),
        ("2.75 | round(1)", 2.8),
        ("'3.7' | int", 3),
        ("'x' | int(0)", 0),
        ("'1.5' | float", 1.5),
        ("5 | string", "5"),
        ("'yes' | bool", True),
        ("'aXbX' | replace('X', '-', 1)", "a-bX"),
        ("'hello big world' | truncate(9, end='')", "hello"),
        ("{'a': 'é'} | tojson", '{"a": "é"}'),
        ("'a\"b' | tojson", '"a\\"b"'),
        ("data.names | unique", ["Bo", "al"]),
        ("data.names | sort", ["al", "Bo", "bo"]),
        ("data.items | sum", 6),
        ("data.items | min", 1),
        ("data.items | max", 3),
        ("-5 | abs", 5),
        ("'a b&c' | urlencode", "a%20b%26c"),
        ("{'a': 'b c'} | urlencode", "a=b+c"),
        ("'+1 (555) 01' | digits", "155501"),
        ("'4111111111111111' | mask", "************1111"),
        ("'123' | mask", "***"),
        ("'one two  three' | words", 3),
        ("'Crème Brûlée, 2!' | slug", "creme-brulee-2"),
        ("'ab' | list", ["a", "b"]),
    ],
)  # fmt: skip
def test_filters(expression, result):
    """Each filter gives what the documents say."""
    template = parse_template("{{ " + expression + " }}")
    assert template.faults == ()
    assert render(template.source) == result


@pytest.mark.parametrize(
    ("condition", "result"),
    [
        ("event.text is matching('human|agent')", True),
        ("event.text is matching 'HUMAN'", True),
        (r"event.text is matching('\bhum')", True),
        (r"event.text is matching('\\bhum')", True),
        ("event.text is not matching('hum.n$')", False),
        ("event.text is containing_any(['a human', 'x'])", True),
        ("event.text is containing_any(['uman'])", False),
        ("'human' in event.text", False),
        ("event.text and data.none", False),
        ("data.customer.empty", False),
        ("data.items", True),
        ("not data.none", True),
        ("1 < data.count <= 3", True),
        ("1 < data.count > 3", False),
        ("data.x is defined and data.x > 1", False),
        ("data.x.y is undefined", True),
        ("data.none is defined and data.none is none", True),
        ("data.count is odd and data.count is divisibleby 3", True),
        ("data.count is number and data.yes is not number", True),
        ("data.count is eq 3 and data.count is ge(3) and data.count is in [3]", True),
        ("call.hour_in(vars.hours, 'UTC') and call.weekday_in('mon-fri', 'UTC')", True),
        ("data.customer.tier not in ('silver', 'bronze')", True),
        ("data.yes is true and data.yes is boolean", True),
    ],
)  # fmt: skip
def test_conditions_are_true_or_false(condition, result):
    """A condition gives true or false, whatever its expression gives."""
    assert holds(condition) is result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ data.customer.frist }}",
         "`data.customer.frist`: there is no `frist` in data.customer"),
        ("{{ data.none.x }}", "`data.none.x`: data.none is null"),
        ("{{ data.count.x }}", "`data.count.x`: data.count is a whole number and has no `x`"),
        ("{{ data.items[7] }}", "`data.items[7]`: data.items has only 3 items"),
        ("{{ data.customer[event.text] }}",
         "`data.customer[event.text]`: there is no such key in data.customer"),
        ("a {{ data.none }}", "`data.none`: null has no text; give one with `| default('...')`"),
        ("{{ data.count / 0 }}", "`data.count / 0`: division by zero"),
        ("{{ data.count + event.text }}",
         "`data.count + event.text`: cannot add a whole number and text"),
        ("{{ event.text * 100000000 }}",
         "`event.text * 100000000`: needs a number, not text"),
        ("{{ event.text % 5 }}", "`event.text % 5`: needs a number, not text"),
        ("{{ (data.none | upper) ~ 'x' }}",
         "`data.none | upper`: null has no text; give one with `| default('...')`"),
        ("{{ event.text | int }}",
         "`event.text | int`: text that is no number; give a default: `int(0)`, `float(0)`"),
        ("{{ data.none > 3 }}", "`data.none > 3`: cannot compare null with a whole number"),
        ("{{ error.message }}", "`error.message`: error is null"),
        ("{{ nobody.x }}", "`nobody.x`: there is no such name"),
        ("{{ 5 in event.text }}", "`5 in event.text`: cannot look for a whole number in text"),
    ],
)  # fmt: skip
def test_a_failure_names_the_path(text, message):
    """What fails on a call is named as it is written in the template."""
    with pytest.raises(TemplateFailed) as failed:
        render(text)
    assert str(failed.value) == message
    assert failed.value.__cause__ is None


def test_a_template_with_faults_fails_when_called():
    """Compiling never raises; the function of a faulty template does."""
    with pytest.raises(TemplateFailed, match="unknown filter"):
        render("{{ call.id | nope }}")


def test_a_failing_call_of_the_scope_is_a_template_failure():
    """An exception out of `memory` or `call` names the call and nothing else."""
    with pytest.raises(TemplateFailed, match=r"^`memory.get\('k'\)`: not possible"):
        render("{{ memory.get('k') }}", memory=None)


def test_attributes_of_values_are_never_read():
    """A value is reached by key only, so an object in the data shows nothing."""

    class Secret:
        password = "x"

    with pytest.raises(TemplateFailed, match="not plain data"):
        render("{{ data.o.password }}", data={"o": Secret()})
    with pytest.raises(TemplateFailed):
        render("{{ data.o.__class__ }}", data={"o": {}})


def test_reads_are_exact():
    """Every read has its path, its place and the places of its parts."""
    text = "Hi {{ data.customer.first_name | default('x') }} {{ data['a'][0][call.id] }}"
    template = parse_template(text)
    assert template.reads[0] == Read(("data", "customer", "first_name"), 6, 24, True, (6, 11, 20))
    assert template.reads[1].path == ("data", "a", 0)
    assert text[template.reads[1].offset :].startswith("data['a'][0]")
    assert [text[o] for o in template.reads[1].part_offsets] == ["d", "'", "0"]
    assert template.reads[2].path == ("call", "id")


@pytest.mark.parametrize(
    ("condition", "guarded"),
    [
        ("data.x > 1", [False]),
        ("data.x is defined and data.x > 1", [True, True]),
        ("data.x is not defined or data.x > 1", [True, True]),
        ("data.x is defined or data.x > 1", [True, False]),
        ("data.x and data.x.y", [False, True]),
        ("data.x.y if data.x is defined else data.x", [True, True, False]),
        ("not (data.x is undefined) and data.x.y.z", [True, True]),
        ("data.y is defined and data.x > 1", [True, False]),
        ("(data.x | default(data.y)) == 1", [True, False]),
        ("data.x | upper | default('') == 'A'", [True]),
    ],
)
def test_guards(condition, guarded):
    """`default`, `is defined`, and what `and`, `or` and `if` prove, guard a read."""
    reads = parse_condition(condition).reads
    assert [read.is_guarded or read.is_there for read in reads] == guarded


def test_calls_and_constancy_are_known():
    """A template tells its calls, and whether it can ever change."""
    assert parse_condition("call.count('dtmf') > 1").calls == (("call.count", 0),)
    assert parse_template("x").is_constant
    assert parse_template("{{ 1 + 1 }}").is_constant
    assert not parse_template("{{ call.id }}").is_constant


def test_explain_gives_the_values_read():
    """The journal's "why" has every value that is there, and none that is not."""
    template = parse_condition(
        "data.count > 2 and data.nope.x is defined or call.count('dtmf') > 9"
    )
    values = template.compile_explain()(FakeScope(data=DATA))
    assert values == {"data.count": 3, "call.count('dtmf')": 2}


def test_parsing_is_cached():
    """The same text is parsed and compiled once."""
    assert parse_template("{{ call.id }}!") is parse_template("{{ call.id }}!")
    assert parse_template("{{ call.id }}!").compile() is parse_template("{{ call.id }}!").compile()


def test_windows_newlines_do_not_shift_places():
    """Offsets count characters of the source, whatever its newlines are."""
    text = "a\r\n{{ call.id\r\n ~ data.x }}"
    assert text[parse_template(text).reads[1].offset :] == "data.x }}"
