"""What `data` is known to hold: by key its shape, whether it is surely there, who saved it."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.config import StepConfig
from orchestrator.frozen import frozen
from orchestrator.shapes import (
    ANY,
    BOOL,
    INT,
    NULL,
    NUMBER,
    TEXT,
    Shape,
    either,
    list_of,
    maybe,
    one_of,
    record,
)
from orchestrator.values import Place, Value

__all__ = [
    "ERROR",
    "Known",
    "Saved",
    "constant_shape",
    "list_shape",
    "merge",
    "output_of",
    "step_shape",
]

#: What `error` is in `on_error` steps.
ERROR = record({"message": TEXT, "step": TEXT})
_STATUS = one_of("ok", "failed", "skipped", "timed_out", "cancelled", "not_sent")


@frozen
class Saved:
    """A key of `data`: its shape, whether it is surely there, and where it was saved.

    `outlives` means that it is there for later hooks too, whatever fails in this one.
    """

    shape: Shape
    is_sure: bool
    place: Place
    outlives: bool = False

    def unsure(self) -> Saved:
        """The same key, if something may have kept it from being saved."""
        return Saved(self.shape, False, self.place) if self.is_sure else self


#: What was saved on the way to a place; what was known before the hook stands in a base below it.
Known = dict[str, Saved]


def merge(first: Known, second: Known, base: Known) -> Known:
    """What is known when either of two ways was taken; both began with `base`."""
    merged: Known = {}
    for key in (*first, *(key for key in second if key not in first)):
        one, other = first.get(key) or base.get(key), second.get(key) or base.get(key)
        if one is None or other is None:
            present = one if one is not None else second[key]
            merged[key] = present.unsure()
        elif one is other:
            merged[key] = one
        else:
            shape = either(one.shape, other.shape)
            sure, outlives = one.is_sure and other.is_sure, one.outlives and other.outlives
            merged[key] = Saved(shape, sure, other.place, outlives)
    return merged


def output_of(step: StepConfig) -> Shape:
    """The shape of a step's output."""
    if step.action is None:
        return ANY
    shape = step.action.output_for({name: value.raw for name, value in step.options.items()})
    taint = step.action.cls.taint
    return shape.tainted(taint) if taint else shape


def step_shape(step: StepConfig, *, is_sure: bool = False) -> Shape:
    """What `steps.<id>` is; `is_sure` says that the step surely ran and did not fail."""
    output = output_of(step) if step.kind == "action" else NULL
    output = output if is_sure else maybe(output)
    return record({"status": _STATUS, "output": output, "error": maybe(TEXT)})


def constant_shape(value: Value) -> Shape:
    """The shape of a value without templates."""
    raw = value.raw
    if isinstance(raw, dict):
        return record({str(key): constant_shape(item) for key, item in value.items.items()})
    if isinstance(raw, list):
        return list_shape([constant_shape(item) for item in value.items.values()])
    if value.parts:
        is_secret = any(ref.is_secret for _, ref in value.env_refs())
        return TEXT.tainted("secret") if is_secret else TEXT
    return _SCALARS.get(type(raw), TEXT)


_SCALARS: Mapping[type, Shape] = {bool: BOOL, int: INT, float: NUMBER, type(None): NULL}


def list_shape(shapes: list[Shape]) -> Shape:
    """The shape of a list of such items."""
    inner = shapes[0] if shapes else ANY
    for shape in shapes[1:]:
        inner = either(inner, shape)
    return list_of(inner)
