"""Canaries: secrets that no output may show, in no encoding."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

#: Every canary begins with this, so that one search finds all of them.
MARK = b"cnry-secret-"


def canary(number: int) -> str:
    """A secret with characters that URLs, JSON and base64 write in another way."""
    return f'{MARK.decode()}{number:02}/+=&"z'


VARIABLES: Mapping[str, str] = {
    "BEARER_TOKEN": canary(1),
    "BASIC_PASSWORD": canary(2),
    "HEADER_KEY": canary(3),
    "FIXED_KEY": canary(4),
    "SIGN_ONE": "whsec_" + base64.b64encode(canary(5).encode()).decode(),
    "SIGN_TWO": canary(6),
    "VARS_TOKEN": canary(7),
    "PAGER_KEY": canary(8),
    "PATH_TOKEN": canary(9),
    "STEP_TOKEN": canary(10),
    "BODY_SECRET": canary(11),
    "DB_PASSWORD": f"{MARK.decode()}12",
    "ORDERS_URL": f"postgresql://shop:{MARK.decode()}13@127.0.0.1:1/orders",
    "OPENAI_API_KEY": canary(14),
}


def _needles() -> dict[str, bytes]:
    """The mark as it is, and in base64 wherever it may begin in a text."""
    found = {"as it is": MARK, "reversed": MARK[::-1], "in hex": MARK.hex().encode()}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + MARK)
        found[f"in base64, {before}"] = text[-(-before * 8 // 6) : -4]
    return found


NEEDLES = _needles()


def leaks(name: str, content: bytes | str) -> list[str]:
    """Where a canary is in an output."""
    data = content.encode(errors="replace") if isinstance(content, str) else content
    return [
        f"{name}: {how}: {data[max(0, at - 80) : at + 60]!r}"
        for how, needle in NEEDLES.items()
        if (at := data.find(needle)) >= 0
    ]


def leaks_in(folder: Path) -> list[str]:
    """Where a canary is in the files of a folder, or in their names."""
    found: list[str] = []
    for file in sorted(folder.rglob("*")):
        found += leaks("the name of a file", str(file))
        found += leaks(str(file.relative_to(folder)), file.read_bytes()) if file.is_file() else []
    return found
