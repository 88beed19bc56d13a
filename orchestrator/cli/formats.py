"""Findings for machines: JSON, GitHub annotations, SARIF 2.1.0 and JUnit, from the same objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator._version import __version__
from orchestrator.cli.reporter import frame
from orchestrator.codes import CODES
from orchestrator.errors import Position, Problem

__all__ = ["FORMATS", "JSON_VERSION", "Report", "as_github", "as_json", "as_junit", "as_sarif"]

#: Raised when a key of the JSON output changes its meaning or goes away.
JSON_VERSION = 1
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://pypi.org/project/hook-orchestrator/"

Report = tuple[Sequence[Problem], Sequence[str]]


def as_json(problems: Sequence[Problem], files: Sequence[str]) -> str:
    """A versioned JSON object with every part of every finding."""
    document = {
        "version": JSON_VERSION,
        "files": list(files),
        "errors": sum(problem.is_error for problem in problems),
        "warnings": sum(not problem.is_error for problem in problems),
        "problems": [_json_problem(problem) for problem in problems],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _json_problem(problem: Problem) -> dict[str, Any]:
    fix = problem.fix
    return {
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "help": problem.help,
        **_json_place(problem.position),
        "related": [
            {"message": other.message, **_json_place(other.position)} for other in problem.related
        ],
        "fix": None
        if fix is None
        else {"old": fix.old, "new": fix.new, **_json_place(fix.position)},
    }


def _json_place(position: Position) -> dict[str, Any]:
    return {
        "file": position.file,
        "line": position.line,
        "column": position.column,
        "end_column": position.end_column,
    }


# --- GitHub


def as_github(problems: Sequence[Problem], files: Sequence[str]) -> str:
    """Workflow commands that GitHub shows as annotations of a pull request."""
    return "\n".join(_annotation(problem) for problem in problems)


def _annotation(problem: Problem) -> str:
    position = problem.position
    words = f"{problem.message} ({problem.help})" if problem.help else problem.message
    properties = {
        "file": str(_from_here(position.file)),
        "line": str(position.line),
        "col": str(position.column),
        "endColumn": str(position.end_column),
        "title": problem.code,
    }
    shown = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{problem.severity} {shown}::{_data(words)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# --- SARIF


def as_sarif(problems: Sequence[Problem], files: Sequence[str]) -> str:
    """A SARIF 2.1.0 log with one run."""
    codes = sorted({problem.code for problem in problems})
    driver = {
        "name": "orchestrator",
        "version": __version__,
        "informationUri": _HOME,
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "artifacts": [{"location": {"uri": _uri(file)}} for file in files],
        "results": [_result(problem, codes) for problem in problems],
    }
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str) -> dict[str, Any]:
    known = CODES[code]
    return {
        "id": code,
        "shortDescription": {"text": known.title},
        "fullDescription": {"text": known.why},
        "help": {"text": known.mend},
    }


def _result(problem: Problem, codes: Sequence[str]) -> dict[str, Any]:
    words = f"{problem.message} ({problem.help})" if problem.help else problem.message
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": codes.index(problem.code),
        "level": problem.severity,
        "message": {"text": words},
        "locations": [_location(problem.position)],
    }
    if problem.related:
        result["relatedLocations"] = [
            {**_location(other.position), "id": number, "message": {"text": other.message}}
            for number, other in enumerate(problem.related, 1)
        ]
    if problem.fix is not None:
        result["fixes"] = [_fix(problem)]
    return result


def _location(position: Position) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": _uri(position.file)}, "region": _region(position)}
    return {"physicalLocation": place}


def _region(position: Position) -> dict[str, int]:
    return {
        "startLine": position.line,
        "startColumn": position.column,
        "endColumn": max(position.end_column, position.column),
    }


def _fix(problem: Problem) -> dict[str, Any]:
    assert problem.fix is not None  # noqa: S101 - asked by the caller
    fix = problem.fix
    replacement = {
        "deletedRegion": _region(fix.position),
        "insertedContent": {"text": fix.new},
    }
    change = {
        "artifactLocation": {"uri": _uri(fix.position.file)},
        "replacements": [replacement],
    }
    return {
        "description": {"text": problem.help or f"write {fix.new}"},
        "artifactChanges": [change],
    }


def _uri(file: str) -> str:
    from urllib.parse import quote

    return quote(_from_here(file).as_posix())


def _from_here(file: str) -> Path:
    """A path as those who show findings in a repository want it: from the working folder."""
    path = Path(file)
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


# --- JUnit


def as_junit(problems: Sequence[Problem], files: Sequence[str]) -> str:
    """A JUnit test suite: one case for each file, which fails with its findings."""
    from xml.sax.saxutils import escape, quoteattr

    cases: list[str] = []
    for file in files:
        own = [p for p in problems if p.position.file == file]
        cases.append(f'    <testcase classname="orchestrator.validate" name={quoteattr(file)}>')
        for problem in own:
            kind = "failure" if problem.is_error else "system-out"
            text = escape(_printable(frame(problem)))
            if kind == "failure":
                message = quoteattr(_printable(problem.message))
                cases.append(
                    f'      <failure type="{problem.code}" message={message}>{text}</failure>'
                )
            else:
                cases.append(f"      <system-out>{text}</system-out>")
        cases.append("    </testcase>")
    failures = len({p.position.file for p in problems if p.is_error})
    head = f'  <testsuite name="orchestrator validate" tests="{len(files)}" failures="{failures}">'
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<testsuites>", head, *cases]
    return "\n".join([*lines, "  </testsuite>", "</testsuites>"])


def _printable(text: str) -> str:
    """XML 1.0 has no place for control characters, not even escaped."""
    return "".join(c if c in "\n\t" or c >= " " else "\ufffd" for c in text)


FORMATS: Mapping[str, Callable[[Sequence[Problem], Sequence[str]], str]] = {
    "github": as_github,
    "json": as_json,
    "junit": as_junit,
    "sarif": as_sarif,
}
