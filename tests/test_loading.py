"""Loading a config reads its files: it runs nothing, writes nothing, reaches nobody."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import group
from tests.cli import ROOT

_WATCH = """
import json, sys
from pathlib import Path
from orchestrator.validation import check_file

seen, is_on = [], False

def hook(event, args):
    if is_on:
        seen.append((event, [str(arg)[:1000] for arg in args]))

sys.addaudithook(hook)
found = {}
for path in map(Path, sys.argv[1:]):
    check_file(path)  # what a first check imports is no business of the file
    seen.clear()
    is_on = True
    check_file(path)
    is_on = False
    found[str(path)] = list(seen)
print(json.dumps(found))
"""


def annotations() -> set[str]:
    """What the classes of actions and connections are annotated with: Python's `typing` reads it."""
    folders = (ROOT / "actions", ROOT / "orchestrator", ROOT / "tests" / "data")
    return {
        ast.unparse(ast.parse(ast.unparse(node.annotation), mode="eval"))
        for path in (p for folder in folders for p in folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.AnnAssign)
    }


#: What reading a file and looking for a near miss among its neighbours amount to.
_READS = {
    "open",
    "builtins.id",
    "object.__getattr__",
    "os.listdir",
    "os.scandir",
    "glob.glob",
    "glob.glob/2",
    "pathlib.Path.glob",
}
FILES = [
    *sorted((ROOT / "configs").rglob("*.yaml")),
    *sorted((ROOT / "tests" / "data").rglob("*.yaml")),
]
HOSTILE = """
version: 1
x-a: !!python/object/apply:os.system ['touch EVIL']
plugins: []
vars: {a: "{{ ''.__class__.__mro__ }}", b: "${HOME}", c: "{% import os %}"}
connections:
  crm: {kind: sql, url: "sqlite:///EVIL.db"}
  web: {kind: http, base_url: "http://127.0.0.1:1/"}
session:
  call_start:
    - python: "os:system"
    - python: {call: "subprocess:run", args: {args: "touch EVIL"}}
    - http: {connection: web, path: "/{{ ().__class__ }}"}
    - log: "{{ call.__init__.__globals__ }}"
"""


def test_checking_a_file_only_reads_it_and_its_includes(tmp_path: Path) -> None:
    """Watched by Python itself: no socket, no process, no code, no write; good files and bad ones."""
    evil = tmp_path / "evil.yaml"
    evil.write_text(HOSTILE)
    files = [file for file in FILES if not file.name.endswith(".calltest.yaml")]
    assert len(files) > 150
    done = subprocess.run(
        [sys.executable, "-c", _WATCH, *map(str, files), str(evil)], cwd=ROOT, capture_output=True,
        text=True, timeout=120, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert len(found) == len(files) + 1
    known = annotations()
    for path, events in found.items():
        compiled = [
            ast.literal_eval(args[0]).decode() for event, args in events if event == "compile"
        ]
        assert {ast.unparse(ast.parse(text, mode="eval")) for text in compiled} <= known, path
        assert [event for event, _ in events].count("exec") == len(compiled)
        assert any(event == "open" for event, _ in events), path
        assert {event for event, _ in events} <= {*_READS, "compile", "exec"}, (path, events)
        opened = [args for event, args in events if event == "open"]
        assert all(mode.startswith("r") for _, mode, _ in opened), (path, opened)
        # An action that nobody knows may come from an installed package: their lists are read.
        folders = [Path(path).parent, *map(Path, sys.path)]
        outside = [n for n, _, _ in opened if not any(Path(n).is_relative_to(f) for f in folders)]
        assert outside == [], path
    assert [file.name for file in tmp_path.iterdir()] == ["evil.yaml"]


def test_a_pipe_among_the_files_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may ever write to it."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "a.yaml").write_text("version: 1\nname: a\ninclude: [pipe.yaml]\n")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(group, ["validate", "."])
    assert "'pipe.yaml' is no ordinary file" in result.output


@pytest.mark.parametrize(
    "code", ["open('/dev/null', 'w')", "__import__('socket').socket()", "exec('1')"]
)
def test_the_watch_sees_what_it_looks_for(code: str) -> None:
    """A watch that sees nothing proves nothing."""
    watched = _WATCH.replace(
        "    check_file(path)\n    is_on = False", f"    {code}\n    is_on = False"
    )
    done = subprocess.run(
        [sys.executable, "-c", watched, str(FILES[0])], cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    (events,) = json.loads(done.stdout).values()
    writes = [args for event, args in events if event == "open" and not args[1].startswith("r")]
    compiled = [args[0] for event, args in events if event == "compile"]
    assert writes or "b'1'" in compiled or {e for e, _ in events} - {*_READS, "compile", "exec"}
