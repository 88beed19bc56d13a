"""Data classes that the type checker keeps frozen, made at half the cost.

`dataclass(frozen=True)` sets each field through `object.__setattr__`, which was a tenth of the cost
of checking a config: a file of 2,000 lines becomes some 4,000 such objects. Nothing in a call makes
or changes them; who writes to one is told by the type checker instead of at run time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

__all__ = ["frozen"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """A data class with slots, comparable and hashable by its fields."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
