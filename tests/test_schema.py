"""The editor schema: fresh, self-contained, specific."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from orchestrator.cli import group
from orchestrator.registry import Registry
from orchestrator.schema import build_schema, manual_examples, schema_folder, schema_text

FILE = Path(__file__).parents[1] / "schema" / "orchestrator.schema.json"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return build_schema(Registry())


def errors(schema: dict[str, Any], config: Any) -> list[tuple[str, str]]:
    validator = jsonschema.Draft202012Validator(schema)
    found = validator.iter_errors({"version": 1, **config})
    return [("/".join(map(str, e.absolute_path)), e.message) for e in found]


def test_the_file_is_fresh() -> None:
    """`make schema` writes it; this fails when an action changed and nobody did."""
    assert FILE.read_text(encoding="utf-8") == schema_text(Registry())


def test_the_command_prints_the_file() -> None:
    """What is printed is what is shipped."""
    result = CliRunner().invoke(group, ["schema"])
    assert result.output == FILE.read_text(encoding="utf-8")


def test_a_stale_file_is_reported(tmp_path: Path) -> None:
    """`--check` fails in CI when the file is old."""
    (tmp_path / "old.json").write_text("{}")
    result = CliRunner().invoke(group, ["schema", "--check", str(tmp_path / "old.json")])
    assert "is not what `orchestrator schema` prints" in str(result.exception)


def test_it_is_a_valid_schema(schema: dict[str, Any]) -> None:
    """It follows the draft that it names, and refers to nothing outside."""
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(_references(schema)) <= {f"#/$defs/{name}" for name in schema["$defs"]}


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in _references(value)]
    return [r for item in node for r in _references(item)] if isinstance(node, list) else []


def test_every_action_has_its_manual_and_examples(schema: dict[str, Any]) -> None:
    """Hover texts and examples come from the docstrings."""
    for action in Registry():
        found = schema["$defs"]["step"]["properties"][action.name]
        assert found["markdownDescription"] == found["description"] == action.manual
        assert found["examples"] == manual_examples(action) != []


def test_a_message_is_about_the_one_thing_that_is_wrong(schema: dict[str, Any]) -> None:
    """A misspelt option is named; it is not `not valid under any of the given schemas`."""
    config = {"session": {"call_start": [{"log": {"message": "hi", "levle": "debug"}}]}}
    assert errors(schema, config) == [
        (
            "session/call_start/0/log",
            "Additional properties are not allowed ('levle' was unexpected)",
        )
    ]


def test_a_plugin_adds_its_actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--with` makes the schema of your own actions."""
    (tmp_path / "own_actions_for_schema.py").write_text(
        "from orchestrator.action import Action\n\n\n"
        "class PageOnCall(Action):\n"
        '    """Page somebody."""\n\n'
        "    service: str\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])
    result = CliRunner().invoke(group, ["schema", "--with", "own_actions_for_schema"])
    assert "page_on_call" in json.loads(result.output)["$defs"]["step"]["properties"]


def test_the_hand_written_part_is_found() -> None:
    """In a checkout it stands beside the package."""
    assert (schema_folder() / "document.schema.json").is_file()
