"""The arguments of filters, tests and calls: bound to their parameters and checked in clear."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.events import RUNNER_EVENTS, SESSION_EVENTS, is_custom, near_miss
from orchestrator.shapes import Shape
from orchestrator.templates.library import OMITTED, Function, Param
from orchestrator.templates.model import Fault
from orchestrator.templates.patterns import BadPattern, compile_pattern, compile_phrases
from orchestrator.templates.tree import Called, Constant, ListOf, Node, Path, prefix

__all__ = ["Arguments", "check_role", "check_roles", "seconds"]

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)", re.ASCII)
_SYNTAX = "patterns are those of RE2: https://github.com/google/re2/wiki/Syntax"
_NOWHERE = Node(0, 0)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)", re.ASCII)
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_DAYS = re.compile(rf"{_DAY}(?:-{_DAY})?(?:,\s*{_DAY}(?:-{_DAY})?)*", re.ASCII)


def seconds(duration: str) -> float | None:
    """The seconds of a duration such as `500ms`, `8s`, `2m` or `1h`."""
    match = _DURATION.fullmatch(duration)
    return float(match[1]) * _UNITS[match[2]] if match else None


class Arguments:
    """Binds the arguments of one filter, test or call."""

    def __init__(self, source: str, convert: Callable[[Any, int], Node]) -> None:
        self.source = source
        self.convert = convert

    def bind(
        self, node: Any, function: Function, words: str, depth: int, name: Node
    ) -> tuple[Node, ...] | Fault:
        """The arguments in the order of the parameters, defaults filled in; `name` is a place."""
        given = self._given(node, function, words)
        if isinstance(given, Fault):
            return given
        bound: list[Node] = []
        for param in function.params:
            if param.name in given:
                arg = self.convert(given[param.name], depth)
                fault = _check_constant(param, arg, words)
                if fault:
                    values = [
                        self.convert(given[p.name], depth)
                        for p in function.params
                        if p.name in given
                    ]
                    text = arg.value if isinstance(arg, Constant) else None
                    is_turned = _suits_another(function, param, text)
                    return (
                        _turned_round(self.source, function, words, values) if is_turned else fault
                    )
                bound.append(arg)
            elif param.is_required:
                return Fault("HK310", f"{words} needs {param.name}", name.offset, _width(name),
                             _usage(function))  # fmt: skip
            elif param.default is not OMITTED:
                bound.append(Constant(name.end, name.end, param.default))  # type: ignore[arg-type]
        return tuple(bound)

    def _given(self, node: Any, function: Function, words: str) -> dict[str, Any] | Fault:
        names = [param.name for param in function.params]
        star = node.dyn_args or node.dyn_kwargs
        if star is not None:
            return Fault("HK310", "`*` in arguments is not allowed", star.lineno, 1)
        if len(node.args) > len(names):
            extra = node.args[len(names)]
            return Fault("HK310", f"{words} takes {_count(len(names))}", extra.lineno, 1,
                         _usage(function))  # fmt: skip
        given = dict(zip(names, node.args, strict=False))
        for keyword in node.kwargs:
            if keyword.key not in names or keyword.key in given:
                return Fault("HK310", f"{words} takes no such argument `{keyword.key}`",
                             keyword.value.lineno, 1, _usage(function))  # fmt: skip
            given[keyword.key] = keyword.value
        return given

    def search(
        self, function: Function, args: tuple[Node, ...]
    ) -> Callable[[object], bool] | Fault | None:
        """The search function of a test with a constant pattern or phrases."""
        role = function.params[0].role if function.params else ""
        if role == "pattern":
            return self._pattern(args[0])
        is_written = not isinstance(args[0], Path) if args else False
        return self._phrases(args[0]) if role == "phrases" and is_written else None

    def _pattern(self, arg: Node) -> Callable[[object], bool] | Fault:
        if not isinstance(arg, Constant):
            return Fault("HK310", "`matching` needs a pattern in quotes", arg.offset, _width(arg),
                         "write `matching('refund|money back')`")  # fmt: skip
        try:
            return compile_pattern(str(arg.value))
        except BadPattern as bad:
            at = self.source.find(bad.fragment, arg.offset, arg.end) if bad.fragment else -1
            offset, length = (at, len(bad.fragment)) if at >= 0 else (arg.offset, _width(arg))
            return Fault("HK311", f"bad pattern: {bad}", offset, length, _SYNTAX)

    def _phrases(self, arg: Node) -> Callable[[object], bool] | Fault:
        items = arg.items if isinstance(arg, ListOf) else ()
        phrases = [item.value for item in items if isinstance(item, Constant)]
        texts = tuple(phrase for phrase in phrases if isinstance(phrase, str) and phrase.split())
        if len(texts) < len(items) or not texts:
            return Fault("HK310", "`containing_any` needs a list of phrases", arg.offset,
                         _width(arg), "write `containing_any(['human', 'agent'])`")  # fmt: skip
        try:
            return compile_phrases(texts)
        except BadPattern as bad:
            return Fault("HK311", f"bad phrases: {bad}", arg.offset, _width(arg))


def _width(node: Node) -> int:
    return max(1, node.end - node.offset)


def _count(number: int) -> str:
    return {0: "no arguments", 1: "one argument"}.get(number, f"{number} arguments")


def _usage(function: Function) -> str | None:
    names = [p.name if p.is_required else f"[{p.name}]" for p in function.params]
    return f"its arguments are: {', '.join(names)}" if names else None


def _check_constant(param: Param, arg: Node, words: str) -> Fault | None:
    is_var = param.role == "phrases" and isinstance(arg, Path) and arg.root == "vars"
    if param.is_constant and not is_var and not isinstance(arg, Constant | ListOf):
        return Fault("HK310", f"{param.name} of {words} must be written out, not computed",
                     arg.offset, _width(arg))  # fmt: skip
    if isinstance(arg, Constant) and param.role:
        return check_role(param.role, arg, arg.value)
    return None


def check_role(role: str, arg: Node, value: object) -> Fault | None:
    """Check a constant argument against what its parameter means."""
    if not isinstance(value, str):
        return Fault("HK310", f"expected a text, not {value!r}", arg.offset, _width(arg),
                     _ADVICE.get(role))  # fmt: skip
    if role == "event":
        return _check_event(arg, value)
    is_good = _ROLES.get(role)
    if is_good is None or is_good(value):
        return None
    return Fault("HK310", f"{value!r} is no {_WORDS[role]}", arg.offset, _width(arg), _ADVICE[role])


def _suits_another(function: Function, param: Param, text: object) -> bool:
    """Whether a text that does not suit its parameter suits another one of the function."""
    if not isinstance(text, str) or _suits(param.role, text):
        return False
    return any(_suits(p.role, text) for p in function.params if p is not param and p.role)


def _suits_any(text: str) -> bool:
    """Whether a text is what some parameter takes, so that its use may be wrong, not the text."""
    return any(_suits(role, text) for role in _ROLES)


def _suits(role: str, text: str) -> bool:
    return _check_event(_NOWHERE, text) is None if role == "event" else _ROLES[role](text)


def check_roles(
    source: str, node: Called, function: Function, shapes: Sequence[Shape]
) -> list[Fault]:
    """Faults of texts that other values give: in `vars` themselves, if they suit no use at all."""
    faults: list[Fault] = []
    for param, arg, shape in zip(function.params, node.args, shapes, strict=False):
        if not param.role or len(shape.choices) != 1 or isinstance(arg, Constant):
            continue
        text = shape.choices[0]
        if _suits_another(function, param, text):
            return [_turned_round(source, function, f"`{node.name}`", node.args)]
        fault = check_role(param.role, arg, text)
        is_var = isinstance(arg, Path) and arg.root == "vars" and not _suits_any(text)
        given_by = prefix(arg) if is_var and isinstance(arg, Path) else ()
        faults += [replace(fault, given_by=given_by)] if fault else []
    return faults


def _turned_round(source: str, function: Function, words: str, args: Sequence[Node]) -> Fault:
    """The fault of a call whose arguments stand in the wrong order."""
    names = " and then ".join(f"the {param.name}" for param in function.params[: len(args)])
    right = ", ".join(source[arg.offset : arg.end] for arg in reversed(args))
    start, end = args[0].offset, max(arg.end for arg in args)
    message = f"{words} takes {names}: these are the other way round"
    return Fault("HK310", message, start, end - start, f"write `{words.strip('`')}({right})`")


def _check_event(arg: Node, name: str) -> Fault | None:
    names = (*SESSION_EVENTS, *RUNNER_EVENTS)
    if name in names or is_custom(name):
        return None
    close = near_miss(name, names)
    advice = f"did you mean `{close}`?" if close else f"events are: {', '.join(SESSION_EVENTS)}"
    return Fault("HK205", f"unknown event {name!r}", arg.offset, _width(arg), advice)


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return False
    return True


_ROLES: dict[str, Callable[[str], bool]] = {
    "duration": lambda value: seconds(value) is not None,
    "hours": lambda value: _HOURS.fullmatch(value) is not None,
    "days": lambda value: _DAYS.fullmatch(value.lower()) is not None,
    "zone": _is_zone,
}
_WORDS = {"duration": "duration", "hours": "span of hours", "days": "span of days",
          "zone": "time zone"}  # fmt: skip
_ADVICE = {
    "duration": "write it with a unit: '500ms', '8s', '2m' or '1h'",
    "hours": "write it as '09:00-18:00'",
    "days": "write it as 'mon-fri' or 'mon,wed,sat-sun'",
    "zone": "write it as 'Europe/Berlin' or 'UTC'",
}
