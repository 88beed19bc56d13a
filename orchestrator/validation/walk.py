"""The walk through one hook in the order in which it runs.

At each step it knows what `data` surely or maybe holds, which steps have run, and which paths a
condition around it has proved. Both branches of an `if` are walked; steps of timers see what is
known when they are armed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.config import Condition, Config, HookConfig, StepConfig
from orchestrator.shapes import ANY, NO_RECORD, Shape, cleared, maybe, record
from orchestrator.templates import Proven, Template, parse_condition
from orchestrator.templates.failing import can_fail
from orchestrator.validation.everywhere import Everywhere, expanded
from orchestrator.validation.known import ERROR, Known, Saved, merge, output_of, step_shape
from orchestrator.validation.templates import Scene
from orchestrator.validation.visits import ValueChecker
from orchestrator.values import Place, Value

__all__ = ["HookWalk", "goes_on"]

#: Steps that one hook may have when its chains are followed; more are refused elsewhere.
_MAX_STEPS = 10_000


@dataclass(slots=True)
class HookWalk:
    """The state of the walk; a branch gets a fork of it.

    `can_stop` means that something before may have ended the hook, `can_quit` that it may have
    done so without its `on_error`. `ids` and `saves` are by `id`: where a step is, and under which
    key it saves.
    """

    config: Config
    hook: HookConfig
    values: ValueChecker
    everywhere: Everywhere
    base: Known
    event: Shape
    is_first: bool = False
    known: Known = field(default_factory=dict)
    steps: dict[str, Shape] = field(default_factory=dict)
    ids: Mapping[str, Place] = field(default_factory=dict)
    saves: Mapping[str, str] = field(default_factory=dict)
    nullable: frozenset[str] = frozenset()
    proven: Proven = frozenset()
    error: Shape | None = None
    can_stop: bool = False
    can_quit: bool = False
    trail: tuple[str, ...] = ()
    budget: list[int] = field(default_factory=lambda: [_MAX_STEPS])

    def run(self) -> Known:
        """Walk the hook; what it may have put into `data`."""
        hook = self.hook
        named = [(s.id, s) for s in expanded(self.config, hook.walk()) if s.id is not None]
        self.ids = {name: step.settings["id"] for name, step in named}
        self.saves = {name: step.save for name, step in named if step.save is not None}
        self.nullable = frozenset(name for name, step in named if output_of(step).is_optional)
        if hook.when is not None:
            self.condition(hook.when)
            self._learn(hook.when.template, truth=True)
        self.block(hook.steps)
        end = self.known
        if hook.on_error_steps and not self.can_quit and hook.timeout is None:
            # either all steps ran, or those of `on_error` do: what both save is there afterwards
            end = {key: replace(saved, outlives=saved.is_sure) for key, saved in end.items()}
        for block, error in ((hook.on_error_steps, ERROR), (hook.cleanup, None)):
            if block:
                known, steps = merge({}, end, self.base), dict(map(_unsure, self.steps.items()))
                inner = replace(self, known=known, steps=steps, error=error, can_stop=False)
                inner.block(block)
                end = merge(end, inner.known, self.base)
        is_certain = not hook.background and hook.when is None
        return end if is_certain else merge({}, end, self.base)

    # --- steps

    def block(self, steps: tuple[StepConfig, ...]) -> bool:
        """Walk a list of steps; whether its end can be reached."""
        outside, reached = self.proven, True
        for step in steps:
            if not self.step(step):
                if step.when is None:
                    reached = False
                else:  # who comes on did not meet the condition
                    self._learn(step.when.template, truth=False)
        self.proven = outside
        return reached

    def step(self, step: StepConfig) -> bool:
        """Walk one step; whether the next one can be reached."""
        self.budget[0] -= 1
        if self.budget[0] < 0:
            return True
        before, outside = dict(self.known), self.proven
        if step.when is not None:
            self.condition(step.when)
            self._learn(step.when.template, truth=True)
        reached = _WALKS.get(step.kind, HookWalk._plain)(self, step)
        self._on_error(step, before)
        self._save(step)
        self.proven = outside
        if step.when is not None:
            self.known = merge(before, self.known, self.base)
            self.can_stop |= not reached
            self.can_quit |= not reached
        if step.id is not None:
            is_sure = step.when is None and not goes_on(self.config, self.hook, step)
            self.steps[step.id] = step_shape(step, is_sure=is_sure)
        return reached

    def _learn(self, template: Template, *, truth: bool) -> None:
        """Take up what a condition proves.

        A step that went well has saved its output, which may still be null.
        """
        proven = template.proves(truth)
        self.proven |= frozenset(path for path in proven if not self._is_nullable(path))
        for path in proven:
            if len(path) == 3 and path[0] == "steps" and path[2] == "output":
                key = self.saves.get(str(path[1]))
                if key in self.known:
                    self.known[key] = replace(self.known[key], is_sure=True)

    def _is_nullable(self, path: tuple[str | int, ...]) -> bool:
        if len(path) != 3 or path[0] != "steps" or path[2] != "output":
            return False
        return str(path[1]) in self.nullable

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
        return step.kind != "stop"

    def _later(self, steps: tuple[StepConfig, ...]) -> None:
        """Steps of a timer or a ladder; what they save may be there afterwards."""
        inner = self._fork()
        inner.is_first = False
        for step in steps:
            inner.step(step)
        for key, saved in inner.known.items():
            if self.known.get(key) is not saved:
                self.known[key] = saved.unsure()

    def _if(self, step: StepConfig) -> bool:
        template = condition_of(step.options["if"])
        self._check(template, step.options["if"])
        branches, ends = [], []
        for name, truth in (("then", True), ("else", False)):
            fork = self._fork()
            fork._learn(template, truth=truth)
            ends.append(fork.block(step.blocks.get(name, ())))
            branches.append(fork)
        live = [f.known for f, reached in zip(branches, ends, strict=True) if reached]
        self.can_stop = any(f.can_stop for f in branches) or not all(ends)
        self.can_quit = any(f.can_quit for f in branches) or not all(ends)
        if live:
            self.known = live[0] if len(live) == 1 else merge(live[0], live[1], self.base)
        for fork, is_live in zip(branches, ends, strict=True):
            is_only = is_live and len(live) == 1
            new = {k: s for k, s in fork.steps.items() if self.steps.get(k) is not s}
            self.steps.update(new if is_only else map(_unsure, new.items()))
        return bool(live)

    def _parallel(self, step: StepConfig) -> bool:
        before, done = dict(self.known), dict(self.steps)
        late = step.options.get("late")
        is_kept, reached = late is not None and late.raw == "keep", True
        for inner in step.blocks.get("parallel", ()):
            fork = replace(self._fork(known=dict(before)), steps=dict(done))
            reached = fork.step(inner) and reached
            new = {k: s for k, s in fork.known.items() if before.get(k) is not s}
            self.known.update({k: s.unsure() if is_kept else s for k, s in new.items()})
            steps = fork.steps.items()
            self.steps.update(map(_unsure, steps) if is_kept else steps)
            self.can_stop |= fork.can_stop
            self.can_quit |= fork.can_quit
        return reached

    def _set(self, step: StepConfig) -> bool:
        scene, may_fail = self.scene(), False
        for name, value in step.options.items():
            shape = self.values.shape(step, name, None, value, scene)
            may_fail |= any(
                can_fail(template, scene.shapes(template), scene.proven)
                for _, template, _ in value.templates()
            )
            self.known[name] = Saved(cleared(shape, "secret"), True, value.place)
        is_open = may_fail and goes_on(self.config, self.hook, step)
        outlives = not may_fail and not self.can_stop
        for name in step.options:
            self.known[name] = replace(self.known[name], is_sure=not is_open, outlives=outlives)
        self.can_stop |= may_fail and not is_open
        return True

    def _chain(self, step: StepConfig) -> bool:
        name = str(step.options["run"].raw)
        chain = self.config.chains.get(name)
        if chain is None or name in self.trail:
            return True
        inner = self._fork(known=self.known)
        inner.trail = (*self.trail, name)
        reached = inner.block(chain.steps)
        self.known, self.can_stop = inner.known, inner.can_stop
        self.can_quit = inner.can_quit
        self.steps.update(inner.steps)
        return reached

    def _fork(self, *, known: Known | None = None) -> HookWalk:
        known = dict(self.known) if known is None else known
        return replace(self, known=known, steps=dict(self.steps))

    def _on_error(self, step: StepConfig, before: Known) -> None:
        block = step.blocks.get("on_error", ())
        self.can_quit |= step.on_error in ("stop", "steps")
        if block:
            inner = self._fork(known=dict(before))
            inner.error = ERROR
            inner.block(block)

    def _save(self, step: StepConfig) -> None:
        can_fail = step.kind == "parallel" or (step.action is not None and step.action.cls.waits)
        is_open = goes_on(self.config, self.hook, step)
        if step.save is not None:
            is_sure = not is_open
            outlives = is_sure and not can_fail and not self.can_stop
            place = step.settings["save"]
            self.known[step.save] = Saved(output_of(step), is_sure, place, outlives)
        if can_fail and not is_open:
            self.can_stop = True

    # --- templates

    def scene(self) -> Scene:
        """What is known at this place."""
        names = {"event": self.event, **self.everywhere.names}
        lost, origins = self.everywhere.lost, self.everywhere.origins
        ids = {**dict.fromkeys(lost, ANY), **self.steps} if lost else self.steps
        names["steps"] = record(ids) if ids else NO_RECORD
        if self.error is not None:
            names["error"] = self.error
        saved = self.everywhere.saved
        return Scene(
            names, self.known, self.base, saved, self.proven, self.is_first, lost, origins, self.ids
        )  # fmt: skip

    def condition(self, condition: Condition) -> None:
        """Check a `when` of the hook or of a step."""
        self.values.checker.check(condition.template, condition.place, 0, self.scene())

    def _check(self, template: Template, value: Value) -> None:
        self.values.checker.check(template, value.place, 0, self.scene())


def condition_of(value: Value) -> Template:
    """The condition of an `if` step."""
    raw = value.raw
    return parse_condition(str(raw).lower() if isinstance(raw, bool) else str(raw))


def _unsure(item: tuple[str, Shape]) -> tuple[str, Shape]:
    """A step of `steps` that may have been skipped, or may have failed."""
    name, shape = item
    if "output" not in shape.fields:
        return item
    fields = {**shape.fields, "output": maybe(shape.fields["output"])}
    return name, replace(shape, fields=fields)


def goes_on(config: Config, hook: HookConfig, step: StepConfig) -> bool:
    """Whether the steps after this one run even if it fails or is late."""
    policy = step.on_error or hook.on_error or config.defaults.on_error
    return policy == "continue" or step.runs_in_background


_WALKS: Mapping[str, Callable[[HookWalk, StepConfig], bool]] = {
    "if": HookWalk._if,
    "parallel": HookWalk._parallel,
    "set": HookWalk._set,
    "run": HookWalk._chain,
}
