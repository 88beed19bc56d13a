"""What we are made of: bounds of every dependency, no text that is run, each exception explained."""

from __future__ import annotations

import ast
import re
import tokenize
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import pytest
from packaging.version import Version

from tests.lowest import ROOT, lower, requirements, upper

PACKAGES = sorted(set(requirements(with_tools=True)))
SOURCES = sorted(p for name in ("orchestrator", "actions") for p in (ROOT / name).rglob("*.py"))
#: The one module that makes code, out of an allow-listed tree.
GENERATES = ROOT / "orchestrator" / "templates" / "codegen.py"


@pytest.mark.parametrize(("name", "bounds"), PACKAGES, ids=[name for name, _ in PACKAGES])
def test_a_dependency_has_bounds_and_the_tested_version_lies_within(name: str, bounds: str) -> None:
    """The lower bound is what `make test-lowest` runs, the upper is above what runs here."""
    assert lower(bounds), f"{name} has no lower bound"
    assert upper(bounds), f"{name} has no upper bound"
    try:
        found = version(name)
    except PackageNotFoundError:
        return  # for another version of Python
    assert Version(lower(bounds)) <= Version(found) < Version(upper(bounds))


def test_what_is_bounded_twice_is_bounded_alike() -> None:
    """A package of an extra that developers need too has the same bounds there."""
    assert len({name for name, _ in PACKAGES}) == len(PACKAGES)


#: Ways to run a text or to rebuild objects from bytes, and who may use them.
_RUNS_TEXT = frozenset({"eval", "exec", "compile", "__import__", "breakpoint", "input"})
_BANNED_MODULES = frozenset(
    {"pickle", "cPickle", "dill", "shelve", "marshal", "subprocess", "pty", "ctypes", "code", "runpy",
     "cloudpickle", "xmlrpc", "telnetlib", "multiprocessing"}
)  # fmt: skip
_BANNED_CALLS = re.compile(
    r"os\.(system|popen|exec\w*|spawn\w*|fork|posix_spawn)|yaml\.\w*load\w*|\w*\.loads?_all"
)


def found_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines that run text, start processes, or rebuild objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in _RUNS_TEXT or _BANNED_CALLS.fullmatch(called):
                yield node.lineno, called
            if any(k.arg == "shell" for k in node.keywords):
                yield node.lineno, "shell="
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in _BANNED_MODULES:
                    yield node.lineno, f"import {alias.name}"
        elif (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").split(".")[0] in _BANNED_MODULES
        ):
            yield node.lineno, f"from {node.module}"


def test_no_text_is_run_and_no_process_is_started() -> None:
    """But for the code that is made of templates, in the one module that does this.

    Without child processes there is no command line in which a secret could be seen either.
    """
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {what}"
        for path in SOURCES
        for line, what in found_in(ast.parse(path.read_text(encoding="utf-8")))
        if not (path == GENERATES and what in ("compile", "exec"))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "text",
    ["eval('1')", "import pickle", "from subprocess import run", "f(shell=True)", "import os\nos.system('x')",
     "yaml.load(x)", "from pickle import loads", "exec(x)"],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    """A search that cannot fail proves nothing."""
    assert list(found_in(ast.parse(text)))


_NOQA = re.compile(r"#\s*noqa: (?P<codes>[A-Z0-9, ]+)(?P<reason>.*)")


def exceptions() -> Iterator[tuple[str, str, str]]:
    """Every `noqa` in the sources: place, codes, reason."""
    folders = ("orchestrator", "actions", "benchmarks", "configs")
    for path in sorted(p for name in folders for p in (ROOT / name).rglob("*.py")):
        with path.open("rb") as file:
            for token in tokenize.tokenize(file.readline):
                match = _NOQA.search(token.string) if token.type == tokenize.COMMENT else None
                if match is not None:
                    place = f"{path.relative_to(ROOT)}:{token.start[0]}"
                    yield place, match["codes"].strip(), match["reason"]


def test_each_exception_from_the_linter_says_why() -> None:
    """`# noqa: S608 - constants`: a code, and a reason of some words."""
    found = list(exceptions())
    assert len(found) > 20
    bare = [place for place, _, reason in found if len(re.findall(r"\w+", reason)) < 1]
    assert bare == []


def test_the_security_rules_are_on_and_each_exception_for_a_folder_says_why() -> None:
    """Ruff's `S` rules are selected; a line that takes some away has a comment on it or above it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert not [
        code for code in lint["ignore"] if code.startswith("S") and not code.startswith("SIM")
    ]
    lines = text.splitlines()
    for pattern, codes in lint["per-file-ignores"].items():
        if not any(re.fullmatch(r"S\d+", code) for code in codes):
            continue
        at = next(n for n, line in enumerate(lines) if line.startswith(f'"{pattern}" ='))
        assert "#" in lines[at].rpartition("]")[2] or lines[at - 1].startswith("#"), pattern
        assert not pattern.startswith(("orchestrator", "actions")), pattern
