"""The class that actions derive from, and the faults that it may report of its options."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from orchestrator.errors import ActionFailed
from orchestrator.limits import Limit
from orchestrator.shapes import ANY, Shape

if TYPE_CHECKING:
    from orchestrator.action.context import ActionContext

__all__ = ["Action", "Fault", "check_columns", "check_target", "is_sql_name", "snake_case"]

#: As databases take names without quotes, of a table with or without its schema.
_SQL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$ -]{0,62}(\.[A-Za-z_][A-Za-z0-9_$ -]{0,62})?")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a combination of options, found when a config is checked.

    `key` is the entry of the option's mapping, or the item of its list, that it is about; `names`
    what it may be a near miss of. With `is_value` the value of that entry is marked, not its name.
    """

    message: str
    option: str = ""
    help: str | None = None
    code: str = "HK109"
    key: str = ""
    names: Sequence[str] = ()
    is_value: bool = False


class Action:
    """One kind of step. Subclass it, annotate the options, write `run`.

    Class settings:
        name: the word in YAML; by default the class name in snake_case. (With an annotation
            `name: str` it is an option like any other.)
        main: the option that a bare value fills; by default the first field.
        needs: capabilities of the runtime without which a config is refused.
        output: the shape of what `run` returns, for `save` and `steps.<id>.output`.
        waits: whether the caller may hear the time that `run` takes.
        in_background: whether steps run off the call's path unless told otherwise.
        taint: where text in the output comes from (`"remote"` for outside systems).
        limited: how often steps of its kind may run when the config does not say; they are counted
            before `run`, retries not again.
        in_journal: whether the journal keeps the options of each run; not for what shows there
            by itself, as commands and timers do.

    `run` may be async, or a plain function when it cannot wait. It raises `ActionFailed` for what
    it cannot do; anything else it raises is reported as a fault of the action.
    """

    main: ClassVar[str] = ""
    needs: ClassVar[frozenset[str]] = frozenset()
    output: ClassVar[Shape] = ANY
    waits: ClassVar[bool] = True
    in_background: ClassVar[bool] = False
    taint: ClassVar[str] = ""
    limited: ClassVar[Limit | None] = None
    in_journal: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)

    def run(self, ctx: ActionContext) -> Awaitable[Any] | Any:
        """Do the work of one step and return its output.

        Raises:
            ActionFailed: the work could not be done.
        """
        raise ActionFailed(f"{type(self).__name__} has no run()")

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """Faults that no single option shows: exclusive options, missing partners.

        `options` holds what is written: constants as values, templates as `None`-valued keys are
        never dropped, so `in` tells what was given.
        """
        return ()

    @classmethod
    def prepare(cls) -> None:
        """Import what the first run needs: called when a config is attached, not in a call."""

    @classmethod
    def needs_for(cls, options: Mapping[str, Any]) -> frozenset[str]:
        """The capabilities that a step with these written options needs."""
        return cls.needs

    @classmethod
    def output_for(cls, options: Mapping[str, Any]) -> Shape:
        """The shape of the output of a step with these written options."""
        return cls.output

    @classmethod
    def is_background(cls, options: Mapping[str, Any], *, saves: bool) -> bool:
        """Whether a step runs in the background when its config does not say."""
        return cls.in_background


def snake_case(name: str) -> str:
    """`PageOnCall` -> `page_on_call`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def check_target(options: Mapping[str, Any]) -> Sequence[Fault]:
    """Faults of a request's target: `connection` with `path`, or `url`."""
    if "url" in options:
        other = next((name for name in ("connection", "path") if name in options), None)
        if other is not None:
            return [Fault(f"`url` and `{other}` exclude each other", other)]
        return ()
    if "connection" not in options:
        return [Fault("has no target", help="name a `connection`, or a `url`", code="HK104")]
    return ()


def is_sql_name(text: str) -> bool:
    """Whether a text can be the name of a table or column."""
    return _SQL_NAME.fullmatch(text) is not None


def check_columns(options: Mapping[str, Any], *names: str) -> Sequence[Fault]:
    """Faults of options that name columns: the keys of mappings, the items of lists, and the
    table. What is read from the environment, or was meant to be rendered, is not judged here.
    """
    table = options.get("table")
    faults = [_no_name(table, "table", Fault("", "table"))] if isinstance(table, str) else []
    for name in names:
        written = options.get(name)
        for key in written if isinstance(written, (Mapping, list)) else ():
            column = written[key] if name == "fields" and isinstance(written, Mapping) else key
            fault = Fault("", name, key=str(key), is_value=column is not key)
            faults.append(_no_name(column, "column", fault))
    return [fault for fault in faults if fault is not None]


def _no_name(text: Any, what: str, fault: Fault) -> Fault | None:
    if not isinstance(text, str) or "{{" in text or "${" in text or is_sql_name(text):
        return None
    advice = "letters, digits, `_`, `$`, `-` and blanks, a letter first"
    message = f"{text[:60]!r} is no name of a {what}"
    return replace(fault, message=message, help=advice, code="HK125")
