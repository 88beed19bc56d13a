"""Where journals go: nowhere, or a directory with a file for each call."""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from orchestrator.errors import EnvironmentFailure, words
from orchestrator.journal.lines import Record, dump_line, encode, end_line
from orchestrator.journal.pruner import Pruner
from orchestrator.journal.redactor import Redactor

__all__ = ["DirectorySink", "NoSink", "Sink", "file_name"]

_log = logging.getLogger("orchestrator")


class Sink(Protocol):
    """Where journals go. `put` must not block a call."""

    def put(
        self, call_id: str, records: Sequence[Record], redactor: Redactor, began: float
    ) -> None:
        """Take new records of a call."""
        ...

    def close(self) -> None:
        """Write out what was taken."""
        ...


class NoSink:
    """Keeps nothing: for embedding without a journal directory."""

    def put(
        self, call_id: str, records: Sequence[Record], redactor: Redactor, began: float
    ) -> None:
        """Drop the records."""

    def close(self) -> None:
        """Nothing to write."""


class DirectorySink:
    """One file a call, `<call id>.jsonl`, written by a thread of its own in batches.

    With `keep_days`, journals older than that are removed; see `pruner`. A file that is there is
    never written over: a redial, or an id that makes the same file name, gets `<call id>-2.jsonl`.
    A full or vanished disk is counted in `failures`, told in the log, and never reaches a call.
    """

    def __init__(self, directory: Path, *, keep_days: float | None = None) -> None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            why = f"cannot make the journal directory: {words(error)}"
            raise EnvironmentFailure(why) from error
        self.directory = directory
        self.failures = 0
        self.last_failure = ""
        self._is_told = False
        self._pruner = Pruner(directory, None if keep_days is None else keep_days * 86_400)
        self._files: dict[tuple[str, float], Path] = {}
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(
        self, call_id: str, records: Sequence[Record], redactor: Redactor, began: float
    ) -> None:
        """Queue the records; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
            self._thread.start()
        self._queue.put((call_id, records, redactor, began))

    def close(self) -> None:
        """Write out all that was put, and stop the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            with contextlib.suppress(OSError):  # what is old must not cost what is new
                self._pruner.prune()
            try:
                self._write(*item)
            except Exception as error:  # noqa: BLE001 - the journals of other calls go on
                self._tell(item[0], error)
            else:
                self._is_told = False

    def _tell(self, call_id: str, error: Exception) -> None:
        self.failures += 1
        self.last_failure = words(error)
        if not self._is_told:  # once, until one is written again
            self._is_told = True
            extra = {"call_id": call_id, "reason": self.last_failure}
            _log.error("a journal cannot be written; the call goes on", extra=extra)

    def _write(
        self, call_id: str, records: Sequence[Record], redactor: Redactor, began: float
    ) -> None:
        key = (call_id, began)  # a redial has the same id, but begins later
        if key not in self._files:
            self._files[key] = self._new_file(call_id)
        text = "".join(dump_line(line) + "\n" for line in encode(records, redactor, began))
        path = self._files[key]
        if records[-1][0] is end_line:
            del self._files[key]
        with path.open("a", encoding="utf-8") as file:
            file.write(text)

    def _new_file(self, call_id: str) -> Path:
        name = file_name(call_id)
        for number in itertools.count(2):
            path = self.directory / name
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                name = f"{file_name(call_id).removesuffix('.jsonl')}-{number}.jsonl"
            else:
                return path
        raise AssertionError  # the numbers never end


def file_name(call_id: str) -> str:
    """A file name for any call id: other characters than letters, digits, `.-_` become `_`."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", call_id).lstrip(".")[:120]
    return f"{safe or 'call'}.jsonl"
