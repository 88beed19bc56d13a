"""Expressions parsed by Jinja's parser, checked against the allow-list, turned into our tree."""

from __future__ import annotations

from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser

from orchestrator.events import near_miss
from orchestrator.templates.arguments import Arguments
from orchestrator.templates.library import ALIASES, CALLS, FILTERS, TESTS, Function
from orchestrator.templates.model import MAX_DEPTH, Fault
from orchestrator.templates.tokens import Tokens, jinja, tokenize
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

__all__ = ["parse_expression"]

_MAX_ITEMS = 100
_SIGNS = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "FloorDiv": "//", "Mod": "%"}
_PREFIXES = frozenset({"sub", "add"})
_LEVELS = {"lparen": 1, "lbracket": 1, "lbrace": 1, "rparen": -1, "rbracket": -1, "rbrace": -1}
_COMPARE = {
    "eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=",
    "in": "in", "notin": "not in",
}  # fmt: skip


class _ExpressionParser(Parser):
    """Jinja's parser over tokens that are there already; its own way in would lex a text anew."""

    def __init__(self, tokens: Tokens) -> None:
        self.environment = jinja()
        self.stream = TokenStream(iter(tokens.items), None, None)
        self.name = self.filename = None
        self.closed = False
        self.extensions = {}
        self._last_identifier = 0
        self._tag_stack = []
        self._end_token_stack = []


def parse_expression(source: str, start: int, end: int) -> Node | Fault:
    """The tree of the expression in `source[start:end]`, or the first thing wrong with it."""
    tokens = tokenize(source, start, end)
    if isinstance(tokens, Fault):
        return tokens
    if not tokens.items:
        return Fault("HK301", "an empty expression", max(0, start - 2), end - start + 4)
    fault = _find_deep(tokens) or _find_foreign(source, tokens)
    if fault:
        return fault
    return _parse(source, tokens)


def _parse(source: str, tokens: Tokens) -> Node | Fault:
    try:
        parser = _ExpressionParser(tokens)
        tree = parser.parse_expression()
        rest = parser.stream.current
        if rest.type != "eof":
            return _unexpected(source, tokens, rest.lineno)
        return _Converter(source, tokens).convert(tree, 0)
    except TemplateSyntaxError as error:
        is_cut = parser.stream.current.type == "eof"
        return _unexpected(source, tokens, tokens.end if is_cut else error.lineno)
    except _NotAllowed as refused:
        return refused.fault
    except RecursionError:
        return _deep(tokens.items[0].lineno)


def _deep(offset: int) -> Fault:
    return Fault("HK312", f"more than {MAX_DEPTH} levels inside one another", offset, 1,
                 "save a part with `set` in a step before")  # fmt: skip


def _find_deep(tokens: Tokens) -> Fault | None:
    """Refuse what would make Jinja's recursive parser go deep: brackets, `not not`, `else`."""
    depth = run = branches = 0
    for token in tokens.items:
        kind, word = token.type, token.value if token.type == "name" else ""
        run = run + 1 if kind in _PREFIXES or word == "not" else 0
        branches += word == "else"
        depth += _LEVELS.get(kind, 0)
        if depth + run + branches > MAX_DEPTH:
            return _deep(token.lineno)
    return None


def _find_foreign(source: str, tokens: Tokens) -> Fault | None:
    """Signs that Jinja's lexer knows, but in pairs that belong to other languages."""
    for first, second in zip(tokens.items, tokens.items[1:], strict=False):
        if second.lineno != tokens.ends[first.lineno]:
            continue
        if first.type == second.type == "pipe":
            return Fault("HK305", "`||` is not an operator here", first.lineno, 2, "write `or`")
        if first.type in ("eq", "ne") and second.type == "assign":
            sign = source[first.lineno : first.lineno + 2]
            return Fault("HK305", f"`{sign}=` is not an operator here", first.lineno, 3,
                         f"write `{sign}`")  # fmt: skip
    return None


def _unexpected(source: str, tokens: Tokens, offset: int) -> Fault:
    token = next((t for t in tokens.items if t.lineno == offset), None)
    if token is None:
        last = tokens.items[-1].lineno
        return Fault("HK301", "the expression ends too early", last, tokens.ends[last] - last)
    length = tokens.ends[offset] - offset
    word = source[offset : offset + length]
    if token.type == "assign":
        return Fault("HK305", "`=` does not compare", offset, length, "write `==`")
    return Fault("HK301", f"unexpected `{word}`", offset, length, _advice(token))


def _advice(token: Token) -> str | None:
    if token.type == "name":
        return "text needs quotes; expressions are joined by `and`, `or` or an operator"
    return None


class _NotAllowed(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Converter:
    """One walk over Jinja's nodes: the allowed ones become ours, any other is a fault."""

    def __init__(self, source: str, tokens: Tokens) -> None:
        self.source = source
        self.tokens = tokens

    def convert(self, node: Any, depth: int) -> Node:
        kind = type(node).__name__
        if depth > MAX_DEPTH:
            raise _NotAllowed(_deep(node.lineno))
        if kind in _SIGNS:
            return self._arithmetic(node, _SIGNS[kind], depth + 1)
        method = _METHODS.get(kind)
        if method is None:
            raise self._refused(kind, node)
        result: Node = method(self, node, depth + 1)
        return result

    def _refused(self, kind: str, node: Any) -> _NotAllowed:
        what, advice = _REFUSED.get(kind, (f"{kind.lower()} is not allowed", None))
        offset = node.lineno
        if kind == "Pow":
            offset = self.source.find("**", offset)
        length = max(1, self.tokens.end_of(offset) - offset)
        return _NotAllowed(Fault("HK306", what, offset, length, advice))

    def _constant(self, node: Any, depth: int) -> Node:
        return Constant(node.lineno, self.tokens.end_of(node.lineno), node.value)

    def _name(self, node: Any, depth: int) -> Node:
        start, end = node.lineno, self.tokens.end_of(node.lineno)
        if node.name == "null":
            return Constant(start, end, None)
        return Path(start, end, node.name, (), (start,), (end,))

    def _field(self, node: Any, depth: int) -> Node:
        base = self.convert(node.node, depth)
        at = self.tokens.after(node.lineno + 1)
        return self._extend(base, node.attr, at, self.tokens.end_of(at))

    def _subscript(self, node: Any, depth: int) -> Node:
        base = self.convert(node.node, depth)
        is_dotted = self.source[node.lineno] == "."
        at = self.tokens.after(node.lineno + 1)
        end = self.tokens.end_of(at if is_dotted else node.lineno)
        key = self.convert(node.arg, depth)
        if isinstance(key, Sign) and isinstance(key.item, Constant) and type(key.item.value) is int:
            key = Constant(key.offset, key.end, -key.item.value)
        if isinstance(key, Constant) and type(key.value) in (str, int):
            return self._extend(base, key.value, key.offset, end)
        if not isinstance(key, Path):
            length = max(1, key.end - key.offset)
            raise _NotAllowed(Fault("HK306", "only a text, a number or a path can stand in `[ ]`",
                                    key.offset, length))  # fmt: skip
        return self._extend(base, key, key.offset, end)

    def _extend(self, base: Node, part: Any, at: int, end: int) -> Node:
        if isinstance(base, Constant) and not isinstance(base.value, str):
            raise _NotAllowed(Fault("HK306", "nothing can be read inside this value",
                                    base.offset, max(1, base.end - base.offset)))  # fmt: skip
        if not isinstance(base, Path):
            return Path(base.offset, end, base, (part,), (base.offset, at), (base.end, end))
        return Path(base.offset, end, base.root, (*base.parts, part), (*base.offsets, at),
                    (*base.ends, end))  # fmt: skip

    def _list(self, node: Any, depth: int) -> Node:
        items = self._all(node.items, depth)
        start = node.lineno if isinstance(node, nodes.List) or not items else items[0].offset
        end = self.tokens.end_of(start) if isinstance(node, nodes.List) else start
        return ListOf(start, max(end, *(i.end for i in items), start), items)

    def _record(self, node: Any, depth: int) -> Node:
        keys = self._all([pair.key for pair in node.items], depth)
        values = self._all([pair.value for pair in node.items], depth)
        for key in keys:
            if not isinstance(key, Constant):
                raise _NotAllowed(Fault("HK306", "a key must be a text or a number in clear",
                                        key.offset, max(1, key.end - key.offset)))  # fmt: skip
        end = self.tokens.end_of(node.lineno)
        return RecordOf(node.lineno, end, tuple(zip(keys, values, strict=True)))

    def _all(self, items: list[Any], depth: int) -> tuple[Node, ...]:
        if len(items) > _MAX_ITEMS:
            raise _NotAllowed(Fault("HK312", f"more than {_MAX_ITEMS} items", items[0].lineno, 1))
        return tuple(self.convert(item, depth) for item in items)

    def _choice(self, node: Any, depth: int) -> Node:
        then = self.convert(node.expr1, depth)
        test = self.convert(node.test, depth)
        if node.expr2 is None:
            raise _NotAllowed(Fault("HK306", "`if` without `else`", then.offset,
                                    test.end - then.offset, "add `else ''`"))  # fmt: skip
        otherwise = self.convert(node.expr2, depth)
        return Choice(then.offset, otherwise.end, test, then, otherwise)

    def _logic(self, node: Any, depth: int) -> Node:
        kind, flat, left = type(node), [node.right], node.left
        while type(left) is kind:
            flat.append(left.right)
            left = left.left
        items = self._all([left, *reversed(flat)], depth)
        return Logic(items[0].offset, items[-1].end, kind.__name__.lower(), items)

    def _negation(self, node: Any, depth: int) -> Node:
        item = self.convert(node.node, depth)
        return Negation(min(node.lineno, item.offset), item.end, item)

    def _comparison(self, node: Any, depth: int) -> Node:
        first = self.convert(node.expr, depth)
        rest = tuple((_COMPARE[op.op], self.convert(op.expr, depth)) for op in node.ops)
        return Comparison(first.offset, rest[-1][1].end, first, rest)

    def _arithmetic(self, node: Any, sign: str, depth: int) -> Node:
        left, right = self.convert(node.left, depth), self.convert(node.right, depth)
        return Arithmetic(left.offset, right.end, sign, left, right)

    def _sign(self, node: Any, depth: int) -> Node:
        item = self.convert(node.node, depth)
        return Sign(node.lineno, item.end, "-" if isinstance(node, nodes.Neg) else "+", item)

    def _joined(self, node: Any, depth: int) -> Node:
        items = self._all(node.nodes, depth)
        return Joined(items[0].offset, items[-1].end, items)

    def _filtered(self, node: Any, depth: int) -> Node:
        item = self.convert(node.node, depth)
        at = node.lineno
        name, end, function = self._find(node, "filter", FILTERS, at)
        args, end = self._arguments(node, function, f"`{name}`", depth, Node(at, end))
        return Filtered(item.offset, end, name, at, item, args)

    def _tested(self, node: Any, depth: int) -> Node:
        item = self.convert(node.node, depth)
        at = self.tokens.after(node.lineno + 2)
        if self.source[at : self.tokens.end_of(at)] == "not":
            at = self.tokens.after(at + 3)
        name, end, function = self._find(node, "test", TESTS, at)
        args, end = self._arguments(node, function, f"`{name}`", depth, Node(at, end))
        if name in ("defined", "undefined") and not isinstance(item, Path):
            raise _NotAllowed(Fault("HK306", f"`is {name}` is about a path", item.offset,
                                    max(1, item.end - item.offset)))  # fmt: skip
        search = Arguments(self.source, self.convert).search(function, args)
        if isinstance(search, Fault):
            raise _NotAllowed(search)
        return Tested(item.offset, end, name, at, item, args, search)

    def _find(self, node: Any, word: str, table: Any, at: int) -> tuple[str, int, Function]:
        end = self.tokens.end_of(at)
        name = ALIASES.get(node.name, node.name)
        if name not in table:
            close = near_miss(name, table)
            advice = f"did you mean `{close}`?" if close else f"there are: {', '.join(table)}"
            code = "HK308" if word == "filter" else "HK309"
            raise _NotAllowed(Fault(code, f"unknown {word} `{node.name}`", at, end - at, advice))
        return name, end, table[name]

    def _arguments(
        self, node: Any, function: Function, words: str, depth: int, name: Node
    ) -> tuple[tuple[Node, ...], int]:
        end = name.end
        found = Arguments(self.source, self.convert).bind(node, function, words, depth, name)
        if isinstance(found, Fault):
            raise _NotAllowed(found)
        bracket = self.tokens.after(end)
        is_called = self.source[bracket : bracket + 1] == "("
        ends = [arg.end for arg in found]
        return found, self.tokens.end_of(bracket) if is_called else max([end, *ends])

    def _called(self, node: Any, depth: int) -> Node:
        if isinstance(node.node, nodes.Filter | nodes.Test):
            raise self._refused("Call", node)
        target = self.convert(node.node, depth)
        name = self.source[target.offset : target.end]
        if isinstance(target, Path) and isinstance(target.root, str):
            name = ".".join(map(str, (target.root, *target.parts)))
        if name not in CALLS:
            raise _NotAllowed(_unknown_call(name, target))
        end = self.tokens.end_of(node.lineno)
        found = Arguments(self.source, self.convert).bind(
            node, CALLS[name], f"`{name}`", depth, target
        )
        if isinstance(found, Fault):
            raise _NotAllowed(found)
        return Called(target.offset, end, name, found)


def _unknown_call(name: str, target: Node) -> Fault:
    close = near_miss(name, CALLS)
    last = name.rpartition(".")[2]
    is_last = isinstance(target, Path)
    if close:
        is_last = is_last and close.rpartition(".")[0] == name.rpartition(".")[0]
        advice = f"did you mean `{close.rpartition('.')[2] if is_last else close}`?"
    elif ALIASES.get(last, last) in FILTERS:
        advice = f"there is a filter: `| {last}`"
    else:
        advice = "the calls are: " + ", ".join(CALLS)
    # the last part is the call: what stands before it may well exist
    offset = target.offsets[-1] if is_last and isinstance(target, Path) else target.offset
    return Fault("HK307", f"`{name}` cannot be called", offset, target.end - offset, advice)


_REFUSED = {
    "Pow": ("`**` is not allowed", "multiply with `*`"),
    "Slice": ("a slice is not allowed", "take one item, or use `first`, `last` or `truncate`"),
    "Call": ("this cannot be called", "the calls are: " + ", ".join(CALLS)),
}

_METHODS: dict[str, Any] = {
    "And": _Converter._logic, "Call": _Converter._called, "Compare": _Converter._comparison,
    "Concat": _Converter._joined, "CondExpr": _Converter._choice, "Const": _Converter._constant,
    "Dict": _Converter._record, "Filter": _Converter._filtered, "Getattr": _Converter._field,
    "Getitem": _Converter._subscript, "List": _Converter._list, "Name": _Converter._name,
    "Neg": _Converter._sign, "Not": _Converter._negation, "Or": _Converter._logic,
    "Pos": _Converter._sign, "Test": _Converter._tested, "Tuple": _Converter._list,
}  # fmt: skip
