"""The walk through one hook in the order in which it runs.

At each step it knows what `data` surely or maybe holds, which steps have run, and which paths a
condition around it has proved. Both branches of an `if` are walked; steps of timers see what is
known when they are armed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.events import is_custom
from orchestrator.shapes import ANY, NO_RECORD, Shape, cleared, maybe, record
from orchestrator.templates import Outcomes, Proven, Template
from orchestrator.templates.failing import can_fail
from orchestrator.templates.proofs import saved_by
from orchestrator.validation.ending import Target, beside, lasting, targets_of, without
from orchestrator.validation.everywhere import Everywhere, expanded, written
from orchestrator.validation.known import (
    CALL_AT_END,
    ERROR,
    Known,
    Saved,
    goes_on,
    merge,
    narrowed,
    outcomes_of,
    output_of,
    resaved,
    step_shape,
    unreached,
    unsure,
    untouched,
)
from orchestrator.validation.templates import Scene
from orchestrator.validation.visits import ValueChecker, condition_of
from orchestrator.values import Place

__all__ = ["HookWalk"]

#: Steps that one hook may have when its chains are followed; more are refused elsewhere.
_MAX_STEPS = 10_000


@dataclass(slots=True)
class HookWalk:
    """The state of the walk; a branch gets a fork of it.

    `can_stop` means that something before may have ended the hook, `can_quit` that it may have
    done so without its `on_error`. `ids` and `outcomes` are by `id`: where a step is, and how it
    may end. `certain` are the steps that surely ran or were left out, whatever else happened.
    `done` counts what steps that never run again have written.
    """

    config: Config
    hook: HookConfig
    values: ValueChecker
    everywhere: Everywhere
    base: Known
    event: Shape
    is_first: bool = False
    done: Counter[Target] = field(default_factory=Counter)
    known: Known = field(default_factory=dict)
    steps: dict[str, Shape] = field(default_factory=dict)
    ids: Mapping[str, Place] = field(default_factory=dict)
    outcomes: Outcomes = field(default_factory=dict)
    certain: set[str] = field(default_factory=set)
    proven: Proven = frozenset()
    error: Shape | None = None
    can_stop: bool = False
    can_quit: bool = False
    trail: tuple[str, ...] = ()
    run_by: Place | None = None
    aside: Collection[str] = ()
    lacking: Callable[[str], Place | None] | None = None
    asked: set[tuple[str | int, ...]] = field(default_factory=set)
    budget: list[int] = field(default_factory=lambda: [_MAX_STEPS])

    def run(self) -> Known:
        """Walk the hook; what it may have put into `data`."""
        hook = self.hook
        every = list(expanded(self.config, hook.walk()))
        self.ids = {step.id: step.settings["id"] for step in every if step.id is not None}
        self.aside = {s.id for s in every if s.id and s.runs_in_background} if self.ids else ()
        branched = (inner for s in every if s.kind == "parallel" for inner in s.walk())
        self.outcomes = outcomes_of(every, expanded(self.config, branched)) if self.ids else {}
        # of a step that has not run, nothing else can have been saved over it
        self.proven = frozenset(saved_by(n, o) for n, o in self.outcomes.items() if o.is_shared)
        if is_custom(hook.event):
            self.lacking = partial(self.everywhere.lacking, hook.event)
        if hook.when is not None:
            self.ask(hook.when.template, hook.when.place)
            self.proven = self._learned(hook.when.template, truth=True)
        asked = self.proven
        met = without(self.proven, written(self.config, (*hook.steps, *hook.on_error_steps)))
        self.block(hook.steps)
        end = self.known
        if hook.on_error_steps and not self.can_quit and hook.timeout is None:
            # either all steps ran, or those of `on_error` do: what both save is there afterwards
            end = {key: saved.settled() for key, saved in end.items()}
        for block, error in ((hook.on_error_steps, ERROR), (hook.cleanup, None)):
            if block:
                inner = replace(self, known=untouched(asked, end, every, self.base), error=error)
                inner.steps = dict(map(self._afterwards, self.steps.items()))
                inner.can_stop, inner.proven = False, met
                inner.block(block)
                end = merge(end, inner.known, self.base)
        return merge({}, end, self.base) if hook.background or hook.when is not None else end

    # --- steps

    def block(self, steps: tuple[StepConfig, ...]) -> bool:
        """Walk a list of steps; whether its end can be reached."""
        reached = True
        for step in steps:
            reached = self.step(step) and reached
        return reached

    def step(self, step: StepConfig) -> bool:
        """Walk one step; whether the next one can be reached."""
        self.budget[0] -= 1
        if self.budget[0] < 0:
            return True
        before, skipped, could_stop = dict(self.known), self.proven, self.can_stop
        if step.when is not None:
            self.ask(step.when.template, step.when.place)
            skipped = self._learned(step.when.template, truth=False)
            self.proven = self._learned(step.when.template, truth=True)
        reached = _WALKS.get(step.kind, HookWalk._plain)(self, step)
        self._save(step, self._on_error(step, before), before)
        if step.when is not None:
            self._join(before, skipped, reached=reached)
            self.can_stop |= not reached
            self.can_quit |= not reached
            reached = True
        if step.id is not None:
            self._keep(step, step.id, is_certain=not could_stop)
        in_background = self.hook.background or step.runs_in_background
        if self.is_first and not self.trail and not in_background:
            self.done.update(targets_of((step,)))
        return reached

    def _join(self, before: Known, skipped: Proven, *, reached: bool) -> None:
        """Go on after a step that may have been left out."""
        if not reached:
            self.known, self.proven = before, skipped
            return
        one, other = dict(before), self.known
        narrowed(one, skipped, other, self.base)
        self.known = merge(one, other, self.base)
        self.proven &= skipped

    def _keep(self, step: StepConfig, name: str, *, is_certain: bool) -> None:
        """Note what `steps.<id>` is; of what runs in the background nothing is seen here."""
        is_sure = step.when is None and not goes_on(self.config, self.hook, step)
        shape = step_shape(step, is_sure=is_sure)
        self.proven = without(self.proven, {("steps", name)})
        self.steps[name] = maybe(shape) if step.runs_in_background else shape
        if is_certain and self.hook.timeout is None and not step.runs_in_background:
            self.certain.add(name)

    def _afterwards(self, item: tuple[str, Shape]) -> tuple[str, Shape]:
        """A step as `on_error` and `finally` see it: it may not have come to it."""
        name, shape = unsure(item)
        return name, (shape if name in self.certain else maybe(shape))

    def _learned(self, template: Template, *, truth: bool) -> Proven:
        """What is proved where a condition has turned out true (or false)."""
        return template.proves(self.proven, truth, self.outcomes)

    def _plain(self, step: StepConfig) -> bool:
        options = step.action.options if step.action is not None else {}
        scene: Scene | None = None
        for name, value in step.options.items():
            option = options.get(name)
            if value.parts or value.items or (option is not None and option.kind == "condition"):
                scene = scene or self.scene()
                self.values.shape(step, name, option, value, scene)
        for name, block in step.blocks.items():
            if name != "on_error":
                self._later(block)
        if step.word in ("remember", "forget"):
            self.proven = without(self.proven, targets_of((step,)))
        return step.kind != "stop"

    def _later(self, steps: tuple[StepConfig, ...]) -> None:
        """Steps of a timer or a ladder; what they save may be there afterwards.

        Of what any step may have written until then, nothing is proved.
        """
        inner = self._fork()
        inner.is_first = False
        inner.proven = lasting(self.proven, self.everywhere.writers, self.done)
        for step in steps:
            inner.step(step)
        for key, saved in inner.known.items():
            if self.known.get(key) is not saved:
                self.known[key] = saved.unsure()
        self.proven = without(self.proven, written(self.config, steps))

    def _if(self, step: StepConfig) -> bool:
        template = condition_of(step.options["if"])
        self.ask(template, step.options["if"].place)
        branches, ends = [], []
        for name, truth in (("then", True), ("else", False)):
            fork = self._fork()
            fork.certain = set()
            fork.proven = self._learned(template, truth=truth)
            ends.append(fork.block(step.blocks.get(name, ())))
            branches.append(fork)
        live = [fork for fork, reached in zip(branches, ends, strict=True) if reached]
        self.can_stop = any(f.can_stop for f in branches) or not all(ends)
        self.can_quit = any(f.can_quit for f in branches) or not all(ends)
        if live:
            self._meet(live[0], live[-1])
        for fork, is_live in zip(branches, ends, strict=True):
            is_only = is_live and len(live) == 1
            new = {k: s for k, s in fork.steps.items() if self.steps.get(k) is not s}
            self.steps.update(new if is_only else map(unreached, new.items()))
        return bool(live)

    def _meet(self, one: HookWalk, other: HookWalk) -> None:
        """Go on where two branches come together, or where the only one leads."""
        if one is not other:
            narrowed(one.known, one.proven, other.known, self.base)
            narrowed(other.known, other.proven, one.known, self.base)
        self.known = one.known if one is other else merge(one.known, other.known, self.base)
        self.proven = one.proven & other.proven

    def _parallel(self, step: StepConfig) -> bool:
        before, done = dict(self.known), dict(self.steps)
        late = step.options.get("late")
        is_kept, reached = late is not None and late.raw == "keep", True
        branches = step.blocks.get("parallel", ())
        targets = [written(self.config, (inner,)) for inner in branches]
        for inner, proven in zip(branches, beside(self.proven, targets), strict=True):
            fork = replace(self._fork(known=dict(before)), steps=dict(done), proven=proven)
            reached = fork.step(inner) and reached
            new = {k: s for k, s in fork.known.items() if before.get(k) is not s}
            self.known.update({k: s.unsure() if is_kept else s for k, s in new.items()})
            steps = fork.steps.items()
            self.steps.update(map(unsure, steps) if is_kept else steps)
            self.can_stop |= fork.can_stop
            self.can_quit |= fork.can_quit
        self.proven = without(self.proven, set().union(*targets))
        return reached

    def _set(self, step: StepConfig) -> bool:
        scene, before, may_fail = self.scene(), dict(self.known), False
        for name, value in step.options.items():
            shape = self.values.shape(step, name, None, value, scene)
            may_fail |= any(
                can_fail(scene.narrowed(template), scene.shapes(template))
                for _, template, _ in value.templates()
            )
            self.known[name] = Saved(cleared(shape, "secret"), True, value.place)
        is_open = may_fail and goes_on(self.config, self.hook, step)
        for name in step.options:
            self._put(name, self.known[name], before, may_fail=may_fail, is_open=is_open)
        self.can_stop |= may_fail and not is_open
        return True

    def _chain(self, step: StepConfig) -> bool:
        name = str(step.options["run"].raw)
        chain = self.config.chains.get(name)
        if chain is None or name in self.trail:
            return True
        inner = self._fork(known=self.known)
        inner.trail = (*self.trail, name)
        inner.run_by = self.run_by or step.place
        reached = inner.block(chain.steps)
        self.known, self.can_stop = inner.known, inner.can_stop
        self.can_quit = inner.can_quit
        self.steps.update(inner.steps)
        before, self.proven = self.proven, inner.proven
        if step.on_error == "continue" or step.runs_in_background:  # it may not have come that far
            self.proven &= without(before, written(self.config, (step,)))
        return reached

    def _fork(self, *, known: Known | None = None) -> HookWalk:
        known = dict(self.known) if known is None else known
        return replace(self, known=known, steps=dict(self.steps))

    def _on_error(self, step: StepConfig, before: Known) -> Known:
        """Walk the steps of `on_error`; what is known where the step has failed."""
        block = step.blocks.get("on_error", ())
        self.can_quit |= step.on_error in ("stop", "steps")
        if not block:
            return before
        inner = self._fork(known=dict(before))
        inner.error = ERROR
        inner.block(block)
        return inner.known

    def _save(self, step: StepConfig, failed: Known, before: Known) -> None:
        can_fail = step.kind == "parallel" or (step.action is not None and step.action.cls.waits)
        is_open = goes_on(self.config, self.hook, step)
        if step.save is not None:
            saved = Saved(output_of(step), True, step.settings["save"])
            old = before if is_open else failed
            self._put(step.save, saved, old, may_fail=can_fail, is_open=is_open)
            if step.id is not None:
                self.proven |= {saved_by(step.id, self.outcomes[step.id])}
        if can_fail and not is_open:
            self.can_stop = True

    def _put(self, key: str, saved: Saved, before: Known, *, may_fail: bool, is_open: bool) -> None:
        """Save a value; where that may fail, what was there `before` stays.

        `is_open` means that the next steps run then too.
        """
        self.proven = without(self.proven, {("data", key)})
        old, is_lasting = before.get(key) or self.base.get(key), not (may_fail or self.can_stop)
        self.known[key] = resaved(saved, old, is_lasting=is_lasting, is_open=is_open)

    # --- templates

    def scene(self) -> Scene:
        """What is known at this place."""
        names = {"event": self.event, **self.everywhere.names}
        pair = (self.hook.scope, self.hook.event)
        if pair in CALL_AT_END:
            names["call"] = CALL_AT_END[pair]
        lost, origins = self.everywhere.lost, self.everywhere.origins
        ids = {**dict.fromkeys(lost, ANY), **self.steps} if lost else self.steps
        names["steps"] = record(ids) if ids else NO_RECORD
        if self.error is not None:
            names["error"] = self.error
        saved = self.everywhere.saved
        return Scene(
            names, self.known, self.base, saved, self.proven, self.is_first, lost, origins,
            self.ids, self.outcomes, self.lacking, self.asked, self.run_by, self.aside,
        )  # fmt: skip

    def ask(self, template: Template, place: Place) -> None:
        """Check a condition, and note what it asks of."""
        self.values.checker.check(template, place, 0, self.scene())
        self.asked.update(read.path for read in template.reads)


_WALKS: Mapping[str, Callable[[HookWalk, StepConfig], bool]] = {
    "if": HookWalk._if,
    "parallel": HookWalk._parallel,
    "set": HookWalk._set,
    "run": HookWalk._chain,
}
