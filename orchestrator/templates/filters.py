"""What the allowed filters do, each with a bounded result.

They follow Jinja's filters of the same names; where they differ it is because a caller hears the
result: `int` and `float` fail instead of answering 0, and `round` gives a whole number unless
digits are asked for.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from orchestrator.templates.model import MAX_TEXT
from orchestrator.templates.values import (
    MISSING,
    Refusal,
    bounded,
    is_list,
    is_number,
    joined,
    kind_of,
    number,
    text,
)

__all__ = ["RUN_FILTERS"]

_MAX_ITEMS = 10_000
_TRUE = frozenset(("true", "yes", "on", "1"))
_FALSE = frozenset(("false", "no", "off", "0", ""))


def _upper(value: Any) -> str:
    return text(value).upper()


def _lower(value: Any) -> str:
    return text(value).lower()


def _trim(value: Any) -> str:
    return text(value).strip()


def _capitalize(value: Any) -> str:
    return text(value).capitalize()


def _title(value: Any) -> str:
    return re.sub(r"[^-\s({\[<]+", lambda m: m[0][0].upper() + m[0][1:].lower(), text(value))


def _length(value: Any) -> int:
    if not (isinstance(value, str | Mapping) or is_list(value)):
        raise Refusal(f"{kind_of(value)} has no length")
    return len(value)


def _items(value: Any) -> list[Any]:
    if isinstance(value, str | Mapping) or is_list(value):
        if len(value) > _MAX_ITEMS:
            raise Refusal(f"more than {_MAX_ITEMS:,} items")
        return list(value)
    raise Refusal(f"needs a list, not {kind_of(value)}")


def _join(value: Any, separator: Any) -> str:
    return joined(text(separator), [text(item) for item in _items(value)])


def _first(value: Any) -> Any:
    return next(iter(_items(value)), None)


def _last(value: Any) -> Any:
    return next(reversed(_items(value)), None)


def _round(value: Any, digits: Any) -> Any:
    if digits is None:
        return round(number(value))
    return round(number(value), max(-300, min(300, int(number(digits)))))


def _int(value: Any, otherwise: Any) -> Any:
    return _converted(value, otherwise, lambda v: int(v) if is_number(v) else _whole(text(v)))


def _whole(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        return int(float(value))


def _float(value: Any, otherwise: Any) -> Any:
    return _converted(value, otherwise, lambda v: float(v if is_number(v) else text(v)))


def _converted(value: Any, otherwise: Any, convert: Callable[[Any], Any]) -> Any:
    try:
        result = convert(value)
        if result - result == 0:  # neither infinite nor "not a number"
            return result
    except (ValueError, OverflowError):
        pass
    if otherwise is MISSING:
        raise Refusal(f"{kind_of(value)} that is no number; give a default: `int(0)`, `float(0)`")
    return otherwise


def _bool(value: Any) -> bool:
    if isinstance(value, str):
        word = value.strip().lower()
        if word not in _TRUE | _FALSE:
            raise Refusal("text that means neither true nor false")
        return word in _TRUE
    return bool(value)


def _replace(value: Any, old: Any, new: Any, count: Any) -> str:
    whole, old, new = text(value), text(old), text(new)
    times = whole.count(old) if count is None else min(whole.count(old), int(number(count)))
    if len(whole) + max(0, times) * len(new) > 2 * MAX_TEXT:
        raise Refusal(f"the text is longer than {MAX_TEXT:,} characters")
    return bounded(whole.replace(old, new, times))


def _truncate(value: Any, length: Any, is_hard: Any, end: Any, leeway: Any) -> str:
    whole, tail = text(value), text(end)
    size, slack = int(number(length)), int(number(leeway))
    if size < len(tail) or slack < 0:
        raise Refusal(f"the length must be at least that of the ending, {len(tail)}")
    if len(whole) <= size + slack:
        return whole
    cut = whole[: size - len(tail)]
    return (cut if is_hard else cut.rsplit(" ", 1)[0]) + tail


def _tojson(value: Any) -> str:
    return bounded("null" if value is None else json.dumps(value, ensure_ascii=False)
                   if isinstance(value, str) else text(value))  # fmt: skip


def _key(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _unique(value: Any) -> list[Any]:
    seen: dict[Any, Any] = {}
    for item in _items(value):
        key = _key(item) if item is None or isinstance(item, str) or is_number(item) else None
        seen.setdefault(("json", text(item)) if key is None and item is not None else key, item)
    return list(seen.values())


def _sort(value: Any, is_reversed: Any) -> list[Any]:
    return sorted(_items(value), key=_key, reverse=bool(is_reversed))


def _sum(value: Any) -> Any:
    return sum(number(item) for item in _items(value))


def _min(value: Any) -> Any:
    return min(_items(value), key=_key, default=None)


def _max(value: Any) -> Any:
    return max(_items(value), key=_key, default=None)


def _abs(value: Any) -> Any:
    return abs(number(value))


def _urlencode(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ((text(k), text(v)) for k, v in value.items())
        return bounded("&".join(f"{quote_plus(k)}={quote_plus(v)}" for k, v in pairs))
    return bounded(quote(text(value), safe="/", errors="replace"))


def _digits(value: Any) -> str:
    return "".join(str(unicodedata.decimal(c)) for c in text(value) if c.isdecimal())


def _mask(value: Any) -> str:
    whole = text(value)
    return "*" * (len(whole) - 4) + whole[-4:] if len(whole) > 4 else "*" * len(whole)


def _words(value: Any) -> int:
    return len(text(value).split())


def _slug(value: Any) -> str:
    plain = unicodedata.normalize("NFKD", text(value).lower())
    return "-".join(re.findall(r"\w+", _without_marks(plain)))


def _without_marks(letters: Iterable[str]) -> str:
    return "".join(c for c in letters if not unicodedata.combining(c) and c != "_")


def _optional_int(value: Any, *otherwise: Any) -> Any:
    return _int(value, otherwise[0] if otherwise else MISSING)


def _optional_float(value: Any, *otherwise: Any) -> Any:
    return _float(value, otherwise[0] if otherwise else MISSING)


RUN_FILTERS: Mapping[str, Callable[..., Any]] = {
    "abs": _abs, "bool": _bool, "capitalize": _capitalize, "digits": _digits, "first": _first,
    "float": _optional_float, "int": _optional_int, "join": _join, "last": _last,
    "length": _length, "list": _items, "lower": _lower, "mask": _mask, "max": _max, "min": _min,
    "replace": _replace, "round": _round, "slug": _slug, "sort": _sort, "string": text,
    "sum": _sum, "title": _title, "tojson": _tojson, "trim": _trim, "truncate": _truncate,
    "unique": _unique, "upper": _upper, "urlencode": _urlencode, "words": _words,
}  # fmt: skip
