"""Data flows one way: a module imports only modules of lower rank (docs/design.md, "Layout")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Rank by module; a package has one rank. What a user reads first stands lowest.
RANKS = {
    "_version": 0, "errors": 0, "threads": 0, "turn": 0, "retention": 0, "codes": 0, "shapes": 0, "durations": 0,
    "engine": 1, "deadline": 0, "capabilities": 0, "digits": 0, "speech": 0, "frozen": -1, "numbervalues": -1, "numberwords": -2,
    "headers": 0, "hosts": 0, "limits": 1, "quiet": 1, "written": 1,
    "events": 1, "clock": 1, "runtime": 1, "plain": 1,
    "document": 2, "templates": 2, "journal": 2, "signing": 2, "egress": 2,
    "logs": 2, "encoding": 2, "scriptevent": 2, "dialog": 3,
    "commands": 2, "facts": 3, "owned": 2, "pauses": 4,
    "action": 3, "values": 3, "callscript": 3,
    "options": 4, "review": 4, "runtimes": 4, "secrecy": 4, "connections": 4,
    "registry": 5, "outbox": 5, "relay": 5,
    "config": 6, "schema": 6, "memory": 6,
    "plan": 7, "chosen": 7, "services": 7, "destinations": 7, "targets": 7,
    "validation": 8, "compiler": 8, "ladder": 8,
    "silence": 9, "outline": 9,
    "call": 10,
    "context": 11,
    "steps": 12,
    "dispatcher": 13,
    "attachment": 14,
    "replay": 15, "app": 15, "worker": 15,
    "testing": 16, "serve": 16,
    "pytest_plugin": 17, "cli": 17,
    "__init__": 18, "__main__": 18,
}  # fmt: skip


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package with its unit: the part under `orchestrator` that has a rank."""
    for path in sorted((ROOT / "orchestrator").rglob("*.py")):
        parts = path.relative_to(ROOT / "orchestrator").with_suffix("").parts
        yield parts[0], path


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Units imported by a module, those for type checkers only left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only or not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        names = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
        for name in names:
            if name == "orchestrator":
                yield "__init__", node.lineno
            elif name.startswith("orchestrator."):
                yield name.split(".")[1], node.lineno


@pytest.mark.parametrize("unit", sorted({unit for unit, _ in modules()}))
def test_a_module_imports_lower_ranks_only(unit: str) -> None:
    """A new module needs a rank, which makes its author think about its place."""
    assert unit in RANKS, f"orchestrator/{unit} has no rank in this test"
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for name, path in modules()
        if name == unit
        for target, line in imports(path)
        if target != unit and RANKS.get(target, 99) >= RANKS[unit] and not _is_version(target)
    ]
    assert not wrong, "\n".join(wrong)


def _is_version(target: str) -> bool:
    return target == "_version"


def test_actions_import_the_contract_for_authors_only() -> None:
    """A built-in is written exactly like an action of somebody else."""
    wrong = [
        f"{path.name}:{line} imports {target}"
        for path in sorted((ROOT / "actions").glob("*.py"))
        for target, line in imports(path)
        if target != "action"
    ]
    assert not wrong, "\n".join(wrong)
