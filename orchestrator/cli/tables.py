"""Tables as plain text: columns in line, numbers to the right."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["table"]

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?( s)?|")


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], totals: Sequence[str] | None = None
) -> str:
    """Rows under their columns, with a line of totals under a rule."""
    every = [*rows, *([totals] if totals is not None else [])]
    widths = [max([len(name), *(len(row[i]) for row in every)]) for i, name in enumerate(columns)]
    to_right = [all(_NUMBER.fullmatch(row[i]) for row in every) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, to_right, strict=True)
        )  # fmt: skip
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    lines = [line(columns), rule, *map(line, rows)]
    if totals is not None:
        lines += [rule, line(totals)]
    return "\n".join(lines)
