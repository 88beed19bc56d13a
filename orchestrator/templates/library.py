"""The allow-list: every filter, test and call, what it takes and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from orchestrator.shapes import (
    ANY,
    BOOL,
    INT,
    NUMBER,
    TEXT,
    Kind,
    Shape,
    list_of,
    maybe,
    one_of,
    record,
)

__all__ = [
    "ALIASES",
    "CALLS",
    "CALL_FIELDS",
    "FILTERS",
    "NOW_FIELDS",
    "OMITTED",
    "ROOTS",
    "TESTS",
    "TEST_SIGNS",
    "Function",
    "Param",
    "fits",
]

ROOTS = ("event", "call", "data", "vars", "steps", "memory", "now", "error")

CALLER = TEXT.tainted("caller")
#: A number that may be withheld: empty then.
_NUMBER_OR_NOT = replace(CALLER, bounds=(0, 64))
#: Words of whoever placed the call, or of its runtime.
_OUTSIDE = TEXT.tainted("remote")

#: The fields of `call`, each an attribute of the scope's call object.
CALL_FIELDS: Mapping[str, Shape] = {
    "id": _OUTSIDE,
    "session_id": _OUTSIDE,
    "agent_id": _OUTSIDE,
    "direction": one_of("inbound", "outbound"),
    "user_number": _NUMBER_OR_NOT,
    "called_number": _NUMBER_OR_NOT,
    "started_at": TEXT,
    "duration": NUMBER,
    "transcript": list_of(record({"who": one_of("agent", "caller"), "text": CALLER})),
    "turns": INT,
    "interruptions": INT,
    "instructions": _OUTSIDE,
    "language": maybe(_OUTSIDE),
    "state": one_of("starting", "live", "hangup", "ended", "transferred", "error", "shutdown"),
    "end_reason": maybe(TEXT),
    "outcome": maybe(TEXT),
    "runtime": TEXT,
    "attempt": INT,
}


def _within(low: int, high: int) -> Shape:
    return replace(INT, bounds=(low, high))


#: The fields of `now`.
NOW_FIELDS: Mapping[str, Shape] = {
    "year": INT,
    "month": _within(1, 12),
    "day": _within(1, 31),
    "hour": _within(0, 23),
    "minute": _within(0, 59),
    "date": TEXT,
    "time": TEXT,
    "weekday": one_of("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
}

Kinds = tuple[Kind, ...]
_SCALAR: Kinds = ("text", "number", "bool")
_WORDS: Kinds = ("text", "number")
_TEXT: Kinds = ("text",)
_NUMBER: Kinds = ("number",)
_LIST: Kinds = ("list",)
_MANY: Kinds = ("text", "list", "record")
_ALL: Kinds = ()

#: The default of a parameter that is simply left out.
OMITTED = object()
_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Param:
    """One argument: its name, the kinds that it takes (none: all) and its default.

    A constant one must be written out in the template. `role` names a further check:
    an event, a duration, hours, days, a zone, a pattern or a list of phrases.
    """

    name: str
    kinds: Kinds = ()
    default: object = _REQUIRED
    is_constant: bool = False
    role: str = ""

    @property
    def is_required(self) -> bool:
        """Whether the template must give it."""
        return self.default is _REQUIRED


@dataclass(frozen=True, slots=True)
class Function:
    """A filter or test: the kinds it takes (none: all), its arguments, the shape it gives."""

    takes: Kinds
    gives: Callable[[Shape], Shape]
    params: tuple[Param, ...] = ()


def fits(shape: Shape, kinds: Kinds) -> bool:
    """Whether a value of this shape may be of one of these kinds."""
    kind: Kind = "number" if shape.kind == "int" else shape.kind
    return not kinds or kind == "any" or kind in kinds


def _text(item: Shape) -> Shape:
    return TEXT.tainted(item.taint)


def _plain(shape: Shape) -> Callable[[Shape], Shape]:
    return lambda item: shape


def _tainted(shape: Shape) -> Callable[[Shape], Shape]:
    return lambda item: shape.tainted(item.taint)


def _item(item: Shape) -> Shape:
    if item.kind == "text":
        return maybe(_text(item))
    inner = item.of if item.kind == "list" and item.of else ANY
    inner = replace(inner, taint=inner.taint or item.taint)
    is_sure = (
        bool(item.bounds and item.bounds[0]) or inner.kind == "any"
    )  # who knows nothing of a list trusts it
    return inner if is_sure else maybe(inner)


def _items(item: Shape) -> Shape:
    inner = item.of if item.kind == "list" and item.of else ANY
    return Shape("list", of=inner, taint=item.taint, bounds=item.bounds)


def _unique(item: Shape) -> Shape:
    least = 1 if item.bounds and item.bounds[0] else 0
    return replace(_items(item), bounds=(least, item.bounds[1]) if item.bounds else None)


def _number_like(item: Shape) -> Shape:
    return Shape("int" if item.kind == "int" else "number", taint=item.taint)


def _text_filter(*params: Param) -> Function:
    return Function(_SCALAR, _text, params)


FILTERS: Mapping[str, Function] = {
    "abs": Function(_NUMBER, _number_like),
    "bool": Function(_ALL, _plain(BOOL)),
    "capitalize": _text_filter(),
    "default": Function(
        _ALL,
        lambda item: item,
        (Param("default_value", default=""), Param("boolean", ("bool",), False, is_constant=True)),
    ),
    "digits": _text_filter(),
    "first": Function(_MANY, _item),
    "float": Function(_SCALAR, _tainted(NUMBER), (Param("default", default=OMITTED),)),
    "int": Function(_SCALAR, _tainted(INT), (Param("default", default=OMITTED),)),
    "join": Function(("list", "record"), _text, (Param("d", _SCALAR, ""),)),
    "last": Function(_MANY, _item),
    "length": Function(_MANY, _plain(INT)),
    "list": Function(_MANY, _items),
    "lower": _text_filter(),
    "mask": _text_filter(),
    "max": Function(_LIST, _item),
    "min": Function(_LIST, _item),
    "replace": _text_filter(
        Param("old", _SCALAR), Param("new", _SCALAR), Param("count", _NUMBER, None)
    ),
    "round": Function(_NUMBER, _tainted(NUMBER), (Param("precision", _NUMBER, None),)),
    "slug": _text_filter(),
    "sort": Function(_LIST, _items, (Param("reverse", ("bool",), False),)),
    "string": Function(_ALL, _text),
    "sum": Function(_LIST, _tainted(NUMBER)),
    "title": _text_filter(),
    "tojson": Function(_ALL, _text),
    "trim": _text_filter(),
    "truncate": _text_filter(
        Param("length", _NUMBER, 255),
        Param("killwords", ("bool",), False),
        Param("end", _TEXT, "..."),
        Param("leeway", _NUMBER, 5),
    ),
    "unique": Function(_MANY, _unique),
    "upper": _text_filter(),
    "urlencode": Function(("text", "number", "bool", "record"), _text),
    "words": Function(_SCALAR, _plain(INT)),
}


def _test(takes: Kinds, *params: Param) -> Function:
    return Function(takes, _plain(BOOL), params)


_OTHER = Param("other")

TESTS: Mapping[str, Function] = {
    "boolean": _test(_ALL),
    "containing_any": _test(_TEXT, Param("phrases", _LIST, is_constant=True, role="phrases")),
    "defined": _test(_ALL),
    "divisibleby": _test(_NUMBER, Param("num", _NUMBER)),
    "eq": _test(_ALL, _OTHER),
    "even": _test(_NUMBER),
    "false": _test(_ALL),
    "float": _test(_ALL),
    "ge": _test(_WORDS, _OTHER),
    "gt": _test(_WORDS, _OTHER),
    "in": _test(_ALL, Param("seq", _MANY)),
    "integer": _test(_ALL),
    "le": _test(_WORDS, _OTHER),
    "lt": _test(_WORDS, _OTHER),
    "mapping": _test(_ALL),
    "matching": _test(_TEXT, Param("pattern", _TEXT, is_constant=True, role="pattern")),
    "ne": _test(_ALL, _OTHER),
    "none": _test(_ALL),
    "number": _test(_ALL),
    "odd": _test(_NUMBER),
    "sequence": _test(_ALL),
    "string": _test(_ALL),
    "true": _test(_ALL),
    "undefined": _test(_ALL),
}

#: Tests that are written as operators too.
TEST_SIGNS: Mapping[str, str] = {
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "in": "in",
}  # fmt: skip

#: Jinja's other names for the same filters and tests.
ALIASES: Mapping[str, str] = {
    "d": "default", "count": "length", "equalto": "eq", "lessthan": "lt", "greaterthan": "gt",
    "null": "none",
}  # fmt: skip

_ZONE = Param("zone", _TEXT, role="zone")
_WITHIN = Param("within", _TEXT, OMITTED, is_constant=True, role="duration")

CALLS: Mapping[str, Function] = {
    "call.count": Function(
        _ALL, _plain(INT), (Param("event", _TEXT, is_constant=True, role="event"), _WITHIN)
    ),
    "call.hour_in": Function(_ALL, _plain(BOOL), (Param("hours", _TEXT, role="hours"), _ZONE)),
    "call.weekday_in": Function(_ALL, _plain(BOOL), (Param("days", _TEXT, role="days"), _ZONE)),
    "memory.get": Function(_ALL, _plain(maybe(ANY)), (Param("key", _WORDS),)),
    "memory.count": Function(_ALL, _plain(INT), (Param("key", _WORDS), _WITHIN)),
}
