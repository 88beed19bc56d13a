"""Read `given` of a call test or of `run --given`, with the place of every mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.config import Config
from orchestrator.document import YamlMap, read_document
from orchestrator.errors import ScriptError
from orchestrator.events import near_miss
from orchestrator.testing.given import parse_answer
from orchestrator.testing.words import Words
from orchestrator.validation.reader import Reader

__all__ = ["load_given", "read_given"]


def read_given(reader: Reader, node: YamlMap, words: Words) -> Mapping[str, Any]:
    """The answers under `given`, as written, once they are known to be good."""
    if "given" not in node or node["given"] is None:
        return {}
    answers = reader.mapping(node, "given", "a mapping of answers")
    return _check(reader, answers, words) if answers is not None else {}


def load_given(path: str | Path, config: Config) -> Mapping[str, Any]:
    """The answers of a file: the mapping itself, or under a key `given`.

    Raises:
        ScriptError: it has mistakes; the message has each as `file:line:col: what`.
        EnvironmentFailure: it cannot be read.
    """
    document = read_document(path)
    reader = Reader(document)
    for problem in document.problems:
        reader.problems.add(problem)
    root, words = document.root, Words(config)
    answers: Mapping[str, Any] = {}
    if root is not None:
        is_wrapped = "given" in root and "given" not in words.answerers
        answers = read_given(reader, root, words) if is_wrapped else _check(reader, root, words)
    errors = [p for p in reader.problems.sorted() if p.is_error]
    if errors:
        texts = (f"{p.position}: {p.message}{f'; {p.help}' if p.help else ''}" for p in errors)
        raise ScriptError("\n".join(texts))
    return answers


def _check(reader: Reader, answers: YamlMap, words: Words) -> Mapping[str, Any]:
    for key, raw in answers.items():
        position = reader.value_position(answers, key)
        if key not in words.answerers:
            near = near_miss(key, words.answerers)
            known = ", ".join(words.answerers) or "nothing: it has no steps that ask"
            reader.report(
                "HK105",
                f"no step of the config has the id, connection or action `{key}`",
                reader.key_position(answers, key),
                help=f"did you mean `{near}`?" if near else f"the config has {known}",
            )
        parse_answer(raw, lambda text, at=position: reader.report("HK103", text, at))  # type: ignore[misc]
        _check_fields(reader, key, raw, words.answer_fields(key))
    return dict(answers)


def _check_fields(reader: Reader, key: str, raw: Any, known: tuple[str, ...]) -> None:
    """Report fields of answers that the action never gives: no hook would ever read them."""
    for answer in _outputs(raw) if known else ():
        for name in answer:
            if name not in known:
                near = near_miss(name, known)
                reader.report(
                    "HK105",
                    f"answers of `{key}` have no `{name}`",
                    reader.key_position(answer, name),
                    help=f"did you mean `{near}`?" if near else f"they have {', '.join(known)}",
                )


def _outputs(raw: Any) -> Iterator[YamlMap]:
    """The outputs in an answer, in any of its forms."""
    if not isinstance(raw, YamlMap):
        return
    if isinstance(raw.get("each"), list) and len(raw) == 1:
        for one in raw["each"]:
            yield from _outputs(one)
    elif "answer" in raw:
        yield from _outputs(raw["answer"])
    elif not ({"error", "after"} & raw.keys()):
        yield raw
