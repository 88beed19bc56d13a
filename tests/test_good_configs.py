"""Good configs: nothing is found in them, by the validator or by the editor schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.cli.find_configs import find_configs
from orchestrator.document import read_document
from orchestrator.schema import schema_folder
from orchestrator.validation import check_file

ROOT = Path(__file__).parents[1]
FOLDERS = [folder for folder in (ROOT / "tests/data/good", ROOT / "configs") if folder.is_dir()]
FILES = find_configs(map(str, FOLDERS)).configs


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    text = (schema_folder() / "orchestrator.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def plain(path: str) -> Any:
    return json.loads(json.dumps(read_document(path).root))


@pytest.mark.parametrize("path", FILES, ids=lambda path: Path(path).stem)
def test_nothing_is_found(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good config has no findings at all, warnings included."""
    monkeypatch.syspath_prepend(str(Path(path).parent))  # plugins beside the config
    assert [str(problem) for problem in check_file(path).problems] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: Path(path).stem)
def test_the_editor_schema_accepts_it(path: str, schema: jsonschema.Draft202012Validator) -> None:
    """What is good is not underlined in an editor."""
    assert [error.message for error in schema.iter_errors(plain(path))] == []
