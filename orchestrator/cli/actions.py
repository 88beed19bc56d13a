"""`orchestrator actions`: the actions, with their manuals."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from orchestrator.cli.plugins import registry_with
from orchestrator.cli.reporter import Painter, wants_color
from orchestrator.durations import format_duration
from orchestrator.errors import UserError
from orchestrator.events import near_miss
from orchestrator.options import Option
from orchestrator.options.schema import record_schema
from orchestrator.registry import ActionType, Registry

__all__ = ["command"]


@click.command("actions")
@click.argument("name", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How to print them.",
)
@click.option(
    "--with",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Also the actions of this plugin module; may be repeated.",
)
def command(name: str | None, form: str, modules: tuple[str, ...]) -> None:
    """List the actions, or print the manual of the action NAME.

    \b
    orchestrator actions
    orchestrator actions escalate_transfer
    orchestrator actions --with my_company.actions --format markdown
    """
    registry = registry_with(modules)
    found = [_find(registry, name)] if name else list(registry)
    if form == "json":
        click.echo(json.dumps([_as_json(action) for action in found], indent=2))
    elif form == "markdown":
        click.echo("\n\n".join(_as_markdown(action) for action in found))
    elif name:
        click.echo(_as_text(found[0]), color=wants_color())
    else:
        _print_list(found)


def _find(registry: Registry, name: str) -> ActionType:
    action = registry.action(name)
    if action is not None:
        return action
    near = near_miss(name, registry.action_names())
    hint = f"did you mean {near!r}?" if near else "`orchestrator actions` lists them"
    raise UserError(f"there is no action {name!r}; {hint}")


def _print_list(actions: Iterable[ActionType]) -> None:
    paint = Painter(is_on=wants_color())
    for action in actions:
        summary = action.manual.partition("\n")[0].rstrip(".")
        origin = "" if action.origin == "built-in" else f"  ({action.origin})"
        click.echo(f"{paint('bold', action.name.ljust(18))} {summary}{origin}", color=paint.is_on)


def _as_text(action: ActionType) -> str:
    paint = Painter(is_on=wants_color())
    lines = [f"{paint('bold', action.name)} ({action.origin})", "", action.manual]
    lines += ["", _limit(action)] if action.cls.limited is not None else []
    rows = [_row(option, action) for option in action.options.values()]
    if rows:
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        lines += ["", paint("bold", "Options")]
        lines += [f"  {r[0].ljust(widths[0])}  {r[1].ljust(widths[1])}  {r[2]}" for r in rows]
    return "\n".join(lines)


def _as_markdown(action: ActionType) -> str:
    lines = [f"## `{action.name}`", "", action.manual]
    lines += ["", _limit(action)] if action.cls.limited is not None else []
    rows = [_row(option, action) for option in action.options.values()]
    if rows:
        lines += ["", "| option | takes | what it is |", "|---|---|---|"]
        lines += [f"| `{name}` | {takes} | {doc} |" for name, takes, doc in rows]
    return "\n".join(lines)


def _limit(action: ActionType) -> str:
    limit = action.cls.limited
    assert limit is not None  # noqa: S101 - both callers looked
    return f"Counts under `limits: {limit.kind}`: by default {limit}."


def _row(option: Option, action: ActionType) -> tuple[str, str, str]:
    doc = option.doc or "-"
    if option.is_required:
        doc += " (required)"
    elif (shown := _default(option)) is not None:
        doc += f" (default {shown})"
    if option.name == action.main:
        doc += "; the value of the bare form"
    return option.name, option.wanted(), doc


def _default(option: Option) -> str | None:
    value: Any = option.default
    if value in (None, "", [], {}):
        return None
    if option.kind == "duration":
        return format_duration(float(value))
    return json.dumps(value, default=str)


def _as_json(action: ActionType) -> dict[str, Any]:
    return {
        "name": action.name,
        "origin": action.origin,
        "summary": action.manual.partition("\n")[0],
        "manual": action.manual,
        "main": action.main or None,
        "options": record_schema(action.options),
        "needs": sorted(action.cls.needs),
        "waits": action.cls.waits,
        "limited": action.cls.limited.kind if action.cls.limited is not None else None,
    }
