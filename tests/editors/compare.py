"""Ours, check-jsonschema and yaml-language-server over the same files, side by side.

Usage: python tests/editors/compare.py CHECK_JSONSCHEMA LANGUAGE_SERVER_SCRIPT

Both tools get our editor schema. Every good config must pass both. Of the broken files it is
counted which tool says something, on the right line, at the right column: the place in the file's
`.out`. Exit code 1 if a good config is refused.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schema" / "orchestrator.schema.json"
BROKEN = sorted((ROOT / "tests/data/invalid").glob("*.yaml"))
GOOD = [
    *sorted((ROOT / "tests/data/good").glob("*.yaml")),
    *(p for p in sorted((ROOT / "configs").rglob("*.yaml")) if ".calltest" not in p.name),
]
Place = tuple[int | None, int | None]
Found = Mapping[str, Sequence[Place]]


def ours() -> Found:
    """What the expected reports say, which the tests hold us to."""
    return {str(path): [right_place(path)] for path in BROKEN}


def right_place(path: Path) -> Place:
    """The line and column of the mistake."""
    text = path.with_suffix(".out").read_text("utf-8")
    match = re.search(r"--> [^\n]*:(\d+):(\d+)\n", text)
    assert match is not None, path
    return int(match[1]), int(match[2])


def check_jsonschema(tool: str, files: Sequence[Path]) -> Found:
    """Its findings; it names no line. A file on which it breaks counts as one that it refuses."""
    command = [tool, "--schemafile", str(SCHEMA), "-o", "json", *map(str, files)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(answer.stdout)
    except ValueError:
        if len(files) == 1:
            return {str(files[0]): [(None, None)]}
        half = len(files) // 2
        return {**check_jsonschema(tool, files[:half]), **check_jsonschema(tool, files[half:])}
    refused = [*report.get("errors", []), *report.get("parse_errors", [])]
    names = {error["filename"] for error in refused}
    return {str(path): [(None, None)] if str(path) in names else [] for path in files}


def language_server(script: str, files: Sequence[Path]) -> Found:
    """The diagnostics that an editor would show."""
    client = Path(__file__).with_name("language_server.mjs")
    command = ["node", str(client), script, str(SCHEMA), *map(str, files)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return {file: [(d["line"], d["column"]) for d in items] for file, items in found.items()}


def row(name: str, found: Found) -> str:
    """Found, right line, right column, silent."""
    said = [path for path in BROKEN if found[str(path)]]
    lines = [p for p in said if right_place(p)[0] in {line for line, _ in found[str(p)]}]
    exact = [p for p in said if right_place(p) in found[str(p)]]
    counts = (len(said), len(lines), len(exact), len(BROKEN) - len(said))
    return f"| {name} | " + " | ".join(str(count) for count in counts) + " |"


def main(tool: str, script: str) -> int:
    """Print the table; 1 if one of the tools refuses a good config."""
    # Not files that no editor opens: bytes that are no text, a megabyte of padding.
    readable = [p for p in BROKEN if p.stem not in ("yaml-not-utf8", "yaml-too-large")]
    extra: Found = {str(p): [] for p in BROKEN if p not in readable}
    jsonschema = {**extra, **check_jsonschema(tool, readable)}
    server = {**extra, **language_server(script, readable)}
    print(f"| {len(BROKEN)} broken files | found | right line | right column | silent |")
    print("|---|---|---|---|---|")
    print(row("orchestrator validate", ours()))
    print(row("yaml-language-server, our schema", server))
    print(row("check-jsonschema, our schema", jsonschema))
    good = {**check_jsonschema(tool, GOOD)}
    seen = language_server(script, GOOD)
    refused = [path for path in map(str, GOOD) if good[path] or seen[path]]
    print(f"\n{len(GOOD)} good configs, refused by one of the tools: {refused or 'none'}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
