"""Removes journals that are older than they are kept, and nothing else in their folder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.errors import words
from orchestrator.retention import Trail, Watch

__all__ = ["Pruner"]

_log = logging.getLogger("orchestrator.journal")

#: Seconds from one look at the folder to the next.
EVERY = 3_600.0
#: Seconds that a journal without an end is kept longer: its call may be on, in another process.
UNFINISHED = 86_400.0
#: Bytes of a journal's head and tail that are read to know it.
HEAD, TAIL = 1_000_000, 65_536
#: Where the folder keeps what was seen of the clock; see `retention`.
TRAIL = ".retention"


class Pruner:
    """Looks once an hour; `keep` in seconds, None for ever. `wall` and `steady` are clocks."""

    def __init__(
        self,
        directory: Path,
        keep: float | None,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._keep = keep
        self._wall, self._steady = wall, steady
        self._watch = Watch(steady)
        self._looks_at = 0.0

    def prune(self) -> None:
        """Remove what is too old, if it is time to look and the clock can be believed.

        Raises:
            OSError: the folder cannot be read or written.
        """
        if self._keep is None or self._steady() < self._looks_at:
            return
        self._looks_at = self._steady() + EVERY
        now = self._wall()
        if not self._is_trusted(now):
            return
        for path in self._directory.glob("*.jsonl"):
            try:
                if self._is_too_old(path, now):
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                extra = {"file": str(path), "reason": error.strerror or words(error)}
                _log.warning("an old journal cannot be removed", extra=extra)

    def _is_too_old(self, path: Path, now: float) -> bool:
        assert self._keep is not None  # noqa: S101 - `prune` looked
        found = path.lstat()
        age = now - found.st_mtime
        if not stat.S_ISREG(found.st_mode) or age < self._keep:
            return False
        begins, ends = _ends_of(path)
        return begins and (ends or age > self._keep + UNFINISHED)

    def _is_trusted(self, now: float) -> bool:
        file, kept = self._directory / TRAIL, None
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            kept = Trail(**json.loads(file.read_text()))
        trail = self._watch.look(now, kept)
        file.write_text(json.dumps({"since": trail.since, "until": trail.until}))
        return trail.is_trusted


def _ends_of(path: Path) -> tuple[bool, bool]:
    """Whether a file begins as a journal does, and whether its call has ended."""
    with path.open("rb") as file:
        first = _line(file.readline(HEAD))
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        last = _line(file.read().rstrip().rpartition(b"\n")[2])
    return {"call", "config", "started_at"} <= first.keys(), "end" in last


def _line(content: bytes) -> dict[str, object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
