"""A template, parsed once: its faults, what it reads, its static type, and its function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.errors import TemplateFailed
from orchestrator.frozen import frozen
from orchestrator.shapes import BOOL, TEXT, Shape, join_taint
from orchestrator.templates.model import MAX_SOURCE, Fault, Read, Scope
from orchestrator.templates.proofs import Outcomes, Proven, learn
from orchestrator.templates.reads import Reads, collect_reads
from orchestrator.templates.split import Hole, find_braces, scan_path, split
from orchestrator.templates.tree import Called, Constant, Logic, Node, Path

if TYPE_CHECKING:
    from orchestrator.templates.check import Checker
    from orchestrator.templates.conditions import Asked
    from orchestrator.templates.logic import Claims

__all__ = ["Template", "parse_condition", "parse_template"]

_CACHED = 4096
Kind = Literal["constant", "value", "text", "condition"]


@frozen
class Template:
    """A parsed text or condition.

    A text that is exactly one `{{ }}` gives the value itself; any other gives text. `faults` are
    those of syntax and of the allow-list; names and types are checked by `check`.
    """

    source: str
    kind: Kind
    pieces: tuple[str | Node, ...]
    faults: tuple[Fault, ...] = ()
    _found: Reads = field(default_factory=Reads, repr=False, compare=False)

    @property
    def reads(self) -> tuple[Read, ...]:
        """The paths that it reads."""
        return tuple(self._found.reads)

    @property
    def calls(self) -> tuple[tuple[str, int], ...]:
        """The calls that it makes, each with its offset."""
        return tuple(self._found.calls)

    @property
    def is_constant(self) -> bool:
        """Whether it gives the same for every scope."""
        return not self._found.nodes and not self.faults

    @property
    def keys(self) -> tuple[Constant, ...]:
        """The keys that it asks the memory for, where they are written out."""
        found = [n for n in self._found.nodes if isinstance(n, Called)]
        firsts = [n.args[0] for n in found if n.name.startswith("memory.") and n.args]
        return tuple(first for first in firsts if isinstance(first, Constant))

    @property
    def windows(self) -> tuple[tuple[str, Constant], ...]:
        """The keys that it counts in the memory, each with the time over which it counts.

        A key that is read is given as it is written, within braces.
        """
        found = [n for n in self._found.nodes if isinstance(n, Called) and len(n.args) == 2]
        pairs = [(n.args[0], n.args[1]) for n in found if n.name == "memory.count"]
        return tuple(
            (self._key(key), within) for key, within in pairs if isinstance(within, Constant)
        )

    def _key(self, node: Node) -> str:
        if isinstance(node, Constant):
            return str(node.value)
        return f"{{{{{self.source[node.offset : node.end]}}}}}"

    @property
    def lone(self) -> str:
        """What stands within the braces of a text that is one template, in braces again."""
        return self._key(self._trees[0]) if self.kind == "value" and self._trees else ""

    @property
    def asked(self) -> frozenset[int]:
        """The offsets of paths whose value itself is asked whether it is true."""
        from orchestrator.templates.conditions import asked_alone

        trees = self._trees if self.kind == "condition" else []
        return frozenset(path.offset for tree in trees for path in asked_alone(tree))

    def uses(self) -> Iterator[Asked]:
        """What it does with the value of each path that it reads."""
        from orchestrator.templates.conditions import uses_of

        for tree in self._trees:
            yield from uses_of(tree, "truth" if self.kind == "condition" else "used")

    @property
    def counted(self) -> tuple[Constant, ...]:
        """The events that it counts."""
        found = [n for n in self._found.nodes if isinstance(n, Called) and n.name == "call.count"]
        firsts = [node.args[0] for node in found if node.args]
        return tuple(first for first in firsts if isinstance(first, Constant))

    def under(self, proven: Proven, outcomes: Outcomes) -> Template:
        """The same where this is proved: what it reads of that is guarded."""
        if not self._found.nodes or not (proven or (outcomes and "steps" in self.source)):
            return self
        found = collect_reads(self._trees, proven, outcomes)
        return Template(self.source, self.kind, self.pieces, self.faults, found)

    def proves(self, proven: Proven, truth: bool, outcomes: Outcomes) -> Proven:
        """What is proved where this condition has turned out true (or false)."""
        trees = self._trees
        return learn(proven, trees[0], truth, outcomes) if len(trees) == 1 else proven

    def claims(self, truth: bool) -> Claims:
        """What this condition says where it has turned out true (or false)."""
        from orchestrator.templates.logic import claims_of

        trees = self._trees
        return claims_of(self.source, trees[0], truth) if len(trees) == 1 else ()

    @property
    def _trees(self) -> list[Node]:
        return [piece for piece in self.pieces if isinstance(piece, Node)]

    def check(self, names: Mapping[str, Shape]) -> tuple[Shape, tuple[Fault, ...]]:
        """The shape of the result, and the faults of names and types.

        `names` gives the shapes of the root names in scope; `call`, `now` and `memory` are known.
        Under `memory.get` it has a record of what is remembered by key.
        """
        if self.faults or self.kind == "constant":
            return (BOOL if self.kind == "condition" else TEXT), ()
        checker = self._checker(names)
        trees = self._trees
        if self.kind == "text":
            shapes = [checker.text_part(tree) for tree in trees]
            shape = TEXT.tainted(join_taint(*shapes))
        else:
            ask = checker.condition if self.kind == "condition" else checker.shape
            shape = ask(trees[0])
        faults = (
            [fault for tree in trees for fault in _first_misfit(tree, checker.faults)]
            if checker.faults
            else self._constants(trees)
        )
        if not faults:
            from orchestrator.templates.logic import find_logic

            deciding = (tree for tree in trees if not isinstance(tree, Path))
            faults = [fault for tree in deciding for fault in find_logic(self.source, tree)]
        if self.kind == "condition":
            from orchestrator.templates.conditions import check_asked

            is_sound = all(fault.severity == "warning" for fault in faults)
            fault = check_asked(trees[0], shape) if is_sound else None
            faults += [fault] if fault is not None and not isinstance(trees[0], Logic) else []
            shape = BOOL
        return shape, tuple(sorted(faults, key=lambda fault: (fault.offset, fault.code)))

    def source_of(self, names: Mapping[str, Shape], taint: str) -> Read | None:
        """The first read or call through which text of this taint comes into the value."""
        from orchestrator.templates.sources import find_source

        return find_source(self._trees, self._checker(names).shape, taint, self.reads)

    def change_of(self, names: Mapping[str, Shape], taint: str) -> tuple[str, int] | None:
        """What changes text of this taint on its way into the value, and where it is written."""
        from orchestrator.templates.sources import find_change

        return find_change(self._trees, self._checker(names).shape, taint)

    def _checker(self, names: Mapping[str, Shape]) -> Checker:
        from orchestrator.templates.check import Checker

        return Checker(self.source, names, self._found.guarded)

    def _constants(self, trees: list[Node]) -> list[Fault]:
        """Warn of expressions that always give the same; `{{ '{{' }}` is how to write braces."""
        return [
            Fault("HK324", "this gives the same on every call", tree.offset,
                  max(1, tree.end - tree.offset), "write the value without braces, or read a name"
                  if self.kind != "condition" else "remove it, or compare with a name",
                  "warning")
            for tree in trees
            if not self._reads_in(tree) and not _is_escape(tree)
        ]  # fmt: skip

    def _reads_in(self, tree: Node) -> bool:
        return any(tree.offset <= node.offset < tree.end for node in self._found.nodes)

    def alone(self, piece: Node) -> Template:
        """One of the `{{ }}` of this text as a template of its own, which gives the value."""
        return Template(self.source, "value", (piece,), (), collect_reads([piece]))

    def compile(self) -> Callable[[Scope], Any]:
        """The function of this template; it raises `TemplateFailed` only."""
        return _compile(self)

    def compile_explain(self) -> Callable[[Scope], dict[str, Any]]:
        """A function giving the values of what is read, by its text; missing values are absent."""
        if self.faults:
            return lambda scope: {}
        return _compile_explain(self)


def _first_misfit(tree: Node, faults: list[Fault]) -> list[Fault]:
    """The faults of one expression; of values that do not fit only the first, others follow."""
    own = [f for f in faults if tree.offset <= f.offset < max(tree.end, tree.offset + 1)]
    misfits = sorted((f for f in own if f.code == "HK321"), key=lambda f: (f.offset, -f.length))
    return [fault for fault in own if fault not in misfits[1:]]


def _is_escape(tree: Node) -> bool:
    return isinstance(tree, Constant) and any(
        sign in str(tree.value) for sign in ("{{", "}}", "{%", "{#", "${")
    )


@lru_cache(maxsize=_CACHED)
def parse_template(text: str) -> Template:
    """Parse a text with `{{ }}`; a text without them is a constant. Never raises."""
    if "{{" not in text and "{%" not in text and "{#" not in text:
        return Template(text, "constant", (text,))
    pieces, faults = split(text)
    is_value = sum(map(bool, pieces)) and _is_lone(pieces)
    if is_value:
        pieces = [piece for piece in pieces if isinstance(piece, Hole)]
    parsed: list[str | Node] = []
    for piece in pieces:
        found = _parse(text, piece.start, piece.end) if isinstance(piece, Hole) else piece
        if isinstance(found, Fault):
            faults.append(found)
        else:
            parsed.append(found)
    trees = [piece for piece in parsed if isinstance(piece, Node)]
    kind: Kind = "value" if is_value else "text" if trees or faults else "constant"
    faults.sort(key=lambda fault: fault.offset)
    return Template(text, kind, tuple(parsed), tuple(faults), collect_reads(trees))


def _is_lone(pieces: list[str | Hole]) -> bool:
    """One hole and nothing else; a block scalar ends in a newline that nobody means."""
    holes = [piece for piece in pieces if isinstance(piece, Hole)]
    return len(holes) == 1 and isinstance(pieces[0], Hole) and all(
        isinstance(piece, Hole) or not piece.strip("\n") for piece in pieces
    )  # fmt: skip


@lru_cache(maxsize=_CACHED)
def parse_condition(text: str) -> Template:
    """Parse a `when` expression, whose result is made true or false. Never raises."""
    fault = _check_condition(text)
    found = fault or _parse(text, 0, len(text))
    if isinstance(found, Fault):
        return Template(text, "condition", (), (found,))
    return Template(text, "condition", (found,), (), collect_reads([found]))


def _check_condition(text: str) -> Fault | None:
    if len(text) > MAX_SOURCE:
        return Fault("HK312", f"a condition of more than {MAX_SOURCE:,} characters", 0, 1)
    braces = find_braces(text)
    if braces >= 0:
        return Fault("HK304", "braces in a condition", braces, 2,
                     "a condition is an expression already; leave the braces out")  # fmt: skip
    if not text.strip():
        return Fault("HK301", "an empty condition", 0, max(1, len(text)), "remove it")
    return None


def _parse(source: str, start: int, end: int) -> Node | Fault:
    variable = source.find("${", start, end)
    if variable >= 0:
        return Fault("HK313", "a variable of the environment inside a template", variable, 2,
                     "put it into `vars`, and read `vars.<name>` here")  # fmt: skip
    path = scan_path(source, start, end)
    if path is not None:
        return path
    from orchestrator.templates.parse import parse_expression

    found = parse_expression(source, start, end)
    if isinstance(found, Fault) and source[start - 2 : start + 1] == "{{{":
        return Fault("HK301", "three braces", start - 2, 3, "a template has two: `{{ ... }}`")
    return found


@lru_cache(maxsize=_CACHED)
def _compile(template: Template) -> Callable[[Scope], Any]:
    if template.faults:
        words = f"`{template.source[:80]}`: {template.faults[0].message}"
        return lambda scope: _fail(words)
    if template.kind == "constant":
        value = "".join(map(str, template.pieces))
        return lambda scope: value
    from orchestrator.templates.codegen import generate

    return generate(template.source, template.pieces, template.kind)


def _fail(message: str) -> Any:
    raise TemplateFailed(message)


@lru_cache(maxsize=_CACHED)
def _compile_explain(template: Template) -> Callable[[Scope], dict[str, Any]]:
    from orchestrator.templates.codegen import generate_explain

    return generate_explain(template.source, template._found.nodes)
