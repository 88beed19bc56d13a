"""What ends a proof: a step that writes the value which it is about, or is run again.

A target is the beginning of a path that a step writes: a key of `data`, an entry of `steps`, or a
key of the memory, `""` where that is not written out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from orchestrator.config import StepConfig
from orchestrator.templates.proofs import Fact, Proven

__all__ = ["MEMORY", "Target", "beside", "keys_of", "lasting", "targets_of", "without"]

Target = tuple[str, str]

#: The root of what is proved about the memory.
MEMORY = "memory.get"
_ANY_KEY: Target = (MEMORY, "")


def keys_of(step: StepConfig) -> tuple[str, ...]:
    """The keys of `data` that a step writes."""
    names = tuple(map(str, step.options)) if step.kind == "set" else ()
    return names if step.save is None else (*names, step.save)


def targets_of(steps: Iterable[StepConfig]) -> set[Target]:
    """What these steps write, not counting the steps in them."""
    found: set[Target] = set()
    for step in steps:
        if step.id is not None:
            found.add(("steps", step.id))
        if step.save is not None or step.kind == "set":
            found.update(("data", key) for key in keys_of(step))
        if step.word in ("remember", "forget"):
            key = step.options.get("key")
            found.add((MEMORY, str(key.raw)) if key is not None and not key.parts else _ANY_KEY)
    return found


def without(proven: Proven, targets: AbstractSet[Target]) -> Proven:
    """What is still proved once all this may have been written."""
    if not proven or not targets:
        return proven
    is_memory = any(root == MEMORY for root, _ in targets)
    return frozenset(fact for fact in proven if not _is_ended(fact, targets, is_memory=is_memory))


def beside(proven: Proven, written: Sequence[AbstractSet[Target]]) -> Iterator[Proven]:
    """What is proved in each of some branches that run at once, by what each of them writes."""
    counts = Counter(target for targets in written for target in targets)
    for own in written:
        others = {target for target, count in counts.items() if count > (target in own)}
        yield without(proven, others) if proven else proven


def lasting(proven: Proven, writers: Counter[Target], done: Counter[Target]) -> Proven:
    """What is proved still holds at any later time: of `data` that no step is yet to write.

    `writers` counts all steps of the config, `done` those that never run again. What is remembered
    may be forgotten by then, in any call.
    """
    keys = {("data", str(fact.path[1])) for fact in proven if fact.path[0] == "data"}
    return without(proven, {key for key in keys if writers[key] > done[key]} | {_ANY_KEY})


def _is_ended(fact: Fact, targets: AbstractSet[Target], *, is_memory: bool) -> bool:
    """Whether a fact is about a target; a key that is read may be any that is written."""
    root, part, *_ = fact.path
    if root != MEMORY:
        is_entry = root == "steps" and len(fact.path) == 2  # once there, it stays
        return not is_entry and (root, part) in targets
    if isinstance(part, tuple):
        return is_memory or part[:2] in targets
    return (root, part) in targets or _ANY_KEY in targets
