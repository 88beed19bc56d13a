"""Python code out of allowed expressions: the only place in this project that generates code.

What comes in is our own tree, never text: names of fields become `repr` of themselves, constants
become `repr` of themselves, and everything else is a fixed word of this module. Values are reached
by key and index alone; attributes are taken of the scope only, from fixed lists. Generated code
has no builtins.

Each expression is generated twice at most: fast, straight-line code, and, once that has failed,
the same expression in careful steps that say which part failed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.errors import TemplateFailed
from orchestrator.templates.arguments import seconds
from orchestrator.templates.careful import FAILURES, Careful
from orchestrator.templates.filters import RUN_FILTERS
from orchestrator.templates.library import CALL_FIELDS, CALLS, NOW_FIELDS, TEST_SIGNS
from orchestrator.templates.model import MAX_TEXT, Scope
from orchestrator.templates.tests import RUN_TESTS
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
    default_chain,
)
from orchestrator.templates.values import (
    Refusal,
    bounded,
    find,
    has,
    join_texts,
    modulo,
    plus,
    text,
    times,
)

__all__ = ["generate", "generate_explain"]

_RECORDS = ("event", "data", "vars", "steps", "error")
_INLINE = {"upper": "upper", "lower": "lower", "trim": "strip"}
_IS = {"none": "is None", "true": "is True", "false": "is False"}
_NOW = {
    "year": "s.now.year", "month": "s.now.month", "day": "s.now.day", "hour": "s.now.hour",
    "minute": "s.now.minute", "date": "s.now.date().isoformat()",
    "time": "s.now.isoformat()[11:16]",
    "weekday": "('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')[s.now.weekday()]",
}  # fmt: skip
assert set(_NOW) == set(NOW_FIELDS)  # noqa: S101 - two halves of one table

_RUNTIME: Mapping[str, Any] = {
    "__builtins__": {}, "FAILURES": FAILURES, "type": type, "str": str, "len": len, "text": text,
    "find": find, "has": has, "plus": plus, "times": times, "modulo": modulo, "bounded": bounded,
    "join_texts": join_texts,
    **{f"f_{name}": run for name, run in RUN_FILTERS.items()},
    **{f"t_{name}": run for name, run in RUN_TESTS.items()},
}  # fmt: skip


def generate(source: str, pieces: Sequence[str | Node], kind: str) -> Callable[[Scope], Any]:
    """The function of a template; `kind` is "text", "value" or "condition".

    The function raises `TemplateFailed` only.
    """
    careful: list[Callable[[Scope], Any]] = []

    def again(scope: Scope) -> Any:
        if not careful:
            careful.append(_build(_Generator(source, is_careful=True), pieces, kind, None))
        try:
            return careful[0](scope)
        except TemplateFailed:
            raise
        except Refusal as refused:
            message = str(refused)
        except FAILURES as error:
            message = f"cannot be worked out ({type(error).__name__})"
        raise TemplateFailed(f"`{source[:80]}`: {message}")

    return _build(_Generator(source, is_careful=False), pieces, kind, again)


def generate_explain(source: str, nodes: Sequence[Path | Called]) -> Callable[[Scope], Any]:
    """A function giving the values of paths and calls by their text; missing ones are absent."""
    generator = _Generator(source, is_careful=False)
    lines = ["def run(s):", "    r = {}"]
    for node in nodes:
        name = source[node.offset : node.end]
        lines += ["    try:", f"        r[{name!r}] = {generator.code(node)}",
                  "    except FAILURES:", "        pass"]  # fmt: skip
    return _execute(generator, [*lines, "    return r"], None)


def _build(
    generator: _Generator, pieces: Sequence[str | Node], kind: str, again: Any
) -> Callable[[Scope], Any]:
    body = generator.body(pieces, kind)
    if again is None:
        lines = ["def run(s):", *(f"    {line}" for line in body)]
        lines.append("    return bounded(r) if type(r) is str else r")
        return _execute(generator, lines, again)
    lines = ["def run(s):", "    try:", *(f"        {line}" for line in body)]
    lines += ["    except FAILURES:", "        return again(s)"]
    if kind == "text":
        lines += [f"    if len(r) > {MAX_TEXT}:", "        return again(s)"]
    elif kind == "value":
        lines += [f"    if type(r) is str and len(r) > {MAX_TEXT}:", "        return again(s)"]
    return _execute(generator, [*lines, "    return r"], again)


def _execute(generator: _Generator, lines: list[str], again: Any) -> Callable[[Scope], Any]:
    names = {**_RUNTIME, **generator.names, "again": again}
    with warnings.catch_warnings():  # Python's own advice on `''.field`; ours is a finding
        warnings.simplefilter("ignore", SyntaxWarning)
        code = compile("\n".join(lines), "<template>", "exec")
    exec(code, names)  # noqa: S102 - made of the tree by this module; see its docstring
    run: Callable[[Scope], Any] = names["run"]
    return run


class _Generator:
    """Turns nodes into Python expressions over the scope `s`."""

    def __init__(self, source: str, *, is_careful: bool) -> None:
        self.careful = Careful(source) if is_careful else None
        self.names: dict[str, Any] = {}
        self.variables = 0
        if self.careful:
            self.names = {"at": self.careful.at, "walk": self.careful.walk,
                          "compare": self.careful.compare, "fail": self.careful.fail,
                          "arithmetic": self.careful.arithmetic}  # fmt: skip

    def body(self, pieces: Sequence[str | Node], kind: str) -> list[str]:
        """The lines that put the result into `r`."""
        if kind == "text":
            return self._text(pieces)
        node = pieces[0]
        assert isinstance(node, Node)  # noqa: S101 - a value or condition is one expression
        if kind == "value":
            return [f"r = {self.code(node)}"]
        return [f"r = {self.code(node)}" if _is_bool(node) else
                f"r = True if {self.code(node)} else False"]  # fmt: skip

    def _text(self, pieces: Sequence[str | Node]) -> list[str]:
        lines, parts = [], []
        # With many holes, each is bounded by itself, so that even a text too long stays small.
        is_long = f" or len({{}}) > {MAX_TEXT}" if len(pieces) > 8 else ""
        for index, piece in enumerate(pieces):
            if isinstance(piece, str):
                parts.append(repr(piece))
                continue
            parts.append(f"f'{{h{index}}}'")
            name = f"h{index}"
            if self.careful:
                lines.append(f"{name} = {self._at(piece, f'bounded(text({self.code(piece)}))')}")
                continue
            lines.append(f"{name} = {self.code(piece)}")
            if is_long or not _is_text(piece):
                test = f"type({name}) is not str{is_long.format(name)}"
                lines.append(f"if {test}: {name} = bounded(text({name}))")
        return [*lines, f"r = {' '.join(parts)}"]

    def code(self, node: Node) -> str:
        """The Python expression of a node."""
        code: str = _CODE[type(node)](self, node)
        return code

    def _at(self, node: Node, code: str) -> str:
        if self.careful is None:
            return code
        return f"at({self.careful.number_of(node)}, lambda: {code})"

    def _variable(self) -> str:
        self.variables += 1
        return f"v{self.variables}"

    def _constant(self, node: Constant) -> str:
        return f"({node.value!r})" if isinstance(node.value, int | float) else repr(node.value)

    def _base(self, node: Path) -> tuple[str, tuple[str | int | Node, ...]]:
        """The code of a path's start, and the parts that are then taken by key."""
        if isinstance(node.root, Node):
            return self.code(node.root), node.parts
        if node.root in _RECORDS:
            return f"s.{node.root}", node.parts
        first = node.parts[0] if node.parts else None
        if node.root == "now" and first is None:
            return "s.now.isoformat()", ()
        if node.root == "now" and first in _NOW:
            return _NOW[str(first)], node.parts[1:]
        if node.root == "call" and first in CALL_FIELDS:
            return f"s.call.{first}", node.parts[1:]
        if self.careful is None:
            return "find.no_such_name", ()  # fails, and the careful way says why
        return f"fail({self.careful.number_of(node)}, 'there is no such name')", ()

    def _keys(self, parts: Sequence[str | int | Node]) -> str:
        keys = [self.code(part) if isinstance(part, Node) else repr(part) for part in parts]
        return f"({', '.join(keys)},)" if keys else "()"

    def _path(self, node: Path) -> str:
        base, parts = self._base(node)
        if self.careful:
            index = self.careful.number_of(node)
            return f"walk({index}, {self._at(node, base)}, {self._keys(parts)})"
        for part in parts:
            base += f"[{self.code(part) if isinstance(part, Node) else repr(part)}]"
        return base

    def _find(self, node: Path) -> str:
        """The value of a guarded path, or None."""
        base, parts = self._base(node)
        if not parts:
            return base
        if len(parts) == 1 and isinstance(parts[0], str) and node.root in _RECORDS[:-1]:
            return f"{base}.get({parts[0]!r})"
        return f"find({base}, {self._keys(parts)})"

    def _list(self, node: ListOf) -> str:
        return f"[{', '.join(map(self.code, node.items))}]"

    def _record(self, node: RecordOf) -> str:
        pairs = (f"{self.code(key)}: {self.code(value)}" for key, value in node.pairs)
        return f"{{{', '.join(pairs)}}}"

    def _choice(self, node: Choice) -> str:
        then, test, other = map(self.code, (node.then, node.test, node.otherwise))
        return f"({then} if {test} else {other})"

    def _logic(self, node: Logic) -> str:
        return f"({f' {node.word} '.join(map(self.code, node.items))})"

    def _negation(self, node: Negation) -> str:
        return f"(not {self.code(node.item)})"

    def _comparison(self, node: Comparison) -> str:
        sides = [self.code(node.first), *(self.code(right) for _, right in node.rest)]
        signs = [sign for sign, _ in node.rest]
        if self.careful:
            thunks = ", ".join(f"lambda: {side}" for side in sides)
            return f"compare({self.careful.number_of(node)}, {tuple(signs)!r}, ({thunks},))"
        chain = [f"{sign} {side}" for sign, side in zip(signs, sides[1:], strict=True)]
        return f"({sides[0]} {' '.join(chain)})"

    def _arithmetic(self, node: Arithmetic) -> str:
        left, right = self.code(node.left), self.code(node.right)
        if self.careful:
            index = self.careful.number_of(node)
            return f"arithmetic({index}, {node.sign!r}, {left}, {right})"
        if node.sign in "*%" or (node.sign == "+" and not _has_number(node)):
            # Text repeated, formatted or added up could grow without bound.
            return f"{_BOUNDED[node.sign]}({left}, {right})"
        return f"({left} {node.sign} {right})"

    def _sign(self, node: Sign) -> str:
        return self._at(node, f"({node.sign}{self.code(node.item)})")

    def _joined(self, node: Joined) -> str:
        return self._at(node, f"join_texts({', '.join(map(self.code, node.items))})")

    def _filtered(self, node: Filtered) -> str:
        if node.name == "default":
            return self._default(node)
        return self._at(node, self._apply(node, self.code(node.item)))

    def _apply(self, node: Filtered, item: str) -> str:
        args = "".join(f", {self.code(arg)}" for arg in node.args)
        method = _INLINE.get(node.name)
        if method is None:
            return f"f_{node.name}({item}{args})"
        name = self._variable()
        # A method of `str` itself, and only once the value is known to be text.
        return f"({name}.{method}() if type({name} := {item}) is str else f_{node.name}({name}))"

    def _default(self, node: Filtered) -> str:
        path, between = default_chain(node)
        name = self._variable()
        if path is None:
            checks = [f"({name} := {self.code(node.item)}) is None"]
        else:
            checks = [f"({name} := {self._at(path, self._find(path))}) is None"]
            for step in between:
                given, name = name, self._variable()
                applied = self._at(step, self._apply(step, given))
                checks.append(f"({name} := {applied}) is None")
        if isinstance(node.args[1], Constant) and node.args[1].value:
            checks.append(f"not {name}")
        return f"({self.code(node.args[0])} if {' or '.join(checks)} else {name})"

    def _tested(self, node: Tested) -> str:
        if node.name in ("defined", "undefined"):
            return self._defined(node)
        sign = TEST_SIGNS.get(node.name)
        if sign:
            rest = ((sign, node.args[0]),)
            return self._comparison(Comparison(node.offset, node.end, node.item, rest))
        item = self.code(node.item)
        if node.name in _IS:
            return f"({item} {_IS[node.name]})"
        if node.search:
            name = f"m{len(self.names)}"
            self.names[name] = node.search
            return self._at(node, f"{name}({item})")
        args = "".join(f", {self.code(arg)}" for arg in node.args)
        return self._at(node, f"t_{node.name}({item}{args})")

    def _defined(self, node: Tested) -> str:
        assert isinstance(node.item, Path)  # noqa: S101 - the parser takes nothing else
        base, parts = self._base(node.item)
        negated = "not " if node.name == "undefined" else ""
        return f"({negated}has({base}, {self._keys(parts)}))"

    def _called(self, node: Called) -> str:
        args = [self.code(arg) for arg in node.args]
        for index, param in enumerate(CALLS[node.name].params[: len(args)]):
            arg = node.args[index]
            if param.role == "duration" and isinstance(arg, Constant):
                args[index] = repr(seconds(str(arg.value)))
        return self._at(node, f"s.{node.name}({', '.join(args)})")


_BOUNDED = {"+": "plus", "*": "times", "%": "modulo"}

_CODE: Mapping[type[Node], Callable[[_Generator, Any], str]] = {
    Arithmetic: _Generator._arithmetic, Called: _Generator._called, Choice: _Generator._choice,
    Comparison: _Generator._comparison, Constant: _Generator._constant,
    Filtered: _Generator._filtered, Joined: _Generator._joined, ListOf: _Generator._list,
    Logic: _Generator._logic, Negation: _Generator._negation, Path: _Generator._path,
    RecordOf: _Generator._record, Sign: _Generator._sign, Tested: _Generator._tested,
}  # fmt: skip


def _has_number(node: Arithmetic) -> bool:
    sides = (node.left, node.right)
    return any(isinstance(s, Constant) and type(s.value) in (int, float) for s in sides)


def _is_bool(node: Node) -> bool:
    if isinstance(node, Logic):
        return all(map(_is_bool, node.items))
    return isinstance(node, Comparison | Negation | Tested)


def _is_text(node: Node) -> bool:
    if isinstance(node, Filtered):
        return node.name in (*_INLINE, "capitalize", "digits", "join", "mask", "replace", "slug",
                             "string", "title", "tojson", "truncate", "urlencode")  # fmt: skip
    return isinstance(node, Joined) or (isinstance(node, Constant) and isinstance(node.value, str))
