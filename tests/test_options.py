"""Annotated fields become options: kinds, conversion, JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import pytest

from orchestrator.action import Action, ActionFailed, Condition, Duration, Options, Secret, Steps
from orchestrator.errors import UserError
from orchestrator.options import NO_DEFAULT, Schema, convert, options_of
from orchestrator.options.schema import json_schema, record_schema


class Inner(Options):
    """A mapping of its own."""

    for_: Annotated[Duration, "how long"]
    word: str = "x"


class Everything(Action):
    """Every type a field may have."""

    text: Annotated[str, "a text"]
    number: float = 1.5
    count: Annotated[int, "how many", range(1, 10)] = 1
    flag: bool = False
    word: Literal["a", "b"] = "a"
    after: Duration | None = None
    many: list[int] = []
    pairs: dict[str, str] = {}
    either: str | list[str] = ""
    inner: Inner | None = None
    key: Secret | None = None
    steps: Steps = Steps()
    when: Condition | None = None
    anything: Any = None

    setting: ClassVar[str] = "no option"


OPTIONS = options_of(Everything)


def test_options_come_in_the_order_written_without_class_settings() -> None:
    """Annotated fields are options; `ClassVar`s are not."""
    assert list(OPTIONS)[:4] == ["text", "number", "count", "flag"]
    assert "setting" not in OPTIONS
    assert "needs" not in OPTIONS


def test_a_field_named_with_a_trailing_underscore_is_written_without_it() -> None:
    """`for` is a word of Python."""
    assert list(OPTIONS["inner"].fields) == ["for", "word"]


def test_documentation_ranges_and_defaults_are_read_from_the_annotation() -> None:
    """`Annotated[type, doc, range]`."""
    count = OPTIONS["count"]
    assert (count.doc, count.low, count.high, count.default) == ("how many", 1, 10, 1)
    assert OPTIONS["text"].default is NO_DEFAULT
    assert OPTIONS["text"].is_required


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("text", 5, "5"),
        ("text", True, "true"),
        ("number", "2.5", 2.5),
        ("count", "3", 3),
        ("flag", "true", True),
        ("word", "b", "b"),
        ("after", "800ms", 0.8),
        ("after", None, None),
        ("many", ["1", 2], [1, 2]),
        ("pairs", {"a": 1}, {"a": "1"}),
        ("either", ["x"], ["x"]),
        ("either", "x", "x"),
        ("anything", {"x": [1]}, {"x": [1]}),
    ],
)
def test_rendered_values_become_the_options_type(name: str, given: Any, wanted: Any) -> None:
    """Text of a template becomes what the action declared."""
    assert convert(OPTIONS[name], given) == wanted


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("text", None), ("text", ["x"]), ("number", "x"), ("count", 2.5), ("count", 11), ("flag", "yes"),
        ("word", "c"), ("after", 8), ("after", "8 sec"), ("many", "x"), ("many", ["x"]), ("pairs", [1]),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_fail_with_the_options_name(name: str, given: Any) -> None:
    """The message says which option, what it takes and what it got."""
    with pytest.raises(ActionFailed, match=f"option `{name}`: expected"):
        convert(OPTIONS[name], given)


def test_a_mapping_option_becomes_an_object_of_its_class() -> None:
    """`grace: {when, for}` is an object with fields."""
    inner = convert(OPTIONS["inner"], {"for": "2s", "word": "y"})
    assert isinstance(inner, Inner)
    assert (inner.for_, inner.word) == (2.0, "y")


def test_the_json_schema_allows_templates_for_typed_options() -> None:
    """A number may be written as a template."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(json_schema(OPTIONS["count"]))
    assert validator.is_valid(3)
    assert validator.is_valid("{{ data.n }}")
    assert not validator.is_valid("three")
    assert not validator.is_valid(99)


def test_the_schema_of_a_record_names_required_and_unknown_keys() -> None:
    """A misspelt option is refused by editors too."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(
        {**record_schema(OPTIONS), "$defs": {"steps": {"type": "array"}}}
    )
    assert validator.is_valid({"text": "x", "after": "5s"})
    assert not validator.is_valid({"txt": "x"})
    assert not validator.is_valid({})


def test_an_annotation_that_yaml_cannot_hold_is_refused_at_load() -> None:
    """The author of an action learns which field and what is possible."""

    class Bad(Action):
        """A file is no YAML value."""

        file: bytes

    with pytest.raises(UserError, match=r"Bad\.file"):
        options_of(Bad)


def test_an_option_may_carry_a_json_schema_of_its_own() -> None:
    """`Annotated[..., Schema({...})]`."""

    class Shaped(Action):
        """Its body has a shape."""

        body: Annotated[dict[str, Any], Schema({"required": ["id"]})]

    assert options_of(Shaped)["body"].schema == {"required": ["id"]}
