"""Files that the command line is given, by name or by folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator.errors import EnvironmentFailure

__all__ = ["find_files"]

_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})


def find_files(paths: Iterable[Path], patterns: Sequence[str]) -> list[Path]:
    """The files named, and those in the folders named that fit a pattern; each once, sorted.

    Hidden folders and those of package managers are left out.

    Raises:
        EnvironmentFailure: a path does not exist.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = {file for pattern in patterns for file in path.rglob(pattern)}
            found.update(dict.fromkeys(sorted(f for f in inside if _is_wanted(f, path))))
        elif path.exists():
            found[path] = None
        else:
            raise EnvironmentFailure(f"there is no {str(path)!r}")
    return list(found)


def _is_wanted(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts[:-1]
    return not any(part.startswith(".") or part in _SKIPPED for part in parts) and file.is_file()
