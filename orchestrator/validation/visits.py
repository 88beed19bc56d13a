"""The values of a step's options: checked one by one, and kept for the checks of safety."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.events import EVENTS
from orchestrator.frozen import frozen
from orchestrator.options import Option
from orchestrator.shapes import ANY, TEXT, Shape, join_taint, record
from orchestrator.templates import Template, parse_condition
from orchestrator.templates.library import ROOTS
from orchestrator.validation.findings import Findings, Severity, related
from orchestrator.validation.known import constant_shape, list_shape
from orchestrator.validation.option_values import is_number_text
from orchestrator.validation.rendered import misfit, misfit_help
from orchestrator.validation.templates import Scene, TemplateChecker
from orchestrator.values import EnvRef, Place, Value

__all__ = ["ValueChecker", "Visit", "condition_of", "templates_of"]

#: What a condition of an action may read, which is asked when the caller has spoken.
_SEEN = ("event", "vars")
_SEEN_HELP = "this condition is asked when the caller has spoken: it reads `event` and `vars`"


@frozen
class Visit:
    """One template or variable in a value, with what stands around it.

    `name` is the top option of the step, `key` the innermost key of the value. `offset` and
    `length` tell where in the text: of tainted text that must not come here, the name that brings
    it in, with the place that gave it its value as `origin`. `change` is what makes another text
    of a secret, and where in the text that stands.
    """

    step: StepConfig
    hook: HookConfig
    name: str
    key: str
    option: Option | None
    value: Value
    shape: Shape
    offset: int
    length: int
    origin: Place | None = None
    change: tuple[str, int] | None = None

    @property
    def taint(self) -> str:
        """The worst taint of the value and of what is inside it."""
        return join_taint(self.shape)

    def report(self, findings: Findings, code: str, message: str, hint: str) -> None:
        """Report the text that flows into this value, and where it comes from."""
        on = self.value.place.inside(self.value.raw, self.offset, self.length)
        where = [related(self.origin, "it comes from here", on="value")] if self.origin else ()
        findings.at(self.value.place, code, message, on=on, help=hint, related=where)


class ValueChecker:
    """Checks the values of the steps of one hook."""

    def __init__(self, checker: TemplateChecker, hook: HookConfig, visits: list[Visit]) -> None:
        self.checker = checker
        self.hook = hook
        self.visits = visits

    def shape(
        self, step: StepConfig, name: str, option: Option | None, value: Value, scene: Scene
    ) -> Shape:
        """Check the value of an option; its shape."""
        return self._shape(step, (name, name), option, value, scene)

    def _shape(
        self, step: StepConfig, path: tuple[str, str], option: Option | None, value: Value,
        scene: Scene,
    ) -> Shape:  # fmt: skip
        if option is not None and option.kind == "condition":
            self._condition(value, scene)
            return ANY
        if isinstance(value.raw, dict):
            return record(
                {
                    str(key): self._shape(step, (path[0], str(key)), inner, item, scene)
                    for key, inner, item in _items(option, value)
                }
            )
        if isinstance(value.raw, list):
            shapes = [self._shape(step, path, o, i, scene) for _, o, i in _items(option, value)]
            return list_shape(shapes)
        return (
            self._text(step, path, option, value, scene) if value.parts else constant_shape(value)
        )

    def _text(
        self, step: StepConfig, path: tuple[str, str], option: Option | None, value: Value,
        scene: Scene,
    ) -> Shape:  # fmt: skip
        shapes: list[Shape] = []
        for part, offset in zip(value.parts, value.offsets, strict=True):
            if isinstance(part, str):
                continue
            origin, change = None, None
            if isinstance(part, EnvRef):
                shape, length = TEXT.tainted("secret" if part.is_secret else ""), part.length
            else:
                refuses = partial(_matters, option)
                shape = self.checker.check(part, value.place, offset, scene, refuses)
                length = len(part.source)
                if len(value.parts) == 1 and part.kind == "value" and not part.faults:
                    self._fit(option, part, value, shape, scene)
                if (taint := join_taint(shape)) and _matters(option, taint):
                    change = self._change(part, offset, taint, scene)
                    offset, length, origin = self._source(part, offset, taint, scene)
            shapes.append(shape)
            self.visits.append(
                Visit(step, self.hook, *path, option, value, shape, offset, length, origin, change)
            )
        if len(value.parts) == 1 and shapes:
            return shapes[0]
        return TEXT.tainted(join_taint(*shapes))

    def _source(
        self, template: Template, offset: int, taint: str, scene: Scene
    ) -> tuple[int, int, Place | None]:
        """The name through which tainted text comes in, and where that got its value."""
        template = scene.narrowed(template)
        read = template.source_of(scene.shapes(template), taint)
        if read is None:
            return offset, len(template.source), None
        return offset + read.offset, read.length, scene.origin(read, self.hook.event)

    def _change(
        self, template: Template, offset: int, taint: str, scene: Scene
    ) -> tuple[str, int] | None:
        """What makes another text of a secret on its way."""
        if taint != "secret":
            return None
        template = scene.narrowed(template)
        found = template.change_of(scene.shapes(template), taint)
        return (found[0], offset + found[1]) if found is not None else None

    def _is_wrong_number(
        self, option: Option, template: Template, value: Value, shape: Shape, scene: Scene
    ) -> bool:
        """Whether what `vars` give as a phone number is none; reported where they are written."""
        wrong = next((text for text in shape.choices if not is_number_text(text)), None)
        if wrong is None or not option.accepts("destination"):
            return False
        read = template.reads[0] if len(template.reads) == 1 else None
        at = (
            scene.variable_place(read.path) if read is not None and read.path[0] == "vars" else None
        )
        message = f"`{option.name}`: {wrong!r} is no phone number in E.164 form"
        on = value.place.inside(value.raw, 0, len(template.source))
        where = [value.place.document.related(on, "used here")] if at is not None else []
        place, advice = at or value.place, "write it as '+15550100'"
        self.checker.findings.at(place, "HK420", message, help=advice, related=where)
        return True

    def _fit(
        self, option: Option | None, template: Template, value: Value, shape: Shape, scene: Scene
    ) -> None:
        if option is None:
            return
        message = misfit(option, shape)
        if self._is_wrong_number(option, template, value, shape, scene):
            return
        if message:
            hint = misfit_help(option, shape)
            self._report("HK122", f"`{option.name}`: {message}", (template, value), hint)
        elif shape.is_optional and not _takes_null(option, shape):
            hint = "add `| default('...')`"
            self._report("HK203", f"`{option.name}`: this may be null", (template, value), hint)

    def _report(
        self, code: str, message: str, where: tuple[Template, Value], hint: str | None
    ) -> None:
        template, value = where
        on = value.place.inside(value.raw, 0, len(template.source))
        severity: Severity = "warning" if code == "HK203" else "error"
        self.checker.findings.at(value.place, code, message, on=on, severity=severity, help=hint)

    def _condition(self, value: Value, scene: Scene) -> None:
        """A condition that an action asks when the caller spoke: it sees `event` and `vars`."""
        raw = str(value.raw).lower() if isinstance(value.raw, bool) else str(value.raw)
        template = parse_condition(raw)
        reads = [(str(read.path[0]), read.offset) for read in template.reads]
        for name, offset in sorted([*reads, *template.calls], key=lambda pair: pair[1]):
            root = name.partition(".")[0]
            if root in ROOTS and root not in _SEEN:
                on = value.place.inside(raw, offset, len(root))
                message = f"`{root}` is not known here"
                self.checker.findings.at(value.place, "HK204", message, on=on, help=_SEEN_HELP)
                return
        names = {
            "event": EVENTS["session", "user_turn"].shape,
            "vars": scene.names.get("vars", ANY),
        }
        self.checker.check(template, value.place, 0, Scene(names, {}, {}, {}))


def _matters(option: Option | None, taint: str) -> bool:
    """Whether text of this taint may be refused here."""
    if taint in ("", "secret"):
        return taint == "secret"
    return option is not None and (option.is_trusted or option.accepts("destination"))


def _takes_null(option: Option, shape: Shape) -> bool:
    """Whether null passes, or there is worse to say of the value."""
    if _matters(option, join_taint(shape)) or option.is_nullable or option.accepts("any"):
        return True
    return option.kind in ("mapping", "list")


def _items(option: Option | None, value: Value) -> Iterator[tuple[object, Option | None, Value]]:
    """The parts of a value, each with its option where the option has one for it."""
    if option is not None and option.kind == "either":
        kinds = ("list",) if isinstance(value.raw, list) else ("mapping", "record")
        option = next((v for v in option.variants if v.kind in kinds), None)
    for key, item in value.items.items():
        if option is None:
            yield key, None, item
        else:
            yield key, option.fields.get(str(key), option.item), item


def condition_of(value: Value) -> Template:
    """The condition of an `if` step."""
    raw = value.raw
    return parse_condition(str(raw).lower() if isinstance(raw, bool) else str(raw))


def templates_of(config: Config) -> Iterator[tuple[Template, Place, int]]:
    """Every template and condition of a config, its place and its offset in the text there."""
    for hook in config.hooks:
        if hook.when is not None:
            yield hook.when.template, hook.when.place, 0
    for step in config.steps():
        if step.when is not None:
            yield step.when.template, step.when.place, 0
        if step.kind == "if":
            yield condition_of(step.options["if"]), step.options["if"].place, 0
        for value in step.options.values():
            for text, template, offset in value.templates():
                yield template, text.place, offset
