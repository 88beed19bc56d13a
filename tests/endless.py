"""Plain functions that never come back, or late."""

from __future__ import annotations

import time
from typing import Any


def forever(ctx: Any) -> None:
    """Use the processor for ever."""
    while True:
        time.sleep(0)


def sleepy(ctx: Any) -> None:
    """Sleep for a minute."""
    time.sleep(60)


def quick(ctx: Any) -> str:
    """Come back at once."""
    return "quick"
