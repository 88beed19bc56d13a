"""Paths of requests that no call could ever send, judged as they are judged when one is sent."""

from __future__ import annotations

import re

from orchestrator.connections.paths import safe_path
from orchestrator.errors import ActionFailed
from orchestrator.frozen import frozen

__all__ = ["Unsendable", "path_fault"]

#: What may be wrong with a path has one of these in it; most paths have none.
_SUSPECT = re.compile(r"[\x00-\x1f\x7f?#\\%]|\.|//")
#: What a template or variable gives is encoded, and may be more than dots.
_HOLE = re.compile(r"\{\{.*?\}\}|(?<!\$)\$\{[^}]*\}", re.DOTALL)
_FIRST = re.compile(r"[?#]")


@frozen
class Unsendable:
    """Why no path of this kind is sent, and what to write."""

    message: str
    help: str | None = None


def path_fault(path: str) -> Unsendable | None:
    """What keeps a written path from ever being sent, whatever its templates give."""
    plain = _HOLE.sub("x", path)
    if not _SUSPECT.search(plain):
        return None
    first = _FIRST.search(plain)
    if first is not None and first[0] == "?":
        return Unsendable("a path has no query", "put it under `query`")
    if first is not None:
        return Unsendable("a path has no `#`: what follows is never sent", "write it as %23")
    try:
        safe_path("/" + plain.removeprefix("/"))
    except ActionFailed as error:
        return Unsendable(f"{error}, so it is never sent", _HELP.get(str(error)))
    return None


_HELP = {
    "the path steps out of its folder": "write the whole path from the base URL, without `..`",
    "the path has an empty part": "write one `/` between two parts",
    "the path holds a backslash or control character": "parts of a path are told apart by `/`",
}
