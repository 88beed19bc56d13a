"""Which files of a folder are configs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.events import near_miss

__all__ = ["Found", "find_configs", "is_searched", "is_yaml"]

_WORDS = ("version", "runner", "session", "chains", "connections")
_ENDINGS = (".yaml", ".yml")
_CALL_TEST = (".calltest.yaml", ".calltest.yml")
#: A key that only our configs have at the top, or `version` with one of the sections beside it.
_OURS = re.compile(r"^(runner|session|chains|connections)\s*:", re.MULTILINE)
_VERSION = re.compile(r"^[\"']?version[\"']?\s*:", re.MULTILINE)
_KEY = re.compile(r"^([A-Za-z_]+)[ \t]*:", re.MULTILINE)
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "venv"})


@dataclass(frozen=True, slots=True)
class Found:
    """The configs, the YAML files that were passed over, and the paths that do not exist."""

    configs: list[str]
    skipped: list[str]
    missing: list[str]


def find_configs(paths: Iterable[str]) -> Found:
    """The configs among files and folders.

    A file that is named is a config, whatever it holds. In folders, call tests are passed over, and
    files that have neither `version:` nor one of our sections at the top, nor two of them misspelt.
    """
    configs: list[str] = []
    skipped: list[str] = []
    missing: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            for file in _yaml_files(Path(path)):
                (configs if _is_config(file) else skipped).append(str(file))
        elif path == "-" or Path(path).exists():  # a pipe is as good as a file
            configs.append(path)
        else:
            missing.append(path)
    return Found(*(list(dict.fromkeys(names)) for names in (configs, skipped, missing)))


def _yaml_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if is_searched(path):
            yield from _yaml_files(path)
        elif is_yaml(path):
            yield path


def is_searched(path: Path) -> bool:
    """Whether it is a folder to look into: not hidden, no link, nobody else's packages."""
    is_hidden = path.name.startswith(".") or path.name in _SKIPPED_FOLDERS
    return not is_hidden and path.is_dir() and not path.is_symlink()


def is_yaml(path: Path) -> bool:
    """Whether it is a YAML file that is not hidden."""
    is_named = path.name.endswith(_ENDINGS) and not path.name.startswith(".")
    return is_named and path.is_file()


def _is_config(path: Path) -> bool:
    if path.name.endswith(_CALL_TEST):
        return False
    try:
        head = path.read_bytes()[:1_000_000]
    except OSError:
        return True  # the check says why it cannot be read
    is_wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16" if is_wide else "utf-8", errors="replace")
    if _OURS.search(text) or _VERSION.search(text):
        return True
    meant = {near_miss(key, _WORDS) for key in _KEY.findall(text)} - {None}
    return len(meant) > 1
