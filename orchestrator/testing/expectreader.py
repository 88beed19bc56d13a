"""Read what a call test expects, with the place of every mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator.document import YamlMap
from orchestrator.errors import Position
from orchestrator.events import near_miss
from orchestrator.testing.expectations import TOLERANCE, Expectation, Expected
from orchestrator.testing.matchers import (
    OPERATORS,
    Anything,
    Between,
    Exactly,
    Fields,
    Matcher,
    OneOf,
    between,
    is_operator,
    parse_matcher,
)
from orchestrator.testing.words import Words
from orchestrator.validation.reader import Reader

__all__ = ["read_expected"]

_STATES = ("hangup", "ended", "transferred", "error", "shutdown")


def read_expected(reader: Reader, node: YamlMap, words: Words) -> Expected:
    """`expect`, `never`, `only`, `data`, `state` and `journal` of a test."""
    own = _ExpectReader(reader, words)
    return Expected(
        timeline=tuple(own.timeline(node, "expect")),
        never=tuple(own.timeline(node, "never", allows_words=True)),
        only=frozenset(own.only(node)),
        data=dict(own.data(node)),
        state=own.state(node),
        journal=tuple(own.journal(node)),
    )


class _ExpectReader:
    def __init__(self, reader: Reader, words: Words) -> None:
        self.reader = reader
        self.words = words

    def _complain(self, position: Position) -> Callable[[str], None]:
        return lambda message: self.reader.report("HK103", message, position)

    # --- the timeline

    def timeline(
        self, node: YamlMap, key: str, *, allows_words: bool = False
    ) -> Iterator[Expectation]:
        if node.get(key) is None:
            return
        items = self.reader.items(node, key, "a list")
        for index, item in enumerate(items or ()):
            position = self.reader.value_position(items, index)  # type: ignore[arg-type]
            if isinstance(item, str) and allows_words:
                if self._known(item, position):
                    yield Expectation(self.words.canonical(item), Anything(), item, str(position))
            elif isinstance(item, YamlMap):
                found = self._item(item, position)
                if found is not None:
                    yield found
            else:
                self.reader.report("HK103", f"`{key}`: expected a mapping such as "
                                   '`{t: 8, say: "Hello"}`', position)  # fmt: skip

    def _item(self, item: YamlMap, position: Position) -> Expectation | None:
        names = [name for name in item if name != "t"]
        if len(names) != 1:
            what = "names nothing" if not names else f"names {', '.join(names)}"
            self.reader.report(
                "HK103",
                f"one thing is expected of each item, this one {what}",
                position,
                help='write one thing an item, such as `{t: 8, say: "Hello"}`',
            )
            return None
        word = names[0]
        if not self._known(word, self.reader.key_position(item, word)):
            return None
        matcher = self._value(item, word)
        text = f"{word} {_inner(matcher, self.words.main(word))}"
        at = self._time(item) if "t" in item else None
        return Expectation(self.words.canonical(word), matcher, text, str(position), at)

    def _known(self, word: str, position: Position) -> bool:
        if word in self.words.happenings:
            return True
        near = near_miss(word, self.words.happenings)
        help_ = f"did you mean `{near}`?" if near else "name a command, an action, or `hook`"
        self.reader.report("HK105", f"nothing is called `{word}`", position, help=help_)
        return False

    def _time(self, item: YamlMap) -> Between | None:
        raw = item["t"]
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            return Between(raw - TOLERANCE, raw + TOLERANCE)
        if is_operator(raw) and isinstance(raw, dict) and raw.keys() <= {"from", "to"}:
            span = between(raw, self._complain(self.reader.value_position(item, "t")))
            return Between(span.low - TOLERANCE, span.high + TOLERANCE)
        self.reader.report(
            "HK103",
            "`t` must be a number of seconds, or `{from: 7, to: 9}`",
            self.reader.value_position(item, "t"),
        )
        return None

    def _value(self, item: YamlMap, word: str) -> Matcher:
        raw, main = item[word], self.words.main(word)
        complain = self._complain(self.reader.value_position(item, word))
        if raw is None or raw == "any" or raw == {}:
            return Anything()
        if word in ("hook", "skipped") and isinstance(raw, str):
            self._check_hook(item, word, raw)
        if isinstance(raw, YamlMap) and not is_operator(raw):
            self._check_fields(raw, word)
            return parse_matcher(raw, complain)
        if isinstance(raw, list):
            return Fields({main or "": OneOf(tuple(parse_matcher(v, complain) for v in raw))})
        return Fields({main or "": parse_matcher(raw, complain)})

    def _check_hook(self, item: YamlMap, word: str, name: str) -> None:
        if name not in self.words.hooks:
            near = near_miss(name, self.words.hooks)
            hint = f"did you mean `{near}`?" if near else f"hooks: {', '.join(self.words.hooks)}"
            position = self.reader.value_position(item, word)
            self.reader.report("HK105", f"no hook is named {name!r}", position, help=hint)

    def _check_fields(self, raw: YamlMap, word: str) -> None:
        known = self.words.fields(word)
        if known:
            help_ = f"it has {', '.join(known)}; or one of {', '.join(OPERATORS)} alone"
            names = (*known, *OPERATORS) if len(raw) == 1 else known
            self.reader.check_keys(raw, names, f"`{word}`", help=help_)

    # --- the rest

    def only(self, node: YamlMap) -> Iterator[str]:
        if node.get("only") is None:
            return
        items = self.reader.items(node, "only", "a list of words such as `say`")
        for index, word in enumerate(items or ()):
            position = self.reader.value_position(items, index)  # type: ignore[arg-type]
            if not isinstance(word, str):
                self.reader.report("HK103", "`only` lists words such as `say`", position)
            elif self._known(word, position):
                yield self.words.canonical(word)

    def data(self, node: YamlMap) -> Iterator[tuple[str, tuple[Matcher, str]]]:
        found = self.reader.mapping(node, "data") if node.get("data") is not None else None
        for key, raw in (found or {}).items():
            position = self.reader.value_position(found, key)  # type: ignore[arg-type]
            yield key, (parse_matcher(raw, self._complain(position)), str(position))

    def state(self, node: YamlMap) -> tuple[Matcher, str] | None:
        if "state" not in node:
            return None
        word = self.reader.choice(node, "state", _STATES)
        return Exactly(word), str(self.reader.value_position(node, "state"))

    def journal(self, node: YamlMap) -> Iterator[tuple[Fields, str]]:
        if node.get("journal") is None:
            return
        items = self.reader.items(node, "journal", "a list of lines such as `{hook: greet}`")
        for index, item in enumerate(items or ()):
            position = self.reader.value_position(items, index)  # type: ignore[arg-type]
            if not isinstance(item, YamlMap):
                self.reader.report("HK103", "a line of the journal is a mapping", position)
                continue
            complain = self._complain(position)
            yield Fields({k: parse_matcher(v, complain) for k, v in item.items()}), str(position)


def _inner(matcher: Matcher, main: str | None) -> str:
    """The words for an expectation: of its main field alone, where it has no other."""
    if main is not None and isinstance(matcher, Fields) and matcher.fields.keys() == {main}:
        return str(matcher.fields[main])
    return str(matcher)
