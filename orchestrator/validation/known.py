"""What `data` is known to hold: by key its shape, whether it is surely there, who saved it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf

from orchestrator.config import Config, HookConfig, StepConfig
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
from orchestrator.templates import CALL_FIELDS
from orchestrator.templates.proofs import FILLED, STATUSES, THERE, Fact, Outcome, Outcomes, Proven
from orchestrator.validation.ending import keys_of
from orchestrator.values import Place, Value

__all__ = [
    "BROUGHT",
    "CALL_AT_END",
    "ERROR",
    "Known",
    "Saved",
    "constant_shape",
    "goes_on",
    "is_read",
    "joined",
    "list_shape",
    "merge",
    "narrowed",
    "outcomes_of",
    "output_of",
    "resaved",
    "step_shape",
    "unreached",
    "unsure",
    "untouched",
]

#: What nothing in the file saves came with the call: from whoever placed it.
BROUGHT = ANY.tainted("remote")
#: What `error` is in `on_error` steps.
ERROR = record({"message": TEXT.tainted("remote"), "step": TEXT})
_STATUS = one_of(*STATUSES)


#: What `call` is where the call has ended: the fields that are null only before.
CALL_AT_END: Mapping[tuple[str, str], Shape] = {
    pair: record({**CALL_FIELDS, name: replace(CALL_FIELDS[name], is_optional=False)})
    for pair, name in {
        ("session", "call_end"): "end_reason",
        ("runner", "call_end"): "outcome",
    }.items()
}


@frozen
class Saved:
    """A key of `data`: its shape, whether it is surely there, and where it was saved.

    `lasting` is what later hooks find there whatever fails in this one; None where it may be
    missing then.
    """

    shape: Shape
    is_sure: bool
    place: Place
    lasting: Shape | None = None

    def unsure(self) -> Saved:
        """The same key, if something may have kept it from being saved."""
        return Saved(self.shape, False, self.place) if self.is_sure else self

    def settled(self) -> Saved:
        """The same key, if nothing can keep what is surely there from staying."""
        return replace(self, lasting=self.shape if self.is_sure else None)


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
            merged[key] = joined(one, other)
    return merged


def joined(one: Saved, other: Saved) -> Saved:
    """What is known where one of two things was saved, or the other."""
    lasting = None
    if one.lasting is not None and other.lasting is not None:
        lasting = either(one.lasting, other.lasting)
    is_sure = one.is_sure and other.is_sure
    return Saved(either(one.shape, other.shape), is_sure, other.place, lasting)


def resaved(saved: Saved, old: Saved | None, *, is_lasting: bool, is_open: bool) -> Saved:
    """What is known of a key where a value is saved over an `old` one.

    `is_lasting` says that nothing can have kept it from being saved; `is_open` that what comes
    next runs even then.
    """
    shape = saved.shape
    lasting = shape if is_lasting else None
    if lasting is None and old is not None and old.lasting is not None:
        lasting = either(old.lasting, shape)
    if is_open and old is not None and old.is_sure:
        shape = either(old.shape, shape)
    is_sure = not is_open or (old is not None and old.is_sure)
    return Saved(shape, is_sure, saved.place, lasting)


def narrowed(known: Known, proven: Proven, other: Known, base: Known) -> None:
    """Narrow what is known on one way by what is proved there, where another way saved anew.

    A key that came with the call is known to be there once a condition has asked for it.
    """
    for key, there in other.items():
        here = known.get(key) or base.get(key)
        is_filled = Fact(("data", key), FILLED) in proven
        if here is there or not (is_filled or Fact(("data", key), THERE) in proven):
            continue
        shape = here.shape if here is not None else BROUGHT
        shape = replace(shape, is_optional=False) if is_filled else shape
        known[key] = Saved(shape, True, here.place if here is not None else there.place, shape)


def untouched(asked: Proven, end: Known, every: list[StepConfig], base: Known) -> Known:
    """What is known where a hook may have ended at any of its steps.

    A key that only one step writes is as it was `asked` for, or as that step has left it.
    """
    writers, before = Counter(key for step in every for key in keys_of(step)), Known()
    narrowed(before, asked, {k: s for k, s in end.items() if writers[k] == 1}, base)
    return merge(before, end, base)


def output_of(step: StepConfig) -> Shape:
    """The shape of a step's output."""
    if step.action is None:
        return ANY
    if not is_read(step):
        return ANY.tainted(step.action.cls.taint)
    shape = step.action.output_for({name: value.raw for name, value in step.options.items()})
    taint = step.action.cls.taint
    return shape.tainted(taint) if taint else shape


def is_read(step: StepConfig) -> bool:
    """Whether all options could be read: what the others may give is not known."""
    written = step.place.container[step.place.key]
    table = step.action.options if step.action is not None else {}
    if not isinstance(written, dict) or len(step.options) + len(step.blocks) >= len(written):
        return True
    return all(key in step.options or key in step.blocks for key in written if key in table)


def step_shape(step: StepConfig, *, is_sure: bool = False) -> Shape:
    """What `steps.<id>` is; `is_sure` says that the step surely ran and did not fail."""
    output = output_of(step) if step.kind == "action" else NULL
    output = output if is_sure else maybe(output)
    return record({"status": _STATUS, "output": output, "error": maybe(TEXT.tainted("remote"))})


def unsure(item: tuple[str, Shape]) -> tuple[str, Shape]:
    """A step of `steps` that may have been skipped, or may have failed."""
    name, shape = item
    if "output" not in shape.fields:
        return item
    fields = {**shape.fields, "output": maybe(shape.fields["output"])}
    return name, replace(shape, fields=fields)


def unreached(item: tuple[str, Shape]) -> tuple[str, Shape]:
    """A step of a branch that may not have been taken: then `steps` does not have it."""
    name, shape = unsure(item)
    return name, maybe(shape)


def outcomes_of(steps: list[StepConfig], branched: Iterable[StepConfig]) -> Outcomes:
    """How each step with an `id` may end.

    Only `parallel` cancels one and goes on: `branched` are the steps in its branches, those of
    their chains included.
    """
    beside = {id(step) for step in branched}
    outcomes: dict[str, Outcome] = {}
    writers = Counter(key for step in steps for key in keys_of(step))
    for step in steps:
        if step.id is not None:
            failures = {"failed", "timed_out"}
            failures |= {"skipped"} if step.when is not None else set()
            failures |= {"cancelled"} if id(step) in beside else set()
            is_nullable = output_of(step).is_optional
            key = step.save or ""
            is_shared = writers[key] > 1
            outcomes[step.id] = Outcome(frozenset(failures), key, is_nullable, is_shared)
    return outcomes


def goes_on(config: Config, hook: HookConfig, step: StepConfig) -> bool:
    """Whether the steps after this one run even if it fails or is late."""
    policy = step.on_error or hook.on_error or config.defaults.on_error
    return policy == "continue" or step.runs_in_background


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
    if isinstance(raw, str) and raw:
        return _WRITTEN
    return _SCALARS.get(type(raw), TEXT)


#: A text that is written out; how long it is matters to nobody.
_WRITTEN = replace(TEXT, bounds=(1, inf))
_SCALARS: Mapping[type, Shape] = {bool: BOOL, int: INT, float: NUMBER, type(None): NULL}


def list_shape(shapes: list[Shape]) -> Shape:
    """The shape of a list of such items."""
    inner = shapes[0] if shapes else ANY
    for shape in shapes[1:]:
        inner = either(inner, shape)
    return replace(list_of(inner), bounds=(len(shapes), len(shapes)))
