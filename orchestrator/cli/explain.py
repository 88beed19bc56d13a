"""`orchestrator explain`: what a config does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from orchestrator.cli.reporter import Painter, plural, wants_color
from orchestrator.durations import format_duration
from orchestrator.outline import outline, step_words
from orchestrator.targets import TARGETS, describe
from orchestrator.validation import load_config

__all__ = ["command"]


@click.command("explain")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "mermaid"]),
    default="text",
    show_default=True,
    help="A tree, JSON, or a graph for Markdown pages.",
)
@click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    metavar="NAME",
    help=f"Say what this runtime cannot do: {', '.join(TARGETS)}.",
)
def command(file: str, form: str, target: str | None) -> None:
    """What a config does: events, hooks and steps in order, waits, capabilities needed.

    Waits are the worst case: how long each event may keep the caller waiting if every outside
    system takes its whole timeout.
    """
    document = outline(load_config(file), target)
    if form == "json":
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif form == "mermaid":
        from orchestrator.cli.mermaid import graph

        click.echo("\n".join(graph(document)))
    else:
        paint = Painter(is_on=wants_color())
        click.echo("\n".join(_text(document, paint)), color=paint.is_on)


# --- text


def _text(document: Mapping[str, Any], paint: Painter) -> Iterator[str]:
    hooks = sum(len(event["hooks"]) for event in document["events"])
    counts = f"{plural(hooks, 'hook')} on {plural(len(document['events']), 'event')}"
    yield f"{paint('bold', document['name'])}: {counts}"
    for event in document["events"]:
        wait = event["worst_wait"]
        cost = f"  waits up to {format_duration(wait)}" if wait else ""
        yield ""
        yield f"{paint('bold', event['scope'] + '.' + event['event'])}{paint('dim', cost)}"
        for hook in event["hooks"]:
            yield from _hook_lines(hook, paint)
    for name, steps in document["chains"].items():
        yield ""
        yield paint("bold", f"chain {name}")
        yield from _step_lines(steps, "  ", paint)
    if document["limits"]:
        yield ""
        yield from _limit_lines(document, paint)
    yield ""
    yield from _need_lines(document, paint)
    yield ""
    yield from _runtime_lines(document, paint)


def _hook_lines(hook: Mapping[str, Any], paint: Painter) -> Iterator[str]:
    notes = [f"when {hook['when']}"] if "when" in hook else []
    notes += [f"at most {_times(hook['max_count'])}"] if "max_count" in hook else []
    notes += [f"every {format_duration(hook['cooldown'])}"] if "cooldown" in hook else []
    notes += ["in the background"] if hook.get("background") else []
    tail = f"  ({'; '.join(notes)})" if notes else ""
    yield f"  {hook['name']}{paint('dim', tail)}"
    yield from _step_lines(hook["steps"], "    ", paint)
    for key in ("on_error", "finally"):
        if key in hook:
            yield f"    {paint('dim', key)}"
            yield from _step_lines(hook[key], "      ", paint)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _step_lines(steps: list[Any], indent: str, paint: Painter) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        yield f"{indent}{number}. {step_words(step)}{paint('dim', _step_notes(step))}"
        for name, block in step.get("blocks", {}).items():
            yield f"{indent}   {paint('dim', name)}"
            yield from _step_lines(block, f"{indent}     ", paint)


def _step_notes(step: Mapping[str, Any]) -> str:
    notes = [f"when {step['when']}"] if "when" in step else []
    notes += [f"after {format_duration(step['after'])}"] if "after" in step else []
    notes += [f"-> data.{step['save']}"] if "save" in step else []
    notes += ["in the background"] if step.get("background") else []
    notes += [f"up to {format_duration(step['worst_wait'])}"] if "worst_wait" in step else []
    return f"  ({'; '.join(notes)})" if notes else ""


def _limit_lines(document: Mapping[str, Any], paint: Painter) -> Iterator[str]:
    yield paint("bold", "limits")
    for kind, limit in document["limits"].items():
        where = ", ".join(limit["places"].values()) or "the default"
        yield f"  {kind.ljust(18)} {limit['in_words']}  {paint('dim', where)}"


def _need_lines(document: Mapping[str, Any], paint: Painter) -> Iterator[str]:
    missing = document.get("missing", [])
    yield paint("bold", "needs")
    for need, places in document["needs"].items():
        lacks = f"  {document['target']} cannot" if need in missing else ""
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        where = paint("dim", f"{places[0]}{more}")
        yield f"  {need.ljust(18)} {describe(need)}  {where}{paint('error', lacks)}"
    if "target" not in document:
        return
    never = document["never"]
    if not missing:
        yield f"  {document['target']} can do all of it{', but' if never else ''}"
    for hope in never:
        lacks = f"  {document['target']} cannot {describe(hope['need'])}"
        yield f"  {hope['without']}  {paint('dim', hope['place'])}{paint('warning', lacks)}"


def _runtime_lines(document: Mapping[str, Any], paint: Painter) -> Iterator[str]:
    """Which runtimes can carry the config, and what the others lack."""
    runtimes = document["runtimes"]
    yield paint("bold", "runs on")
    yield f"  {', '.join(name for name, lacks in runtimes.items() if not lacks)}"
    for name, lacks in runtimes.items():
        if lacks:
            yield f"  not on {name}: {', '.join(lacks)}"
