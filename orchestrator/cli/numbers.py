"""Numbers as options: one type for those that may have a fraction."""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["FiniteRange"]


class FiniteRange(click.FloatRange):
    """A number within bounds, both included.

    `nan` is refused: it passes every comparison of a range, and nothing that waits for it ends. So
    are `inf` and what is too large to be anything else.
    """

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number.

        Raises:
            BadParameter: it is none, or not within the bounds.
        """
        try:
            is_finite = math.isfinite(float(value))
        except (TypeError, ValueError, OverflowError):
            is_finite = True  # no number at all: the range says so
        if not is_finite:
            self.fail(f"{value!r} is not a number that can be counted to.", param, ctx)
        number: float = super().convert(value, param, ctx)
        return number
