"""Progress on long work: a bar on a terminal, nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["tracked"]

T = TypeVar("T")

#: Fewer items than this are done before a bar could be read.
FEW = 10


def tracked(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, with a progress bar on standard error when that is a terminal."""
    if len(items) < FEW or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, description=what, console=console, transient=True)
