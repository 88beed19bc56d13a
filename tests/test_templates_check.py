import pytest
from templates_scope import NAMES

from orchestrator.codes import NAME_CODES, TEMPLATE_CODES
from orchestrator.shapes import BOOL, TEXT, one_of, record
from orchestrator.templates import parse_condition, parse_template

TEXTS = [
    ("{{ a b }}", "HK301", "b", None),
    ("{{ }}", "HK301", "{{ }}", None),
    ("{{ call.id + }}", "HK301", "+", None),
    ("{{ 'x }}", "HK301", "'x ", None),
    ("{{ (call.id }}", "HK301", "(", None),
    ("{{ call.id ) }}", "HK301", ")", None),
    ("{{ 1234567890123456789 }}", "HK301", "1234567890123456789", "quotes"),
    ("{{ call.id", "HK302", "{{", None),
    ("{% if x %}", "HK303", "{%", "inline"),
    ("{# x #}", "HK303", "{#", "YAML"),
    ("{{ data.count ** 2 }}", "HK306", "**", "`*`"),
    ("{{ data.items[1:] }}", "HK306", "1", "truncate"),
    ("{{ data.items[data.count - 1] }}", "HK306", "data.count - 1", None),
    ("{{ 'a' if data.count }}", "HK306", "'a' if data.count", "else"),
    ("{{ event.text.upper() }}", "HK307", "upper", "| upper"),
    ("{{ range(9) }}", "HK307", "range", "call.count"),
    ("{{ call.cuont('dtmf') }}", "HK307", "cuont", "`count`"),
    ("{{ call.id | uper }}", "HK308", "uper", "`upper`"),
    ("{{ call.id | attr('x') }}", "HK308", "attr", "there are"),
    ("{{ call.id | upper(1) }}", "HK310", "1", None),
    ("{{ call.id | replace('a') }}", "HK310", "replace", "old, new"),
    ("{{ call.id | truncate(x=1) }}", "HK310", "1", "length"),
    ("{{ call.count(event.text) }}", "HK310", "event.text", None),
    ("{{ call.count('dtmf', '60') }}", "HK310", "'60'", "'8s'"),
    ("{{ call.hour_in('9-18', 'UTC') }}", "HK310", "'9-18'", "09:00"),
    ("{{ call.hour_in(vars.hours, 'Asia/Nowhere') }}", "HK310", "'Asia/Nowhere'", "UTC"),
    ("{{ call.count('user_trn') }}", "HK205", "'user_trn'", "`user_turn`"),
    ("{{ '${TOKEN}' }}", "HK313", "${", "vars"),
    ("{{ evnt.text }}", "HK201", "evnt", "`event`"),
    ("{{ customer.tier }}", "HK201", "customer", "`data.customer`"),
    ("{{ event.txt }}", "HK202", "txt", "`text`"),
    ("{{ event['txt'] | default('') }}", "HK202", "'txt'", "`text`"),
    ("{{ call.count }}", "HK202", "count", "call.count(...)"),
    ("{{ call }}", "HK202", "call", "call.id"),
    ("{{ event.text.x }}", "HK202", "x", None),
    ("{{ data.items.first }}", "HK202", "first", "[0]"),
    ("{{ data.customer.tier }}", "HK203", "data.customer", "default"),
    ("{{ event.language }}", "HK203", "language", "default"),
    ("hi {{ call.language }}", "HK203", "call.language", "default"),
    ("{{ error.message }}", "HK204", "error", "on_error"),
    ("{{ data.count + event.text }}", "HK321", "data.count + event.text", "`~`"),
    ("{{ event.text * 3 }}", "HK321", "event.text", None),
    ("{{ data.items | upper }}", "HK321", "data.items", None),
    ("{{ 1 + 1 }}", "HK324", "1 + 1", "without braces"),
]

CONDITIONS = [
    ("event.text = 'x'", "HK305", "=", "`==`"),
    ("(event.text = 'x')", "HK305", "=", "`==`"),
    ("event.text === 'x'", "HK305", "===", "`==`"),
    ("event.text == 'x' && data.y", "HK305", "&&", "`and`"),
    ("data.x || data.y", "HK305", "||", "`or`"),
    ("!data.x", "HK305", "!", "`not`"),
    ("{{ event.text == 'x' }}", "HK304", "{{", "braces out"),
    ("", "HK301", "", "remove"),
    ("event.text is matchin('x')", "HK309", "matchin", "`matching`"),
    ("event.text is matching('a(?=b)')", "HK311", "(?=", "RE2"),
    ("event.text is matching('[a')", "HK311", "[a", "RE2"),
    ("event.text is matching(event.text)", "HK310", "event.text", None),
    ("event.text is containing_any('x')", "HK310", "'x'", "containing_any"),
    ("event.text > 3", "HK320", "3", "| int"),
    ("data.count == '3'", "HK320", "'3'", "| int"),
    ("data.count in ['a', 'b']", "HK320", "['a', 'b']", None),
    ("5 in event.text", "HK320", "5", None),
    ("data.items < 3", "HK320", "data.items", None),
    ("data.count is matching('3')", "HK321", "data.count", None),
    ("call.direction == 'inbond'", "HK322", "'inbond'", "'inbound'"),
    ("call.direction in ['inbound', 'outbond']", "HK322", "'outbond'", "'outbound'"),
    ("event.text", "HK323", "event.text", "matching"),
    ("not event.text", "HK323", "event.text", "matching"),
    ("call.turns > 1 and not (call.turns > 2 and event.text)", "HK323", "event.text", "matching"),
    ("now.month", "HK323", "now.month", "compare"),
    ("1 == 1", "HK324", "1 == 1", "remove"),
]


def one_fault(template):
    _, found = template.check(NAMES)
    faults = (*template.faults, *found)
    assert len(faults) == 1, faults
    return faults[0]


@pytest.mark.parametrize(
    ("parse", "source", "code", "place", "help"),
    [(parse_template, *row) for row in TEXTS] + [(parse_condition, *row) for row in CONDITIONS],
)
def test_each_mistake_is_one_fault_at_its_place(parse, source, code, place, help):
    """A mistake gives one finding, which marks the very characters and says how to mend them."""
    fault = one_fault(parse(source))
    assert (fault.code, source[fault.offset : fault.offset + fault.length]) == (code, place)
    assert code in NAME_CODES | TEMPLATE_CODES
    assert help is None or help in (fault.help or "")
    assert fault.message[0] in "`'" or not fault.message[0].isupper()


@pytest.mark.parametrize(
    "source",
    [
        "Hi {{ data.customer.first_name | default('there') }}, how can I help?",
        "call {{ call.id }} {{ call.direction }}",
        "{{ call.user_number }}",
        "{{ data.brought_by_the_call.x }}",
        "{{ event.language | default('en') }}",
        "{{ data.items[0] + 1 }}",
        "{{ {'a': event.text, 'b': call.transcript} }}",
        "{{ '{{' }}",
    ],
)
def test_good_texts_have_no_faults(source):
    """Ordinary templates pass."""
    assert parse_template(source).check(NAMES)[1] == parse_template(source).faults == ()


@pytest.mark.parametrize(
    "source",
    [
        "event.text is matching('human|representative|real person') and "
        "call.hour_in(vars.hours, 'Asia/Kolkata')",
        "data.customer and data.customer.tier == 'gold'",
        "data.customer is not none and data.customer.tier in ['gold', 'silver']",
        "data.x is defined and data.x > 3",
        "call.count('user_turn', '60s') >= 2",
        "data.answer.ok",
        "call.direction == 'inbound' and now.hour < 18 and now.weekday != 'sun'",
        "call.user_number == '+15550100'",
        "memory.get(call.id) == 3",
    ],
)
def test_good_conditions_have_no_faults(source):
    """Ordinary conditions pass, and are true or false by type."""
    assert parse_condition(source).check(NAMES) == (BOOL, ())


@pytest.mark.parametrize(
    ("source", "kind", "taint"),
    [
        ("{{ event.text }}", "text", "caller"),
        ("{{ event.text | title | replace('a', 'b') }}", "text", "caller"),
        ("{{ 'a' | replace('a', event.text) }}", "text", "caller"),
        ("{{ event.text ~ data.token }}", "text", "secret"),
        ("{{ data.answer.x.y }}", "any", "remote"),
        ("{{ data.answer.x | default(event.text) }}", "any", "caller"),
        ("{{ event.text is matching('x') }}", "bool", ""),
        ("{{ event.text | length }}", "int", ""),
        ("{{ call.turns + 1 }}", "int", ""),
        ("{{ call.turns / 2 }}", "number", ""),
        ("{{ call.transcript | tojson }}", "text", "caller"),
        ("x {{ call.transcript }}", "text", "caller"),
        ("{{ 'a' if event.text else 'b' }}", "text", ""),
        ("{{ data.customer.tier | default('none') }}", "text", ""),
    ],
)
def test_results_have_a_kind_and_a_taint(source, kind, taint):
    """The type of a result follows from what is read; text keeps the mark of where it came from."""
    shape, faults = parse_template(source).check(NAMES)
    assert faults == ()
    assert (shape.kind, shape.taint) == (kind, taint)


def test_closed_data_reports_unsaved_reads_unless_guarded():
    """Reading what nothing saves is a finding; guarded it is not."""
    names = NAMES | {"data": record({"customer": TEXT})}
    _, faults = parse_template("{{ data.custmer }}").check(names)
    assert [(f.code, f.help) for f in faults] == [("HK202", "did you mean `customer`?")]
    assert parse_template("{{ data.other.x | default(1) }}").check(names)[1] == ()


def test_a_known_variable_is_checked_as_if_written_out():
    """A variable with one known value is checked where its value matters."""
    names = NAMES | {"vars": record({"hours": one_of("9 to 5")})}
    _, faults = parse_condition("call.hour_in(vars.hours, 'UTC')").check(names)
    assert [fault.code for fault in faults] == ["HK310"]
