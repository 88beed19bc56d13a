"""Check one template where it stands: its faults, and whether what it reads was saved before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.errors import Position
from orchestrator.events import near_miss
from orchestrator.shapes import ANY, ANY_RECORD, Shape, join_taint, record
from orchestrator.templates import Fault, Outcomes, Proven, Read, Template
from orchestrator.validation.findings import Findings, related, word_fix
from orchestrator.validation.known import BROUGHT, Known, Saved
from orchestrator.values import Place

__all__ = ["Scene", "TemplateChecker"]

_GUARD = "guard it with `| default(...)` or `is defined`"


@dataclass(slots=True)
class Scene:
    """What is known at one place.

    `known` is what `data` holds here beside what `base` had before the hook; `elsewhere` is what
    any step of the config saves; `is_first` means that nothing else can have been saved yet.
    `origins` has where values come from that are neither saved nor built in, and where the steps
    with an `id` are; `ids` those of this hook, and `outcomes` how they may end. `lacking` gives the
    `emit` of the event that does not give a field of it. `asked` are paths that conditions on the
    way here have asked, whatever for. Within a chain, `run_by` is the step of
    the hook that runs it. `aside` are the steps that run in the background.
    """

    names: dict[str, Shape]
    known: Known
    base: Known
    elsewhere: Known
    proven: Proven = frozenset()
    is_first: bool = False
    lost: frozenset[str] = frozenset()
    origins: Mapping[tuple[str, str], Place] = field(default_factory=dict)
    ids: Mapping[str, Place] = field(default_factory=dict)
    outcomes: Outcomes = field(default_factory=dict)
    lacking: Callable[[str], Place | None] | None = None
    asked: Collection[tuple[str | int, ...]] = ()
    run_by: Place | None = None
    aside: Collection[str] = ()

    def narrowed(self, template: Template) -> Template:
        """A template with what is proved here about the values that it reads."""
        return template.under(self.proven, self.outcomes)

    def find(self, key: str) -> Saved | None:
        """What is known of a key of `data` here."""
        return self.known.get(key) or self.base.get(key)

    def shapes(self, template: Template) -> dict[str, Shape]:
        """The shapes of the names in scope; of `data` only what the template reads."""
        fields, is_whole = dict[str, Shape](), False
        for read in template.reads:
            if read.path[0] == "data" and len(read.path) > 1:
                key = str(read.path[1])
                saved = self.find(key) or self.elsewhere.get(key)
                unknown = ANY if key in self.lost else BROUGHT
                fields[key] = self._shape_of(key, saved) if saved is not None else unknown
            elif read.path == ("data",):  # a computed key, or all of it
                is_whole = True
        data = record(fields, is_open=True) if fields else ANY_RECORD
        return {**self.names, "data": data.tainted(self._taint_of_all()) if is_whole else data}

    def _shape_of(self, key: str, saved: Saved) -> Shape:
        """The shape of what is saved; a text has letters for certain only if each that is has."""
        shape = saved.shape
        if shape.kind == "text" and shape.bounds is not None:
            other = self.elsewhere.get(key)
            if not saved.is_sure or other is None or other.shape.bounds is None:
                return replace(shape, bounds=None)
        return shape

    def _taint_of_all(self) -> str:
        known = (*self.known.values(), *self.base.values(), *self.elsewhere.values())
        return join_taint(*(saved.shape for saved in known))

    def variable_place(self, path: tuple[str | int, ...]) -> Place | None:
        """Where a value of `vars` is written; the nearest place above it that is known."""
        place = self.origins.get(("vars", str(path[1]))) if len(path) > 1 else None
        if place is None:
            return None
        for part in path[2:]:
            inner: object = place.container[place.key]
            is_there = isinstance(inner, dict) and part in inner
            if not is_there and not (isinstance(inner, list) and isinstance(part, int)):
                break
            place = Place(place.document, inner, part)
        return place

    def origin(self, read: Read, event: str) -> Place | None:
        """Where the value of a read was written down, where a step or a var of the config did it.

        `event` is that of the hook.
        """
        root, key = (*map(str, read.path), "")[:2]
        if root == "data":
            saved = self.find(key) or self.elsewhere.get(key)
            return saved.place if saved is not None else None
        root = event if root == "event" else root
        return self.origins.get((root, key)) or self.origins.get((root, ""))


#: What is said of a related place, by its key.
_WORDS = {"emit": "not given here", "run": "run from here, by an event without it"}


Path = tuple[str | int, ...]

#: Names that keys are compared with in all; a comparison takes some microseconds.
_MAX_TRIES = 100_000


class TemplateChecker:
    """Checks templates and reports what is wrong in place."""

    def __init__(self, findings: Findings, untrue: Container[Path] = ()) -> None:
        self.findings = findings
        self.untrue = untrue  # paths whose truth is not asked about any more: see `truth`
        self.tries = _MAX_TRIES

    def check(
        self,
        template: Template,
        place: Place,
        offset: int,
        scene: Scene,
        refuses: Callable[[str], bool] = lambda taint: False,
    ) -> Shape:
        """The shape of a template that stands at an offset of a text.

        Where the taint of a value is refused, nothing is said of its null.
        """
        if not template.faults and template.kind == "constant":
            return template.check({})[0]
        template = scene.narrowed(template)
        shape, faults = template.check(scene.shapes(template))
        if faults and refuses(join_taint(shape)):
            faults = tuple(f for f in faults if (f.code, f.severity) != ("HK203", "warning"))
        missing: set[int] = set()
        if not template.faults:
            for read in template.reads:
                is_asked = len(read.path) == 2 and read.offset in template.asked
                is_missing = self._check_read(read, place, offset, scene, is_asked=is_asked)
                if is_missing or read.path in self.untrue:
                    missing.add(read.offset)
        for fault in (*template.faults, *faults):
            if fault.asked_of and _is_asked(fault.asked_of, template, scene):
                continue
            fault = _of_emit(template, scene, fault) if scene.lacking is not None else fault
            fault = _of_background(template, scene, fault) if scene.aside else fault
            # what may not be there at all is not said to be null, or never false, as well
            if fault.code not in ("HK203", "HK323") or fault.offset not in missing:
                at = scene.variable_place(fault.given_by) if fault.given_by else None
                if at is not None:
                    self._report_given(fault, at, (place, offset))
                else:
                    self._report(fault, place, offset, _elsewhere(fault, template, scene))
        if template.faults:
            return ANY
        return replace(shape, is_optional=False) if missing else shape

    def _report_given(self, fault: Fault, at: Place, used: tuple[Place, int]) -> None:
        """Report a constant that is wrong where it is written, in `vars`."""
        place, offset = used
        on = place.inside(_text(place), offset + fault.offset, fault.length)
        where = [place.document.related(on, "used here")]
        self.findings.at(at, fault.code, fault.message, help=fault.help, related=where)

    def _report(
        self, fault: Fault, place: Place, offset: int, step: tuple[Place, str | None] | None
    ) -> None:
        """Report a fault; `step` is the place of a step that it looks for, and what to do."""
        at, length = fault.offset, fault.length
        on = place.inside(_text(place), offset + at, length)
        fix = None
        code, message, hint = fault.code, fault.message, fault.help
        near = _suggested(hint)
        if near:
            line = place.document.lines[on.line - 1]
            fix = word_fix(place.document, on, line[on.column - 1 : on.end_column - 1], near)
        where = []
        if step is not None and not near:
            words = _WORDS.get(str(step[0].key), "it is here")
            where = [related(step[0], words, on="value" if step[0].key == "id" else "key")]
            hint = step[1]
        self.findings.at(
            place, code, message, on=on, help=hint, severity=fault.severity, fix=fix, related=where
        )

    def _check_read(
        self, read: Read, place: Place, offset: int, scene: Scene, *, is_asked: bool
    ) -> bool:
        """Report a read of what may not be there; whether it was reported.

        `is_asked` means that the value itself is the condition, or a part of one.
        """
        if read.path[0] != "data" or len(read.path) < 2 or str(read.path[1]) in scene.lost:
            return False
        key = str(read.path[1])
        here = scene.find(key)
        if here is not None and here.is_sure:
            return False
        if read.is_guarded or read.is_there:
            self._check_guarded(read, place, offset, scene)
            return False
        on = place.inside(_text(place), offset + read.part_offsets[1], len(key))
        if here is None and key not in scene.elsewhere:
            self._report_unsaved(key, place, on, scene)
            return True
        saved = here or scene.elsewhere[key]
        where = [related(saved.place, "saved here", on="value")]
        guard = f"write `(data.{key} | default(none))`" if is_asked else _GUARD
        if here is None and scene.is_first:
            message = f"`data.{key}` is saved only later"
            self.findings.at(place, "HK230", message, on=on, related=where, help=guard)
        else:
            message = f"`data.{key}` may not be saved yet"
            self.findings.at(place, "HK229", message, on=on, related=where, help=guard)
        return True

    def _check_guarded(self, read: Read, place: Place, offset: int, scene: Scene) -> None:
        """A call may arrive with this key; but a near miss of a saved one is most likely a typo."""
        key, saved = str(read.path[1]), scene.elsewhere
        near = self._near(key, saved) if key not in saved else None
        if near is None:
            return
        on = place.inside(_text(place), offset + read.part_offsets[1], len(key))
        where = [related(saved[near].place, "saved here", on="value")]
        message, hint = f"nothing in this config saves `data.{key}`", f"did you mean `data.{near}`?"
        fix = word_fix(place.document, on, key, near)
        self.findings.at(
            place, "HK241", message, on=on, severity="warning", help=hint, related=where, fix=fix
        )

    def _near(self, key: str, names: Collection[str]) -> str | None:
        """The near miss of a key; none once a file has asked for more than people write."""
        self.tries -= len(names)
        return near_miss(key, names) if self.tries > 0 else None

    def _report_unsaved(self, key: str, place: Place, on: Position, scene: Scene) -> None:
        near = self._near(key, scene.elsewhere)
        hint = (
            f"did you mean `data.{near}`?" if near else "save it, or guard it with `| default(...)`"
        )
        fix = word_fix(place.document, on, key, near) if near else None
        message = f"nothing in this config saves `data.{key}`"
        self.findings.at(place, "HK228", message, on=on, help=hint, fix=fix)


def _is_asked(path: tuple[str | int, ...], template: Template, scene: Scene) -> bool:
    """Whether a condition here, or another part of the template, asks a value that it also uses."""
    return path in scene.asked or [read.path for read in template.reads].count(path) > 1


def _elsewhere(fault: Fault, template: Template, scene: Scene) -> tuple[Place, str | None] | None:
    """Where a step is that is not known where it is read, and what to do."""
    if fault.code not in ("HK202", "HK203"):
        return None
    name = _field_of_event(fault, template)
    find = scene.lacking if name and fault.code == "HK203" else None
    lacking = find(name) if find is not None else None
    if lacking is not None:
        return lacking, fault.help
    if name and scene.run_by is not None:
        return scene.run_by, fault.help
    at = 1 if fault.code == "HK202" else 0  # which part of the path is marked
    for read in template.reads:
        if read.path[0] != "steps" or len(read.path) < 2 or read.part_offsets[at] != fault.offset:
            continue
        if at == 0:
            place = scene.ids.get(str(read.path[1]))
            return (place, fault.help) if place is not None else None
        name = str(read.path[1])
        if name in scene.ids:
            hint = "steps after it can read it"
            hint += "; here `error` tells what failed" if "error" in scene.names else ""
            return scene.ids[name], hint
        place = scene.origins.get(("steps", name))
        hint = "`steps` has those of one hook: `save` its output, and read it from `data`"
        return (place, hint) if place is not None else None
    return None


def _field_of_event(fault: Fault, template: Template) -> str:
    """The field of the event that a fault is about."""
    for read in template.reads:
        is_field = len(read.path) == 2 and read.path[0] == "event"
        if is_field and fault.offset == read.part_offsets[1]:
            return str(read.path[1])
    return ""


def _of_emit(template: Template, scene: Scene, fault: Fault) -> Fault:
    """The fault of a field that an `emit` leaves out, in words about that."""
    name = _field_of_event(fault, template) if fault.code == "HK203" else ""
    if not name or scene.lacking is None or scene.lacking(name) is None:
        return fault
    message = f"`event.{name}` may be missing: not every `emit` of this event gives it"
    return replace(fault, message=message)


def _of_background(template: Template, scene: Scene, fault: Fault) -> Fault:
    """The fault of a step that nobody has waited for, in words about that."""
    for read in template.reads if fault.code == "HK203" else ():
        name = str(read.path[1]) if read.path[0] == "steps" and len(read.path) > 1 else ""
        if name in scene.aside and read.offset == fault.offset:
            message = f"`steps.{name}` is not there yet: its step runs in the background"
            return replace(fault, message=message, help="`background: false` there waits for it")
    return fault


def _text(place: Place) -> str:
    value: object = place.container[place.key]
    return value if isinstance(value, str) else str(value).lower()


def _suggested(hint: str | None) -> str | None:
    """The name that a fault suggests, where it is the same kind of word as the marked one."""
    prefix = "did you mean `"
    if not hint or not hint.startswith(prefix) or not hint.endswith("`?"):
        return None
    return hint[len(prefix) : -2]
