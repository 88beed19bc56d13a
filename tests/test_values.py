"""Written values: constants, environment references and templates told apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.document import parse_document
from orchestrator.errors import EnvironmentFailure
from orchestrator.values import Constant, Environment, Place, Value, parse_value


def value_of(raw: Any) -> Value:
    """A value at some place of a document."""
    document = parse_document("a: 1\n", "x.yaml")
    return parse_value(raw, Place(document, document.root, "a"))


def compiled(raw: Any, **variables: str) -> Any:
    """The compiled value, called with a scope where it is a function."""
    found = value_of(raw).compile(Environment(variables))
    if isinstance(found, Constant):
        return found.value
    return found(SimpleNamespace(event={"text": "hi", "n": 3}, vars={}, data={}, steps={}))


@pytest.mark.parametrize(
    "raw", ["plain", 5, 2.5, True, None, [1, "x"], {"a": [1]}, "a $ sign", "{}"]
)
def test_constants_stay_as_they_are(raw: Any) -> None:
    """What has neither templates nor references is decided at load."""
    assert compiled(raw) == raw


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("${NAME}", "Ada"),
        ("Dear ${NAME}!", "Dear Ada!"),
        ("${NONE:-nobody}", "nobody"),
        ("${EMPTY:-nobody}", "nobody"),
        ("${NONE:-}", ""),
        ("$${NAME}", "${NAME}"),
        ("https://${HOST}/x?y=${NAME}", "https://example.test/x?y=Ada"),
        ("${NAME} said {{ event.text }}", "Ada said hi"),
        ("{{ event.n }}", 3),
        (["${NAME}", "{{ event.text }}"], ["Ada", "hi"]),
        ({"k": "{{ event.text }}", "c": 1}, {"k": "hi", "c": 1}),
    ],
)  # fmt: skip
def test_references_and_templates_are_put_in(raw: Any, wanted: Any) -> None:
    """`${}` at load, `{{ }}` at call time; a lone template keeps its type."""
    assert compiled(raw, NAME="Ada", HOST="example.test", EMPTY="") == wanted


def test_a_missing_variable_is_a_failure_that_names_it() -> None:
    """`${NAME:?message}` adds the author's words."""
    with pytest.raises(EnvironmentFailure, match="NOPE is not set"):
        compiled("${NOPE}")
    with pytest.raises(EnvironmentFailure, match="NOPE is not set: ask the billing team"):
        compiled("${NOPE:?ask the billing team}")


@given(st.text(max_size=30))
def test_what_a_variable_holds_is_never_a_template(content: str) -> None:
    """The environment is data too."""
    assert compiled("${X}", X="{{ event.text }}" + content) == "{{ event.text }}" + content


def test_values_of_secret_variables_are_remembered_for_redaction() -> None:
    """By their name, or because the option is a secret."""
    env = Environment({"API_TOKEN": "s3cret", "PLAIN": "open", "OTHER": "hidden"})
    value_of("${API_TOKEN}").compile(env)
    value_of("${PLAIN}").compile(env)
    value_of("${OTHER}").compile(env, is_secret=True)
    assert env.secrets == {"s3cret", "hidden"}
