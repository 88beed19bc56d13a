"""The static check of an expression: names, fields and types, before any call runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.shapes import (
    ANY,
    BOOL,
    INT,
    NULL,
    NUMBER,
    TEXT,
    Shape,
    either,
    join_taint,
    list_of,
    record,
)
from orchestrator.templates.arguments import check_roles
from orchestrator.templates.conditions import check_asked, check_operands
from orchestrator.templates.library import CALLS, FILTERS, TEST_SIGNS, TESTS, Function, fits
from orchestrator.templates.model import Fault
from orchestrator.templates.operators import (
    check_comparison,
    fault_at,
    kind_words,
    letters_fault,
    speech_fault,
    sum_shape,
)
from orchestrator.templates.paths import PathChecker
from orchestrator.templates.sources import remembered_taint
from orchestrator.templates.tree import (
    Arithmetic,
    Called,
    Choice,
    Comparison,
    Constant,
    Filtered,
    Joined,
    ListOf,
    Logic,
    Negation,
    Node,
    Path,
    RecordOf,
    Sign,
    Tested,
)

__all__ = ["Checker"]


class Checker:
    """Gives every expression its shape, and collects faults on the way."""

    def __init__(self, source: str, names: Mapping[str, Shape], guarded: Mapping[int, int]) -> None:
        self.source = source
        self.faults: list[Fault] = []
        self.guarded = guarded
        self.remembered = names.get("memory.get")
        self.asked: set[int] = set()  # conditions, by their identity
        self.paths = PathChecker(source, names, guarded, self.faults)

    def shape(self, node: Node) -> Shape:
        """The shape of an expression."""
        match node:
            case Constant(value=value):
                return _constant_shape(value)
            case Path():
                return self.paths.shape(node, self.shape)
            case Choice():
                self.condition(node.test)
                return _joined(self.shape(node.then), self.shape(node.otherwise))
            case Logic():
                return self._logic(node)
            case Negation():
                return self._negation(node)
            case Comparison():
                return self._comparison(node)
            case Filtered():
                return self._filtered(node)
            case Tested():
                return self._tested(node)
            case Called():
                return self._call(node)
        return self._composed(node)

    def condition(self, node: Node) -> Shape:
        """The shape of an expression that is asked whether it is true."""
        self.asked.add(id(node))
        return self.shape(node)

    def _negation(self, node: Negation) -> Shape:
        known, shape = len(self.faults), self.condition(node.item)
        is_sound = len(self.faults) == known and not isinstance(node.item, Logic)
        fault = check_asked(node.item, shape) if is_sound else None
        self.faults += [fault] if fault is not None else []
        return BOOL

    def _composed(self, node: Node) -> Shape:
        match node:
            case ListOf(items=items):
                shapes = [self.shape(item) for item in items]
                return replace(list_of(_all_of(shapes)), bounds=(len(shapes), len(shapes)))
            case RecordOf(pairs=pairs):
                return record({str(key.value): self.shape(value) for key, value in pairs
                               if isinstance(key, Constant)})  # fmt: skip
            case Joined(items=items):
                shapes = [self.text_part(item) for item in items]
                return TEXT.tainted(join_taint(*shapes))
            case Sign(item=item):
                return self._number(item)
            case Arithmetic():
                return self._arithmetic(node)
        return ANY

    def text_part(self, node: Node) -> Shape:
        """The shape of a value that becomes part of a text; null has no text."""
        shape = self.shape(node)
        self._refuse_null(node, shape, "null has no text")
        return shape

    def _refuse_null(self, node: Node, shape: Shape, why: str) -> None:
        """Warn of a value that may be null where null fails."""
        if shape.is_optional:
            advice = "add `| default('...')`, or ask first `... is not none`"
            fault = fault_at(node, "HK203", f"this may be null, and {why}", advice)
            self.faults.append(replace(fault, severity="warning"))

    def _logic(self, node: Logic) -> Shape:
        is_asked = id(node) in self.asked
        shapes = [self.condition(i) if is_asked else self.shape(i) for i in node.items]
        self.faults += check_operands(self.source, node, shapes, is_asked=is_asked)
        result = shapes[0]
        for shape in shapes[1:]:
            left = replace(result, is_optional=False) if node.word == "or" else result
            result = _joined(left, shape)
        return result

    def _comparison(self, node: Comparison) -> Shape:
        left, left_shape = node.first, self.shape(node.first)
        for sign, right in node.rest:
            right_shape = self.shape(right)
            known = len(self.faults)
            self._compare(sign, (left, left_shape), (right, right_shape))
            if len(self.faults) == known:
                for one, other in ((left, (right, right_shape)), (right, (left, left_shape))):
                    self._check_default(sign, one, other)
            left, left_shape = right, right_shape
        return BOOL

    def _check_default(self, sign: str, item: Node, other: tuple[Node, Shape]) -> None:
        """What `default` gives is compared too: `(data.tries | default('0')) > 3`."""
        given = self._given(item)
        if given is None or given[1].kind in ("list", "record"):
            return
        fault = check_comparison(sign, given, other)
        if fault is not None and fault.code == "HK320":
            length = max(1, given[0].end - given[0].offset)
            self.faults.append(replace(fault, offset=given[0].offset, length=length))

    def _given(self, item: Node) -> tuple[Node, Shape] | None:
        """What `default` gives where that is written out, and where it stands."""
        match item:
            case Filtered(
                name="default", args=(Constant() | ListOf(items=()) | RecordOf(pairs=()), *_)
            ):
                given = item.args[0]
                shape = self.shape(given)
                node = given if given.offset < given.end else item
                return (node, shape) if shape.kind != "null" else None
        return None

    def _compare(self, sign: str, left: tuple[Node, Shape], right: tuple[Node, Shape]) -> None:
        fault = check_comparison(sign, left, right)
        if fault is not None or (
            sign in ("==", "!=", "in", "not in")
            and (
                fault := letters_fault(left, right)
                or letters_fault(right, left)
                or speech_fault(sign, left, right)
            )
        ):
            self.faults.append(fault)
        elif sign in ("<", "<=", ">", ">="):
            for node, shape in (left, right):
                self._refuse_null(node, shape, f"`{sign}` compares no null")
        elif sign in ("in", "not in"):
            self._refuse_null(*right, "nothing is in null")

    def _number(self, node: Node) -> Shape:
        shape = self.shape(node)
        given = self._given(node)
        if not fits(shape, ("number",)):
            self.faults.append(fault_at(node, "HK321", f"needs a number, not {kind_words(shape)}"))
        elif given is not None and not fits(given[1], ("number",)):
            words = f"needs a number, not {kind_words(given[1])}"
            self.faults.append(fault_at(given[0], "HK321", words))
        else:
            self._refuse_null(node, shape, "null is no number")
        return Shape("int" if shape.kind == "int" else "number", taint=shape.taint)

    def _arithmetic(self, node: Arithmetic) -> Shape:
        if node.sign == "+":
            left, right = self.shape(node.left), self.shape(node.right)
            for item, shape in ((node.left, left), (node.right, right)):
                self._refuse_null(item, shape, "nothing can be added to null")
            result = sum_shape(left, right)
            if result is None:
                kinds = f"{kind_words(left)} and {kind_words(right)}"
                advice = "join texts with `~`"
                self.faults.append(fault_at(node, "HK321", f"cannot add {kinds}", advice))
            else:
                self._check_added((node.left, left), (node.right, right))
            return (result or ANY).tainted(join_taint(left, right))
        left, right = self._number(node.left), self._number(node.right)
        is_whole = left.kind == right.kind == "int" and node.sign != "/"
        return (INT if is_whole else NUMBER).tainted(join_taint(left, right))

    def _check_added(self, left: tuple[Node, Shape], right: tuple[Node, Shape]) -> None:
        """What `default` gives is added too: `(data.n | default('0')) + 1`."""
        one, other = self._given(left[0]), self._given(right[0])
        first, second = one or left, other or right
        if (one or other) and sum_shape(first[1], second[1]) is None:
            kinds = f"{kind_words(first[1])} and {kind_words(second[1])}"
            advice = "give two of a kind: numbers stand without quotes"
            at = (one or second)[0]
            self.faults.append(fault_at(at, "HK321", f"cannot add {kinds}", advice))

    def _filtered(self, node: Filtered) -> Shape:
        item = self.shape(node.item)
        args = self._arguments(FILTERS[node.name], node.args)
        if node.name == "default":
            return self._default(item, args[0])
        function = FILTERS[node.name]
        self._check_taken(node.item, item, function, f"`{node.name}`")
        if not _takes_null(node):
            self._refuse_null(node.item, item, f"`{node.name}` takes no null")
        plain = replace(item, taint=join_taint(item))
        given = function.gives(plain)
        if given.kind == "text":
            return given.tainted(join_taint(item, *args))
        return given

    def _default(self, item: Shape, otherwise: Shape) -> Shape:
        present = replace(item, is_optional=False)
        return otherwise if item.kind == "null" else _joined(present, otherwise)

    def _check_taken(self, node: Node, shape: Shape, function: Function, words: str) -> None:
        if fits(shape, function.takes):
            return
        takes = " or ".join(str(Shape(kind)) for kind in function.takes)
        self.faults.append(
            fault_at(node, "HK321", f"{words} takes {takes}, not {kind_words(shape)}")
        )

    def _tested(self, node: Tested) -> Shape:
        item = self.shape(node.item)
        args = self._arguments(TESTS[node.name], node.args)
        sign = TEST_SIGNS.get(node.name)
        if sign:
            self._compare(sign, (node.item, item), (node.args[0], args[0]))
        else:
            self._check_taken(node.item, item, TESTS[node.name], f"`{node.name}`")
            if TESTS[node.name].takes:
                self._refuse_null(node.item, item, f"`{node.name}` takes no null")
        if node.name in ("defined", "undefined") and isinstance(node.item, Path):
            self._check_asked_for(node, node.item)
        if node.search is not None and len(item.choices) > 1 and not any(
            map(node.search, item.choices)
        ):  # fmt: skip
            words = f"one of: {', '.join(item.choices)}"
            fault = fault_at(node.args[0], "HK322", "none of its values is like this", words)
            self.faults.append(fault)
        if node.name == "containing_any" and isinstance(node.args[0], Path):
            self._check_phrases(node.args[0], args[0])
        return BOOL

    def _check_asked_for(self, node: Tested, path: Path) -> None:
        """Warn where it is asked whether something is there that always is."""
        if self.paths.is_always_there(path):
            words = "always" if node.name == "defined" else "never"
            advice = "ask what it is, such as `... == 'yes'`"
            fault = fault_at(node, "HK325", f"this is {words} true: it is always there", advice)
            self.faults.append(replace(fault, severity="warning"))

    def _check_phrases(self, node: Path, shape: Shape) -> None:
        if shape.of is not None and not fits(shape.of, ("text",)):
            self.faults.append(
                fault_at(
                    node, "HK310", f"`containing_any` needs phrases, not {kind_words(shape.of)}"
                )
            )

    def _call(self, node: Called) -> Shape:
        function = CALLS[node.name]
        shapes = self._arguments(function, node.args)
        self.faults += check_roles(self.source, node, function, shapes)
        given = function.gives(ANY)
        given = replace(given, is_optional=False) if node.offset in self.guarded else given
        if node.name == "memory.get" and shapes:
            return given.tainted(remembered_taint(self.remembered, shapes[0]))
        return given

    def _arguments(self, function: Function, args: tuple[Node, ...]) -> list[Shape]:
        shapes = [self.shape(arg) for arg in args]
        for param, arg, shape in zip(function.params, args, shapes, strict=False):
            is_left_out = arg.offset == arg.end
            if not is_left_out and not fits(shape, param.kinds):
                takes = " or ".join(str(Shape(kind)) for kind in param.kinds)
                text = str(arg.value) if isinstance(arg, Constant) else ""
                advice = f"write {text}, without quotes" if text.isdecimal() else None
                self.faults.append(fault_at(arg, "HK310", f"{param.name} takes {takes}, "
                                   f"not {kind_words(shape)}", advice))  # fmt: skip
        return shapes


def _takes_null(node: Filtered) -> bool:
    """Whether a filter takes null; those that convert do where they are given a default."""
    given = node.args and node.args[0].offset < node.args[0].end
    return node.name in ("bool", "tojson") or (node.name in ("int", "float") and bool(given))


def _constant_shape(value: object) -> Shape:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, str):
        return Shape("text", choices=(value,))
    return INT if isinstance(value, int) else NUMBER


def _joined(first: Shape, second: Shape) -> Shape:
    """Either shape; text that is one of two known texts stays so."""
    result = either(first, second)
    if first.choices and second.choices and result.kind == "text":
        result = replace(result, choices=tuple(dict.fromkeys(first.choices + second.choices)))
    return result


def _all_of(shapes: list[Shape]) -> Shape:
    result = shapes[0] if shapes else ANY
    for shape in shapes[1:]:
        result = _joined(result, shape)
    return result
