"""Written values: constants, `${ENV}` references and `{{ templates }}` told apart, once, at load.

`parse_value` takes a value of the document apart; `Value.compile` turns it into a constant or a
function of the scope. Environment values are put in as constants: whatever they hold is never read
as a template.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from orchestrator.document import Document, YamlMap
from orchestrator.errors import EnvironmentFailure, Position
from orchestrator.frozen import frozen
from orchestrator.templates import Template, parse_template

__all__ = ["Constant", "EnvRef", "Environment", "Place", "Value", "parse_value"]

_PIECES = re.compile(
    r"\{\{.*?\}\}"  # a template: nothing in it is an environment reference
    r"|\$\$\{"  # an escaped ${
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<how>[-?])(?P<rest>[^}]*))?\}",
    re.DOTALL,
)
_SECRET_NAMES = re.compile(
    r"(^|_)(TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|PASS|PIN|KEY|CREDENTIALS?|SIG|SIGNATURE"
    r"|WEBHOOK_URL)(_|$)",
    re.IGNORECASE,
)
#: Characters below which what a variable carries into a URL or header is no credential.
_SHORTEST = 4
#: The beginning of a URL, up to where its path begins; what is only this is no credential.
_ORIGIN = re.compile(r"[a-z]+://[^/?#@]*/?", re.IGNORECASE)


class Place(NamedTuple):
    """Where a value stands: its container in a document, and its key or index there."""

    document: Document
    container: Any
    key: Any

    @property
    def value_position(self) -> Position:
        """The position of the value."""
        return self.document.value_position(self.container, self.key)

    @property
    def key_position(self) -> Position:
        """The position of the key; of the value, in a list."""
        if isinstance(self.container, YamlMap):
            return self.document.key_position(self.container, self.key)
        return self.value_position

    def inside(self, value: str, offset: int, length: int = 1) -> Position:
        """The position of a character of a text value."""
        span = self.document.value_span(self.container, self.key)
        return self.document.inside(span, value, offset, length)


@dataclass(frozen=True, slots=True)
class EnvRef:
    """`${NAME}`, `${NAME:-default}` or `${NAME:?message}` at an offset of a text."""

    name: str
    default: str | None
    message: str | None
    offset: int
    length: int

    @property
    def is_secret(self) -> bool:
        """Whether its name says that it holds a credential."""
        return _SECRET_NAMES.search(self.name) is not None


class Environment:
    """The process environment as a config sees it; remembers which values are secret."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.secrets: set[str] = set()
        self.secret_names: dict[str, str] = {}

    def read(self, ref: EnvRef, *, is_secret: bool = False, carried: str | None = None) -> str:
        """The value of a reference.

        `carried` is what stands before it in a URL, header or the like: whatever the variable is
        called, what it adds there is kept secret, unless it is only a host.

        Raises:
            EnvironmentFailure: it is not set and has no default.
        """
        value = self._variables.get(ref.name)
        if not value and ref.default is not None:  # as in the shell: `:-` also fills in for empty
            value = ref.default
        if value is None or (not value and ref.message is not None):
            detail = f": {ref.message}" if ref.message else ""
            raise EnvironmentFailure(f"environment variable {ref.name} is not set{detail}")
        if carried is not None and ref.name in self._variables:
            is_secret |= len(value) >= _SHORTEST and not _is_host(carried, value)
        if (is_secret or ref.is_secret) and value:
            self.secrets.add(value)
            self.secret_names[ref.name] = value
        return value


def _is_host(before: str, value: str) -> bool:
    """Whether a value is no more than the scheme and host of a URL, or a part of them."""
    is_in_host = _ORIGIN.fullmatch(before) is not None and not before.endswith("/")
    return (
        _ORIGIN.fullmatch(f"{before}{value}" if is_in_host or before == "" else value) is not None
    )


@dataclass(frozen=True, slots=True)
class Constant:
    """A compiled value that does not depend on the call."""

    value: Any


Compiled = Constant | Callable[[Any], Any]
Part = str | EnvRef | Template


@frozen
class Value:
    """One written value with its place. `parts` is set for texts that are not plain constants."""

    raw: Any
    place: Place
    parts: tuple[Part, ...] = ()
    offsets: tuple[int, ...] = ()
    items: Mapping[Any, Value] = field(default_factory=dict)

    @property
    def is_constant(self) -> bool:
        """Whether it has neither templates nor environment references."""
        return not self.parts and all(item.is_constant for item in self.items.values())

    @property
    def is_template(self) -> bool:
        """Whether it depends on the call."""
        return any(True for _ in self.templates())

    @property
    def constant(self) -> Any:
        """The raw value where it is constant, else None; for checks of written options."""
        return self.raw if self.is_constant else None

    def walk(self) -> Iterator[Value]:
        """This value and all values in it; most are alone, and asked for often."""
        return self._with_items() if self.items else iter((self,))

    def _with_items(self) -> Iterator[Value]:
        yield self
        for item in self.items.values():
            yield from item.walk()

    def templates(self) -> Iterator[tuple[Value, Template, int]]:
        """Every template in it, with the text value it stands in and its offset there."""
        for value in self.walk():
            for part, offset in zip(value.parts, value.offsets, strict=True):
                if isinstance(part, Template):
                    yield value, part, offset

    def env_refs(self) -> Iterator[tuple[Value, EnvRef]]:
        """Every environment reference in it."""
        for value in self.walk():
            for part in value.parts:
                if isinstance(part, EnvRef):
                    yield value, part

    def compile(
        self,
        env: Environment,
        *,
        is_secret: bool = False,
        is_carried: bool = False,
        encode: Callable[[Any], Any] | None = None,
    ) -> Compiled:
        """The value as a constant or a function of the scope.

        `encode` is put on each value that a template reads into a text, but for the config's own
        `vars`. `is_carried` says that the value leaves in a URL, a header or a credential.
        """
        if self.parts:
            return self._compile_text(env, is_secret, is_carried, encode)
        if not self.items:
            return Constant(self.raw)
        compiled = {
            key: item.compile(env, is_secret=is_secret, is_carried=is_carried, encode=encode)
            for key, item in self.items.items()
        }
        return _compile_list(compiled) if isinstance(self.raw, list) else _compile_map(compiled)

    def _compile_text(
        self,
        env: Environment,
        is_secret: bool,
        is_carried: bool,
        encode: Callable[[Any], Any] | None,
    ) -> Compiled:
        parts: list[Any] = []
        for part in self.parts:
            if isinstance(part, EnvRef):
                carried = str(self.raw)[: part.offset] if is_carried else None
                parts.append(env.read(part, is_secret=is_secret, carried=carried))
            elif isinstance(part, str):
                parts.append(part)
            elif encode is not None:
                parts += _encoded(part, encode)
            else:
                parts.append(part.compile())
        if len(parts) == 1:
            return parts[0] if callable(parts[0]) else Constant(parts[0])
        if not any(map(callable, parts)):
            return Constant("".join(parts))
        return lambda scope: "".join(p if p.__class__ is str else _text(p(scope)) for p in parts)


def _encoded(template: Template, encode: Callable[[Any], Any]) -> list[Any]:
    """The pieces of a template, each that reads from the call under `encode`."""
    if template.faults or template.kind == "constant":
        return [template.compile()]
    pieces: list[Any] = []
    for piece in template.pieces:
        if isinstance(piece, str):
            pieces.append(piece)
            continue
        read = template.alone(piece)
        pieces.append(read.compile() if _is_own(read) else _encoder(read.compile(), encode))
    return pieces


def _is_own(template: Template) -> bool:
    """Whether it reads nothing but the config's `vars`."""
    return not template.calls and all(read.path[0] == "vars" for read in template.reads)


def _encoder(read: Callable[[Any], Any], encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda scope: encode(read(scope))


def _text(value: Any) -> str:
    # A text part always renders to text; a lone `{{ x }}` beside an environment value may not.
    return value if isinstance(value, str) else ("" if value is None else str(value))


def _compile_list(items: Mapping[Any, Compiled]) -> Compiled:
    parts = list(items.values())
    if all(isinstance(p, Constant) for p in parts):
        return Constant([p.value for p in parts if isinstance(p, Constant)])
    return lambda scope: [p.value if isinstance(p, Constant) else p(scope) for p in parts]


def _compile_map(items: Mapping[Any, Compiled]) -> Compiled:
    if all(isinstance(p, Constant) for p in items.values()):
        return Constant({k: p.value for k, p in items.items() if isinstance(p, Constant)})
    pairs = tuple(items.items())
    return lambda scope: {k: p.value if isinstance(p, Constant) else p(scope) for k, p in pairs}


def parse_value(raw: Any, place: Place) -> Value:
    """Take a value of the document apart. Never raises: faults are in the templates."""
    if isinstance(raw, str):
        if "{{" not in raw and "${" not in raw and "{%" not in raw:
            return Value(raw, place)
        parts, offsets = _split(raw)
        return Value(raw, place, parts, offsets)
    if isinstance(raw, dict):
        items = {k: parse_value(v, Place(place.document, raw, k)) for k, v in raw.items()}
        return Value(raw, place, items=items)
    if isinstance(raw, list):
        items = {i: parse_value(v, Place(place.document, raw, i)) for i, v in enumerate(raw)}
        return Value(raw, place, items=items)
    return Value(raw, place)


def _split(text: str) -> tuple[tuple[Part, ...], tuple[int, ...]]:
    """Cut environment references out of a text; what stands between them are templates."""
    parts: list[Part] = []
    offsets: list[int] = []
    start = 0
    for match in _PIECES.finditer(text):
        if match["name"] is None and match[0] != "$${":
            continue
        _add(parts, offsets, text[start : match.start()], start)
        if match["name"] is None:
            _add(parts, offsets, "${", match.start())
        else:
            default = match["rest"] if match["how"] == "-" else None
            message = match["rest"] if match["how"] == "?" else None
            ref = EnvRef(match["name"], default, message, match.start(), len(match[0]))
            parts.append(ref)
            offsets.append(match.start())
        start = match.end()
    _add(parts, offsets, text[start:], start)
    return tuple(parts), tuple(offsets)


def _add(parts: list[Part], offsets: list[int], piece: str, offset: int) -> None:
    if not piece:
        return
    is_template = "{{" in piece or "{%" in piece or "}}" in piece
    parts.append(parse_template(piece) if is_template else piece)
    offsets.append(offset)
