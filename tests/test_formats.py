"""The formats for machines: JSON, GitHub, SARIF and JUnit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from click.testing import CliRunner

from orchestrator.cli import group
from orchestrator.cli.formats import JSON_VERSION, as_github, as_junit
from orchestrator.errors import Position, Problem

DATA = Path(__file__).parent / "data"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(DATA / "invalid")

    def run(form: str, *files: str) -> str:
        args = ["validate", "--format", form, *(files or ("option-choice.yaml", "id-twice.yaml"))]
        return CliRunner().invoke(group, args).output

    return run


def test_json_has_every_part_of_a_finding(report: Any) -> None:
    """Scripts get code, place, related places and the fix."""
    found = json.loads(report("json"))
    choice, twice = found["problems"]
    assert (found["version"], found["errors"]) == (JSON_VERSION, 2)
    assert (choice["code"], choice["line"], choice["column"]) == ("HK107", 4, 33)
    assert (choice["fix"]["old"], choice["fix"]["new"]) == ("debgu", "debug")
    assert twice["related"][0]["line"] == 7


def test_github_annotations_are_workflow_commands(report: Any) -> None:
    """One line for each finding, in the form that GitHub reads."""
    first = report("github").splitlines()[0]
    start = "::error file=option-choice.yaml,line=4,col=33,endColumn=38,title=HK107::"
    assert first.startswith(start)


@pytest.mark.parametrize("form", ["github", "sarif"])
def test_paths_are_those_of_the_working_folder(report: Any, form: str) -> None:
    """However the file was named: code scanning knows no other."""
    name = "option-choice.yaml"
    assert report(form, str(DATA / "invalid" / name)) == report(form, name)


def test_github_escapes_what_would_end_the_command() -> None:
    """Line breaks, percent signs and commas of a file name do not leak into the command."""
    problem = Problem("HK101", "100% of\nit", Position("a,b:c.yaml", 1, 1, 2))
    assert as_github([problem], []) == (
        "::error file=a%2Cb%3Ac.yaml,line=1,col=1,endColumn=2,title=HK101::100%25 of%0Ait"
    )


def test_sarif_is_valid_against_the_published_schema(report: Any) -> None:
    """All broken files in one log, checked with the schema of OASIS."""
    schema = json.loads((DATA / "schemas/sarif-2.1.0.json").read_text("utf-8"))
    files = sorted(path.name for path in Path().glob("*.yaml"))
    log = json.loads(report("sarif", *files))
    jsonschema.Draft4Validator(schema).validate(log)
    assert len(log["runs"][0]["results"]) > 100


def test_sarif_carries_fixes_and_related_places(report: Any) -> None:
    """Code scanning shows the suggestion and the first definition."""
    choice, twice = json.loads(report("sarif"))["runs"][0]["results"]
    replacement = choice["fixes"][0]["artifactChanges"][0]["replacements"][0]
    assert replacement["insertedContent"]["text"] == "debug"
    assert twice["relatedLocations"][0]["physicalLocation"]["region"]["startLine"] == 7


def test_junit_has_a_case_for_each_file(report: Any) -> None:
    """A CI server shows each file as a test."""
    suite = ET.fromstring(report("junit", "option-choice.yaml", "var-unused.yaml"))[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [len(case.findall("failure")) for case in suite] == [1, 0]


def test_junit_survives_control_characters() -> None:
    """What a file holds cannot break the XML."""
    problem = Problem("HK004", "bad \x00", Position("a.yaml", 1, 1, 2), source_line="\x1b<&")
    assert ET.fromstring(as_junit([problem], ["a.yaml"])) is not None
