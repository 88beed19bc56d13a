"""Files that are parts of other configs: which they are, and who includes them.

An included file need not stand alone: it may use what the file that includes it defines. It is
checked as part of that one.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.cli.find_configs import is_searched, is_yaml
from orchestrator.document import read_document
from orchestrator.errors import EnvironmentFailure, Problem
from orchestrator.validation import Checked, Settings, check_file

__all__ = [
    "find_includers",
    "is_nameless",
    "missing_names",
    "spelled",
    "spot",
    "used_elsewhere",
    "wholes_of",
    "without_parts",
]

#: A file, a line, a column, and the code of a finding there.
Spot = tuple[str, int, int, str]

#: How many folders upwards, entries of folders, and includes upwards are looked at.
_FOLDERS, _ENTRIES, _LEVELS = 3, 5_000, 8
_MAX_BYTES = 1_000_000
#: Findings of a name that another file may define.
_MISSING = frozenset({"HK202", "HK221", "HK222", "HK223", "HK228", "HK229", "HK237"})
#: Findings of what nothing uses, which another config that includes the file may use.
_UNUSED = frozenset({"HK231", "HK232", "HK233"})


def without_parts(checked: Sequence[Checked]) -> list[Checked]:
    """What was checked, without files that others of them include; of a circle the first stays."""
    files = [[_real(document.file) for document in one.documents] for one in checked]
    included = {part for names in files for part in names[1:]}
    is_root = [not names or names[0] not in included for names in files]
    covered = {name for names, stays in zip(files, is_root, strict=True) if stays for name in names}
    for index, names in enumerate(files):
        if not is_root[index] and names[0] not in covered:
            is_root[index] = True
            covered.update(names)
    return [one for one, stays in zip(checked, is_root, strict=True) if stays]


def wholes_of(part: str, checked: Sequence[Checked], settings: Settings) -> list[Checked]:
    """The configs that include a part: those of them that were checked, and others near it."""
    real = _real(part)
    found = {_real(one.file): one for one in checked if spelled(real, one)}
    for file in find_includers(part):
        if _real(file) not in found:
            with contextlib.suppress(EnvironmentFailure):
                found[_real(file)] = check_file(file, settings)
    return list(found.values())


def spelled(part: str, whole: Checked) -> str | None:
    """How a config that includes a part writes its path; None if it does not include it."""
    names = (document.file for document in whole.documents[1:])
    return next((name for name in names if _real(name) == _real(part)), None)


def used_elsewhere(checked: Sequence[Checked], settings: Settings) -> set[Spot]:
    """Findings that nothing uses what a part defines, where another config with the part does."""
    said = {one.file: {spot(p): p for p in one.problems if p.code in _UNUSED} for one in checked}
    parts = {
        _real(problem.position.file)
        for file, problems in said.items()
        for problem in problems.values()
        if _real(problem.position.file) != _real(file)
    }
    denied: set[Spot] = set()
    for part in parts:
        for whole in wholes_of(part, checked, settings):
            theirs = {spot(problem) for problem in whole.problems}
            denied |= {
                at for problems in said.values() for at in problems
                if at[0] == part and at not in theirs
            }  # fmt: skip
    return denied


def spot(problem: Problem) -> Spot:
    """Where a finding is and what it is, however the path of its file is written."""
    position = problem.position
    return _real(position.file), position.line, position.column, problem.code


def missing_names(checked: Checked) -> int:
    """How many names are missing in a file that one including it may define."""
    errors = [problem for problem in checked.problems if problem.is_error]
    return len({problem.message for problem in errors if problem.code in _MISSING})


def is_nameless(checked: Checked) -> bool:
    """Whether a file gives itself no `name`, as a part that others include has none."""
    root = checked.documents[0].root if checked.documents else None
    return root is not None and "name" not in root


def find_includers(file: str) -> list[str]:
    """The configs near a file that include it, themselves or through other files.

    Looked at is its folder and up to three above it, with what is in them, no higher than the
    repository.
    """
    near = list(_near(Path(_real(file))))
    found, wanted, seen = list[Path](), [Path(_real(file))], {Path(_real(file))}
    for _ in range(_LEVELS):
        above = {part: [path for path in near if _includes(path, part)] for part in wanted}
        found += [part for part, paths in above.items() if not paths]
        wanted = [p for p in dict.fromkeys(p for ps in above.values() for p in ps) if p not in seen]
        seen.update(wanted)
    return [_shown(path) for path in found if path != Path(_real(file))]


def _near(path: Path) -> Iterator[Path]:
    """YAML files around a path, the nearest folders first."""
    queue, seen, left = deque(_above(path)), set[Path](), _ENTRIES
    while queue and left > 0:
        folder = queue.popleft()
        if folder in seen:
            continue
        seen.add(folder)
        for entry in _entries(folder):
            left -= 1
            if is_searched(entry):
                queue.append(entry)
            elif is_yaml(entry):
                yield entry


def _above(path: Path) -> list[Path]:
    folders: list[Path] = []
    for folder in path.parents[: _FOLDERS + 1]:
        if folder in (Path.home(), Path(folder.anchor)):
            break
        folders.append(folder)
        if (folder / ".git").exists():
            break
    return folders


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _includes(path: Path, part: Path) -> bool:
    """Whether a file names another one under `include`."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_MAX_BYTES)
        if b"include" not in head or part.name.encode() not in head:
            return False
        root = read_document(path).root
    except (OSError, EnvironmentFailure):
        return False
    names = root.get("include") if root is not None else None
    names = names if isinstance(names, list) else [names]
    return any(isinstance(n, str) and _real(path.parent / n) == str(part) for n in names)


def _shown(path: Path) -> str:
    """The path from here, where it leads down."""
    here = os.path.relpath(path)
    return str(path) if here.startswith("..") else here


def _real(path: str | Path) -> str:
    try:
        return str(Path(path).resolve())
    except (OSError, ValueError):  # a null character, a loop of links
        return str(path)
