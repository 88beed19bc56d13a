"""Print the lowest versions that pyproject.toml allows, as constraints for pip."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9_.-]+)(?:\[(?P<extras>[a-z,]+)\])?(?P<bounds>[^;]*)(?:;.*)?"
)
_OWN = "hook-orchestrator"


def requirements(*, with_tools: bool) -> Iterator[tuple[str, str]]:
    """Every package that is named, with its bounds; `with_tools` adds what only developers need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = [project["project"]["dependencies"]]
    groups += project["project"]["optional-dependencies"].values()
    if with_tools:
        groups += [*project["dependency-groups"].values(), project["build-system"]["requires"]]
    for text in (text for group in groups for text in group):
        match = _REQUIREMENT.fullmatch(text)
        assert match is not None, text
        if match["name"] != _OWN:
            yield match["name"], match["bounds"].strip()


def lower(bounds: str) -> str:
    """The version that `>=` names; empty when there is none."""
    return next((b[2:] for b in bounds.split(",") if b.startswith(">=")), "")


def upper(bounds: str) -> str:
    """The version that `<` names; empty when there is none."""
    return next((b[1:] for b in bounds.split(",") if re.match(r"<[^=]", b)), "")


if __name__ == "__main__":
    for name, bounds in sorted(set(requirements(with_tools=False))):
        print(f"{name}=={lower(bounds)}")
