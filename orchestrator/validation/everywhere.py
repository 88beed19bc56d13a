"""What the whole config saves and emits, before any hook is walked.

A hook may read what another one saved, in whatever order the events come, so the shapes of all
saves are known first. Values that are computed from other values need more than one round.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.events import find_event, is_custom
from orchestrator.shapes import (
    ANY_RECORD,
    NULL,
    TEXT,
    Shape,
    cleared,
    either,
    join_taint,
    record,
)
from orchestrator.validation.ending import Target, targets_of
from orchestrator.validation.findings import ANYTHING
from orchestrator.validation.known import (
    ERROR,
    Known,
    Saved,
    constant_shape,
    list_shape,
    output_of,
    step_shape,
)
from orchestrator.validation.secrets import is_secret_name
from orchestrator.validation.templates import Scene
from orchestrator.values import EnvRef, Place, Value

__all__ = ["Everywhere", "expanded", "survey", "written"]

_ROUNDS = 3
#: Actions that give a value of the step to other places.
_GIVING = ("emit", "remember")


@dataclass(slots=True)
class Everywhere:
    """`saved` by key of `data`; `emitted` by custom event: the fields of each `emit`, and under
    `emits` where it is.

    `names` are those in scope at every place. `remembered` is by key of the memory, `""` for keys
    that are not written out. `origins` has where vars (`("vars", name)`), fields of custom events
    (`(event, field)`) and values of the memory (`("memory", key)`) are given, and where steps are
    (`("steps", id)`). A secret that flows
    into any of these is reported there, so it goes no further.

    `lost` are names that broken steps would have given. `writers` counts the steps that write.
    """

    variables: Shape
    names: Mapping[str, Shape] = field(default_factory=dict)
    saved: Known = field(default_factory=dict)
    emitted: dict[str, list[Shape]] = field(default_factory=dict)
    emits: dict[str, list[Place]] = field(default_factory=dict)
    remembered: dict[str, Shape] = field(default_factory=dict)
    origins: dict[tuple[str, str], Place] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    writers: Counter[Target] = field(default_factory=Counter)
    is_doubtful: bool = False

    def given(self, value: Value, scene: Scene) -> Shape:
        """The shape of a value that is given to others."""
        shape = cleared(_shape(value, scene), "secret")
        is_unclear = self.is_doubtful and value.is_template and not join_taint(shape)
        return shape.tainted("caller") if is_unclear else shape

    def is_same(self, other: Everywhere) -> bool:
        """Whether another round has found the same."""
        return (self.saved, self.emitted, self.remembered) == (
            other.saved, other.emitted, other.remembered
        )  # fmt: skip

    def event_shape(self, hook: HookConfig) -> Shape:
        """What `event` is in the hooks of an event."""
        if is_custom(hook.event):
            return _joined_fields(self.emitted.get(hook.event, []))
        event = find_event(hook.scope, hook.event)
        return event.shape if event is not None else ANY_RECORD

    def lacking(self, event: str, name: str) -> Place | None:
        """An `emit` of a custom event that does not give a field which others give."""
        pairs = zip(self.emitted.get(event, ()), self.emits.get(event, ()), strict=True)
        return next((place for shape, place in pairs if name not in shape.fields), None)

    def memory(self) -> dict[str, Shape]:
        """The scope's entry for `memory.get`: what is remembered by key.

        Its own taint is that of keys that are not written out.
        """
        if not self.remembered:
            return {}
        unknown = self.remembered.get("")
        shape = record({key: s for key, s in self.remembered.items() if key})
        taint = join_taint(unknown) if unknown is not None else ""
        return {"memory.get": shape.tainted(taint)}


def _joined_fields(emits: list[Shape]) -> Shape:
    """The fields of an event that several steps emit; one that not all of them give may be null."""
    if not emits or any(shape.is_open for shape in emits):
        return ANY_RECORD.tainted(join_taint(*emits))
    names = dict.fromkeys(name for shape in emits for name in shape.fields)
    fields: dict[str, Shape] = {}
    for name in names:
        shapes = [shape.fields.get(name, NULL) for shape in emits]
        joined = shapes[0]
        for shape in shapes[1:]:
            joined = either(joined, shape)
        fields[name] = joined
    return record(fields)


def survey(
    config: Config,
    lost: AbstractSet[str] = frozenset(),
    variables: Mapping[str, str] | None = None,
) -> Everywhere:
    """Look at every step of a config that saves or emits; `variables` is the environment."""
    fields = {n: _variable_shape(n, value, variables) for n, value in config.vars.items()}
    is_open = lost is ANYTHING or any(name.startswith("vars.") for name in lost)
    found = Everywhere(record(fields, is_open=is_open))
    hooks = [(hook, list(expanded(config, hook.walk()))) for hook in config.hooks]
    hooks = [(hook, steps) for hook, steps in hooks if any(map(_gives, steps))]
    is_computed = any(
        s.kind == "set" or s.word in _GIVING for _, steps in hooks for s in steps
    )  # fmt: skip
    for _ in range(_ROUNDS if is_computed else 1):
        before, found = found, _round(hooks, found)
        if before.is_same(found):
            break
    else:
        found = _round(hooks, found, is_doubtful=True) if is_computed else found
    found.names = {"vars": found.variables, **found.memory()}
    found.lost = lost if isinstance(lost, frozenset) else frozenset(lost)
    found.writers.update(target for step in config.steps() for target in targets_of((step,)))
    named = [step for step in config.steps() if step.id is not None]
    found.origins |= {("steps", str(step.id)): step.settings["id"] for step in named}
    found.origins |= {("vars", name): value.place for name, value in config.vars.items()}
    return found


def _variable_shape(name: str, value: Value, variables: Mapping[str, str] | None = None) -> Shape:
    """The shape of a var; a text that is written out is that text and no other.

    What comes from the environment under a name such as `password` is a secret, whatever the
    variable is called.
    """
    if isinstance(value.raw, dict):
        return record(
            {str(k): _variable_shape(str(k), v, variables) for k, v in value.items.items()}
        )
    shape = constant_shape(value)
    if value.parts and is_secret_name(name):
        return shape.tainted("secret")
    if isinstance(value.raw, str) and not value.parts:
        return replace(shape, choices=(value.raw,))
    text = _read(value, variables) if variables is not None and not shape.taint else None
    return replace(shape, choices=(text,)) if text is not None else shape


def _read(value: Value, variables: Mapping[str, str]) -> str | None:
    """A text with what the environment gives; None where it is not set."""
    parts = [
        variables.get(part.name, part.default) if isinstance(part, EnvRef) else str(part)
        for part in value.parts
    ]
    found = [part for part in parts if part is not None]
    return "".join(found) if len(found) == len(parts) else None


def _gives(step: StepConfig) -> bool:
    return step.save is not None or step.kind == "set" or step.word in _GIVING


def _round(
    hooks: list[tuple[HookConfig, list[StepConfig]]],
    before: Everywhere,
    *,
    is_doubtful: bool = False,
) -> Everywhere:
    """Look at all steps once more; `is_doubtful` takes what is computed for words of a caller.

    Values that are computed from one another against the order of the file need many rounds, and
    what grows with each round needs endlessly many: better doubted than trusted.
    """
    found = Everywhere(before.variables, is_doubtful=is_doubtful)
    for hook, steps in hooks:
        scene = Scene(_names(before, hook, steps), found.saved, before.saved, {})
        for step in steps:
            if step.save is not None:
                _add(found.saved, step.save, output_of(step), step.settings["save"])
            if step.kind == "set":
                for name, value in step.options.items():
                    _add(found.saved, name, found.given(value, scene), value.place)
            elif step.word == "emit":
                _emit(found, step, scene)
            elif step.word == "remember":
                _remember(found, step, scene)
    return found


def expanded(config: Config, steps: Iterator[StepConfig]) -> Iterator[StepConfig]:
    """Steps and those of the chains that they run, each chain once."""
    return _with_chains(config, steps) if config.chains else steps


def _with_chains(config: Config, steps: Iterator[StepConfig]) -> Iterator[StepConfig]:
    seen: set[str] = set()
    queue = deque(steps)
    while queue:
        step = queue.popleft()
        yield step
        name = str(step.options["run"].raw) if step.kind == "run" else ""
        chain = config.chains.get(name)
        if chain is not None and name not in seen:
            seen.add(name)
            queue.extend(inner for s in chain.steps for inner in s.walk())


def written(config: Config, steps: Iterable[StepConfig]) -> set[Target]:
    """What these steps write, with those in them and in the chains that they run."""
    return targets_of(expanded(config, (inner for step in steps for inner in step.walk())))


def _names(before: Everywhere, hook: HookConfig, steps: list[StepConfig]) -> dict[str, Shape]:
    return {
        "event": before.event_shape(hook),
        **before.memory(),
        "vars": before.variables,
        "steps": record({s.id: step_shape(s) for s in steps if s.id is not None}, is_open=True),
        "error": ERROR,
    }


def _shape(value: Value, scene: Scene) -> Shape:
    """The shape of a value, whatever is wrong in its templates."""
    if isinstance(value.raw, dict):
        return record({str(key): _shape(item, scene) for key, item in value.items.items()})
    if isinstance(value.raw, list):
        return list_shape([_shape(item, scene) for item in value.items.values()])
    templates = list(value.templates())
    if not templates:
        return constant_shape(value)
    shapes = [template.check(scene.shapes(template))[0] for _, template, _ in templates]
    if len(value.parts) == 1:
        return shapes[0]
    return TEXT.tainted(join_taint(*shapes, constant_shape(value)))


def _emit(found: Everywhere, step: StepConfig, scene: Scene) -> None:
    event, fields = step.options.get("event"), step.options.get("fields")
    if event is None or not isinstance(event.raw, str):
        return
    shape = found.given(fields, scene) if fields is not None else record({})
    shape = shape if shape.kind == "record" else ANY_RECORD.tainted(join_taint(shape))
    found.emitted.setdefault(event.raw, []).append(shape)
    found.emits.setdefault(event.raw, []).append(step.place)
    for name, item in fields.items.items() if fields is not None else ():
        _note_origin(found, (event.raw, str(name)), shape.fields.get(str(name), shape), item)


def _remember(found: Everywhere, step: StepConfig, scene: Scene) -> None:
    key, value = step.options.get("key"), step.options.get("value")
    if key is None:
        return
    name = "" if key.parts else str(key.raw)
    shape = found.given(value, scene) if value is not None else NULL
    before = found.remembered.get(name)
    found.remembered[name] = shape if before is None else either(before, shape)
    if value is not None:
        _note_origin(found, ("memory", name), shape, value)


def _note_origin(found: Everywhere, key: tuple[str, str], shape: Shape, value: Value) -> None:
    if join_taint(shape):
        found.origins.setdefault(key, value.place)


def _add(saved: Known, key: str, shape: Shape, place: Place) -> None:
    before = saved.get(key)
    if before is None:
        saved[key] = Saved(shape, False, place)
    else:
        saved[key] = replace(before, shape=either(before.shape, shape))
