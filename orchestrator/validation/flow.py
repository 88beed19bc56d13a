"""Data flow: what `data`, `steps`, `event` and `error` hold at each step, and every template there.

Each hook is walked in the order in which it runs. A key of `data` is *surely* saved, *maybe* saved
(its step may be skipped, may fail, or runs in another event), or saved nowhere in the config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.config import Condition, Config, HookConfig, StepConfig
from orchestrator.errors import ProblemList
from orchestrator.events import find_event, near_miss
from orchestrator.options import Option
from orchestrator.shapes import ANY, NUMBER, TEXT, Shape, either, maybe, one_of, record
from orchestrator.templates import Read, Template
from orchestrator.values import Place, Value

__all__ = ["Known", "Visit", "check_flow", "vars_shape"]

ERROR = record({"message": TEXT, "step": TEXT})
_STATUS = one_of("ok", "failed", "skipped", "timed_out", "cancelled", "not_sent")
#: Events that surely come before every other event of the session.
_FIRST = (("runner", "call_start"), ("session", "call_start"))


@dataclass(frozen=True, slots=True)
class Saved:
    """A key of `data`: its shape, whether it is surely there, and where it was saved."""

    shape: Shape
    is_sure: bool
    place: Place


Known = dict[str, Saved]


@dataclass(frozen=True, slots=True)
class Visit:
    """One template with what stands around it, for checks of types and safety."""

    step: StepConfig
    option: Option | None
    name: str
    value: Value
    template: Template
    shape: Shape
    hook: HookConfig


@dataclass(slots=True)
class _Flow:
    """The walk through one hook."""

    config: Config
    problems: ProblemList
    everywhere: Known
    variables: Shape
    event: Shape
    hook: HookConfig
    visits: list[Visit]
    known: Known = field(default_factory=dict)
    steps: dict[str, Shape] = field(default_factory=dict)
    error: Shape | None = None
    can_have_stopped: bool = False
    trail: tuple[str, ...] = ()

    # --- steps

    def block(self, steps: tuple[StepConfig, ...]) -> bool:
        """Walk a list of steps; whether its end can be reached."""
        reached = True
        for step in steps:
            if not self.step(step) and step.when is None:
                reached = False
        return reached

    def step(self, step: StepConfig) -> bool:
        """Walk one step; whether the next one can be reached."""
        if step.when is not None:
            self.condition(step.when)
        before = dict(self.known)
        reached = _WALKS.get(step.kind, _Flow._plain)(self, step)
        self._on_error(step, before)
        self._saves(step)
        if step.when is not None:
            self.known = _merge(before, self.known)
        if step.id is not None:
            output = maybe(_output(step))
            shape = record({"status": _STATUS, "output": output, "error": maybe(TEXT)})
            self.steps[step.id] = shape
        return reached

    def _plain(self, step: StepConfig) -> bool:
        options = step.action.options if step.action is not None else {}
        for name, value in step.options.items():
            self.value(step, name, options.get(name), value)
        for name, block in step.blocks.items():
            if name != "on_error":
                self._later(block)
        return step.kind != "stop"

    def _later(self, steps: tuple[StepConfig, ...]) -> None:
        """Steps of a timer or a ladder: they see what is known when they are armed."""
        inner = self._fork()
        for step in steps:
            inner.step(step)

    def _if(self, step: StepConfig) -> bool:
        value = step.options["if"]
        self._check(Condition(_condition_of(value), value.place), step)
        then, otherwise = self._fork(), self._fork()
        ends = [
            then.block(step.blocks.get("then", ())),
            otherwise.block(step.blocks.get("else", ())),
        ]
        live = [f.known for f, reached in zip((then, otherwise), ends, strict=True) if reached]
        self.can_have_stopped |= (
            then.can_have_stopped or otherwise.can_have_stopped or not all(ends)
        )
        if live:
            self.known = live[0] if len(live) == 1 else _merge(live[0], live[1])
        self.steps.update({**then.steps, **otherwise.steps})
        return bool(live)

    def _parallel(self, step: StepConfig) -> bool:
        before = dict(self.known)
        for inner in step.blocks.get("parallel", ()):
            flow = self._fork(known=dict(before))
            flow.step(inner)
            self.known.update({k: v for k, v in flow.known.items() if before.get(k) != v})
            self.steps.update(flow.steps)
        return True

    def _set(self, step: StepConfig) -> bool:
        for name, value in step.options.items():
            shape = self.value(step, name, None, value)
            self.known[name] = Saved(shape, True, value.place)
        return True

    def _chain(self, step: StepConfig) -> bool:
        name = str(step.options["run"].raw)
        chain = self.config.chains.get(name)
        if chain is None or name in self.trail:
            return True
        inner = self._fork(known=self.known)
        inner.trail = (*self.trail, name)
        reached = inner.block(chain.steps)
        self.known = inner.known
        self.can_have_stopped |= inner.can_have_stopped
        return reached

    def _fork(self, *, known: Known | None = None) -> _Flow:
        return replace(
            self, known=dict(self.known) if known is None else known, steps=dict(self.steps)
        )

    def _on_error(self, step: StepConfig, before: Known) -> None:
        block = step.blocks.get("on_error", ())
        if block:
            inner = self._fork(known=before)
            inner.error = ERROR
            inner.block(block)

    def _saves(self, step: StepConfig) -> None:
        policy = step.on_error or self.hook.on_error or self.config.defaults.on_error
        goes_on = policy == "continue" or step.runs_in_background
        if step.save is not None:
            place = step.settings["save"]
            self.known[step.save] = Saved(_output(step), not goes_on, place)
        if step.kind != "set" and not goes_on:
            self.can_have_stopped = True

    # --- templates

    def names(self) -> dict[str, Shape]:
        """The shapes of the names in scope."""
        data = {k: s.shape for k, s in {**self.everywhere, **self.known}.items()}
        names = {
            "event": self.event,
            "vars": self.variables,
            "data": record(data, is_open=True),
            "steps": record(self.steps),
        }
        return {**names, "error": self.error} if self.error is not None else names

    def value(self, step: StepConfig, name: str, option: Option | None, value: Value) -> Shape:
        """Check every template of a value; the shape of the value."""
        if option is not None and option.accepts("condition"):
            return ANY
        for text, template, offset in value.templates():
            shape = self._template(template, text.place, text.raw, offset)
            self.visits.append(Visit(step, option, name, text, template, shape, self.hook))
        return self._shape_of(value)

    def _shape_of(self, value: Value) -> Shape:
        if isinstance(value.raw, dict):
            return record({str(k): self._shape_of(v) for k, v in value.items.items()})
        templates = list(value.templates())
        if len(templates) == 1 and len(value.parts) == 1 and isinstance(value.raw, str):
            return templates[0][1].check(self.names())[0]
        return _constant_shape(value.raw)

    def condition(self, condition: Condition) -> None:
        """Check a `when` of the hook or of a step."""
        self._check(condition, None)

    def _check(self, condition: Condition, step: StepConfig | None) -> None:
        raw = condition.place.container[condition.place.key]
        self._template(condition.template, condition.place, str(raw), 0)

    def _template(self, template: Template, place: Place, raw: str, offset: int) -> Shape:
        document = place.document
        shape, faults = template.check(self.names())
        for fault in (*template.faults, *faults):
            position = place.inside(raw, offset + fault.offset, fault.length)
            self.problems.add(
                document.problem(
                    fault.code,
                    fault.message,
                    position,
                    severity=fault.severity,
                    help=fault.help,
                )
            )
        for read in template.reads:
            if read.path[0] == "data" and len(read.path) > 1:
                self._data_read(read, place, raw, offset)
        return shape

    def _data_read(self, read: Read, place: Place, raw: str, offset: int) -> None:
        key = str(read.path[1])
        if read.is_guarded or (key in self.known and self.known[key].is_sure):
            return
        position = place.inside(raw, offset + read.part_offsets[1], len(key))
        saved = self.known.get(key) or self.everywhere.get(key)
        document = place.document
        if saved is None:
            near = near_miss(key, {**self.everywhere, **self.known})
            hint = (
                f"did you mean `data.{near}`?"
                if near
                else "save it, or guard it with `| default(...)`"
            )
            self.problems.add(
                document.problem(
                    "HK228", f"nothing in this config saves `data.{key}`", position, help=hint
                )
            )
            return
        where = saved.place.document.related(saved.place.value_position, "saved here")
        self.problems.add(
            document.problem(
                "HK229",
                f"`data.{key}` may not be saved yet",
                position,
                related=[where],
                help="guard it with `| default(...)` or `is defined`",
            )
        )


_WALKS: Mapping[str, Callable[[_Flow, StepConfig], bool]] = {
    "if": _Flow._if,
    "parallel": _Flow._parallel,
    "set": _Flow._set,
    "run": _Flow._chain,
}


def _condition_of(value: Value) -> Template:
    from orchestrator.templates import parse_condition

    raw = value.raw
    return parse_condition(str(raw).lower() if isinstance(raw, bool) else str(raw))


def _merge(first: Known, second: Known) -> Known:
    """What is known when either of two ways was taken."""
    merged = {}
    for key in {**first, **second}:
        one, other = first.get(key), second.get(key)
        present = one or other
        assert present is not None  # noqa: S101 - the key is in one of them
        if one is None or other is None:
            merged[key] = replace(present, is_sure=False)
        else:
            shape = either(one.shape, other.shape)
            merged[key] = Saved(shape, one.is_sure and other.is_sure, other.place)
    return merged


def _output(step: StepConfig) -> Shape:
    if step.action is None:
        return ANY
    written = {name: value.constant for name, value in step.options.items()}
    shape = step.action.cls.output_for(
        {k: v if v is not None else step.options[k].raw for k, v in written.items()}
    )
    return shape.tainted(step.action.cls.taint) if step.action.cls.taint else shape


def _constant_shape(raw: object) -> Shape:
    if isinstance(raw, bool):
        return Shape("bool")
    if isinstance(raw, str):
        return TEXT
    if isinstance(raw, (int, float)):
        return NUMBER
    if isinstance(raw, list):
        return Shape("list", of=ANY)
    return ANY


def vars_shape(config: Config) -> Shape:
    """The record that `vars` is: shapes of constants, secrets marked."""
    fields = {}
    for name, value in config.vars.items():
        shape = _record_of(value)
        if any(ref.is_secret for _, ref in value.env_refs()):
            shape = shape.tainted("secret")
        fields[name] = shape
    return record(fields)


def _record_of(value: Value) -> Shape:
    if isinstance(value.raw, dict):
        return record({str(k): _record_of(v) for k, v in value.items.items()})
    if isinstance(value.raw, list):
        shapes = [_record_of(item) for item in value.items.values()]
        same = shapes[0] if shapes and all(s == shapes[0] for s in shapes) else ANY
        return Shape("list", of=same)
    return TEXT if value.parts else _constant_shape(value.raw)


def check_flow(config: Config, problems: ProblemList) -> list[Visit]:
    """Check every template of a config; what was visited, for further checks."""
    everywhere = _saved_anywhere(config)
    variables, visits = vars_shape(config), []  # type: ignore[var-annotated]
    first: Known = {}
    for hook in _in_order(config):
        event = find_event(hook.scope, hook.event)
        assert event is not None  # noqa: S101 - the reader refuses unknown events
        flow = _Flow(config, problems, everywhere, variables, event.shape, hook, visits)
        flow.known = dict(first)
        _walk_hook(flow, hook)
        if (hook.scope, hook.event) in _FIRST:
            first = _after(first, flow, hook)
    _unused_chains(config, problems, everywhere, variables, visits)
    return visits


def _walk_hook(flow: _Flow, hook: HookConfig) -> None:
    if hook.when is not None:
        flow.condition(hook.when)
    start = dict(flow.known)
    flow.block(hook.steps)
    for block, error in ((hook.on_error_steps, ERROR), (hook.cleanup, None)):
        inner = replace(flow, known=_merge(start, flow.known), error=error)
        inner.block(block)


def _after(first: Known, flow: _Flow, hook: HookConfig) -> Known:
    """What later hooks surely know: only what nothing could keep from being saved."""
    is_sure = hook.when is None and not hook.background and not flow.can_have_stopped
    after = dict(first)
    for key, saved in flow.known.items():
        if key not in first:
            after[key] = saved if is_sure else replace(saved, is_sure=False)
    return after


def _in_order(config: Config) -> Iterator[HookConfig]:
    """Hooks in the order in which their events come."""
    for pair in _FIRST:
        yield from (h for h in config.hooks if (h.scope, h.event) == pair)
    yield from (h for h in config.hooks if (h.scope, h.event) not in _FIRST)


def _saved_anywhere(config: Config) -> Known:
    known: Known = {}
    for step in config.steps():
        if step.save is not None:
            known[step.save] = _joined(known, step.save, _output(step), step.settings["save"])
        elif step.kind == "set":
            for name, value in step.options.items():
                known[name] = _joined(known, name, ANY, value.place)
    return known


def _joined(known: Known, key: str, shape: Shape, place: Place) -> Saved:
    before = known.get(key)
    return Saved(either(before.shape, shape) if before else shape, False, place)


def _unused_chains(
    config: Config, problems: ProblemList, everywhere: Known, variables: Shape, visits: list[Visit]
) -> None:
    """Chains that no hook runs are checked against an open event."""
    used = {str(s.options["run"].raw) for s in config.steps() if s.kind == "run"}
    for name, chain in config.chains.items():
        if name not in used and chain.steps:
            hook = HookConfig(f"chain.{name}", name, "session", "chain", chain.place, chain.steps)
            event = record({}, is_open=True)
            flow = _Flow(config, problems, everywhere, variables, event, hook, visits)
            flow.known = dict(everywhere)
            flow.block(chain.steps)
